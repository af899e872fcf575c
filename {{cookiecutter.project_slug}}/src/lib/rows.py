"""Reads files: rows for a database's bulk statement, and rejects.

Files are CSV (RFC 4180) and its dialects, JSON Lines, or records of fixed width. They
may be compressed.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

from lib import blocks as limits
from lib.blocks import (
    Block,
    CountedStream,
    Marks,
    PeekableStream,
    Stream,
    read_blocks,
    read_text,
    skip_first_lines,
    skip_last_lines,
)
from lib.chunks import NULL, TEXT_LIMIT, Chunk, ChunkBuilder, make_readable, parse_row
from lib.columns import (
    SKIPPED,
    BadRowError,
    Column,
    RowMaker,
    make_columns,
    match_header,
)
from lib.compression import decompress
from lib.file_types import (
    HEAD_SIZE,
    FileFormatError,
    require_fixed_records,
    require_text,
)
from lib.fixed_width import FixedWidthReader
from lib.json_lines import JsonReader
from lib.records import Dialect, Record, RecordParser
from lib.row_pattern import RowPattern

__all__ = [
    "NULL",
    "TEXT_LIMIT",
    "Chunk",
    "FileFormatError",
    "Format",
    "make_readable",
    "parse_row",
    "read_chunks",
]

MEGABYTE = 1_000_000


class Format(NamedTuple):
    """The format of a file.

    Args:
        columns: the columns of the table, in the order of the fields. `-` stands for a
            field to skip.
        kind: csv, jsonl or fixed.
        dialect: how CSV is written. For the others, only `newline` and `comment` count.
        encoding: of the text.
        header: `false`: there is none; `true`: it names the columns; `skip`.
        nulls: fields that stand for NULL, as they are in the file.
        column_nulls: the same for single columns, instead of `nulls`.
        formats: of the values of single columns, see `lib.conversions`.
        widths: characters of each field, for `fixed`.
        fills: a missing field is NULL. Otherwise the line is a reject.
        ignores_extra: columns that the table does not have are ignored.
        skip_lines: lines to skip at the start.
        trailer_lines: lines to skip at the end.
        max_uncompressed: bytes that a compressed file may expand to.
    """

    columns: Sequence[str]
    kind: str = "csv"
    dialect: Dialect = Dialect()
    encoding: str = "utf-8"
    header: str = "false"
    nulls: Sequence[str] = (NULL,)
    column_nulls: Mapping[str, Sequence[str]] = {}
    formats: Mapping[str, str] = {}
    widths: Sequence[int] = ()
    fills: bool = False
    ignores_extra: bool = False
    skip_lines: int = 0
    trailer_lines: int = 0
    max_uncompressed: int = 10_000 * MEGABYTE

    @classmethod
    def from_settings(cls, var: Any) -> "Format":
        """Return the format that the settings describe."""
        column_nulls: dict[str, list[str]] = {}
        for name, text in var.column_nulls:
            column_nulls.setdefault(name, []).append(text)
        return cls(
            columns=var.columns,
            kind=var.format,
            dialect=Dialect(
                var.delimiter,
                "\n" if var.newline == "\r\n" else var.newline,
                var.quote,
                "" if var.escape == var.quote else var.escape,
                var.comment,
            ),
            encoding=var.encoding,
            header=var.header,
            nulls=var.null_field,
            column_nulls=column_nulls,
            formats=dict(var.formats),
            widths=var.widths,
            fills=var.missing_fields == "null",
            ignores_extra=var.extra_columns == "ignore",
            skip_lines=var.skip_lines,
            trailer_lines=var.trailer_lines,
            max_uncompressed=var.max_uncompressed_mb * MEGABYTE,
        )

    @property
    def names(self) -> list[str]:
        """The columns of the table without fields to skip."""
        return [name for name in self.columns if name != SKIPPED]

    def make_columns(self) -> list[Column]:
        """Return the columns with what applies to them."""
        return make_columns(self.names, self.nulls, self.column_nulls, self.formats)

    def make_row_maker(self) -> RowMaker:
        """Return a maker of rows for fields in the order of the columns."""
        order = [at for at, name in enumerate(self.columns) if name != SKIPPED]
        return RowMaker(self.make_columns(), order, len(self.columns), self.fills)


def read_chunks(stream: Stream, file_format: Format) -> Iterator[Chunk]:
    """Yield a file chunk by chunk, so that memory does not grow with it.

    Empty lines are skipped. A line of more than `LINE_LIMIT` bytes is a reject.

    Raises:
        FileFormatError: the file is not what `file_format` says.
    """
    text = _open_text(stream, file_format)
    pieces = read_text(text, file_format.encoding)
    newline = file_format.dialect.newline
    if file_format.kind == "fixed" and not newline:
        skipped = (file_format.skip_lines, file_format.trailer_lines)
        yield from _make_fixed_reader(file_format).read_stream(pieces, *skipped)
        return
    blocks = _read_blocks(pieces, file_format)
    line = 1 + file_format.skip_lines
    if file_format.kind == "jsonl":
        yield from _make_json_reader(file_format).read(blocks, newline, line)
    elif file_format.kind == "fixed":
        yield from _make_fixed_reader(file_format).read_lines(blocks, newline, line)
    else:
        yield from _DelimitedReader(file_format, line).read(blocks)


def _read_blocks(pieces: Iterator[bytes], file_format: Format) -> Iterator[Block]:
    """Yield the lines of a file, without those to skip at the start and at the end."""
    marks = file_format.dialect.marks
    if file_format.kind != "csv":
        marks = Marks(marks.newline)
    blocks = read_blocks(pieces, marks)
    if file_format.skip_lines:
        blocks = skip_first_lines(blocks, marks.newline, file_format.skip_lines)
    if file_format.trailer_lines:
        blocks = skip_last_lines(blocks, marks.newline, file_format.trailer_lines)
    return blocks


def _make_json_reader(file_format: Format) -> JsonReader:
    names, fills = file_format.names, file_format.fills
    maker = RowMaker(file_format.make_columns(), range(len(names)), len(names), fills)
    return JsonReader(
        names, maker, file_format.encoding, fills, file_format.ignores_extra
    )


def _make_fixed_reader(file_format: Format) -> FixedWidthReader:
    return FixedWidthReader(
        file_format.widths,
        file_format.make_row_maker(),
        file_format.encoding,
        file_format.dialect.comment,
    )


def _open_text(stream: Stream, file_format: Format) -> Stream:
    """Return the file's text, decompressed.

    Raises:
        FileFormatError: it looks like something else.
    """
    plain = PeekableStream(stream)
    if uncompressed := decompress(plain, file_format.max_uncompressed):
        if isinstance(stream, CountedStream):
            stream.unread = file_format.max_uncompressed
        plain = PeekableStream(uncompressed)
    head = plain.peek(HEAD_SIZE)
    require_text(head, file_format.encoding)
    if file_format.kind == "fixed" and not file_format.dialect.newline:
        require_fixed_records(head, file_format.encoding)
    return plain


class _DelimitedReader:
    """Reads delimited text: whole blocks by a pattern, and others record by record."""

    def __init__(self, file_format: Format, line: int) -> None:
        self._format = file_format
        self._parser = self._make_parser(line)
        self._maker = file_format.make_row_maker()
        self._builder = ChunkBuilder()

    def read(self, blocks: Iterator[Block]) -> Iterator[Chunk]:
        """Yield the file chunk by chunk."""
        if self._format.header != "false":
            blocks = self._read_header(blocks)
        pattern = self._make_pattern()
        rest = b""  # the start of a record that goes on in the next block
        for block in blocks:
            if not pattern or block.is_cut or self._parser.is_open:
                yield from self._parse(Block(rest))
                yield from self._parse(block)
                rest = b""
                continue
            text = rest + block.text
            records, rest = pattern.split_records(text)
            is_short = len(text) <= limits.LINE_LIMIT
            is_plain = is_short and not self._may_have_comments(records)
            rows = pattern.match(records) if is_plain else None
            if rows:
                yield from self._builder.take()
                line = self._parser.line
                origins = _Origins(records, self._make_parser(line), rows.number)
                yield Chunk(rows.convert, origins, csv=rows.csv)
                self._parser.line += records.count(b"\n")
            elif is_short and pattern.is_sound(records):
                yield from self._parse(Block(records))
            else:  # only the parser can find the end of these records
                yield from self._parse(Block(text))
                rest = b""
        yield from self._parse(Block(rest))
        for record in self._parser.finish():
            self._add(record)
        yield from self._builder.take()

    def _make_parser(self, line: int) -> RecordParser:
        return RecordParser(self._format.dialect, self._format.encoding, line)

    def _make_pattern(self) -> RowPattern | None:
        """Return the pattern of rows, if values can be loaded as they are."""
        delimiter, newline, quote, escape, _ = self._format.dialect
        nulls = self._maker.plain_nulls
        if newline != "\n" or escape or nulls is None:
            return None
        if not RowPattern.fits(delimiter, quote, nulls):
            return None
        return RowPattern(self._maker.width, delimiter, quote, nulls)

    def _may_have_comments(self, text: bytes) -> bool:
        comment = self._format.dialect.comment.encode()
        return bool(comment) and (text.startswith(comment) or b"\n" + comment in text)

    def _read_header(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """Read the header, line by line; return the blocks behind it."""
        newline = self._format.dialect.marks.newline
        for block in blocks:
            rest = block.text
            while rest:
                line, _, rest = rest.partition(newline)
                records = list(self._parser.feed(block._replace(text=line + newline)))
                if records:
                    self._use_header(records)
                    return chain([Block(rest)], blocks)
        if records := list(self._parser.finish()):
            self._use_header(records)
        return blocks

    def _use_header(self, records: list[Record]) -> None:
        header, *others = records
        if self._format.header == "true":
            if header.error:
                raise FileFormatError(
                    f"the header in line {header.line} cannot be read: {header.error}"
                )
            columns = self._format.make_columns()
            order = match_header(header.fields, columns, self._format.ignores_extra)
            width = len(header.fields)
            self._maker = RowMaker(columns, order, width, self._format.fills)
        for record in others:
            self._add(record)

    def _parse(self, block: Block) -> Iterator[Chunk]:
        if not block.text:
            return
        for record in self._parser.feed(block):
            self._add(record)
            if self._builder.is_full:
                yield from self._builder.take()

    def _add(self, record: Record) -> None:
        line, source, fields, raw, error, is_special = record
        if error:
            self._builder.add_reject(line, source, error)
            return
        try:
            text = self._maker.make(fields, raw, is_special)
        except BadRowError as bad_row:
            self._builder.add_reject(line, source, str(bad_row), bad_row.condition)
        else:
            self._builder.add_row(line, source, text)


class _Origins(Sequence[tuple[int, str]]):
    """The origins of rows. They are found only if a row is refused, which is rare."""

    def __init__(self, text: bytes, parser: RecordParser, count: int) -> None:
        self._text = text
        self._parser = parser
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        return self._origins[index]

    @cached_property
    def _origins(self) -> list[tuple[int, str]]:
        records = self._parser.feed(Block(self._text))
        return [(record.line, record.text) for record in records]
