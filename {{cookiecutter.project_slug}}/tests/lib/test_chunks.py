"""Chunks: their text, when they are full, and the lines of rejects."""

import pytest

from lib import chunks
from lib.chunks import Chunk, ChunkBuilder, make_readable, parse_row
from lib.rejects import Refusal, Reject
from tests.tables import for_each


@pytest.fixture
def _small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_SIZE", 10)
    monkeypatch.setattr(chunks, "TEXT_LIMIT", 5)


def test_text_is_computed_unless_kept() -> None:
    assert Chunk(b"a\n").text == b"a\n"
    computed = iter([b"first\n", b"second\n"])
    chunk = Chunk(lambda: next(computed))
    assert chunk.text == b"first\n"
    chunk.keep(b"kept\n")
    assert chunk.text == b"kept\n"
    assert chunk.text == b"second\n"


def test_kept_empty_text_is_returned() -> None:
    chunk = Chunk(b"a\n")
    chunk.keep(b"")
    assert (chunk.text, chunk.text) == (b"", b"a\n")


def test_refused_row_is_reject_of_its_line() -> None:
    chunk = Chunk(b"a\nb\n", [(3, "a"), (7, "b\0")])
    assert chunk.reject(1, Refusal("too long: b", "TooLong")) == Reject(
        7, r"b\x00", "too long: b", "TooLong"
    )


@for_each(("size", "is_full"), [(0, False), (10, False), (11, True)])
@pytest.mark.usefixtures("_small_limits")
def test_chunk_is_full_above_its_size(size: int, is_full: bool) -> None:
    builder = ChunkBuilder()
    for _ in range(2):
        builder.add_row(1, "x" * size, "x")
        assert builder.is_full is is_full
        builder.take()
        assert not builder.is_full


@pytest.mark.usefixtures("_small_limits")
def test_sizes_of_rows_and_rejects_add_up() -> None:
    builder = ChunkBuilder()
    builder.add_reject(1, "", "bad")
    builder.add_row(2, "12345", "x")
    assert not builder.is_full
    builder.add_row(3, "6", "x")
    assert builder.is_full


def test_builder_gives_rows_and_rejects_once() -> None:
    builder = ChunkBuilder()
    assert builder.take() == []
    builder.add_row(1, "ä,b", "ä\tb")
    builder.add_row(3, "c,d", "c\td")
    builder.add_reject(2, "x\0", "bad x", "bad")
    [chunk] = builder.take()
    assert chunk.text == "ä\tb\nc\td\n".encode()
    assert chunk.origins == [(1, "ä,b"), (3, "c,d")]
    assert chunk.rejects == [Reject(2, r"x\x00", "bad x", "bad")]
    assert chunk.csv == b""
    assert builder.take() == []


def test_builder_gives_rejects_alone() -> None:
    builder = ChunkBuilder()
    builder.add_reject(2, "x", "bad")
    [chunk] = builder.take()
    assert (chunk.text, chunk.rejects) == (b"", [Reject(2, "x", "bad")])


def test_row_is_parsed() -> None:
    row = rb"a" + b"\t" + rb"\N" + b"\t\t" + rb"\t\n\r\\ \\N" + b"\n"
    assert parse_row(row) == ["a", None, "", "\t\n\r\\ \\N"]


@for_each(
    ("text", "expected"),
    [
        ("abc", "abc"),
        ("abcdefg", "abcde"),
        ("äöüßéè", "äöüßé"),
        ("a\0b", r"a\x00"),
        ("\0", r"\x00"),
        ("a\udcff", r"a\xff"),
        ("ab\udcff", r"ab\xf"),
    ],
)
@pytest.mark.usefixtures("_small_limits")
def test_text_is_made_readable(text: str, expected: str) -> None:
    assert make_readable(text) == expected
