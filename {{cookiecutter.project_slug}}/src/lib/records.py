"""Splits delimited text into records and fields, with any delimiter and quotes."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from lib import blocks
from lib.blocks import Block, Marks
from lib.file_types import FileFormatError

# Text to look for the end of a quoted field that is above the limit.
LOOKAHEAD = 8 * 1024 * 1024  # bytes
# Characters that must be escaped, and those that no row may have.
SPECIAL = re.compile(r"[\\\t\n\r\0\udc80-\udcff]")
# Sequences in text without quotes, as PostgreSQL and MySQL write them.
SEQUENCES = {
    **{"b": "\b", "f": "\f", "n": "\n", "r": "\r"},
    **{"t": "\t", "v": "\v", "0": "\0", "Z": "\x1a"},
}


class Dialect(NamedTuple):
    r"""How text is split into records and fields.

    Args:
        delimiter: separates two fields.
        newline: ends a record. LF also accepts CR LF.
        quote: stands around a field; empty if none does. Two of them are one that is
            data.
        escape: makes the next quote, delimiter, newline or escape character data. If
            there are no quotes, `\n`, `\t` and the like are understood, too.
        comment: lines that start with it are skipped.
    """

    delimiter: str = ","
    newline: str = "\n"
    quote: str = '"'
    escape: str = ""
    comment: str = ""

    @property
    def marks(self) -> Marks:
        """The characters that matter to lines."""
        marks = (self.newline, self.quote, self.escape)
        return Marks(*(mark.encode() for mark in marks))


class Record(NamedTuple):
    """One record.

    Args:
        line: the number of its first line.
        text: its lines as they are.
        fields: the values.
        raw: the fields as they are, with their quotes.
        error: why it is none; empty if it is one.
        is_special: values may have characters that must be escaped.
    """

    line: int
    text: str
    fields: list[str]
    raw: list[str]
    error: str = ""
    is_special: bool = True


class Split(NamedTuple):
    """The fields of a text, or the error in it.

    `open_field` is how the last field starts if the text ends inside of it.
    """

    fields: list[str]
    raw: list[str]
    error: str = ""
    open_field: str = ""


class Splitter:
    """Splits the text of a record into fields."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._accepts_crlf = dialect.newline == "\n"
        self._end = re.escape(dialect.delimiter)
        self._escape = re.escape(dialect.escape)
        # an escape character and what it escapes
        self._pair = f"{self._escape}(?s:.)" if dialect.escape else "(?!)"
        self._quoted = self._compile_quoted()
        self._unquoted = self._compile_unquoted()
        self._fields = self._compile_fields()
        self._escaped = self._compile_escaped()

    def _compile_quoted(self) -> re.Pattern[str]:
        """Return a pattern of a quoted field behind its first quote."""
        quote = re.escape(self._dialect.quote)
        other = f"[^{quote}{self._escape}]++" if quote else ""
        return re.compile(f"(?:{other}|{self._pair}|{2 * quote})*+{quote}")

    def _compile_unquoted(self) -> re.Pattern[str]:
        """Return a pattern of a field without quotes, and what ends it."""
        return re.compile(rf"({self._make_content()})({self._end}|\Z)")

    def _make_content(self, excluded: str = "") -> str:
        """Return a pattern of all up to a delimiter.

        It is an atomic group because Python before 3.11.5 reads a possessive quantifier
        wrongly if what it repeats has a lookahead.
        """
        first = re.escape(self._dialect.delimiter[0])
        other = f"[^{first}{self._escape}{excluded}]++"
        return f"(?>(?:{other}|{self._pair}|(?!{self._end}){first})*)"

    def _compile_fields(self) -> re.Pattern[str]:
        """Return a pattern of one field after another.

        Its groups are the field, what ends it, and all that is left if nothing does.
        """
        quote = re.escape(self._dialect.quote)
        cr = r"\r" if self._accepts_crlf else ""
        if len(self._dialect.delimiter) == 1 and not self._escape:
            content = f"[^{self._end}{cr}]*+"
        else:
            content = self._make_content(cr)
        field = content
        if quote:
            field = f"{quote}{self._quoted.pattern}|(?!{quote}){content}"
        last = r"\r?\Z" if self._accepts_crlf else r"\Z"
        return re.compile(f"({field})({self._end}|{last})|((?s:.+))")

    def _compile_escaped(self) -> re.Pattern[str]:
        """Return a pattern of an escape character and what it makes a value's part."""
        delimiter, newline, quote, escape, _ = self._dialect
        marks = [each for each in (delimiter, newline, quote, escape) if each]
        special = "|".join(map(re.escape, marks)) if quote else "(?s:.)"
        return re.compile(f"{self._escape}({special})")

    def split(self, text: str) -> Split:
        """Return the fields of a text that may be the start of a record."""
        found = self._fields.findall(text)
        if any(rest for _, _, rest in found[-2:]):  # something is not in its place
            return self._split_slowly(text)
        raw = [field for field, _, _ in found]
        if len(found) > 1 and found[-2][1] != self._dialect.delimiter:
            raw.pop()  # the nothing behind the last field
        return Split(self._get_values(text, raw), raw)

    def _get_values(self, text: str, raw: list[str]) -> list[str]:
        """Return the values of fields that end properly."""
        quote, escape = self._dialect.quote, self._dialect.escape
        if quote:
            values = [each[1:-1] if each[:1] == quote else each for each in raw]
            double = 2 * quote
            if double in text:
                pairs = zip(values, raw, strict=True)
                values = [
                    value.replace(double, quote) if original[:1] == quote else value
                    for value, original in pairs
                ]
        else:
            values = raw
        if escape and escape in text:
            values = [self._unescape(each) for each in values]
        return values

    def _split_slowly(self, text: str) -> Split:
        """Return the fields, or where they end."""
        delimiter, _, quote, escape, _ = self._dialect
        fields: list[str] = []
        raw: list[str] = []
        start, end = 0, len(text)
        if self._accepts_crlf and text.endswith("\r"):
            end -= 1
        while True:
            if quote and text.startswith(quote, start):
                found = self._quoted.match(text, start + 1, end)
                if not found:
                    return Split(fields, raw, open_field=quote)
                stop = found.end()
                fields += self._get_values(text, [text[start:stop]])
            elif escape:
                found = self._unquoted.match(text, start, end)
                if not found:  # it ends with an escape character
                    return Split(fields, raw, open_field="x")
                stop = found.end(1)
                fields += self._get_values(text, [found[1]])
            else:
                stop = text.find(delimiter, start, end)
                stop = end if stop < 0 else stop
                fields.append(text[start:stop])
            raw.append(text[start:stop])
            if stop >= end:
                return Split(fields, raw)
            if not text.startswith(delimiter, stop):
                return Split(fields, raw, f"{delimiter!r} expected after {quote!r}")
            start = stop + len(delimiter)

    def go_on(self, line: str, open_field: str) -> tuple[str, str]:
        """Read on in an open field.

        Returns:
            How the field starts that is open at the end of the line, and an error.
        """
        start = 2 * open_field  # stands for what has been read
        if open_field == self._dialect.quote:
            found = self._quoted.match(line)
            if not found:
                return open_field, ""
            line = line[found.end() :]
        split = self.split(start + line)
        return split.open_field, split.error

    def is_stray(self, line: str) -> bool:
        """Whether the first quote in a line can neither open nor close a field.

        It can if the line goes on in quotes.
        """
        found = self._quoted.match(line)
        rest = line[found.end() :].removesuffix("\r") if found else ""
        return bool(rest) and not rest.startswith(self._dialect.delimiter)

    def _unescape(self, value: str) -> str:
        if self._dialect.quote:
            return self._escaped.sub(lambda found: found[1], value)
        return self._escaped.sub(lambda found: SEQUENCES.get(found[1], found[1]), value)


class Lookahead:
    """Lines that may have to be read again. They are kept in blocks, to save memory."""

    def __init__(self) -> None:
        self.size = 0  # bytes
        self.lines = 0
        self._blocks: list[Block] = []
        self._text = bytearray()

    def add(self, line: Block) -> None:
        """Add a block of one line."""
        self.size += len(line.text)
        self.lines += 1
        if line.is_cut or len(self._text) > blocks.BLOCK_SIZE:
            self._close_block()
        if line.is_cut:
            self._blocks.append(line)
        else:
            self._text += line.text

    def take(self) -> list[Block]:
        """Return the lines in blocks."""
        self._close_block()
        return self._blocks

    def _close_block(self) -> None:
        if self._text:
            self._blocks.append(Block(bytes(self._text)))
            self._text.clear()


class RecordParser:
    """Splits blocks of lines into records.

    Args:
        dialect: how they are written.
        encoding: of the file, for messages.
        line: number of the first line.
    """

    def __init__(self, dialect: Dialect, encoding: str, line: int = 1) -> None:
        self.line = line
        self._dialect = dialect
        self._encoding = encoding
        self._splitter = Splitter(dialect)
        self._special = _compile_special(dialect)
        self._lines: list[str] = []  # of the open record
        self._size = 0  # of these lines
        self._open_field = ""
        self._ahead = Lookahead()  # lines of an open field beyond the limit

    @property
    def is_open(self) -> bool:
        """Whether a record has started and not ended."""
        return bool(self._lines)

    def feed(self, block: Block) -> Iterator[Record]:
        """Yield the records that end in a block.

        Raises:
            FileFormatError: a field is so long that it cannot be told where it ends.
        """
        delimiter, newline, quote, escape, comment = self._dialect
        text = block.text.decode("utf-8", "surrogateescape")
        accepts_crlf = newline == "\n"
        is_special = bool(self._special.search(text))
        for line in text.removesuffix(newline).split(newline):
            if self._lines or block.is_cut:
                yield from self._feed_open(line, block)
            elif comment and line.startswith(comment):
                self.line += 1
            elif (quote and quote in line) or (escape and escape in line):
                yield from self._feed_open(line, block)
            elif not line or (accepts_crlf and line == "\r"):
                self.line += 1
            else:
                end = -1 if accepts_crlf and line[-1] == "\r" else None
                fields = line[:end].split(delimiter)
                error = self._find_fault(line, fields) if is_special else ""
                yield Record(self.line, line, fields, fields, error, is_special)
                self.line += 1

    def finish(self) -> Iterator[Record]:
        """Yield the records that the end of the file ends."""
        while self._ahead.size and self._is_quoted:
            yield from self._give_up()
        if self._lines:
            reason = "unexpected end of data"
            yield self._end_long() if self._ahead.size else self._end(reason)

    def _feed_open(self, line: str, block: Block) -> Iterator[Record]:
        """Start or go on with a record that needs a closer look."""
        if self._is_too_long:
            yield from self._look_ahead(line, block)
            return
        if not self._lines and self._is_comment(line):
            self.line += 1
            return
        error = ""
        if block.is_cut:
            self._open_field = self._find_open_field(block)
            self._size += blocks.LINE_LIMIT
        elif self._lines:
            self._open_field, error = self._splitter.go_on(line, self._open_field)
        else:
            split = self._splitter.split(line)
            if not split.error and not split.open_field:
                yield self._make_record(line, split.fields, split.raw)
                self.line += 1
                return
            error, self._open_field = split.error, split.open_field
        self._lines.append(line)
        self._size += len(line) + len(self._dialect.newline)
        if error or not self._open_field:
            is_whole = self._size <= blocks.LINE_LIMIT and not block.is_cut
            yield self._end(error) if is_whole else self._end_long()

    @property
    def _is_too_long(self) -> bool:
        return self._size > blocks.LINE_LIMIT

    def _is_comment(self, line: str) -> bool:
        comment = self._dialect.comment
        return bool(comment) and line.startswith(comment)

    def _find_open_field(self, block: Block) -> str:
        """Return how the field starts that is open at the end of a line that is cut."""
        if self._is_quoted != block.is_odd:
            return self._dialect.quote
        return "x" if block.is_escaped else ""

    @property
    def _is_quoted(self) -> bool:
        """Whether a quoted field is open, and not one that an escape continues."""
        return bool(self._open_field) and self._open_field == self._dialect.quote

    def _look_ahead(self, line: str, block: Block) -> Iterator[Record]:
        """Look for the end of a field above the limit.

        If there is none, or if the next quote cannot be one, the quote that opens the
        field is a stray one: reading goes on behind the limit. An escaped newline is
        always a part of its field.
        """
        text = (line + self._dialect.newline).encode("utf-8", "surrogateescape")
        self._ahead.add(block._replace(text=text))
        if not block.is_cut and self._is_quoted and self._splitter.is_stray(line):
            yield from self._give_up()
            return
        if block.is_cut:
            self._open_field = self._find_open_field(block)
        else:
            self._open_field, _ = self._splitter.go_on(line, self._open_field)
        if not self._open_field:
            yield self._end_long()
        if self._ahead.size > LOOKAHEAD:
            name = "quote" if self._is_quoted else "escape"
            raise FileFormatError(
                f"the field in line {self.line} does not end within {LOOKAHEAD:,} "
                f"bytes: correct the line, or set {name}: none"
            )

    def _give_up(self) -> Iterator[Record]:
        ahead, self._ahead = self._ahead, Lookahead()
        yield self._end_long()
        for block in ahead.take():
            yield from self.feed(block)

    def _end_long(self) -> Record:
        """End a record above the limit."""
        number = len(self._lines)
        text = self._dialect.newline.join(self._lines)
        record = Record(self.line, text, [], [], blocks.describe_limit())
        self._forget(number + self._ahead.lines)
        return record

    def _end(self, error: str) -> Record:
        """End the record of the lines so far."""
        number = len(self._lines)
        text = self._dialect.newline.join(self._lines)
        fields, raw, _, _ = self._splitter.split(text)
        if error and number > 1:
            error += f", in {number} lines from here on"
        record = self._make_record(text, fields, raw, error)
        self._forget(number)
        return record

    def _make_record(
        self, text: str, fields: list[str], raw: list[str], error: str = ""
    ) -> Record:
        has_crlf = self._dialect.newline == "\n" and text.endswith("\r")
        if not SPECIAL.search(text, 0, len(text) - has_crlf):
            return Record(self.line, text, fields, raw, error, is_special=False)
        fault = self._find_fault(text, raw)
        if self._dialect.escape and not fault and any("\0" in each for each in fields):
            fault = "a NUL character"
        return Record(self.line, text, fields, raw, fault or error)

    def _forget(self, number: int) -> None:
        self.line += number
        self._lines, self._size, self._open_field = [], 0, ""
        self._ahead = Lookahead()

    def _find_fault(self, text: str, raw: list[str]) -> str:
        """Return why a text cannot be a row, or an empty string."""
        quote = self._dialect.quote
        if fault := find_fault(text, self._encoding):
            return fault
        if self._dialect.newline != "\n" or "\r" not in text:
            return ""
        unquoted = (each for each in raw if not quote or not each.startswith(quote))
        is_lone = any("\r" in each for each in unquoted)
        return "a carriage return outside of quotes" if is_lone else ""


def _compile_special(dialect: Dialect) -> re.Pattern[str]:
    """Return a pattern of special characters in lines without quotes.

    Newlines and delimiters are between values.
    """
    tab = "" if dialect.delimiter == "\t" else r"\t"
    ends = r"|\r(?!\n)" if dialect.newline == "\n" else r"|[\r\n]"
    return re.compile(rf"[\\{tab}\0\udc80-\udcff]{ends}")


def find_fault(text: str, encoding: str) -> str:
    """Return why a text cannot be in a database, or an empty string."""
    if "\0" in text:
        return "a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:  # see `lib.blocks`
        return f"not {encoding}"
    return ""
