"""Reads files for tests, given only the settings that differ from the defaults."""

import io
from typing import Any

from lib.chunks import parse_row
from lib.records import Dialect
from lib.rejects import Reject
from lib.rows import Format, read_chunks

Rows = list[list[str | None]]


def make_format(columns: int | list[str] = 2, **options: Any) -> Format:
    """Return a format.

    Args:
        columns: the columns, or their number.
        **options: arguments of `Format` and `Dialect`.
    """
    if isinstance(columns, int):
        columns = list("abcdefgh"[:columns])
    own = {name: options.pop(name) for name in Dialect._fields if name in options}
    return Format(columns, dialect=Dialect(**own), **options)


def read(
    text: bytes, columns: int | list[str] = 2, **options: Any
) -> tuple[Rows, list[Reject]]:
    """Return all rows and all rejects of a file, see `make_format`."""
    return read_stream(io.BytesIO(text), make_format(columns, **options))


def read_stream(stream: Any, file_format: Format) -> tuple[Rows, list[Reject]]:
    """Return all rows and all rejects of a stream."""
    rows: Rows = []
    rejects: list[Reject] = []
    for chunk in read_chunks(stream, file_format):
        assert len(chunk.origins) == chunk.text.count(b"\n")
        assert not {*b"\r\0"} & {*chunk.text}  # these are escaped, or in rejects
        rows += map(parse_row, chunk.text.splitlines(keepends=True))
        rejects += chunk.rejects
    return rows, rejects
