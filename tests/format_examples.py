"""Files as they arrive, the settings that load them, and the rows that they give.

The tests load them into both databases, and `make formats` writes them to the project's
page docs/file-formats.md.
"""

import gzip
from collections.abc import Callable
from typing import NamedTuple

COLUMNS = "columns: [id, buyer, day, price, paid]"
CREATE = (
    "CREATE TABLE orders (id INT, buyer VARCHAR(40), day DATE, price DECIMAL(12, 2), "
    "paid BOOLEAN, sent TIMESTAMP NULL)"
)
Row = list[str | None]

ANNA: Row = ["1", "anna", "2026-03-02", "9.50", "1"]
BERT: Row = ["2", "bert", "2026-03-03", None, "0"]
BOTH: list[Row] = [ANNA, BERT]


class Example(NamedTuple):
    """A file, and what becomes of it.

    Args:
        title: what the file looks like.
        file: the file as text.
        settings: in YAML, without the table.
        rows: its rows in the table `orders`.
        rejects: line and reason of each reject.
        note: more about it.
        encode: makes the bytes of the file.
    """

    title: str
    file: str
    settings: str = COLUMNS
    rows: list[Row] = BOTH
    rejects: list[list[str | int]] = []  # noqa: RUF012 - never changed
    note: str = ""
    encode: Callable[[str], bytes] = str.encode


EXAMPLES = [
    Example(
        "Commas, quotes where they are needed",
        "1,anna,2026-03-02,9.50,1\n"
        '2,"bert",2026-03-03,\\N,0\n'
        '3,"a, ""b""\nc",2026-03-04,1,1\n',
        rows=[*BOTH, ["3", 'a, "b"\nc', "2026-03-04", "1.00", "1"]],
        note="These are the defaults. `\\N` is NULL, an empty field is an empty text.",
    ),
    Example(
        "A header, columns in any order",
        "paid,id,buyer,price,day\n1,1,anna,9.50,2026-03-02\n0,2,bert,\\N,2026-03-03\n",
        f"{COLUMNS}\nheader: true",
        note="Columns are found by name. A missing column fails the file. "
        "`header: skip` takes the columns in their order instead.",
    ),
    Example(
        "More columns than the table has",
        "id,buyer,phone,day,price,paid\n"
        "1,anna,555,2026-03-02,9.50,1\n"
        "2,bert,556,2026-03-03,\\N,0\n",
        f"{COLUMNS}\nheader: true\nextra_columns: ignore",
        note="Without this setting the file fails: no column is lost by mistake.",
    ),
    Example(
        "Fields to skip, no header; a delimiter at the end of each line",
        "x,1,anna,2026-03-02,9.50,1,\ny,2,bert,2026-03-03,\\N,0,\n",
        'columns: ["-", id, buyer, day, price, paid, "-"]',
    ),
    Example(
        "Semicolons, decimal commas, days first",
        "1;anna;02.03.2026;9,50;ja\n2;bert;03.03.2026;;nein\n",
        f"{COLUMNS}\n"
        'delimiter: ";"\n'
        'formats: {day: "%d.%m.%Y", price: comma, paid: ja/nein}\n'
        'column_nulls: {price: ""}',
        note="A value in another format becomes a reject. Dates take the codes of "
        "Python's `strptime`.",
    ),
    Example(
        "Several words for NULL",
        '1,"anna",2026-03-02,9.50,1\n2,bert,2026-03-03,NA,0\n3,"NA",NULL,,1\n',
        f'{COLUMNS}\nnull_field: [NA, "NULL", ""]',
        rows=[*BOTH, ["3", "NA", None, None, "1"]],
        note='Markers are compared with the field as it is in the file: `"NA"` is a '
        "text. To make a quoted field NULL, write the marker with its quotes: "
        "`null_field: ['\"\"']`.",
    ),
    Example(
        "All fields quoted, empty ones are NULL in one column",
        '"1","anna","2026-03-02","9.50","1"\r\n"2","bert","2026-03-03","","0"\r\n',
        f"{COLUMNS}\ncolumn_nulls: {{price: '\"\"'}}",
    ),
    Example(
        "Tabs, and quotes that mean nothing (TSV)",
        "1\tanna\t2026-03-02\t9.50\t1\n2\tbert\t2026-03-03\t\\N\t0\n"
        '3\t5" nail\t\\N\t1\t1\n',
        f'{COLUMNS}\ndelimiter: "\\t"\nquote: none',
        rows=[*BOTH, ["3", '5" nail', None, "1.00", "1"]],
    ),
    Example(
        "PostgreSQL's COPY, MySQL's INTO OUTFILE",
        "1\tanna\t2026-03-02\t9.50\t1\n2\tbert\t2026-03-03\t\\N\t0\n"
        "3\ta\\tb\\\\c\t\\N\t1\t1\n",
        f"{COLUMNS}\ndelimiter: \"\\t\"\nquote: none\nescape: '\\'",
        rows=[*BOTH, ["3", "a\tb\\c", None, "1.00", "1"]],
    ),
    Example(
        "Quotes with a backslash before them (Spark, MySQL)",
        '1,anna,2026-03-02,9.50,1\n2,bert,2026-03-03,\\N,0\n3,"say \\"b\\"",\\N,1,1\n',
        f"{COLUMNS}\nescape: '\\'",
        rows=[*BOTH, ["3", 'say "b"', None, "1.00", "1"]],
    ),
    Example(
        "Single quotes, two characters between fields",
        "1||'anna'||2026-03-02||9.50||1\n2||bert||2026-03-03||\\N||0\n",
        f'{COLUMNS}\ndelimiter: "||"\nquote: "\'"',
    ),
    Example(
        "Lines that end with another character",
        '1,anna,2026-03-02,9.50,1;2,"be;rt",2026-03-03,\\N,0;',
        f'{COLUMNS}\nnewline: ";"',
        rows=[ANNA, ["2", "be;rt", *BERT[2:]]],
    ),
    Example(
        "Comments, a title, a header and a trailer",
        "Orders of March\n\n# draft\nid,buyer,day,price,paid\n"
        "1,anna,2026-03-02,9.50,1\n2,bert,2026-03-03,\\N,0\nTOTAL,2\n",
        f'{COLUMNS}\nskip_lines: 1\ncomment: "#"\nheader: true\ntrailer_lines: 1',
    ),
    Example(
        "Short lines",
        "1,anna,2026-03-02,9.50,1\n2,bert,2026-03-03\n",
        f"{COLUMNS}\nmissing_fields: null",
        rows=[ANNA, ["2", "bert", "2026-03-03", None, None]],
        note="Without this setting they are rejects.",
    ),
    Example(
        "Times with an offset",
        "1,2026-03-02T23:30:00-05:00\n2,2026-03-03T08:00:00Z\n3,2026-W10-2T08Z\n",
        "columns: [id, sent]\nformats: {sent: iso}",
        rows=[
            ["1", "2026-03-03 04:30:00"],
            ["2", "2026-03-03 08:00:00"],
            ["3", "2026-03-03 08:00:00"],
        ],
        note="They are converted to UTC. Columns of dates and times need no setting "
        "for the most common forms, see [values](values.md).",
    ),
    Example(
        "JSON Lines",
        '{"id": 1, "buyer": "anna", "day": "2026-03-02", "price": 9.50, "paid": true}'
        '\n{"id": 2, "paid": false, "buyer": "bert", "day": "2026-03-03",'
        ' "price": null}'
        '\n{"id": 3, "buyer": {"name": "c"}, "day": null, "price": 1, "paid": null}\n',
        f"{COLUMNS}\nformat: jsonl",
        rows=[*BOTH, ["3", '{"name": "c"}', None, "1.00", None]],
        note="Nested values become JSON, `true` and `false` become 1 and 0. Numbers "
        "keep all their digits. A line without one of the keys is a reject unless you "
        "set `missing_fields: null`, and one with others unless you set "
        "`extra_columns: ignore`.",
    ),
    Example(
        "Fixed width",
        "0001anna 2026-03-02   9.501\n0002bert 2026-03-03       0\n",
        f'{COLUMNS}\nformat: fixed\nwidths: [4, 5, 10, 7, 1]\nnull_field: ""',
        note="Widths are in characters. Spaces around a value are padding.",
    ),
    Example(
        "Records of a mainframe, in EBCDIC and without lines",
        "0001anna 2026-03-02   9.5010002bert 2026-03-03       0",
        f"{COLUMNS}\nformat: fixed\nwidths: [4, 5, 10, 7, 1]\nencoding: cp037\n"
        'newline: none\nnull_field: ""',
        note="Python knows cp037, cp273, cp500 and others. This project adds cp1047. "
        'For EBCDIC with lines, set `newline: "\\x85"`. Packed and binary numbers '
        "(COMP-3, COMP) are rejects, and records of variable length (RDW) fail the "
        "file: have them converted to digits and to fixed length before the transfer.",
        encode=lambda text: text.encode("cp037"),
    ),
    Example(
        "Windows and Excel: UTF-16, or a code page",
        "1,anna,2026-03-02,9.50,1\r\n2,bert,2026-03-03,\\N,0\r\n",
        f"{COLUMNS}\nencoding: utf-16",
        note="Old exports are often in `cp1252`.",
        encode=lambda text: text.encode("utf-16"),
    ),
    Example(
        "Compressed files",
        "1,anna,2026-03-02,9.50,1\n2,bert,2026-03-03,\\N,0\n",
        note="No setting is needed: gzip, bz2, xz, Zstandard, and zip with one file in "
        "it, are recognized by their first bytes. If a file may expand to more than "
        "10 GB, raise `max_uncompressed_mb`.",
        encode=lambda text: gzip.compress(text.encode()),
    ),
    Example(
        "Bad lines among good ones",
        '1,anna,2026-03-02,9.50,1\noops\n3,"a"b,\\N,1,1\n2,bert,2026-03-03,\\N,0\n',
        rejects=[[2, "fields: 1 instead of 5"], [3, "',' expected after '\"'"]],
        note="They are in the table `rejects`. With more than `max_reject_share` of "
        "them, nothing is loaded.",
    ),
]
