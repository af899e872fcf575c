"""Recognizes files that are no text, or text of another kind, by their first bytes."""

import codecs
import re

from errors import BadInputError

HEAD_SIZE = 1024  # bytes to look at

WIDE_BOMS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Without a byte order mark, ASCII in UTF-16 has a NUL as every second byte.
WIDE = {
    "utf-16-le": re.compile(rb"(?:[\t\r\n -~]\0){4}"),
    "utf-16-be": re.compile(rb"(?:\0[\t\r\n -~]){4}"),
    "utf-32-le": re.compile(rb"(?:[\t\r\n -~]\0\0\0){2}"),
    "utf-32-be": re.compile(rb"(?:\0\0\0[\t\r\n -~]){2}"),
}
# Text in UTF-16 has NULs, unless it is in some East Asian script and has no lines.
NARROW = re.compile(rb"[\t\r\n -~]{16,}")
# How files begin, what they look like, and what to do with them.
EXPORT = "export it as CSV"
UNPACK = "send the files in it one by one"
COMPRESS = "compress it with gzip or zstd instead"
FOREIGN = [
    (rb"PK\x03\x04", "a zip file in a compressed file", UNPACK),
    (
        rb"\x1f\x8b\x08|\xfd7zXZ\0|\x28\xb5\x2f\xfd",
        "compressed twice",
        "once is enough",
    ),
    (rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)", "compressed twice", "once is enough"),
    (rb"PAR1[\0-\x1f\x80-\xff]", "a Parquet file", EXPORT),
    (rb"ORC[\0-\x08]", "an ORC file", EXPORT),
    (rb"Obj\x01", "an Avro file", EXPORT),
    (rb"ARROW1\0\0", "an Arrow file", EXPORT),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook", EXPORT),
    (rb"SQLite format 3\0", "an SQLite database", EXPORT),
    (rb"%PDF-\d", "a PDF", EXPORT),
    (rb"\{\\rtf", "an RTF document", EXPORT),
    (rb"\x89PNG\r\n|\xff\xd8\xff|GIF8[79]a", "an image", EXPORT),
    (rb"(?s:.{257})ustar[\0 ]", "a tar archive", UNPACK),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (rb"Rar!\x1a\x07", "a RAR archive", UNPACK),
    (rb"\x04\x22\x4d\x18", "LZ4 data", COMPRESS),
    (rb"\x1f\x9d", "data of the program compress", COMPRESS),
    (rb"\x5d\0\0..\xff{4}", "LZMA data", COMPRESS),
    (rb"\xff\x06\0\0sNaPpY", "Snappy data", COMPRESS),
    (
        rb"(?i)\s*(?:<!doctype\s+html|<html[\s>])",
        "an HTML page",
        "check what produced it: it may be an error page",
    ),
    (
        rb"\s*<\?xml\s",
        "XML",
        "check what produced it: it may be an error of a service, or export it as CSV",
    ),
]
SIGNATURES = [(re.compile(pattern), name, remedy) for pattern, name, remedy in FOREIGN]


class FileFormatError(BadInputError):
    """A file is not what the settings say. None of it is loaded."""


def require_text(head: bytes, encoding: str) -> None:
    """Check that the first bytes of a file can be those of text in an encoding.

    Raises:
        FileFormatError: they are those of something else.
    """
    wide = _find_wide(head)
    is_wide = codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
    if is_wide:
        if NARROW.fullmatch(head):
            raise FileFormatError(
                f"the file looks like ASCII or UTF-8, not {encoding}: set "
                "encoding: utf-8"
            )
        return
    if wide:
        raise FileFormatError(
            f"the file looks like {wide.upper()}, not {encoding}: set encoding: {wide}"
        )
    for signature, name, remedy in SIGNATURES:
        if signature.match(head):
            raise FileFormatError(f"the file looks like {name}: {remedy}")


def require_fixed_records(head: bytes, encoding: str) -> None:
    """Check that the records of a file without newlines do not begin with their length.

    The word for it is two bytes of length and two zeros, see
    https://www.ibm.com/docs/en/zos/latest?topic=records-record-descriptor-word-rdw

    Raises:
        FileFormatError: they do.
    """
    is_wide = codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
    if not is_wide and head[2:4] == b"\0\0" and head[:2] != b"\0\0":
        raise FileFormatError(
            "the file looks like records of variable length (RDW): have it converted "
            "to fixed length (RECFM=FB), or to lines"
        )


def _find_wide(head: bytes) -> str:
    for bom, name in WIDE_BOMS.items():
        if head.startswith(bom):
            return name
    return next((name for name in WIDE if WIDE[name].match(head)), "")
