"""Files that are something else than the settings say."""

import pytest

from lib.file_types import FileFormatError, require_fixed_records, require_text
from tests.lib.formats import read
from tests.tables import for_each


@for_each(
    ("text", "message"),
    [
        (
            "a,b\n".encode("utf-16"),
            "looks like UTF-16, not utf-8: set encoding: utf-16",
        ),
        ("a,b\n".encode("utf-16-le"), "looks like UTF-16-LE, not utf-8"),
        ("a,b\n".encode("utf-16-be"), "looks like UTF-16-BE, not utf-8"),
        ("a,b\n".encode("utf-32"), "looks like UTF-32, not utf-8"),
        (b"PAR1\x15\x04", "looks like a Parquet file: export it as CSV"),
        (b"%PDF-1.7\n", "looks like a PDF: export it as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "looks like an old Excel workbook"),
        (b"\n<!DOCTYPE html>\n<html>", "looks like an HTML page: check what produced"),
        (b"<HTML><body>502 Bad Gateway", "looks like an HTML page"),
        (b'<?xml version="1.0"?>\n<Error>', "looks like XML: check what produced it"),
        (b"SQLite format 3\0", "looks like an SQLite database"),
        (b"Obj\x01\x04", "looks like an Avro file"),
        (b"\x89PNG\r\n\x1a\n", "looks like an image"),
        (b"a.csv".ljust(257, b"\0") + b"ustar\0", "looks like a tar archive"),
        (b"7z\xbc\xaf\x27\x1c", "looks like a 7z archive"),
        (b"\x04\x22\x4d\x18", "LZ4 data: compress it with gzip or zstd instead"),
    ],
)
def test_other_file_is_named(text: bytes, message: str) -> None:
    with pytest.raises(FileFormatError) as raised:
        read(text)
    assert message in str(raised.value)


def test_ascii_is_no_utf16() -> None:
    with pytest.raises(FileFormatError, match="looks like ASCII or UTF-8, not utf-16"):
        read(b"a,b\n" * 9, encoding="utf-16")


@for_each("text", ["PAR1,b", "<b>,c", "Rar!,7z", "%PDF,PK", "ORC,BZh9"])
def test_text_that_starts_alike_is_read(text: str) -> None:
    assert read(text.encode()) == ([text.split(",")], [])


def test_short_text_in_utf16_is_read() -> None:
    assert read("慢,慢".encode("utf-16-le"), encoding="utf-16-le")[0] == [["慢", "慢"]]


@for_each(
    ("head", "encoding"),
    [(b"\0\x0c\0\0abc", "cp037"), (b"\x01\0\0\0", "latin-1")],
)
def test_length_before_records_fails_file(head: bytes, encoding: str) -> None:
    with pytest.raises(FileFormatError, match=r"records of variable length \(RDW\)"):
        require_fixed_records(head, encoding)


@for_each(
    ("head", "encoding"),
    [
        (b"\0\0\0\0", "cp037"),
        (b"\0\x0c\0\x01", "cp037"),
        (b"\0\x0c\x01\0", "cp037"),
        (b"\0\x0c\0", "cp037"),
        (b"abcd", "utf-8"),
        (b"a\0\0\0", "utf-32-le"),
        (b"a\0\0\0", "utf-16-le"),
    ],
)
def test_other_heads_are_no_length(head: bytes, encoding: str) -> None:
    require_fixed_records(head, encoding)


@for_each(
    ("head", "encoding"),
    [
        (b"a,b\n", "utf-8"),
        (b"\0a\0b\0", "utf-8"),
        ("ab".encode("utf-32"), "utf-32"),
        ("a,b\n".encode("utf-16-le"), "utf-16-le"),
        ("a,b\n".encode("utf-16"), "UTF16"),
        (b"a,b,c,d,e,f,g,h", "utf-16"),
        (b"%PDF-1", "utf-16"),
    ],
)
def test_head_of_text_is_accepted(head: bytes, encoding: str) -> None:
    require_text(head, encoding)


@for_each(
    ("head", "encoding", "message"),
    [
        ("a,b\n".encode("utf-32-le"), "cp1252", "UTF-32-LE, not cp1252"),
        ("a,b\n".encode("utf-32-be"), "cp1252", "UTF-32-BE, not cp1252"),
        (b"a,b,c,d,e,f,g,h\n", "utf-32", "ASCII or UTF-8, not utf-32"),
        (b"\x1f\x8b\x08", "utf-8", "compressed twice: once is enough"),
        (b"\x5d\0\0\1\2\xff\xff\xff\xff", "latin-1", "LZMA data"),
    ],
)
def test_head_of_something_else_fails(head: bytes, encoding: str, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        require_text(head, encoding)
