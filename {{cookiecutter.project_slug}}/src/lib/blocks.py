"""Reads a file in blocks of whole lines, so that memory does not grow with it."""

import codecs
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple, Protocol

BLOCK_SIZE = 512 * 1024  # bytes to read at once
LINE_LIMIT = 1024 * 1024  # bytes
CUT_LENGTH = 4000  # bytes that remain of a line above the limit
BOM = "\ufeff".encode()

# Replaces undecodable bytes by a character that is invalid in UTF-8: such lines become
# rejects. mypy does not know that decoders raise errors with an `end`.
codecs.register_error("mark", lambda error: ("\udc80", error.end))  # type: ignore[attr-defined]


class Stream(Protocol):
    """A stream of bytes, such as the body of an object in S3."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""


class CountedStream:
    """A stream that counts the bytes that are still unread.

    Args:
        stream: the stream.
        size: its length in bytes.
    """

    def __init__(self, stream: Stream, size: int) -> None:
        self._stream = stream
        self.unread = size

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        data = self._stream.read(size)
        self.unread -= len(data)
        return data


class Block(NamedTuple):
    """Whole lines, or the start of a single line above `LINE_LIMIT` (`is_cut`)."""

    text: bytes
    is_cut: bool = False


def read_blocks(stream: Stream, encoding: str, newline: bytes) -> Iterator[Block]:
    """Yield a file in blocks that end with a newline, as UTF-8 without a BOM.

    What the encoding cannot decode is invalid UTF-8 in the block.
    """
    rest, is_skipping = b"", False
    for piece in _read_pieces(stream, encoding):
        rest += piece
        if is_skipping:  # the remainder of a line above the limit
            _, line_end, rest = rest.partition(newline)
            if not line_end:
                rest = piece[-len(newline) :]  # may contain the start of a newline
                continue
            is_skipping = False
        end = rest.rfind(newline) + len(newline)
        if end >= len(newline):
            lines, rest = rest[:end], rest[end:]
            yield from _split_long(lines, newline)
        if len(rest) > LINE_LIMIT:
            yield _block_of_line(rest, newline)
            rest, is_skipping = b"", True
    if rest and not is_skipping:
        yield _block_of_line(rest, newline)


def _read_pieces(stream: Stream, encoding: str) -> Iterator[bytes]:
    pieces = iter(lambda: stream.read(BLOCK_SIZE), b"")
    if codecs.lookup(encoding).name != "utf-8":
        pieces = _transcode(pieces, encoding)
    yield next(pieces, b"").removeprefix(BOM)
    yield from pieces


def _transcode(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(errors="mark")
    for piece in chain(pieces, [b""]):
        yield decoder.decode(piece, final=not piece).encode("utf-8", "surrogateescape")


def _split_long(lines: bytes, newline: bytes) -> Iterator[Block]:
    """Yield lines as one block, or one by one if a line may exceed the limit."""
    if len(lines) <= LINE_LIMIT:
        yield Block(lines)
    else:
        for line in lines.removesuffix(newline).split(newline):
            yield _block_of_line(line, newline)


def _block_of_line(line: bytes, newline: bytes) -> Block:
    if len(line) > LINE_LIMIT:
        return Block(line[:CUT_LENGTH] + newline, is_cut=True)
    return Block(line + newline)
