r"""Checks values that a database would guess or change, and converts times to UTC.

Servers read `02/03/2012` by their own order of day and month, drop the offset of
`2025-07-03T10:30:10+02:00`, or store 2 for `1.5`. A rule for a column says which texts
mean the same to every server. Other texts are converted, or their rows become rejects.

Dates and times are those of ISO 8601, see
https://www.postgresql.org/docs/current/datatype-datetime.html: a space may replace the
T, and seconds may be left out.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from lib.chunks import ESCAPES, Chunk, parse_row
from lib.rejects import Refusal

DAY = r"[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]"
SHORT_DAY = r"[0-9][0-9][0-9][0-9][01][0-9][0-3][0-9]"
HOUR = r"(?:[01][0-9]|2[0-3])"
CLOCK = rf"{HOUR}:[0-5][0-9](?::[0-5][0-9](?:\.[0-9]++)?+)?+"
SHORT_CLOCK = rf"{HOUR}[0-5][0-9](?:[0-5][0-9](?:\.[0-9]++)?+)?+"
OFFSET = r"(?:Z|[+-](?:0[0-9]|1[0-5])(?::?[0-5][0-9])?)"
ZERO_OFFSET = r"(?:Z|[+-]00(?::?00)?+)?+"
MIDNIGHT = r"(?:[ T]00:00(?::00(?:\.0++)?+)?+)?+"
WITH_OFFSET = re.compile(rf"({DAY}[ T]{CLOCK}|{SHORT_DAY}T{SHORT_CLOCK})({OFFSET})")
FRACTION = re.compile(r"\.[0-9]+")
CELL = rb"[^\t]*+"
CSV_CELL = rb'(?:"[^"]*+(?:""[^"]*+)*+"|[^,"\r\n]*+)'


class Rule(NamedTuple):
    """Which texts a column takes as they are.

    Attributes:
        meaning: a noun for them, such as `whole number`, for the reason of a reject.
        pattern: a regular expression for them, as they are in a chunk's text. It
            matches no tab or line feed, and for CSV no comma or quote.
        convert: returns another text for other values, or None.
        is_nullable: whether NULL is left to the database.
        has_spaces: whether spaces around a value mean something.
    """

    meaning: str
    pattern: str
    convert: Callable[[str], str | None] = lambda value: None
    is_nullable: bool = True
    has_spaces: bool = False


def convert_to_utc(value: str) -> str | None:
    """Return a time that has an offset as one in UTC without it, or None."""
    found = WITH_OFFSET.fullmatch(value)
    if not found:
        return None
    fraction = FRACTION.search(found[1])
    text = FRACTION.sub("", found[1])
    try:
        moment = datetime.fromisoformat(text + found[2]).astimezone(UTC)
    except (ValueError, OverflowError):  # no such day, or a year before 1
        return None
    whole = moment.replace(tzinfo=None).isoformat(" ")
    return whole + (fraction[0] if fraction else "")


# The form of most values comes first: a pattern of all forms takes twice as long.
_USUAL = rf"{DAY}[ T]{HOUR}:[0-5][0-9]:[0-5][0-9]"
_OTHERS = rf"{DAY}(?:[ T]{CLOCK}%s)?+|{SHORT_DAY}(?:T{SHORT_CLOCK}%s)?+"
_MOMENT = rf"(?:{_USUAL}|{_OTHERS})"
DATE = Rule("ISO 8601 date", rf"(?:{DAY}{MIDNIGHT}|{SHORT_DAY})")
TIMESTAMP = Rule("ISO 8601 timestamp", _MOMENT.replace("%s", ""), convert_to_utc)
# of a server that drops offsets
UTC_TIMESTAMP = TIMESTAMP._replace(pattern=_MOMENT.replace("%s", ZERO_OFFSET))
TIMESTAMP_WITH_OFFSET = Rule("ISO 8601 timestamp", _MOMENT.replace("%s", f"{OFFSET}?+"))
TIME = Rule("ISO 8601 time of day", CLOCK)
TIME_WITH_OFFSET = Rule("ISO 8601 time of day", f"{CLOCK}{OFFSET}?+")


class ValueCheck:
    """Checks rows by the rules for their columns.

    Args:
        rules: a rule for each column that needs one, by the column's name.
        columns: names of the columns.
        reads_csv: whether the database reads a chunk's `csv` if it has one.
    """

    def __init__(
        self, rules: dict[str, Rule], columns: Sequence[str], reads_csv: bool = False
    ) -> None:
        self._columns = list(columns)
        self._reads_csv = reads_csv
        self._rules = [
            (at, rules[name], re.compile(_cell_pattern(rules[name])))
            for at, name in enumerate(columns)
            if name in rules
        ]
        self._rows = self._compile(rb"\t", CELL, b"%b", rb"[^\n]*+\n")
        csv_rest = rb'(?:"[^"]*+"|[^"\n]*+)*+\n'
        self._csv = self._compile(b",", CSV_CELL, b'(?:%b|"%b")', csv_rest)

    def check(self, chunk: Chunk) -> Chunk:
        """Return a chunk as it is, or with converted values and more rejects."""
        if not self._rules or not chunk.origins:
            return chunk
        if self._reads_csv and chunk.csv and self._csv.fullmatch(chunk.csv):
            return chunk
        text = chunk.text
        if self._rows.fullmatch(text):
            chunk.keep(text)
            return chunk
        return self._convert(chunk, text)

    def _compile(
        self, mark: bytes, cell: bytes, form: bytes, rest: bytes
    ) -> re.Pattern[bytes]:
        """Return a pattern of rows, up to the last column that has a rule.

        Args:
            mark: separates two cells.
            cell: a cell of a column without a rule.
            form: a cell with one, whose text is `%b`.
            rest: what remains of a row, with its line feed.
        """
        cells = [cell] * len(self._columns)
        for at, _, pattern in self._rules:
            cells[at] = form.replace(b"%b", pattern.pattern)
        last = max((at for at, _, _ in self._rules), default=-1)
        row = mark.join(cells[: last + 1])
        is_whole = last + 1 == len(cells)
        row += rb"\r?\n" if is_whole else mark + rest
        return re.compile(rb"(?:%b)*+" % row)

    def _convert(self, chunk: Chunk, text: bytes) -> Chunk:
        good: list[bytes] = []
        refused: dict[int, Refusal] = {}
        for index, row in enumerate(text.splitlines(keepends=True)):
            converted = self._convert_row(row)
            if isinstance(converted, Refusal):
                refused[index] = converted
            else:
                good.append(converted)
        origins = chunk.origins
        if refused:
            origins = [
                origin for index, origin in enumerate(origins) if index not in refused
            ]
        rejects = [chunk.reject(index, refusal) for index, refusal in refused.items()]
        return Chunk(b"".join(good), origins, [*chunk.rejects, *rejects])

    def _convert_row(self, row: bytes) -> bytes | Refusal:
        cells = row[:-1].split(b"\t")
        for at, rule, pattern in self._rules:
            if pattern.fullmatch(cells[at]):
                continue
            [value] = parse_row(cells[at])
            if value is None:
                return _refuse("NULL is not allowed", self._columns[at])
            trimmed = value if rule.has_spaces else value.strip(" ")
            is_trimmed = bool(pattern.fullmatch(trimmed.translate(ESCAPES).encode()))
            converted = trimmed if is_trimmed else rule.convert(trimmed)
            if converted is None:
                return _refuse(f"no {rule.meaning}", self._columns[at], value)
            cells[at] = converted.translate(ESCAPES).encode()
        return b"\t".join(cells) + b"\n"


def _cell_pattern(rule: Rule) -> bytes:
    pattern = rule.pattern.encode()
    return rb"(?:%b|\\N)" % pattern if rule.is_nullable else rb"(?:%b)" % pattern


def _refuse(fault: str, column: str, value: str = "") -> Refusal:
    condition = f"{fault} at {column}"
    return Refusal(f"{condition}: {value}" if value else condition, condition)
