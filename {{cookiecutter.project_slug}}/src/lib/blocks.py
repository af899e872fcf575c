"""Reads a file in blocks of whole lines, so that memory does not grow with it."""

import codecs
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple, Protocol

import lib.ebcdic  # noqa: F401 - registers an encoding

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


class PeekableStream:
    """A stream whose first bytes can be looked at before they are read."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._head = b""

    def peek(self, size: int) -> bytes:
        """Return the next `size` bytes, or all if there are fewer."""
        while len(self._head) < size:
            data = self._stream.read(size - len(self._head))
            if not data:
                break
            self._head += data
        return self._head[:size]

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        head, self._head = self._head[:size], self._head[size:]
        return head + self._stream.read(size - len(head)) if size > len(head) else head


class Block(NamedTuple):
    """Whole lines, or the start of a single line above `LINE_LIMIT` (`is_cut`).

    `is_odd` says that the whole of the cut line has an odd number of quotes, and
    `is_escaped` that its newline is escaped.
    """

    text: bytes
    is_cut: bool = False
    is_odd: bool = False
    is_escaped: bool = False


def describe_limit() -> str:
    """Return why a line above the limit is a reject."""
    return f"longer than {LINE_LIMIT} bytes"


class Marks(NamedTuple):
    """The characters of a file that matter to its lines, in UTF-8.

    Args:
        newline: ends a line.
        quote: may stand around newlines; empty if none does.
        escape: stands before a quote that is data; empty if none does.
    """

    newline: bytes = b"\n"
    quote: bytes = b""
    escape: bytes = b""


def read_text(stream: Stream, encoding: str) -> Iterator[bytes]:
    """Yield a file piece by piece, as UTF-8 without a byte order mark.

    What the encoding cannot decode is invalid UTF-8.
    """
    pieces = iter(lambda: stream.read(BLOCK_SIZE), b"")
    if codecs.lookup(encoding).name != "utf-8":
        pieces = _transcode(pieces, encoding)
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= len(BOM):
            break
    yield head.removeprefix(BOM)
    yield from pieces


def read_blocks(pieces: Iterable[bytes], marks: Marks) -> Iterator[Block]:
    """Yield text in blocks that end with a newline, whatever the size of its pieces."""
    newline = marks.newline
    longest = LINE_LIMIT + len(newline)
    rest = b""
    long_line: _LongLine | None = None
    for piece in pieces:
        if long_line:
            end, rest = long_line.add(piece)
            if not end:
                continue
            yield long_line.block
            long_line = None
        else:
            rest += piece
        lines, rest = _split_at_last(rest, newline)
        if lines:
            yield from _split_long(lines, marks)
        if len(rest) > longest:
            long_line, rest = _LongLine(rest, marks), b""
    if long_line:
        long_line.add(newline)
        yield long_line.block
    elif rest:
        yield from _split_long(rest + newline, marks)


def skip_first_lines(
    blocks: Iterator[Block], newline: bytes, number: int
) -> Iterator[Block]:
    """Yield the blocks of a file without its first lines."""
    for block in blocks:
        text = block.text
        while number and text:
            _, _, text = text.partition(newline)
            number -= 1
        if text:
            yield block._replace(text=text)


def skip_last_lines(
    blocks: Iterator[Block], newline: bytes, number: int
) -> Iterator[Block]:
    """Yield the blocks of a file without its last lines. Empty lines do not count."""
    held: list[Block] = []
    for block in blocks:
        held.append(block)
        while len(held) > 1 and _find_last(held[1:], newline, number):
            yield held.pop(0)
    if place := _find_last(held, newline, number):
        index, start = place
        yield from held[:index]
        if start:
            yield held[index]._replace(text=held[index].text[:start])


def _find_last(
    blocks: list[Block], newline: bytes, number: int
) -> tuple[int, int] | None:
    """Return the index of a block, and where in it the last lines start."""
    for index in reversed(range(len(blocks))):
        text = blocks[index].text
        start = len(text)
        while start:
            end = start - len(newline)
            start = text.rfind(newline, 0, end) + len(newline)
            start = start if start >= len(newline) else 0
            if text[start:end].strip():
                number -= 1
            if not number:
                return index, start
    return None


def _transcode(pieces: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(errors="mark")
    for piece in chain(pieces, [b""]):
        yield decoder.decode(piece, final=not piece).encode("utf-8", "surrogateescape")


def _split_at_last(text: bytes, newline: bytes) -> tuple[bytes, bytes]:
    """Split text behind its last newline."""
    if len(newline) == 1:
        end = text.rfind(newline) + 1
        return text[:end], text[end:]
    *lines, rest = text.split(newline)  # newlines such as `||` may overlap
    return b"".join(line + newline for line in lines), rest


def _split_long(lines: bytes, marks: Marks) -> Iterator[Block]:
    """Yield lines as one block, and those above the limit on their own."""
    newline = marks.newline
    if len(lines) <= LINE_LIMIT:
        yield Block(lines)
        return
    short: list[bytes] = []
    size = 0
    for line in lines.removesuffix(newline).split(newline):
        is_long = len(line) > LINE_LIMIT
        if short and (is_long or size > BLOCK_SIZE):
            yield Block(b"".join(short))
            short, size = [], 0
        if is_long:
            long_line = _LongLine(line, marks)
            long_line.add(newline)
            yield long_line.block
        else:
            short.append(line + newline)
            size += len(line)
    if short:
        yield Block(b"".join(short))


class _LongLine:
    """A line above the limit, of which only the start is kept.

    Args:
        text: the line as far as it has been read.
        marks: of the file.
    """

    def __init__(self, text: bytes, marks: Marks) -> None:
        self._marks = marks
        self._start = text[:CUT_LENGTH]
        self._escaped = re.compile(re.escape(marks.escape) + b"(?s:.)")
        self._quotes = 0
        self._is_escaped = False
        self._longest_mark = max(map(len, marks))
        self._tail = b""  # may be the start of a mark or of an escaped character
        self.add(text)

    def add(self, text: bytes) -> tuple[bool, bytes]:
        """Add text. Return whether the line has ended, and the text behind its end."""
        line, end, rest = (self._tail + text).partition(self._marks.newline)
        if end:
            self._count(line)
            self._is_escaped = self._ends_with_escape(line)
            return True, rest
        size = max(0, len(line) - self._longest_mark)
        for _ in range(3):  # back to the start of a character
            if size and b"\x80" <= line[size : size + 1] < b"\xc0":
                size -= 1
        if self._ends_with_escape(line[:size]):
            size -= len(self._marks.escape)
        self._count(line[:size])
        self._tail = line[size:]
        return False, b""

    @property
    def block(self) -> Block:
        """The start of the line as a block."""
        text = self._start + self._marks.newline
        is_odd = self._quotes % 2 == 1
        return Block(text, is_cut=True, is_odd=is_odd, is_escaped=self._is_escaped)

    def _ends_with_escape(self, text: bytes) -> bool:
        """Whether text ends with an escape character that is not escaped itself."""
        escape = self._marks.escape
        if not escape:
            return False
        # `rstrip` also strips other characters that consist of the escape's bytes
        end = text[len(text.rstrip(escape)) :].replace(escape, b"\0")
        return (len(end) - len(end.rstrip(b"\0"))) % 2 == 1

    def _count(self, text: bytes) -> None:
        if self._marks.escape:
            text = self._escaped.sub(b"", text)
        if self._marks.quote:
            self._quotes += text.count(self._marks.quote)
