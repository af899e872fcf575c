"""Whatever the sizes of reads and blocks, a file gives the same rows and rejects."""

import gzip
import io
import random
from typing import Any

import pytest

from lib import blocks, chunks, records
from lib.rows import FileFormatError, Format
from tests.lib.formats import make_format, read_stream
from tests.tables import for_each

PARTS = [
    *["a", "b,c", "d,e\n", "1,2\r\n", "\n", "\r\n", "ä,😀\n", "\\N,x\n", "NA,\n"],
    *['"', '""', '"f",g\n', '"h\ni",j\n', ",", "\r", "\t", "\\", "|", "||", ";", "#"],
    *["k" * 60, "l" * 210, '"' + "m,n\n" * 16 + '",o\n', "p,q\n" * 5, "\0", "{", "[1]"],
]
FORMATS: list[dict[str, Any]] = [
    {},
    {"nulls": ["", "NA"]},
    {"header": "skip", "nulls": ["NA", '""']},
    {"newline": "||"},
    {"newline": ";", "delimiter": "||"},
    {"escape": "\\"},
    {"escape": "\\", "quote": "", "newline": "||"},
    {"quote": "", "comment": "#"},
    {"comment": "#", "skip_lines": 2, "trailer_lines": 3},
    {"encoding": "utf-16-le", "fills": True},
    {"encoding": "cp1252", "newline": "||", "trailer_lines": 1},
    {"kind": "jsonl"},
    {"kind": "fixed", "widths": (2, 3)},
    {"kind": "fixed", "widths": (2, 3), "newline": "", "trailer_lines": 2},
]


class ShortReads(io.BytesIO):
    """A stream whose reads return fewer bytes than asked for."""

    def __init__(self, data: bytes, chance: random.Random, most: int) -> None:
        super().__init__(data)
        self._chance = chance
        self._most = most

    def read(self, size: int | None = -1, /) -> bytes:
        """Return some bytes."""
        return super().read(min(size or 0, self._chance.randint(1, self._most)))


def make_file(chance: random.Random, encoding: str) -> bytes:
    """Return a file of good and bad lines."""
    parts = chance.choices(PARTS, k=chance.randint(0, 30))
    text = "\ufeff" * (chance.random() < 0.2) + "".join(parts)
    return text.encode(encoding, "replace")


def outcome(stream: io.BytesIO, file_format: Format) -> Any:
    """Return the rows and rejects of a file, or why it fails."""
    try:
        return read_stream(stream, file_format)
    except FileFormatError as error:
        return str(error)


@for_each("seed", range(len(FORMATS)))
def test_sizes_of_reads_change_nothing(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(blocks, "LINE_LIMIT", 200)
    monkeypatch.setattr(blocks, "CUT_LENGTH", 50)
    monkeypatch.setattr(chunks, "CHUNK_SIZE", 100)
    monkeypatch.setattr(records, "LOOKAHEAD", 700)
    file_format = make_format(**FORMATS[seed])
    for _ in range(4):
        text = make_file(chance, file_format.encoding)
        if chance.random() < 0.2:
            text = gzip.compress(text)
        monkeypatch.setattr(blocks, "BLOCK_SIZE", 1_000_000)
        expected = outcome(io.BytesIO(text), file_format)
        for block_size in (1, 7, 64, 1000):
            monkeypatch.setattr(blocks, "BLOCK_SIZE", block_size)
            stream = ShortReads(text, chance, chance.choice([1, 3, 100]))
            assert outcome(stream, file_format) == expected, text
