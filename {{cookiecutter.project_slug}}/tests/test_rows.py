"""Lines to rows, and to rejects."""

import io

import pytest

from lib import rows
from lib.rows import Reject


def read(
    text: bytes, width: int = 2, **how: str
) -> tuple[list[list[str]], list[Reject]]:
    """Return all rows and all rejects of a file."""
    found = list(rows.batches(io.BytesIO(text), width, **how))
    return (
        [row for batch in found for row in batch.rows],
        [reject for batch in found for reject in batch.rejects],
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b"a,b\nc,d\n", [["a", "b"], ["c", "d"]], id="plain"),
        pytest.param(b"a,b\nc,d", [["a", "b"], ["c", "d"]], id="no newline at the end"),
        pytest.param(b"a,b\r\nc,d\r\n", [["a", "b"], ["c", "d"]], id="CR LF"),
        pytest.param(b'"a,1","say ""b"""\n', [["a,1", 'say "b"']], id="quotes"),
        pytest.param(
            b'"a\nb",c\nd,e\n', [["a\nb", "c"], ["d", "e"]], id="LF in quotes"
        ),
        pytest.param(b"\n\na,b\n\n", [["a", "b"]], id="empty lines"),
        pytest.param(b"", [], id="empty file"),
        pytest.param("ä,😀\n".encode(), [["ä", "😀"]], id="more than ASCII"),
    ],
)
def test_rows(text: bytes, expected: list[list[str]]) -> None:
    assert read(text) == (expected, [])


def test_delimiter_and_newline_can_be_chosen() -> None:
    assert read(b"a;b|c;d|", delimiter=";", newline="|")[0] == [["a", "b"], ["c", "d"]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a\n", Reject(1, "a", "fields: 1 instead of 2")),
        (b"a,b\n\na,b,c\n", Reject(3, "a,b,c", "fields: 3 instead of 2")),
        (b'"a\nb",c\nd\n', Reject(3, "d", "fields: 1 instead of 2")),
        (b"a,\xff\n", Reject(1, r"a,\xff", "not UTF-8")),
        (b"a,\0\n", Reject(1, r"a,\x00", "a NUL character")),
        (b'a,"b"c\n', Reject(1, 'a,"b"c', "',' expected after '\"'")),
        (b'a,"b', Reject(1, 'a,"b', "unexpected end of data")),
    ],
)
def test_line_that_is_no_row_is_told_by_number_text_and_reason(
    text: bytes, expected: Reject
) -> None:
    assert read(text)[1] == [expected]


def test_rows_after_a_reject_are_read() -> None:
    assert read(b'a,"b"c\nd,e\n')[0] == [["d", "e"]]


def test_text_of_a_reject_has_a_bound() -> None:
    assert len(read(b"\xff" * 5000)[1][0].text) == rows.TEXT_LIMIT


def test_rows_keep_their_order_where_blocks_part_lines_and_characters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = [[str(number), "ä😀"] for number in range(2500)]
    text = "".join(f"{a},{b}\n" for a, b in expected).encode()
    monkeypatch.setattr(rows, "BLOCK", 7)
    assert read(text) == (expected, [])


def test_file_is_read_piece_by_piece() -> None:
    stream = io.BytesIO(b"a,b\n" * 200_000)
    next(rows.batches(stream, 2))
    assert stream.tell() == rows.BLOCK
