"""Files that others write become exactly their rows; no line of any file vanishes."""

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lib import blocks, chunks, records
from lib.chunks import parse_row
from lib.records import Dialect
from lib.rows import FileFormatError, Format, read_chunks

from properties import examples

NUL = "a NUL character"
ODD = "\\\t\n\r\0 ,;|~\"'#Né😀\x85\u2028\ufeff\x1a"
TEXTS = st.text(st.sampled_from(ODD) | st.characters(codec="utf-8"), max_size=12)
FIELDS = TEXTS | st.sampled_from([r"\N", '"\\N"', "", "k" * 70, '"' * 9, "l\n" * 40])
LIMITS = st.fixed_dictionaries(
    {
        "BLOCK_SIZE": st.sampled_from([1, 7, 64, 1000]),
        "LINE_LIMIT": st.sampled_from([60, 200, 10_000]),
        "CHUNK_SIZE": st.sampled_from([1, 100, 10_000]),
        "LOOKAHEAD": st.sampled_from([100, 700, 10_000]),
    }
)


class ShortReads(io.BytesIO):
    """A stream whose reads return fewer bytes than asked for, in the given sizes."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        super().__init__(data)
        self._sizes = sizes

    def read(self, size: int | None = -1, /) -> bytes:
        """Return some bytes."""
        self._sizes.append(self._sizes.pop(0))
        return super().read(min(size or 0, self._sizes[0]))


SIZES = st.lists(st.integers(1, 100), min_size=1, max_size=5)


class Outcome(NamedTuple):
    """A row or a reject: its first line, its text as in the file, and its values."""

    line: int
    source: str
    values: list[str | None] | None
    reason: str


class Written(NamedTuple):
    """A file: its format, its text, and what is to become of each record."""

    file_format: Format
    data: bytes
    records: list[Outcome]


@contextmanager
def small_limits(limits: dict[str, int]) -> Iterator[None]:
    """Make lines long and blocks full at sizes that a test can write."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "CUT_LENGTH", 50)
        for module in (blocks, chunks, records):
            for name in limits.keys() & vars(module).keys():
                patch.setattr(module, name, limits[name])
        yield


def read(data: bytes, sizes: list[int], file_format: Format) -> list[Outcome]:
    """Return the rows and rejects of a file in the order of their lines."""
    found = []
    for chunk in read_chunks(ShortReads(data, sizes), file_format):
        rows = chunk.text.splitlines(keepends=True)
        for (line, source), row in zip(chunk.origins, rows, strict=True):
            found.append(Outcome(line, source, parse_row(row), ""))
        for line, source, reason, _ in chunk.rejects:
            found.append(Outcome(line, source, None, reason))
    return sorted(found, key=lambda each: each.line)


@st.composite
def csv_files(draw: st.DrawFn) -> Written:
    """Return a file that Python's csv module has written."""
    style = draw(st.sampled_from(["minimal", "all", "escaped", "unquoted"]))
    ends = ["\n", "\r\n", "\r", ";", "~|"] + ["||"] * (style != "unquoted")
    newline = draw(st.sampled_from(ends))
    delimiter = draw(st.sampled_from([x for x in ",;\t|é😀" if x not in newline]))
    quote = "" if style == "unquoted" else draw(st.sampled_from("\"'"))
    escape = "\\" if style in ("escaped", "unquoted") else ""
    width = draw(st.integers(2 if style == "unquoted" else 1, 4))
    names = [f"column {number}" for number in range(width)]
    header = draw(st.sampled_from(["false", "true", "skip"]))
    columns = draw(st.permutations(names)) if header == "true" else names
    rows = draw(st.lists(st.lists(FIELDS, min_size=width, max_size=width), max_size=8))
    # csv puts no quotes around a carriage return that ends no line
    is_bare = newline == "\n" and style != "all"
    if is_bare or (newline == "\r\n" and style == "unquoted"):
        rows = [[field.replace("\r", "") for field in row] for row in rows]
    quoting: dict[str, Any] = {"all": csv.QUOTE_ALL, "unquoted": csv.QUOTE_NONE}
    file = io.StringIO(newline="")
    writer: Any = csv.writer(
        file,
        delimiter=delimiter,
        lineterminator=newline,
        quotechar=quote or None,
        quoting=quoting.get(style, csv.QUOTE_MINIMAL),
        escapechar=escape or None,
        doublequote=not escape,
    )
    newline = "\n" if newline == "\r\n" else newline
    written: list[Outcome] = []
    for row in [names, *rows]:
        start, line = file.tell(), 1 + file.getvalue().count(newline)
        writer.writerow(row)
        source = file.getvalue()[start:].removesuffix(newline)
        values = [
            None if style == "minimal" and field == r"\N" else field for field in row
        ]
        values = [values[names.index(name)] for name in columns]
        reason = NUL if "\0" in "".join(row) else ""
        written.append(Outcome(line, source, None if reason else values, reason))
    encoding = draw(st.sampled_from(["utf-8", "utf-16", "utf-16-le", "utf-32"]))
    mark = draw(st.sampled_from(["", "\ufeff"])) if encoding == "utf-8" else ""
    return Written(
        Format(
            columns,
            dialect=Dialect(delimiter, newline, quote, escape),
            encoding=encoding,
            header=header,
        ),
        (mark + file.getvalue()).encode(encoding),
        written[header != "false" :],
    )


@examples(150)
@given(csv_files(), SIZES, LIMITS)
def test_csv_of_another_writer_gives_its_rows(
    written: Written, sizes: list[int], limits: dict[str, int]
) -> None:
    lengths = {each.line: len(each.source.encode()) for each in written.records}
    with small_limits(limits):
        try:
            found = read(written.data, sizes, written.file_format)
        except FileFormatError:  # a field does not end soon enough
            assert max(lengths.values()) > limits["LOOKAHEAD"]
            return
    assert [each.line for each in found] == [each.line for each in written.records]
    for outcome, expected in zip(found, written.records, strict=True):
        if outcome.reason.startswith("longer than"):
            assert lengths[outcome.line] > limits["LINE_LIMIT"]
        elif expected.reason:
            assert (outcome.values, outcome.reason) == (None, expected.reason)
        else:
            assert outcome == expected


PIECES = st.sampled_from(
    [
        *(b"a,b\n", b"c\n", b"\r\n", b"\n", b"\r", b'"', b'""', b",", b"\\", b"\xff"),
        *(b'"d\ne",f\n', b"\\N", b"\0", "ä😀\n".encode(), b";", b"||", b"'", b"\x85"),
        *(b"k" * 65, b'"' + b"m,n\n" * 20, b'{"a": 1, "b": ', b"}\n", b"[", b"#"),
    ]
)
FILES = st.lists(PIECES, max_size=25).map(b"".join) | st.binary(max_size=200)
FORMATS: list[dict[str, Any]] = [
    {},
    {"nulls": ["", "NA"], "fills": True},
    {"columns": ["a"]},
    {"dialect": Dialect(";", "||", "'")},
    {"dialect": Dialect("||", ";", "")},
    {"dialect": Dialect(escape="\\")},
    {"dialect": Dialect("\t", "\n", "", "\\")},
    {"dialect": Dialect(comment="#")},
    {"kind": "jsonl"},
    {"kind": "fixed", "widths": [2, 3]},
]


@examples(300)
@given(FILES, st.sampled_from(FORMATS), SIZES, LIMITS)
def test_no_line_of_any_bytes_vanishes(
    data: bytes, options: dict[str, Any], sizes: list[int], limits: dict[str, int]
) -> None:
    file_format = Format(**{"columns": ["a", "b"]} | options)
    with small_limits(limits):
        try:
            found = read(data, sizes, file_format)
        except FileFormatError:
            return  # none of it is loaded, and the message says why
    newline, comment = file_format.dialect.newline, file_format.dialect.comment
    text = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    lines = text.split(newline)
    starts = [*(each.line for each in found), len(lines) + 1]
    assert starts == sorted(set(starts))
    for outcome, following in zip(found, starts[1:], strict=True):
        start = outcome.line - 1
        counted = re.search(r"in (\d+) lines from here on$", outcome.reason)
        number = int(counted[1]) if counted else 1 + outcome.source.count(newline)
        if outcome.reason.startswith("longer than"):
            number = following - outcome.line
            taken = newline.join([*lines[start : start + number], ""])
            assert len(taken.encode("utf-8", "surrogateescape")) > limits["LINE_LIMIT"]
        assert outcome.line + number <= following
        lines[start : start + number] = [""] * number
    if file_format.kind == "jsonl":
        lines = [line.strip() for line in lines]
    if newline == "\n":
        lines = [line.removesuffix("\r") for line in lines]
    assert not [line for line in lines if line and line[:1] != (comment or None)]


def zip_file(data: bytes) -> bytes:
    """Return a zip file with one file in it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.csv", data)
    return file.getvalue()


COMPRESS = st.sampled_from([bz2.compress, gzip.compress, lzma.compress, zip_file])


@examples(150)
@given(
    FILES, COMPRESS, st.data(), st.sampled_from(["cut", "flip", "insert", "nothing"])
)
def test_damaged_archive_fails_or_gives_its_rows(
    text: bytes, compress: Callable[[bytes], bytes], data: st.DataObject, damage: str
) -> None:
    file_format = Format(["a", "b"])
    archive = bytearray(compress(b"first,row\n" + text))
    at = data.draw(st.integers(10, len(archive) - 1))  # behind what names its kind
    if damage == "cut":
        del archive[at:]
    elif damage == "flip":
        archive[at] ^= data.draw(st.integers(1, 255))
    elif damage == "insert":
        archive.insert(at, data.draw(st.integers(0, 255)))
    expected = read(b"first,row\n" + text, [100], file_format)
    try:
        found = read(bytes(archive), data.draw(SIZES), file_format)
    except FileFormatError:
        assert damage != "nothing"
    else:
        assert found == expected


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | FIELDS | st.floats(allow_nan=False),
    lambda values: (
        st.lists(values, max_size=2) | st.dictionaries(TEXTS, values, max_size=2)
    ),
    max_leaves=3,
)


@examples(150)
@given(st.lists(st.tuples(VALUES, VALUES), max_size=6), st.booleans(), SIZES, LIMITS)
def test_json_lines_give_their_values(
    rows: list[Any], is_ascii: bool, sizes: list[int], limits: dict[str, int]
) -> None:
    lines = [
        json.dumps({"b": b, "a": a}, ensure_ascii=is_ascii, allow_nan=True)
        for a, b in rows
    ]
    with small_limits(limits):
        data = "\n".join(lines).encode()
        found = read(data, sizes, Format(["a", "b"], kind="jsonl"))
    assert [each.line for each in found] == list(range(1, len(rows) + 1))
    for row, line, outcome in zip(rows, lines, found, strict=True):
        if outcome.values is None:
            is_long = len(line.encode()) > limits["LINE_LIMIT"]
            assert is_long or "\\u0000" in line or "Infinity" in line, outcome
            continue
        for value, text in zip(row, outcome.values, strict=True):
            if value is None or isinstance(value, str):
                assert text == value
            else:
                assert text is not None
                assert json.loads(text) == value
