"""Files that are something else than the settings say."""

import pytest

from lib.rows import FileFormatError
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
