r"""Reads CSV files (RFC 4180): rows for a database's bulk statement, and rejects.

Rows become text that PostgreSQL's COPY and MySQL's LOAD DATA read by default: fields
separated by tabs, rows ended by line feeds, `\t`, `\n`, `\r` and `\\` in values, and
`\N` for NULL. See https://www.postgresql.org/docs/current/sql-copy.html and
https://dev.mysql.com/doc/refman/8.4/en/load-data.html
"""

import csv
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

from lib.blocks import LINE_LIMIT, Block, Stream, read_blocks
from lib.rejects import Refusal, Reject
from lib.row_pattern import RowPattern, is_utf8

CHUNK_SIZE = 512 * 1024
TEXT_LIMIT = 1000
NULL = r"\N"

# a backslash, a tab, a NUL, a lone CR, or a byte that is not UTF-8
SPECIAL = re.compile(r"[\\\t\0\udc80-\udcff]|\r(?!\n)")
ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
ESCAPED = re.compile(r"\\(.)")
UNESCAPES = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r"}

csv.field_size_limit(LINE_LIMIT)


class Format(NamedTuple):
    r"""The format of a file.

    `width` is the number of fields. A `newline` of LF also accepts CR LF. A field equal
    to `null_field` is NULL. If there is a `header`, the first row is skipped.
    """

    width: int
    delimiter: str = ","
    newline: str = "\n"
    encoding: str = "utf-8"
    null_field: str = NULL
    header: bool = False

    @classmethod
    def from_settings(cls, var: Any) -> "Format":
        """Return the format that the settings describe."""
        return cls(
            width=len(var.columns),
            delimiter=var.delimiter,
            newline=var.newline,
            encoding=var.encoding,
            null_field=var.null_field,
            header=var.header,
        )


class Chunk:
    """Some rows and rejects of a file, in the file's order.

    Args:
        text: rows as text for the bulk statement, or a function that returns it, to
            save memory.
        origins: for each row, the number of its first line, and its lines as they are.
        rejects: the bad lines.
        csv: the rows as CSV, if a database can read them so, see `lib.row_pattern`.
    """

    def __init__(
        self,
        text: bytes | Callable[[], bytes],
        origins: Sequence[tuple[int, str]] = (),
        rejects: Sequence[Reject] = (),
        csv: bytes = b"",
    ) -> None:
        self._text = text
        self._kept: bytes | None = None
        self.origins = origins
        self.rejects = rejects
        self.csv = csv

    @property
    def text(self) -> bytes:
        """The rows as text for the bulk statement."""
        kept, self._kept = self._kept, None
        if kept is not None:
            return kept
        return self._text() if callable(self._text) else self._text

    def keep(self, text: bytes) -> None:
        """Return this `text` the next time, so that it is not computed again."""
        self._kept = text

    def reject(self, index: int, refusal: Refusal) -> Reject:
        """Return the row with this index (from 0), which was refused, as a reject."""
        line, source = self.origins[index]
        return Reject(line, make_readable(source), *refusal)


def read_chunks(stream: Stream, file_format: Format) -> Iterator[Chunk]:
    """Yield a file chunk by chunk, so that memory does not grow with it.

    Empty lines are skipped. A line of more than `LINE_LIMIT` bytes is a reject.
    """
    if file_format.newline == "\r\n":
        file_format = file_format._replace(newline="\n")
    newline, null = file_format.newline, file_format.null_field
    blocks = read_blocks(stream, file_format.encoding, newline.encode())
    if newline == "\n" and null == NULL and file_format.delimiter.isascii():
        yield from _read_by_pattern(blocks, file_format)
    else:
        yield from _read_by_csv(blocks, file_format, 1, file_format.header)


def parse_row(text: bytes) -> list[str | None]:
    """Return the values of one row of a chunk's text."""
    values = text.decode().removesuffix("\n").split("\t")
    return [None if value == NULL else _unescape(value) for value in values]


def make_readable(text: str) -> str:
    r"""Return the start of `text`, with NUL and bytes that are not UTF-8 as `\x..`."""
    if text.isascii() and "\0" not in text:
        return text[:TEXT_LIMIT]
    raw = text[:TEXT_LIMIT].replace("\0", r"\x00").encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "backslashreplace")[:TEXT_LIMIT]


def _read_by_pattern(blocks: Iterator[Block], file_format: Format) -> Iterator[Chunk]:
    """Read whole blocks by a pattern; leave blocks with faults to the csv module."""
    pattern = RowPattern(file_format.width, file_format.delimiter)
    line, skip_header, rest = 1, file_format.header, b""
    for block in blocks:
        unread = [each for each in (Block(rest), block) if each.text]
        records, rest = pattern.split_records(rest + block.text)
        is_cut_inside_quotes = block.is_cut and len(unread) > 1
        is_splittable = len(rest) <= LINE_LIMIT and not is_cut_inside_quotes
        rows = None
        if is_splittable and not skip_header and not block.is_cut:
            rows = pattern.match(records)
        if rows:
            origins = _Origins(records, file_format, line, rows.number)
            yield Chunk(rows.convert, origins, csv=rows.csv)
        elif is_splittable and pattern.is_sound(records):
            alone = iter([Block(records, block.is_cut)])
            yield from _read_by_csv(alone, file_format, line, skip_header)
        else:  # only the csv module can find the end of these records
            remaining = chain(unread, blocks)
            yield from _read_by_csv(remaining, file_format, line, skip_header)
            return
        line += records.count(b"\n")
        skip_header = skip_header and not records
    if rest:
        yield from _read_by_csv(iter([Block(rest)]), file_format, line, skip_header)


class _Origins(Sequence[tuple[int, str]]):
    """The origins of rows. They are found only if a row is refused, which is rare."""

    def __init__(self, text: bytes, file_format: Format, line: int, count: int) -> None:
        self._text = text
        self._format = file_format
        self._line = line
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        return self._origins[index]

    @cached_property
    def _origins(self) -> list[tuple[int, str]]:
        chunks = _read_by_csv(iter([Block(self._text)]), self._format, self._line)
        return [origin for chunk in chunks for origin in chunk.origins]


def _read_by_csv(
    blocks: Iterator[Block],
    file_format: Format,
    first_line: int,
    skip_header: bool = False,
) -> Iterator[Chunk]:
    """Read records one by one with the csv module.

    Args:
        blocks: the file, in blocks of whole lines.
        file_format: the format of the file.
        first_line: number of the first line.
        skip_header: skip the first record.
    """
    source = _LineSource(blocks, file_format.newline)
    records = _parse_records(source, file_format.delimiter, first_line)
    if skip_header:
        next(records, None)
    texts: list[str] = []
    origins: list[tuple[int, str]] = []
    rejects: list[Reject] = []
    size = 0
    for line, text, row, error in records:
        is_special = source.is_special or "\n" in text or file_format.null_field != NULL
        reason = (is_special and source.fault(text, file_format.encoding)) or error
        if row and not reason and len(row) != file_format.width:
            reason = f"fields: {len(row)} instead of {file_format.width}"
        if reason:
            rejects.append(Reject(line, make_readable(text), reason))
            size += TEXT_LIMIT
        elif row:
            texts.append("\t".join(_escape(row, file_format) if is_special else row))
            origins.append((line, text))
            size += len(text)
        if size > CHUNK_SIZE:
            yield Chunk(_join(texts), origins, rejects)
            texts, origins, rejects, size = [], [], [], 0
    if texts or rejects:
        yield Chunk(_join(texts), origins, rejects)


def _parse_records(
    source: "_LineSource", delimiter: str, first_line: int
) -> Iterator[tuple[int, str, list[str], str]]:
    """Yield each record: number of its first line, text, fields, the csv error."""
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    end = 0
    while True:
        error = ""
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as csv_error:
            row, error = [], str(csv_error)
        begin, end = end, reader.line_num
        if error and end - begin > 1:
            error += f", in {end - begin} lines from here on"
        yield first_line + begin, source.take(end - begin), row, error


class _LineSource:
    """The lines of blocks, for the csv module. Keeps them until they are taken.

    `is_special` says that the block may contain characters that have to be escaped, or
    that no row may contain.
    """

    def __init__(self, blocks: Iterator[Block], newline: str) -> None:
        self._blocks = blocks
        self._newline = newline
        self._read: deque[str] = deque()
        self._has_cut_line = False
        self.is_special = False

    def __iter__(self) -> Iterator[str]:
        for block in self._blocks:
            text = block.text.decode("utf-8", "surrogateescape")
            self._has_cut_line |= block.is_cut
            self.is_special = block.is_cut or bool(SPECIAL.search(text))
            for line in text.removesuffix(self._newline).split(self._newline):
                self._read.append(line)
                yield line + "\n"

    def take(self, count: int) -> str:
        """Return and forget the first lines that the csv module has read."""
        return "\n".join(self._read.popleft() for _ in range(count))

    def fault(self, text: str, encoding: str) -> str:
        """Return why the text just taken cannot be a row, or an empty string."""
        if self._has_cut_line:
            self._has_cut_line = False
            return f"longer than {LINE_LIMIT} bytes"
        if "\0" in text:
            return "a NUL character"
        if not text.isascii() and not is_utf8(text.encode("utf-8", "surrogateescape")):
            return f"not {encoding}"
        return ""


def _escape(row: list[str], file_format: Format) -> list[str]:
    null = file_format.null_field
    return [NULL if field == null else field.translate(ESCAPES) for field in row]


def _unescape(value: str) -> str:
    return ESCAPED.sub(lambda found: UNESCAPES[found[1]], value)


def _join(texts: list[str]) -> bytes:
    return "".join(f"{text}\n" for text in texts).encode()
