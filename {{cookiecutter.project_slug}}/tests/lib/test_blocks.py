"""Files are read in blocks of whole lines; of lines above the limit, the start is."""

import io

import pytest

from lib import blocks
from lib.blocks import (
    Block,
    CountedStream,
    Marks,
    PeekableStream,
    read_blocks,
    read_text,
    skip_first_lines,
    skip_last_lines,
)
from tests.tables import for_each

QUOTES = Marks(quote=b'"')
ESCAPES = Marks(quote=b'"', escape=b"\\")
WIDE = Marks(quote="«".encode(), escape="§".encode())


@pytest.fixture
def _small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 4)
    monkeypatch.setattr(blocks, "LINE_LIMIT", 10)
    monkeypatch.setattr(blocks, "CUT_LENGTH", 3)


class Dribble(io.BytesIO):
    """A stream that returns up to two bytes at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return one or two bytes, none at the end."""
        return super().read(min(size or 0, 2))


def whole(*texts: bytes) -> list[tuple[bytes, bool, bool, bool]]:
    """Return blocks of whole lines, as tuples."""
    return [(text, False, False, False) for text in texts]


def test_counted_stream_knows_what_is_unread() -> None:
    stream = CountedStream(io.BytesIO(b"abcdef"), 6)
    assert (stream.read(4), stream.unread) == (b"abcd", 2)
    assert (stream.read(4), stream.unread) == (b"ef", 0)
    assert (stream.read(4), stream.unread) == (b"", 0)


def test_peeked_bytes_are_read_later() -> None:
    stream = PeekableStream(Dribble(b"abcdefgh"))
    assert stream.peek(5) == b"abcde"
    assert stream.peek(3) == b"abc"
    assert stream.read(2) == b"ab"
    assert stream.peek(3) == b"cde"
    assert stream.read(4) == b"cdef"
    assert stream.peek(9) == b"gh"
    assert stream.read(9) == b"gh"
    assert stream.read(9) == stream.peek(9) == b""


def test_peek_reads_no_more_than_asked() -> None:
    source = io.BytesIO(b"abcdef")
    stream = PeekableStream(source)
    stream.peek(2)
    stream.peek(3)
    assert source.tell() == 3
    assert stream.read(3) == b"abc"
    assert source.tell() == 3


@for_each(
    ("data", "encoding", "expected"),
    [
        (b"\xef\xbb\xbfab", "utf-8", b"ab"),
        (b"\xef\xbb\xbf\xef\xbb\xbf", "utf-8", b"\xef\xbb\xbf"),
        (b"\xef\xbb", "utf-8", b"\xef\xbb"),
        (b"a\xff", "utf-8", b"a\xff"),
        (b"a\xff", "utf8", b"a\xff"),
        (b"", "utf-8", b""),
        (b"\xe4b", "latin-1", "äb".encode()),
        (b"\xff\xfea\0b\0", "utf-16-le", b"ab"),
        (b"a\x81b", "cp1252", b"a\x80b"),
        (b"a\0b", "utf-16-le", b"a\x80"),
    ],
)
def test_text_becomes_utf8(data: bytes, encoding: str, expected: bytes) -> None:
    assert b"".join(read_text(Dribble(data), encoding)) == expected


@pytest.mark.usefixtures("_small_limits")
def test_text_is_read_piece_by_piece() -> None:
    assert list(read_text(io.BytesIO(b"abcdefghij"), "utf-8")) == [
        b"abcd",
        b"efgh",
        b"ij",
    ]


@for_each(
    ("pieces", "newline", "expected"),
    [
        ([], b"\n", []),
        ([b"a\nb\nc"], b"\n", [b"a\nb\n", b"c\n"]),
        ([b"a", b"b\nc", b"\n"], b"\n", [b"ab\n", b"c\n"]),
        ([b"a|", b"|b|"], b"||", [b"a||", b"b|||"]),
        ([b"a|||", b"b"], b"||", [b"a||", b"|b||"]),
        ([b"0123456789", b"\n"], b"\n", [b"0123456789\n"]),
        ([b"0123456789"], b"\n", [b"0123456789\n"]),
        ([b"ab\ncd\nef\n\n"], b"\n", [b"ab\ncd\nef\n\n"]),
        ([b"0123456789|", b"|"], b"||", [b"0123456789||"]),
        ([b"a\nb\nc\nd\ne\nf\ng\n"], b"\n", [b"a\nb\nc\nd\ne\n", b"f\ng\n"]),
        ([b"abcd\nefghi\nj\nklm\n"], b"\n", [b"abcd\nefghi\n", b"j\nklm\n"]),
    ],
)
@pytest.mark.usefixtures("_small_limits")
def test_blocks_end_with_newline(
    pieces: list[bytes], newline: bytes, expected: list[bytes]
) -> None:
    assert list(read_blocks(pieces, Marks(newline))) == whole(*expected)


LONG = b"0123456789x"


@for_each(
    ("text", "marks", "expected"),
    [
        (LONG, Marks(), [(b"012\n", True, False, False)]),
        (LONG, Marks(b"||"), [(b"012||", True, False, False)]),
        (LONG + b'"', Marks(), [(b"012\n", True, False, False)]),
        (LONG + b'"', QUOTES, [(b"012\n", True, True, False)]),
        (b'"' + LONG + b'"', QUOTES, [(b'"01\n', True, False, False)]),
        (b'"""' + LONG, QUOTES, [(b'"""\n', True, True, False)]),
        (LONG + b'\\"', QUOTES, [(b"012\n", True, True, False)]),
        (LONG + b'\\"', ESCAPES, [(b"012\n", True, False, False)]),
        (LONG + b'\\\\"', ESCAPES, [(b"012\n", True, True, False)]),
        (LONG + b"\\", ESCAPES, [(b"012\n", True, False, True)]),
        (LONG + b"\\\\", ESCAPES, [(b"012\n", True, False, False)]),
        (LONG + 5 * b"\\", ESCAPES, [(b"012\n", True, False, True)]),
        (LONG + b"\\", QUOTES, [(b"012\n", True, False, False)]),
        (LONG + b"\xc2\xa7", WIDE, [(b"012\n", True, False, True)]),
        (LONG + b"\xc2\xa7" * 2, WIDE, [(b"012\n", True, False, False)]),
        # another character that ends with the escape's last byte
        (LONG + b"\xe7\xa7\xa7", WIDE, [(b"012\n", True, False, False)]),
        (LONG + b"\xe7\xa7\xa7\xc2\xa7", WIDE, [(b"012\n", True, False, True)]),
        (LONG + b"\xc2\xab", WIDE, [(b"012\n", True, True, False)]),
        (LONG + b"\xc2\xa7\xc2\xab", WIDE, [(b"012\n", True, False, False)]),
        (LONG + b"\xc2\xa7" * 2 + b"\xc2\xab", WIDE, [(b"012\n", True, True, False)]),
        (b"a\n" + LONG, Marks(), [*whole(b"a\n"), (b"012\n", True, False, False)]),
        (LONG + b"\nab", Marks(), [(b"012\n", True, False, False), *whole(b"ab\n")]),
        (LONG + b"|", Marks(b"||"), [(b"012||", True, False, False)]),
        (LONG + b"||", Marks(b"||"), [(b"012||", True, False, False)]),
    ],
)
@pytest.mark.usefixtures("_small_limits")
def test_long_line_is_cut_whatever_the_pieces(
    text: bytes, marks: Marks, expected: list[Block]
) -> None:
    for size in range(1, len(text) + 1):
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        assert list(read_blocks(pieces, marks)) == expected, size
        ended = [*pieces, marks.newline]
        if not text.endswith(marks.newline[:1]):
            assert list(read_blocks(ended, marks)) == expected, size


TEXTS = [b"a\nb\n", b"\nc\n", b"d\n"]


@for_each(
    ("number", "expected"),
    [
        (0, [b"a\nb\n", b"\nc\n", b"d\n"]),
        (1, [b"b\n", b"\nc\n", b"d\n"]),
        (2, [b"\nc\n", b"d\n"]),
        (3, [b"c\n", b"d\n"]),
        (5, []),
        (9, []),
    ],
)
def test_first_lines_are_skipped(number: int, expected: list[bytes]) -> None:
    found = skip_first_lines(map(Block, TEXTS), b"\n", number)
    assert list(found) == whole(*expected)


@for_each(
    ("texts", "number", "expected"),
    [
        (TEXTS, 1, [b"a\nb\n", b"\nc\n"]),
        (TEXTS, 2, [b"a\nb\n", b"\n"]),
        (TEXTS, 3, [b"a\n"]),
        (TEXTS, 4, []),
        (TEXTS, 5, []),
        ([b"a\nb\nc\n"], 1, [b"a\nb\n"]),
        ([b"a\nb\n", b"\n \n"], 1, [b"a\n"]),
        ([], 1, []),
    ],
)
def test_last_lines_are_skipped(
    texts: list[bytes], number: int, expected: list[bytes]
) -> None:
    assert list(skip_last_lines(map(Block, texts), b"\n", number)) == whole(*expected)
    wide = [Block(text.replace(b"\n", b"||")) for text in texts]
    assert list(skip_last_lines(iter(wide), b"||", number)) == whole(
        *(text.replace(b"\n", b"||") for text in expected)
    )


def test_blocks_before_last_lines_are_not_held() -> None:
    given = iter(map(Block, [b"a\n", b"b\n", b"c\n", b"d\n"]))
    found = skip_last_lines(given, b"\n", 1)
    assert next(found).text == b"a\n"
    assert next(given).text == b"c\n"
