"""The lines of a file, as rows; those that are none, as rejects with a reason."""

import codecs
import csv
from collections.abc import Iterator
from typing import NamedTuple, Protocol

BLOCK = 256 * 1024
BATCH = 1000
TEXT_LIMIT = 1000

Row = list[str]


class Stream(Protocol):
    """What S3 answers with: bytes, to be read piece by piece."""

    def read(self, size: int, /) -> bytes:  # noqa: D102 - as in io.RawIOBase
        ...


class Reject(NamedTuple):
    """A line that is no row: its number, from 1, the start of its text, and why."""

    line: int
    text: str
    reason: str


class Batch(NamedTuple):
    """Some rows and rejects, in the order of the file."""

    rows: list[Row]
    rejects: list[Reject]


def batches(
    stream: Stream, width: int, delimiter: str = ",", newline: str = "\n"
) -> Iterator[Batch]:
    """Read UTF-8 text as comma-separated values (RFC 4180), batch by batch.

    Args:
        stream: the file; it is read in blocks, never whole.
        width: number of fields of a row.
        delimiter: character between two fields.
        newline: what ends a line. A line feed also stands for CR LF, and may occur
            inside of quotes.

    Yields:
        Batches of at most `BATCH` rows and rejects together. Empty lines are skipped.
    """
    lines = _Lines(stream, newline)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    batch = Batch([], [])
    while True:
        reason = ""
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            row, reason = [], str(error)
        text, number = lines.taken()
        if row and len(row) != width:
            reason = f"fields: {len(row)} instead of {width}"
        if not text.isascii() and not _is_utf8(text):
            reason = "not UTF-8"
        if "\0" in text:
            reason = "a NUL character"
        if reason:
            batch.rejects.append(Reject(number, _readable(text), reason))
        elif row:
            batch.rows.append(row)
        if len(batch.rows) + len(batch.rejects) == BATCH:
            yield batch
            batch = Batch([], [])
    if batch.rows or batch.rejects:
        yield batch


class _Lines:
    """The lines of a stream, each ended by a line feed; remembers those just taken."""

    def __init__(self, stream: Stream, newline: str) -> None:
        self._lines = _split(stream, newline)
        self._newline = newline
        self._pending: list[str] = []
        self._count = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self._pending.append(line)
            yield line

    def taken(self) -> tuple[str, int]:
        """Return the text taken since the last call, and its first line's number."""
        text, number = "".join(self._pending), self._count + 1
        self._count += len(self._pending)
        self._pending.clear()
        return text.rstrip("\r\n"), number


def _split(stream: Stream, newline: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
    rest = ""
    while block := stream.read(BLOCK):
        *lines, rest = (rest + decoder.decode(block)).split(newline)
        for line in lines:
            yield line + "\n"
    rest += decoder.decode(b"", final=True)
    if rest:
        yield rest


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _readable(text: str) -> str:
    r"""Return the start of `text`, with NUL and what is no UTF-8 written as `\x..`."""
    raw = text[:TEXT_LIMIT].replace("\0", r"\x00").encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "backslashreplace")[:TEXT_LIMIT]
