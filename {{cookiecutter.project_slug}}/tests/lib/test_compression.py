"""Compressed files: all kinds, several members, damage, and bombs."""

import bz2
import gzip
import io
import lzma
import random
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

from lib import blocks, compression, zip_files
from lib.blocks import CountedStream, PeekableStream
from lib.rows import FileFormatError, read_chunks
from tests.lib.formats import make_format, read
from tests.tables import for_each

LINES = "".join(f"{number},ä\n" for number in range(500)).encode()
ROWS = [[str(number), "ä"] for number in range(500)]
TEXT = (LINES, ROWS)


def compress_zstd(text: bytes) -> bytes:
    """Return Zstandard data, with the package that the project has."""
    try:
        zstd = import_module("compression.zstd")
    except ImportError:
        zstd = import_module("backports.zstd")
    options = {zstd.CompressionParameter.checksum_flag: 1}  # as the program does
    return bytes(zstd.compress(text, options=options))


def compress_xz(text: bytes) -> bytes:
    """Return xz data that takes little memory to read."""
    return lzma.compress(text, preset=0)


def compress_zip(text: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip file with one file in a directory."""
    return make_zip({"a/": b"", "a/b.csv": text}, method)


def store_zip(text: bytes) -> bytes:
    """Return a zip file that compresses nothing."""
    return compress_zip(text, zipfile.ZIP_STORED)


def stream_zip(text: bytes) -> bytes:
    """Return a zip file whose header does not have the file's size and checksum."""
    target = io.BytesIO()
    target.seekable = lambda: False  # type: ignore[method-assign]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b.csv", text)
    return target.getvalue()


def make_zip(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip file."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return target.getvalue()


Compress = Callable[[bytes], bytes]
STREAMS: list[Compress] = [gzip.compress, bz2.compress, compress_xz, compress_zstd]
ZIPS: list[Compress] = [compress_zip, store_zip, stream_zip]


@for_each("compress", STREAMS + ZIPS)
def test_compressed_file_gives_same_rows(compress: Compress) -> None:
    for text, rows in (TEXT, (b"", [])):
        assert read(compress(text)) == (rows, [])


@for_each("compress", STREAMS + ZIPS)
def test_file_of_many_blocks_is_read(
    compress: Compress, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (compression, zip_files):
        monkeypatch.setattr(module, "PIECE", 500)
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 2000)
    chance = random.Random(7)
    rows = [[str(number), chance.randbytes(40).hex()] for number in range(300)]
    text = "".join(",".join(row) + "\n" for row in rows).encode()
    assert read(compress(text)) == (rows, [])


@for_each("compress", STREAMS)
def test_all_members_are_read(compress: Compress) -> None:
    middle = LINES.index(b"\n250,") - 3  # inside of a line
    text = compress(LINES[:middle]) + compress(b"") + compress(LINES[middle:])
    assert read(text) == (ROWS, [])
    assert read(text + bytes(8)) == (ROWS, [])  # padding


@for_each("compress", STREAMS + ZIPS)
def test_incomplete_file_fails(compress: Compress) -> None:
    text = compress(LINES)
    for end in (12, len(text) // 2, len(text) - 1):
        with pytest.raises(FileFormatError, match="is incomplete: send it again"):
            read(text[:end])


@for_each("compress", STREAMS)
def test_data_behind_end_fails(compress: Compress) -> None:
    with pytest.raises(FileFormatError, match="other data behind its end"):
        read(compress(LINES) + b"a,b\n" * 9)


@for_each("compress", STREAMS + ZIPS)
def test_damaged_file_fails(compress: Compress) -> None:
    text = bytearray(compress(LINES))
    text[len(text) // 2] ^= 0xFF
    with pytest.raises(FileFormatError, match="is damaged"):
        read(bytes(text))


@for_each("compress", STREAMS + ZIPS)
def test_bomb_fails_in_little_memory(compress: Compress) -> None:
    bomb = compress(b" " * 3_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError, match=r"expands to more than 500,000 b"):
            read_to_end(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_500_000


def read_to_end(text: bytes) -> None:
    """Read a file that may expand to 500 KB, and keep nothing of it."""
    for _ in read_chunks(io.BytesIO(text), make_format(max_uncompressed=500_000)):
        pass


@for_each(
    ("text", "message"),
    [
        (make_zip({"a.csv": LINES, "b.csv": LINES}), "has several files in it"),
        (make_zip({}), "the zip file is empty"),
        (make_zip({"[Content_Types].xml": b"<x/>"}), "looks like an Excel or OpenDoc"),
        (
            make_zip({"mimetype": b"application/"}),
            "looks like an Excel or OpenDocument",
        ),
        (make_zip({"a.csv": LINES}, zipfile.ZIP_BZIP2), "uses method 12, not deflate"),
        (gzip.compress(gzip.compress(LINES)), "looks like compressed twice"),
        (gzip.compress(make_zip({"a": LINES})), "a zip file in a compressed file"),
    ],
)
def test_other_archive_fails(text: bytes, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        read(text)


def test_encrypted_zip_fails() -> None:
    text = bytearray(compress_zip(LINES))
    start = text.index(b"PK\x03\x04", 4)  # of the file behind the directory
    text[start + 6] |= 1
    with pytest.raises(FileFormatError, match="the zip file is encrypted"):
        read(bytes(text))


def test_files_of_macos_in_zip_are_ignored() -> None:
    text = make_zip({"b.csv": LINES, "__MACOSX/._b.csv": b"\0\5\x16\7"})
    assert read(text) == (ROWS, [])


def test_text_that_starts_like_bz2_is_text() -> None:
    assert read(b"BZh9,b\n") == ([["BZh9", "b"]], [])


def test_more_lines_than_bytes_are_possible() -> None:
    """A load counts on them before it gives up because of rejects."""
    text = zlib.compress(LINES, wbits=31)
    stream = CountedStream(io.BytesIO(text), len(text))
    list(read_chunks(stream, make_format()))
    assert stream.unread > len(LINES)


@for_each("compress", STREAMS + ZIPS)
def test_limit_itself_is_allowed(compress: Compress) -> None:
    data = compress(LINES)
    assert read(data, max_uncompressed=len(LINES)) == (ROWS, [])
    with pytest.raises(FileFormatError, match="expands to more than"):
        read(data, max_uncompressed=len(LINES) - 1)


@for_each("compress", STREAMS)
def test_end_is_read_again(compress: Compress) -> None:
    data = compress(b"a") + compress(b"b") + bytes(20)
    stream = compression.decompress(PeekableStream(io.BytesIO(data)), 100)
    assert stream
    found = [stream.read(10) for _ in range(4)]
    assert found == [b"a", b"b", b"", b""]


@for_each("compress", STREAMS)
@for_each("piece", [1, 9, 10, 11])
def test_members_may_come_in_pieces(
    compress: Compress, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "PIECE", piece)
    data = compress(b"a,b\n") + bytes(12) + compress(b"c,d\n") + bytes(3)
    assert read(data) == ([["a", "b"], ["c", "d"]], [])
    with pytest.raises(FileFormatError, match="other data behind its end"):
        read(data + b"x")


def test_xz_file_may_not_take_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "XZ_MEMORY", 1000)
    with pytest.raises(FileFormatError, match=r"xz file is damaged \(Memory usage"):
        read(compress_xz(LINES))


def test_xz_file_may_take_128_mb(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[int] = []
    double = SimpleNamespace(
        FORMAT_XZ=lzma.FORMAT_XZ,
        LZMADecompressor=lambda _, memlimit: limits.append(memlimit),
    )
    monkeypatch.setattr(compression, "import_module", lambda _: double)
    compression.decompress(PeekableStream(io.BytesIO(compress_xz(b"a"))), 1)
    assert limits == [134_217_728]


@for_each(
    ("version", "expected"),
    [((3, 11, 0), "backports.zstd"), ((3, 14, 0), "compression.zstd")],
)
def test_zstd_is_of_python_or_package(
    version: tuple[int, ...], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []

    def import_double(name: str) -> Any:
        names.append(name)
        return SimpleNamespace(ZstdDecompressor=lambda: None)

    monkeypatch.setattr(compression, "import_module", import_double)
    monkeypatch.setattr(compression, "sys", SimpleNamespace(version_info=version))
    compression.decompress(PeekableStream(io.BytesIO(compress_zstd(b"a"))), 1)
    assert names == [expected]
