"""Settings of files: their values, and those that do not fit each other."""

from pathlib import Path
from typing import Any

import pytest

import settings_reader
from lib.records import Dialect
from lib.rows import Format
from settings import SettingsError
from tests.tables import for_each

COLUMNS = ("--columns", "a", "b")


def read(*args: str) -> Any:
    """Return the settings."""
    return settings_reader.read([*COLUMNS, *args])


def test_defaults_are_those_of_csv() -> None:
    assert Format.from_settings(read()) == Format(("a", "b"))


@for_each(
    ("text", "expected"),
    [
        (
            "delimiter: \\t\nquote: none\nescape: '\\'",
            Dialect("\t", quote="", escape="\\"),
        ),
        ('delimiter: "\\t"\nescape: "\\\\"', Dialect("\t", escape="\\")),
        ("delimiter: '||'\nquote: \"'\"", Dialect("||", quote="'")),
        ("newline: \\r\\n\nescape: '\"'\ncomment: '#'", Dialect(comment="#")),
    ],
)
def test_dialect_is_read_from_file(
    tmp_path: Path, text: str, expected: Dialect
) -> None:
    path = tmp_path / "config.yml"
    path.write_text(text, encoding="utf-8")
    assert Format.from_settings(read(f"--const_path={path}")).dialect == expected


@for_each(
    ("text", "expected"),
    [
        ("null_field: NA", ("NA",)),
        ("null_field: ''", ("",)),
        ('null_field: [NA, "-", ""]', ("NA", "-", "")),
        ("null_field: \\N", ("\\N",)),
        ('null_field: "\\\\N"', ("\\N",)),
        ("null_field: '\\\\N'", ("\\N",)),
        ("null_field: '\"\"'", ('""',)),
    ],
)
def test_null_fields_are_read_from_file(
    tmp_path: Path, text: str, expected: tuple[str, ...]
) -> None:
    path = tmp_path / "config.yml"
    path.write_text(text, encoding="utf-8")
    assert Format.from_settings(read(f"--const_path={path}")).nulls == expected


def test_null_fields_come_from_all_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NULL_FIELD", "NA,-")
    assert read().null_field == ("NA", "-")
    assert read("--null_field", "", "x").null_field == ("", "x")
    assert read("--null_field=").null_field == ("",)


def test_columns_have_formats_and_nulls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.yml"
    text = 'formats: {a: "%d/%m/%Y", b: yes/no}\ncolumn_nulls: {a: "", b: [NA, "-"]}'
    path.write_text(text, encoding="utf-8")
    expected = {"a": "%d/%m/%Y", "b": "yes/no"}
    from_file = Format.from_settings(read(f"--const_path={path}"))
    assert from_file.formats == expected
    assert from_file.column_nulls == {"a": [""], "b": ["NA", "-"]}
    args = ("--formats", "a=%d/%m/%Y", "b=yes/no", "--column_nulls", "a=")
    from_line = Format.from_settings(read(*args))
    assert (from_line.formats, from_line.column_nulls) == (expected, {"a": [""]})
    monkeypatch.setenv("FORMATS", "a=%d/%m/%Y,b=yes/no")
    assert Format.from_settings(read()).formats == expected


@for_each(
    ("args", "expected"),
    [
        ([], "false"),
        (["--header"], "true"),
        (["--header=true"], "true"),
        (["--header=skip"], "skip"),
        (["--header=no"], "false"),
    ],
)
def test_header_may_be_a_flag(args: list[str], expected: str) -> None:
    assert read(*args).header == expected


@for_each(
    ("args", "message"),
    [
        (["--delimiter="], "--delimiter: it is empty: set one or more characters"),
        ([r"--delimiter=\0"], "--delimiter: '\\\\0' has a NUL character"),
        ([r"--delimiter=\n"], "--delimiter: '\\\\n' ends a line"),
        ([r"--delimiter=\r"], "--delimiter: '\\\\r' ends a line"),
        (['--delimiter="'], "delimiter and quote have a character in common"),
        (['--delimiter=",'], "delimiter and quote have a character in common"),
        (["--newline=,"], "delimiter and newline have a character in common"),
        ([r"--quote=\n"], "newline and quote have a character in common"),
        ([r"--escape=\n"], "newline and escape have a character in common"),
        (["--newline="], "--newline: it is empty: set one or more characters"),
        (["--newline=none"], "newline: none is for format: fixed"),
        (["--quote=''"], "--quote: \"''\" is not a single character, nor none"),
        (
            ["--quote=;", "--escape=,"],
            "delimiter and escape have a character in common",
        ),
        (["--quote=ab"], "--quote: 'ab' is not a single character, nor none"),
        (["--header=maybe"], "--header: 'maybe' is neither true, false nor skip"),
        (["--encoding=rot13"], "'rot13' is not an encoding of text such as utf-8"),
        (["--encoding=hex"], "'hex' is not an encoding of text"),
        (["--encoding=zlib"], "'zlib' is not an encoding of text"),
        (["--encoding=base64"], "'base64' is not an encoding of text"),
        (["--encoding=idna"], "'idna' is not an encoding of text"),
        (["--encoding=punycode"], "'punycode' is not an encoding of text"),
        (["--encoding=undefined"], "'undefined' is not an encoding of text"),
        (["--encoding=unicode_escape"], "'unicode_escape' is not an encoding of text"),
        (["--encoding=utf-88"], "'utf-88' is not an encoding of text"),
        (["--encoding=a\0"], "is not an encoding of text"),
        (["--format=parquet"], "'parquet' is not one of csv, jsonl, fixed"),
        (["--format=fixed"], "widths has 0 numbers for 2 columns: set one for each"),
        (["--format=fixed", "--widths", "3"], "widths has 1 numbers for 2 columns"),
        (["--format=fixed", "--widths", "3", "0"], "'0' is not a whole number from 1"),
        (["--widths", "1", "2"], "widths is for format: fixed"),
        (["--format=jsonl", "--header"], "header is for format: csv; to skip lines"),
        (["--formats", "c=iso"], "formats names c, which is not one of columns"),
        (["--formats", "a=day"], "--formats: a: 'day' is neither a date format"),
        (["--formats", "a"], "--formats: 'a' is not a pair such as a=b"),
        (["--column_nulls", "c="], "column_nulls names c, which is not one of columns"),
        (["--columns", "-"], "columns has no column, only fields to skip"),
        (["--columns", "a", "-", "--header"], "but header: true finds columns by name"),
    ],
)
def test_wrong_format_is_refused_at_startup(args: list[str], message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read(*args)
    assert message in str(raised.value)


@for_each(
    "args",
    [
        ["--format=fixed", "--widths", "3", "4", "--newline=none"],
        ["--format=fixed", "--widths", "3", "4", '--delimiter="'],
        ["--format=jsonl", '--delimiter="'],
        ["--columns", "a", "-", "--header=skip"],
        ["--columns", "a", "-", "a"],
        ["--header", "--extra_columns=ignore"],
        ["--quote=none", "--escape=none", '--delimiter="'],
        ['--quote="', '--escape="'],
        [r"--delimiter=\t", r"--newline=\r\n"],
    ],
)
def test_settings_that_fit_are_accepted(args: list[str]) -> None:
    assert read(*args)


def test_function_without_columns_loads_no_files() -> None:
    args = ["--widths", "1", "--newline=none", "--formats", "c=iso"]
    assert settings_reader.read(args).columns is None


@for_each("encoding", ["cp1252", "utf-16", "latin-1", "cp037", "cp1047"])
def test_encodings_of_text_are_accepted(encoding: str) -> None:
    assert read(f"--encoding={encoding}").encoding == encoding


@for_each(
    ("text", "message"),
    [
        ("formats: {a: {b: c}}", "1: formats has a mapping in its mapping: use texts"),
        ("formats: {a: iso, a: iso}", "1: formats has a name twice, or one that is no"),
        ("formats: {[a]: iso}", "1: formats has a name twice, or one that is no text"),
        ("formats: iso", "1: formats: 'iso' is not a pair such as a=b"),
    ],
)
def test_wrong_mapping_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as raised:
        read(f"--const_path={path}")
    assert message in str(raised.value)
