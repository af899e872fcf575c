"""Parsers and checks of the settings that say how files become rows."""

import codecs
import re
from argparse import ArgumentTypeError
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

SKIPPED = "-"  # in `columns`: a field that no column receives
HEADERS = {
    **dict.fromkeys(("true", "yes", "on", "1"), "true"),
    **dict.fromkeys(("false", "no", "off", "0"), "false"),
    "skip": "skip",
}
ASCII = re.compile(r"[\0-\x7f]+")
# Encodings of names and of source code. Python decodes them, but files have others.
NO_FILE_ENCODINGS = (
    "idna",
    "punycode",
    "undefined",
    "unicode-escape",
    "raw-unicode-escape",
)


def unescape(text: str) -> str:
    r"""Return `text` with its backslash escapes replaced: `\t` becomes a tab."""
    if text == "\\":
        return text
    return ASCII.sub(_unescape_ascii, text)


def _unescape_ascii(found: re.Match[str]) -> str:
    try:
        text = found[0].encode().decode("unicode_escape")
        text.encode()
    except UnicodeError:
        raise ArgumentTypeError(
            f"{found[0]!r} has an escape of no character: write a backslash as two"
        ) from None
    return text


def delimiter(text: str) -> str:
    """Parse the characters between two fields."""
    found = _require_text(text)
    if "\n" in found or "\r" in found:
        raise ArgumentTypeError(f"{text!r} ends a line: use another delimiter")
    return found


def newline(text: str) -> str:
    """Parse the characters that end a line; none are an empty text."""
    return "" if text == "none" else _require_text(text)


def one_character(text: str) -> str:
    """Parse a single character; none is an empty text."""
    if text == "none":
        return ""
    character = _require_text(text)
    if len(character) != 1:
        raise ArgumentTypeError(f"{text!r} is not a single character, nor none")
    return character


def encoding(text: str) -> str:
    """Parse the name of a text encoding."""
    try:
        codec = _look_up(text)
        "a".encode(text)  # refuses what encodes bytes, such as zlib
    except (LookupError, ValueError):
        codec = None
    if codec is None or codec.name.replace("_", "-") in NO_FILE_ENCODINGS:
        raise ArgumentTypeError(
            f"{text!r} is not an encoding of text such as utf-8, utf-16 or cp1252"
        )
    return text


def header(text: str) -> str:
    """Parse how to read the header: `true`, `false` or `skip`."""
    if text.lower() not in HEADERS:
        raise ArgumentTypeError(f"{text!r} is neither true, false nor skip")
    return HEADERS[text.lower()]


def marker(text: str) -> str:
    r"""Parse a field that stands for NULL, such as `\N`."""
    return text if text == r"\N" else unescape(text)


def value_format(text: str) -> str:
    """Parse the format of a column's values, see `lib.conversions`."""
    import_module("lib.conversions").make_conversion(text)  # raises ValueError
    return text


def check(values: Mapping[str, Any]) -> str:
    """Return what is wrong with settings that do not fit each other, or nothing."""
    columns = list(values["columns"] or ())
    if not columns:
        return ""  # the function loads no files
    return (
        _check_columns(values, columns)
        or _check_kind(values, columns)
        or (_check_marks(values) if values["format"] == "csv" else "")
    )


def _check_columns(values: Mapping[str, Any], columns: Sequence[str]) -> str:
    for setting in ("formats", "column_nulls"):
        for name, _ in values[setting]:
            if name not in columns:
                return f"{setting} names {name}, which is not one of columns"
    if set(columns) == {SKIPPED}:
        return "columns has no column, only fields to skip"
    if values["header"] == "true" and SKIPPED in columns:
        return (
            "columns has a field to skip, but header: true finds columns by name: "
            "remove it, and set extra_columns: ignore"
        )
    return ""


def _check_kind(values: Mapping[str, Any], columns: Sequence[str]) -> str:
    kind, widths = values["format"], values["widths"]
    if kind == "fixed" and len(widths) != len(columns):
        return (
            f"widths has {len(widths)} numbers for {len(columns)} columns: set one for "
            "each of them"
        )
    if kind != "fixed" and widths:
        return "widths is for format: fixed"
    if kind != "fixed" and not values["newline"]:
        return "newline: none is for format: fixed"
    if kind != "csv" and values["header"] != "false":
        return "header is for format: csv; to skip lines, set skip_lines"
    return ""


def _check_marks(values: Mapping[str, Any]) -> str:
    """Check that the characters with a meaning are different ones."""
    names = ("delimiter", "newline", "quote", "escape")
    for at, name in enumerate(names):
        for other in names[at + 1 :]:
            mark, other_mark = values[name], values[other]
            is_double = {name, other} == {"quote", "escape"}  # two quotes are one
            is_in = mark in other_mark or other_mark in mark
            if mark and other_mark and is_in and not is_double:
                return f"{name} and {other} have a character in common: change one"
    return ""


def _require_text(text: str) -> str:
    found = unescape(text)
    if not found:
        raise ArgumentTypeError("it is empty: set one or more characters")
    if "\0" in found:
        raise ArgumentTypeError(f"{text!r} has a NUL character: use another one")
    return found


def _look_up(name: str) -> codecs.CodecInfo:
    try:
        return codecs.lookup(name)
    except LookupError:
        import_module("lib.ebcdic")  # adds one that Python does not have
        return codecs.lookup(name)
