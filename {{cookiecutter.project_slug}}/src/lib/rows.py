r"""The lines of a file: rows for the database's bulk statement, and rejects.

A file is comma-separated values as in RFC 4180. It is read in blocks of whole records,
never as a whole, so memory does not grow with it. Regular expressions check all of a
block at once; where they find fault, the csv module decides record by record.

Rows leave here as text that COPY of PostgreSQL and LOAD DATA of MySQL read by default:
fields parted by tabs, rows ended by line feeds, `\t`, `\n`, `\r` and `\\` in values,
`\N` for NULL. See https://www.postgresql.org/docs/current/sql-copy.html and
https://dev.mysql.com/doc/refman/8.4/en/load-data.html Rows in quotes that are sound are
also there as they were, for a database that reads CSV itself.
"""

import codecs
import csv
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from itertools import chain
from typing import Any, NamedTuple, Protocol

BLOCK = 512 * 1024
LINE_LIMIT = 1024 * 1024
TEXT_LIMIT = 1000
NULL = r"\N"
QUOTED_NULL = b'"\\N"'
BOM = "\ufeff".encode()

# a backslash, a tab, a NUL, a lone CR, or a byte that is no UTF-8
ODD = re.compile(r"[\\\t\0\udc80-\udcff]|\r(?!\n)")
ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})

ESCAPES_OF_BYTES = ((b"\\", rb"\\"), (b"\t", rb"\t"), (b"\n", rb"\n"), (b"\r", rb"\r"))
LONE_CR = re.compile(rb"\r(?!\n)")

ESCAPE = re.compile(r"\\(.)")
UNESCAPES = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r"}

csv.field_size_limit(LINE_LIMIT)
# typed as any UnicodeError, of which only some have an end
codecs.register_error("mark", lambda error: ("\udc80", error.end))  # type: ignore[attr-defined]


class Stream(Protocol):
    """What S3 answers with: bytes, to be read piece by piece."""

    def read(self, size: int, /) -> bytes:  # noqa: D102 - as in io.RawIOBase
        ...


class Reject(NamedTuple):
    """A line that is no row: its number, from 1, the start of its text, and why."""

    line: int
    text: str
    reason: str


class Format(NamedTuple):
    """How a file is written.

    A line feed as `newline` also stands for CR LF. A field that is `null` is NULL. The
    first row is left out where it is a `header`.
    """

    width: int
    delimiter: str = ","
    newline: str = "\n"
    encoding: str = "utf-8"
    null: str = NULL
    header: bool = False


class Chunk:
    """Some rows and rejects of a file, in its order.

    Args:
        text: the rows as the bulk statement takes them, or what makes them so anew each
            time, so that memory does not hold them.
        origins: the number of the first line of each row, and its lines as they were.
        rejects: the lines that are no rows.
        csv: the rows as in RFC 4180, parted by commas, without a backslash, all ended
            alike; empty where they are not so in the file.
    """

    def __init__(
        self,
        text: bytes | Callable[[], bytes],
        origins: Sequence[tuple[int, str]] = (),
        rejects: Sequence[Reject] = (),
        csv: bytes = b"",
    ) -> None:
        self._text = text
        self.origins = origins
        self.rejects = rejects
        self.csv = csv

    @property
    def text(self) -> bytes:
        """The rows as the bulk statement takes them."""
        return self._text() if callable(self._text) else self._text

    def reject(self, place: int, reason: str) -> Reject:
        """Return a row, by its place from 0, as a reject."""
        number, source = self.origins[place]
        return Reject(number, readable(source), reason)


def chunks(stream: Stream, how: Format) -> Iterator[Chunk]:
    """Read a file chunk by chunk.

    Empty lines are left out. A line of more than `LINE_LIMIT` bytes is a reject.
    """
    if how.newline == "\r\n":
        how = how._replace(newline="\n")
    blocks = _blocks(_pieces(stream, how.encoding), how.newline.encode())
    if how.newline == "\n" and how.null == NULL and how.delimiter.isascii():
        yield from _by_pattern(blocks, how)
    else:
        yield from _by_csv(blocks, how, 1, how.header)


def fields(row: bytes) -> list[str | None]:
    """Return the values of a row of a chunk."""
    values = row.decode().removesuffix("\n").split("\t")
    return [None if value == NULL else _unescaped(value) for value in values]


def readable(text: str) -> str:
    r"""Return the start of `text`, with NUL and undecodable bytes written as `\x..`."""
    raw = text[:TEXT_LIMIT].replace("\0", r"\x00").encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "backslashreplace")[:TEXT_LIMIT]


class _Block(NamedTuple):
    """Whole lines, or the start of one that is too long."""

    text: bytes
    is_cut: bool = False


def _pieces(stream: Stream, encoding: str) -> Iterator[bytes]:
    """Read a file as UTF-8; what its encoding does not know is not valid there too."""
    pieces = iter(lambda: stream.read(BLOCK), b"")
    if codecs.lookup(encoding).name != "utf-8":
        pieces = _transcoded(pieces, encoding)
    yield next(pieces, b"").removeprefix(BOM)
    yield from pieces


def _transcoded(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(errors="mark")
    for piece in chain(pieces, [b""]):
        yield decoder.decode(piece, final=not piece).encode("utf-8", "surrogateescape")


def _blocks(pieces: Iterator[bytes], newline: bytes) -> Iterator[_Block]:
    """Part the pieces of a file at ends of lines."""
    rest, is_cutting = b"", False
    for piece in pieces:
        rest += piece
        if is_cutting:  # until the line ends that is too long
            _, found, rest = rest.partition(newline)
            if not found:
                rest = piece[-len(newline) :]  # its end may have begun
                continue
            is_cutting = False
        end = rest.rfind(newline) + len(newline)
        if end >= len(newline):
            head, rest = rest[:end], rest[end:]
            if end <= LINE_LIMIT:
                yield _Block(head)
            else:
                for line in head.removesuffix(newline).split(newline):
                    yield _block_of(line, newline)
        if len(rest) > LINE_LIMIT:
            yield _block_of(rest, newline)
            rest, is_cutting = b"", True
    if rest and not is_cutting:
        yield _block_of(rest, newline)


def _block_of(line: bytes, newline: bytes) -> _Block:
    if len(line) > LINE_LIMIT:
        return _Block(line[: 4 * TEXT_LIMIT] + newline, is_cut=True)
    return _Block(line + newline)


def _by_pattern(blocks: Iterator[_Block], how: Format) -> Iterator[Chunk]:
    """Read blocks as a whole where they are sound, else by the csv module."""
    pattern = _Pattern(how)
    number, skip, rest = 1, how.header, b""
    for block in blocks:
        given = [each for each in (_Block(rest), block) if each.text]
        records, rest = pattern.parted(rest + block.text)
        is_clear = len(rest) <= LINE_LIMIT and not (block.is_cut and len(given) > 1)
        chunk = None
        if is_clear and not skip and not block.is_cut:
            chunk = pattern.chunk(records, number)
        if chunk:
            yield chunk
        elif is_clear and pattern.is_sound(records):
            alone = _Block(records, block.is_cut)
            yield from _by_csv(iter([alone]), how, number, skip)
        else:  # only the csv module can tell where records end
            yield from _by_csv(chain(given, blocks), how, number, skip)
            return
        number += (
            len(chunk.origins)
            if chunk and b'"' not in records
            else records.count(b"\n")
        )
        skip = skip and not records
    if rest:
        yield from _by_csv(iter([_Block(rest)]), how, number, skip)


class _Pattern:
    """What records look like that need no second look.

    Where text is taken apart at its quotes, a NUL stands for what was between two of
    them, and two NULs for a quote that was doubled.
    """

    def __init__(self, how: Format) -> None:
        self._how = how
        self._delimiter = how.delimiter.encode()
        mark = re.escape(self._delimiter)
        others = how.width - 1
        self._odd = {b'"', b"\\", b"\t", b"\r", b"\0"} - {self._delimiter}
        self._record = self._delimiter * others + b"\n"
        self._values = bytes(set(range(256)) - {*self._delimiter, *b"\n"})
        some = b"*" if others else b"+"  # an empty line is no row
        plain = rb'[^%b"\\\t\r\n\0]%b+' % (mark, some)
        quoted = rb'"[^"]*+(?:""[^"]*+)*+"'
        value = rb"(?:%b|%b|\\N)" % (quoted, plain)
        values = (value + mark) * others + value
        # a row, or all the rest, so that none is looked for there
        self._row = {
            end: re.compile(rb"%b%b|(?s:(.+))" % (values, end))
            for end in (b"\n", b"\r\n", b"\r?\n")
        }
        other = rb"(?:[^%b\r\n\0]*+|\0++)" % mark
        self._loose = re.compile(rb"(?:%b(?:%b%b)*+\r?\n)*+" % (other, mark, other))

    def parted(self, text: bytes) -> tuple[bytes, bytes]:
        """Return whole records, and the start of one that may go on."""
        if b'"' not in text or text.count(b'"') % 2 == 0:
            return text, b""
        place, is_inside = text.rfind(b'"'), False
        while True:
            end = text.rfind(b"\n", 0, place) + 1
            is_inside ^= text.count(b'"', end, place) % 2 == 1
            if not end or not is_inside:
                return text[:end], text[end:]
            place = end - 1

    def chunk(self, text: bytes, number: int) -> Chunk | None:
        """Return records as a chunk, the first line with this number, if all are rows.

        NULL in quotes is left to the csv module, for databases differ on it.
        """
        if not _is_utf8(text):
            return None
        if rows := self._plain(text):
            ready = partial(text.replace, self._delimiter, b"\t")
            return Chunk(ready, _Origins(text, self._how, number, rows))
        if b"\0" in text or QUOTED_NULL in text:
            return None
        ends = [b"\r?\n"]
        if self._delimiter == b"," and b"\\" not in text:
            ends.append(b"\r\n" if text.endswith(b"\r\n") else b"\n")
        while ends:
            rests = self._row[ends.pop()].findall(text)
            if rests and not rests[-1]:
                origins = _Origins(text, self._how, number, len(rests))
                ready = partial(self._converted, text)
                return Chunk(ready, origins, csv=text if ends else b"")
        return None

    def _converted(self, text: bytes) -> bytes:
        """Return sound records as the bulk statement takes them."""
        # apart once more, for a chunk that kept the parts would take six times its text
        parts = text.split(b'"')
        inside = b"\0".join(parts[1::2])
        outside = b"\0".join(parts[::2])
        for character, escaped in ESCAPES_OF_BYTES:
            inside = inside.replace(character, escaped)
        outside = outside.replace(self._delimiter, b"\t").replace(b"\r\n", b"\n")
        for _ in range(2):  # each second one, then those between
            outside = outside.replace(b"\0\0", b'\0"\0')
        parts[::2] = outside.split(b"\0")
        parts[1::2] = inside.split(b"\0") if len(parts) > 1 else []
        return b"".join(parts)

    def _plain(self, text: bytes) -> int:
        """Return the number of rows, or 0 where they need a closer look."""
        if any(odd in text for odd in self._odd):
            return 0
        marks = text.translate(None, self._values)  # all that is between the values
        rows = len(marks) // len(self._record)
        if marks != self._record * rows:
            return 0
        if len(self._record) == 1 and (text[:1] == b"\n" or b"\n\n" in text):
            return 0
        return rows

    def is_sound(self, text: bytes) -> bool:
        """Tell whether quotes are where they may be, and records end with the text."""
        if b'"' not in text:
            return not LONE_CR.search(text)
        outside = b"\0".join(text.split(b'"')[::2])
        return b"\0" not in text and bool(self._loose.fullmatch(outside))


class _Origins(Sequence[tuple[int, str]]):
    """Where the rows of a text come from, looked up when somebody asks."""

    def __init__(self, text: bytes, how: Format, number: int, rows: int) -> None:
        self._given = (text, how, number)
        self._length = rows

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        return self._all[index]

    @cached_property
    def _all(self) -> list[tuple[int, str]]:
        text, how, number = self._given
        found = _by_csv(iter([_Block(text)]), how, number)
        return [origin for chunk in found for origin in chunk.origins]


def _by_csv(
    blocks: Iterator[_Block], how: Format, number: int, skip: bool = False
) -> Iterator[Chunk]:
    """Read blocks line by line, the first of them with this number."""
    lines = _Reader(blocks, how.newline)
    reader = csv.reader(lines, delimiter=how.delimiter, strict=True)
    texts: list[str] = []
    origins: list[tuple[int, str]] = []
    rejects: list[Reject] = []
    size = begin = 0
    while True:
        reason = ""
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            row, reason = [], str(error)
        end = reader.line_num
        if reason and end - begin > 1:
            reason += f", in {end - begin} lines from here on"
        source = lines.take(end - begin)
        at, begin = number + begin, end
        if skip:
            skip = False
            continue
        is_odd = lines.is_odd or "\n" in source or how.null != NULL
        if is_odd:
            reason = lines.objection(source, how.encoding) or reason
        if row and len(row) != how.width:
            reason = reason or f"fields: {len(row)} instead of {how.width}"
        if reason:
            rejects.append(Reject(at, readable(source), reason))
            size += TEXT_LIMIT
        elif row:
            if is_odd:
                row = [
                    NULL if field == how.null else field.translate(ESCAPES)
                    for field in row
                ]
            texts.append("\t".join(row))
            origins.append((at, source))
            size += len(source)
        if size > BLOCK:
            yield Chunk(_ended(texts), origins, rejects)
            texts, origins, rejects, size = [], [], [], 0
    if texts or rejects:
        yield Chunk(_ended(texts), origins, rejects)


class _Reader:
    """The lines of blocks, for the csv module; remembers those that it has taken.

    `is_odd` tells whether a line taken last may need a second look: for characters
    that the bulk statement reads otherwise, or that no row may have.
    """

    def __init__(self, blocks: Iterator[_Block], newline: str) -> None:
        self._blocks = blocks
        self._newline = newline
        self._taken: deque[str] = deque()
        self._has_cut = False
        self.is_odd = False

    def __iter__(self) -> Iterator[str]:
        for block in self._blocks:
            text = block.text.decode("utf-8", "surrogateescape")
            self._has_cut |= block.is_cut
            self.is_odd = block.is_cut or bool(ODD.search(text))
            for line in text.removesuffix(self._newline).split(self._newline):
                self._taken.append(line)
                yield line + "\n"

    def take(self, count: int) -> str:
        """Return and forget that many lines."""
        return "\n".join(self._taken.popleft() for _ in range(count))

    def objection(self, text: str, encoding: str) -> str:
        """Return why no row may have this text, or nothing."""
        if self._has_cut:
            self._has_cut = False
            return f"longer than {LINE_LIMIT} bytes"
        if "\0" in text:
            return "a NUL character"
        if not text.isascii() and not _is_utf8(text.encode("utf-8", "surrogateescape")):
            return f"not {encoding}"
        return ""


def _unescaped(value: str) -> str:
    return ESCAPE.sub(lambda found: UNESCAPES[found[1]], value)


def _ended(texts: list[str]) -> bytes:
    return "".join(f"{text}\n" for text in texts).encode()


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
