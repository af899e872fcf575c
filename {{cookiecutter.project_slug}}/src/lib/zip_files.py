"""Reads the only file in a zip file as a stream.

The format is described in https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

import struct
import zlib
from typing import NamedTuple

from lib.blocks import PeekableStream
from lib.decoders import Inflater, decode
from lib.file_types import FileFormatError

PIECE = 64 * 1024  # bytes to read at once
MEMBER = struct.Struct("<4s5H3L2H")
MEMBER_MAGIC = b"PK\x03\x04"
DESCRIPTOR_MAGIC = b"PK\x07\x08"
END_MAGIC = b"PK\x05\x06"
END_SIZE = 22 + 65_535  # bytes of the end record, with the longest comment
ENCRYPTED, HAS_DESCRIPTOR = 1, 8
STORED, DEFLATED = 0, 8
ZIP64 = 1  # ID of the field with sizes above 4 GB
UNKNOWN = 0xFFFFFFFF
# Excel and OpenDocument files are zip files whose first member is one of these.
WORKBOOK = (b"[Content_Types].xml", b"_rels/", b"docProps/", b"xl/", b"mimetype")
RESOURCES = b"__MACOSX/"  # what macOS adds for itself


class Header(NamedTuple):
    """The header of a member. `packed` and `size` are in bytes."""

    flags: int
    method: int
    crc: int
    packed: int
    size: int
    name: bytes


def is_workbook(stream: PeekableStream) -> bool:
    """Whether a zip file is an Excel or OpenDocument file."""
    head = stream.peek(MEMBER.size + max(map(len, WORKBOOK)))
    return head[MEMBER.size :].startswith(WORKBOOK)


class ZipMember:
    """The contents of the only file in a zip file.

    Args:
        stream: the zip file.
    """

    def __init__(self, stream: PeekableStream) -> None:
        self._stream = stream
        self._header = self._read_first_file()
        self._decoder = Inflater(wbits=-15)
        self._left = self._header.size
        self._crc = 0
        self._is_checked = False

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end.

        Raises:
            FileFormatError: the data is damaged or incomplete, or there are more files.
        """
        is_stored = self._header.method == STORED
        data = self._read_stored(size) if is_stored else self._read_deflated(size)
        self._crc = zlib.crc32(data, self._crc)
        if not data and not self._is_checked:
            self._check_rest()
            self._is_checked = True
        return data

    def _read_first_file(self) -> Header:
        while True:
            header = self._read_header()
            if not header.name.endswith(b"/"):
                break
            self._stream.read(min(header.packed, PIECE))  # of a directory, nearly empty
        if header.flags & ENCRYPTED:
            raise FileFormatError("the zip file is encrypted: send it without password")
        if header.method not in (STORED, DEFLATED):
            raise FileFormatError(
                f"the zip file uses method {header.method}, not deflate: compress it "
                "with gzip or zstd instead"
            )
        if header.method == STORED and header.flags & HAS_DESCRIPTOR:
            raise FileFormatError(
                "the zip file does not say how long its file is: compress it with gzip "
                "or zstd instead"
            )
        return header

    def _read_header(self) -> Header:
        head = self._stream.peek(MEMBER.size)
        if head.startswith(END_MAGIC):
            raise FileFormatError("the zip file is empty: send one with a file in it")
        if len(head) < MEMBER.size or not head.startswith(MEMBER_MAGIC):
            raise _incomplete()
        fields = MEMBER.unpack(head)
        flags, method, (crc, packed, size, names, extras) = *fields[2:4], fields[6:]
        length = MEMBER.size + names + extras
        head = self._stream.peek(length)
        if len(head) < length:
            raise _incomplete()
        self._stream.read(length)
        name = head[MEMBER.size : MEMBER.size + names]
        if packed == UNKNOWN or size == UNKNOWN:
            size = _read_long_size(head[MEMBER.size + names :])
        return Header(flags, method, crc, packed, size, name)

    def _read_stored(self, size: int) -> bytes:
        data = self._stream.read(min(size, self._left)) if self._left else b""
        self._left -= len(data)
        if self._left and not data:
            raise _incomplete()
        return data

    def _read_deflated(self, size: int) -> bytes:
        while not self._decoder.eof:
            is_hungry = self._decoder.needs_input
            data = self._stream.read(PIECE) if is_hungry else b""
            if output := decode(self._decoder, data, size, "zip"):
                return output
            if is_hungry and not data and not self._decoder.eof:
                raise _incomplete()
        return b""

    def _check_rest(self) -> None:
        """Check the checksum, that no other file follows, and that the end is there."""
        rest = PeekableStream(_Joined(self._decoder.unused_data, self._stream))
        crc = self._header.crc
        if self._header.flags & HAS_DESCRIPTOR:
            if rest.peek(4) == DESCRIPTOR_MAGIC:
                rest.read(4)
            crc = int.from_bytes(rest.peek(4), "little")
            for size in (12, 20):  # with sizes of four or eight bytes
                if rest.peek(size + 2)[size:] == b"PK":
                    rest.read(size)
                    break
        if crc != self._crc:
            raise FileFormatError(
                "the zip file is damaged (wrong checksum): send it again"
            )
        self._require_no_file(rest)
        end = b""
        while piece := rest.read(PIECE):
            end = (end + piece)[-END_SIZE:]
        if not _is_end(end):
            raise _incomplete()

    def _require_no_file(self, rest: PeekableStream) -> None:
        head = rest.peek(MEMBER.size + len(RESOURCES))
        if head.startswith(MEMBER_MAGIC) and head[MEMBER.size :] != RESOURCES:
            raise FileFormatError(
                "the zip file has several files in it: send them one by one"
            )


class _Joined:
    """Some bytes, and then a stream."""

    def __init__(self, head: bytes, stream: PeekableStream) -> None:
        self._head = head
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        if not self._head:
            return self._stream.read(size)
        data, self._head = self._head[:size], self._head[size:]
        return data


def _read_long_size(extras: bytes) -> int:
    """Return the size in a header's field for sizes above 4 GB."""
    while len(extras) >= 4:
        field, length = struct.unpack("<HH", extras[:4])
        if field == ZIP64 and length >= 8:
            return int.from_bytes(extras[4:12], "little")
        extras = extras[4 + length :]
    return UNKNOWN


def _is_end(text: bytes) -> bool:
    """Whether the last bytes of a zip file are its end record, with its comment."""
    _, magic, fields = text.rpartition(END_MAGIC)
    return bool(magic) and len(fields) == 18 + int.from_bytes(fields[16:18], "little")


def _incomplete() -> FileFormatError:
    return FileFormatError("the zip file is incomplete: send it again")
