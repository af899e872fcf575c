r"""Writes rows of Python values as text for a database's bulk statement.

See `lib.chunks` for the text. It means the same to PostgreSQL and to MySQL.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from lib.chunks import CHUNK_SIZE, ESCAPES, NULL, Chunk, make_readable
from lib.rejects import Reject
from lib.row_pattern import is_utf8


def make_chunks(
    rows: Iterable[Sequence[Any]], columns: Sequence[str], first: int
) -> Iterator[Chunk]:
    """Yield rows chunk by chunk. Texts that no database can store become rejects.

    Args:
        rows: the rows.
        columns: the columns, in the order of the values.
        first: number of the first row.

    Raises:
        ValueError: a row has another number of values than there are columns.
        TypeError: a value cannot be loaded.
    """
    lines: list[str] = []
    origins: list[tuple[int, str]] = []
    rejects: list[Reject] = []
    size = 0
    for number, row in enumerate(rows, first):
        line = _write_row(row, columns, number)
        if reason := _find_fault(line):
            text = line.encode("utf-8", "backslashreplace").decode()
            rejects.append(Reject(number, make_readable(text), reason))
        else:
            lines.append(f"{line}\n")
            origins.append((number, line))
        size += len(line)
        if size > CHUNK_SIZE:
            yield Chunk("".join(lines).encode(), origins, rejects)
            lines, origins, rejects, size = [], [], [], 0
    if lines or rejects:
        yield Chunk("".join(lines).encode(), origins, rejects)


def _write_row(row: Sequence[Any], columns: Sequence[str], number: int) -> str:
    if isinstance(row, str | bytes) or len(row) != len(columns):
        given = "one text" if isinstance(row, str | bytes) else f"{len(row)} values"
        raise ValueError(f"row {number} is {given}: pass {len(columns)} values")
    fields = []
    for value, column in zip(row, columns, strict=True):
        if value is None:
            fields.append(NULL)
        else:
            text = _write_value(value, f"row {number}, {column}")
            fields.append(text.translate(ESCAPES))
    return "\t".join(fields)


def _write_value(value: Any, place: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int | float | Decimal | UUID):
        return str(value)
    if isinstance(value, datetime):
        moment = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return str(moment)
    if isinstance(value, date | time):
        return value.isoformat()
    raise TypeError(
        f"{place} is of type {type(value).__name__}, which cannot be loaded: convert "
        "it to text"
    )


def _find_fault(line: str) -> str:
    if "\0" in line:
        return "a NUL character"
    is_text = line.isascii() or is_utf8(line.encode("utf-8", "surrogatepass"))
    return "" if is_text else "not UTF-8"
