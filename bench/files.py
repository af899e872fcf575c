"""The files that are loaded: rows of several shapes, the same in each run."""

import csv
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

PAGES = [f"/shop/article-{number}" for number in range(97)]
REFERRERS = ["https://search.example/", "https://news.example/today", "", "-"]


class Shape(NamedTuple):
    """A table, and how its rows are made.

    Args:
        table: name of the table.
        columns: name and SQL type of each column.
        fields: returns the fields of a row, given its number.
    """

    table: str
    columns: dict[str, str]
    fields: Callable[[int], list[str]]


class File(NamedTuple):
    """A file of rows; `checksum` is the sum of the CRC-32 of each row.

    With `is_csv`, fields are quoted and rows end with CR LF, otherwise neither.
    """

    path: Path
    shape: Shape
    rows: int
    checksum: int
    is_csv: bool


def _click(number: int) -> list[str]:
    return [
        str(number),
        f"visitor-{number % 9973:04}",
        PAGES[number % 97],
        REFERRERS[number % 4],
        f"2026-01-05 {number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}",
    ]


def _wide(number: int) -> list[str]:
    return [str(number), *(f"value {number + column}" for column in range(29))]


def _long(number: int) -> list[str]:
    return [str(number), f"{number:032} " * 31]


def _broken(number: int) -> list[str]:
    lines = f'"{number}", he output\nand went'
    return [str(number), lines, f"visitor-{number % 9973:04}", f"{number}\n", "-"]


CLICKS = Shape(
    "clicks",
    dict.fromkeys(["click_id", "visitor", "page", "referrer", "clicked_at"], ""),
    _click,
)
WIDE = Shape(
    "wide",
    {"id": "BIGINT"} | {f"c{number}": "VARCHAR(64)" for number in range(1, 30)},
    _wide,
)
LONG = Shape("long_fields", {"id": "BIGINT", "content": "VARCHAR(2048)"}, _long)
BROKEN = Shape(
    "broken_lines",
    {"id": "BIGINT"} | dict.fromkeys("abcd", "VARCHAR(128)"),
    _broken,
)


def write(path: Path, shape: Shape, rows: int, is_csv: bool = False) -> File:
    """Write a file with a number of rows."""
    checksum = 0

    def counted() -> Iterator[list[str]]:
        nonlocal checksum
        for number in range(1, rows + 1):
            fields = shape.fields(number)
            checksum += crc32("|".join(fields).encode())
            yield fields

    with path.open("w", encoding="utf-8", newline="") as file:
        if is_csv:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows(counted())
        else:
            file.writelines(",".join(fields) + "\n" for fields in counted())
    return File(path, shape, rows, checksum, is_csv)


def repeat(file: File, path: Path, times: int) -> File:
    """Write a file that contains another one several times."""
    with path.open("wb") as target:
        for _ in range(times):
            with file.path.open("rb") as source:
                shutil.copyfileobj(source, target, 1 << 20)
    return file._replace(
        path=path, rows=file.rows * times, checksum=file.checksum * times
    )
