"""Zip files are read as streams: headers, sizes, checksums and the end."""

import io
import struct
import zipfile
import zlib
from typing import Any

import pytest

from lib import zip_files
from lib.blocks import PeekableStream
from lib.file_types import FileFormatError
from lib.zip_files import ZipMember, is_workbook
from tests.tables import for_each

TEXT = b"a,b\n" * 20
UNKNOWN = 0xFFFFFFFF
END = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 0, 0, 0)
DESCRIPTOR = b"PK\7\x08"
ZIP64_SIZES = struct.pack("<2H2Q", 1, 16, len(TEXT), len(TEXT))
OTHER_FIELD = struct.pack("<2H3s", 0x5455, 3, b"\1\2\3")


def deflate(text: bytes) -> bytes:
    """Return deflated data without a header."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(text) + packer.flush()


def member(text: bytes = TEXT, **changes: Any) -> bytes:
    """Return a member.

    Args:
        text: its contents.
        **changes: `flags`, `method`, `crc`, `packed`, `size`, `name` and `extra` of the
            header, and the `data`.
    """
    method = changes.get("method", 8)
    data = changes.get("data", deflate(text) if method == 8 else text)
    name, extra = changes.get("name", b"a.csv"), changes.get("extra", b"")
    header = struct.pack(
        "<4s5H3L2H",
        b"PK\3\4",
        *(20, changes.get("flags", 0), method, 0, 0),
        changes.get("crc", zlib.crc32(text)),
        changes.get("packed", len(data)),
        changes.get("size", len(text)),
        *(len(name), len(extra)),
    )
    return b"".join([header, name, extra, data])


def describe(form: str, crc: int = zlib.crc32(TEXT)) -> bytes:
    """Return the sizes and the checksum that follow a member."""
    return struct.pack(form, crc, len(TEXT), len(TEXT))


class Dribble(io.BytesIO):
    """A stream that returns up to three bytes at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return up to three bytes."""
        return super().read(min(size or 0, 3))


def read(data: bytes, size: int = 7, stream: type[io.BytesIO] = io.BytesIO) -> bytes:
    """Return the contents of the file in a zip file."""
    found = ZipMember(PeekableStream(stream(data)))
    text = b"".join(iter(lambda: found.read(size), b""))
    assert found.read(size) == b""
    return text


DIRECTORY = b"PK\1\2" + bytes(50)


@for_each(
    "data",
    [
        member() + END,
        member() + DIRECTORY + END,
        member(method=0) + END,
        member(extra=OTHER_FIELD) + END,
        member(b"", name=b"dir/") + member() + END,
        member(b"", name=b"dir/", method=0) + member(method=0) + END,
        member(b"xyz", name=b"dir/", method=0) + member() + END,
        member(flags=8, crc=0) + DESCRIPTOR + describe("<3L") + DIRECTORY + END,
        member(flags=8, crc=0) + describe("<3L") + DIRECTORY + END,
        member(flags=8, crc=0) + DESCRIPTOR + describe("<L2Q") + DIRECTORY + END,
        member(flags=8, crc=0) + describe("<L2Q") + DIRECTORY + END,
        member(flags=0x800) + END,
        member(method=0, size=UNKNOWN, packed=UNKNOWN, extra=ZIP64_SIZES) + END,
        member(method=0, size=UNKNOWN, extra=ZIP64_SIZES) + END,
        member(method=0, packed=UNKNOWN, extra=ZIP64_SIZES) + END,
        member(method=0, size=UNKNOWN, extra=OTHER_FIELD + ZIP64_SIZES) + END,
        member(method=0, size=UNKNOWN, extra=struct.pack("<2HQ", 1, 8, 80)) + END,
        member() + END[:-2] + b"\3\0abc",
        member() + END[:-2] + b"\xff\xff" + bytes(0xFFFF),
        member() + member(b"", name=b"__MACOSX/._a.csv") + END,
    ],
)
def test_file_in_zip_is_read(data: bytes) -> None:
    for size in (1, 7, 1000):
        assert read(data, size) == TEXT
    assert read(data, 1000, Dribble) == TEXT


@for_each("piece", [1, 5, 30, 1000])
def test_sizes_of_reads_change_nothing(
    piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zip_files, "PIECE", piece)
    data = member(flags=8, crc=0) + DESCRIPTOR + describe("<3L") + DIRECTORY + END
    assert read(data) == TEXT


INCOMPLETE = "the zip file is incomplete: send it again"
DAMAGED = r"the zip file is damaged \(wrong checksum\): send it again"


@for_each(
    ("data", "message"),
    [
        (END, "the zip file is empty: send one with a file in it"),
        (b"PK\3\4", INCOMPLETE),
        (member()[:29], INCOMPLETE),
        (member()[:34], INCOMPLETE),
        (member(b"", name=b"dir/") + DIRECTORY, INCOMPLETE),
        (member(), INCOMPLETE),
        (member()[:-1], INCOMPLETE),
        (member(method=0)[:-1], INCOMPLETE),
        (member(method=0, size=UNKNOWN) + END, INCOMPLETE),
        (
            member(method=0, size=UNKNOWN, extra=struct.pack("<2HL", 1, 4, 80)) + END,
            INCOMPLETE,
        ),
        (member(method=0, size=UNKNOWN, extra=b"\1\0\x08") + END, INCOMPLETE),
        (member() + END[:-1], INCOMPLETE),
        (member() + END + b"x", INCOMPLETE),
        (member() + END[:-2] + b"\4\0abc", INCOMPLETE),
        (member(crc=7) + END, DAMAGED),
        (member(method=0, crc=7) + END, DAMAGED),
        (member(flags=8) + DESCRIPTOR + describe("<3L", crc=7) + DIRECTORY, DAMAGED),
        (member(flags=1) + END, "the zip file is encrypted: send it without password"),
        (member(flags=9) + END, "the zip file is encrypted"),
        (member(method=12) + END, "uses method 12, not deflate: compress it with gzip"),
        (member(method=1) + END, "uses method 1, not deflate"),
        (member(method=0, flags=8) + END, "does not say how long its file is"),
        (
            member() + member(name=b"b.csv") + END,
            "the zip file has several files in it: send them one by one",
        ),
        (
            member(flags=8, crc=0)
            + DESCRIPTOR
            + describe("<3L")
            + member(name=b"b.csv")
            + END,
            "several files",
        ),
        (
            member(flags=8, crc=0)
            + describe("<3L")
            + member(name=b"b.csv", packed=int.from_bytes(b"\0\0PK", "little"))
            + END,
            "several files",
        ),
        (
            member(flags=8, crc=0) + describe("<L2Q") + member(name=b"b.csv") + END,
            "several files",
        ),
    ],
)
def test_wrong_zip_file_fails(data: bytes, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        read(data)


def test_end_is_checked_once() -> None:
    found = ZipMember(PeekableStream(io.BytesIO(member() + END)))
    assert found.read(1000) == TEXT
    assert [found.read(10) for _ in range(3)] == [b"", b"", b""]


def test_longest_comment_may_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_files, "PIECE", 1000)
    comment = b"PK" * 0x7FFF + b"P"
    data = member() + DIRECTORY * 40 + END[:-2] + b"\xff\xff" + comment
    assert read(data, 1000) == TEXT


@for_each(
    ("name", "expected"),
    [
        (b"[Content_Types].xml", True),
        (b"xl/workbook.xml", True),
        (b"mimetype", True),
        (b"a.csv", False),
        (b"x/_rels/", False),
    ],
)
def test_workbook_is_recognized(name: bytes, expected: bool) -> None:
    stream = PeekableStream(io.BytesIO(member(name=name)))
    assert is_workbook(stream) is expected


def test_large_sizes_of_python_are_read() -> None:
    target = io.BytesIO()
    with (
        zipfile.ZipFile(target, "w") as archive,
        archive.open("a.csv", "w", force_zip64=True) as file,
    ):
        file.write(TEXT)
    assert read(target.getvalue()) == TEXT
