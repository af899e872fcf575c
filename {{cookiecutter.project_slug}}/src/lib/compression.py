"""Reads compressed files as streams: gzip, bz2, xz, Zstandard and zip.

Memory does not grow with the file, nor with what it expands to.
"""

import re
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from lib.blocks import PeekableStream, Stream
from lib.decoders import Inflater, decode
from lib.file_types import FileFormatError
from lib.zip_files import ZipMember, is_workbook

PIECE = 64 * 1024  # compressed bytes to read at once
MAGIC_SIZE = 10  # bytes
XZ_MEMORY = 128 * 1024 * 1024  # bytes; `xz -9` needs half of it


class Kind(NamedTuple):
    """A kind of compression: its name, how members begin (a pattern), and a decoder."""

    name: str
    magic: bytes
    make_decoder: Callable[[], Any]


# Modules are imported only for files that need them.
def _make_bz2_decoder() -> Any:
    return import_module("bz2").BZ2Decompressor()


def _make_xz_decoder() -> Any:
    lzma = import_module("lzma")
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)


def _make_zstd_decoder() -> Any:
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    return import_module(name).ZstdDecompressor()


KINDS = (
    Kind("gzip", rb"\x1f\x8b\x08", lambda: Inflater(wbits=31)),
    Kind("bz2", rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)", _make_bz2_decoder),
    Kind("xz", rb"\xfd7zXZ\0", _make_xz_decoder),
    # a frame, or one that is to be skipped
    Kind("zstd", rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", _make_zstd_decoder),
)
ZIP_MAGIC = b"PK\x03\x04"
EMPTY_ZIP_MAGIC = b"PK\x05\x06"
PADDING = b"\0"  # may follow members


def decompress(stream: PeekableStream, limit: int) -> Stream | None:
    """Return what a compressed file contains, or None if it is not compressed.

    Args:
        stream: the file.
        limit: bytes that it may expand to.

    Raises:
        FileFormatError: it is a zip file that cannot be read as a stream.
    """
    head = stream.peek(MAGIC_SIZE)
    if head.startswith((ZIP_MAGIC, EMPTY_ZIP_MAGIC)):
        if is_workbook(stream):
            raise FileFormatError(
                "the file looks like an Excel or OpenDocument file: export it as CSV"
            )
        return Limited(ZipMember(stream), limit)
    for kind in KINDS:
        if re.match(kind.magic, head):
            return Limited(Members(stream, kind), limit)
    return None


class Members:
    """The contents of a compressed file, which may have several members."""

    def __init__(self, stream: Stream, kind: Kind) -> None:
        self._stream = stream
        self._kind = kind
        self._decoder = kind.make_decoder()
        self._input = b""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end.

        Raises:
            FileFormatError: the data is damaged or incomplete.
        """
        while not self._decoder.eof or self._open_next():
            data, is_hungry = b"", self._decoder.needs_input
            if is_hungry:
                data = self._input or self._stream.read(PIECE)
                self._input = b""
            if output := decode(self._decoder, data, size, self._kind.name):
                return output
            if is_hungry and not data and not self._decoder.eof:
                raise FileFormatError(
                    f"the {self._kind.name} file is incomplete: send it again"
                )
        return b""

    def _open_next(self) -> bool:
        """Open the next member; return False if there is none."""
        data = self._decoder.unused_data.lstrip(PADDING)
        while len(data) < MAGIC_SIZE:
            more = self._stream.read(PIECE)
            data = (data + more).lstrip(PADDING)
            if not more:
                break
        if not data:
            # so that the next call finds nothing to do
            self._decoder = Nothing()
            return False
        if not re.match(self._kind.magic, data):
            raise FileFormatError(
                f"the {self._kind.name} file has other data behind its end: send it "
                "again"
            )
        self._decoder = self._kind.make_decoder()
        self._input = data
        return True


class Nothing:
    """A decoder at its end, with nothing behind it."""

    eof = True
    unused_data = b""


class Limited:
    """A stream that may not have more bytes than a limit."""

    def __init__(self, stream: Stream, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._left = limit

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end.

        Raises:
            FileFormatError: there are more bytes than the limit.
        """
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise FileFormatError(
                f"the compressed file expands to more than {self._limit:,} bytes: if "
                "that is right, raise max_uncompressed_mb"
            )
        return data
