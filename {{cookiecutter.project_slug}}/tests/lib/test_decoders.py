"""Decompressors: how much they return, and their errors."""

import zlib

import pytest

from lib.decoders import Inflater, decode
from lib.file_types import FileFormatError

TEXT = b"a,b\n" * 1000


class Failing:
    """A decompressor that always fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Raise the error."""
        raise self._error


def test_inflater_returns_no_more_than_asked() -> None:
    inflater = Inflater(wbits=31)
    data = zlib.compress(TEXT, wbits=31) + b"rest"
    assert inflater.needs_input
    text = decode(inflater, data, 10, "gzip")
    assert text == TEXT[:10]
    assert not inflater.needs_input
    assert not inflater.eof
    while not inflater.eof:
        more = decode(inflater, b"", 100, "gzip")
        assert len(more) <= 100
        text += more
    assert text == TEXT
    assert inflater.unused_data == b"rest"


def test_error_of_decoder_names_file() -> None:
    with pytest.raises(FileFormatError, match=r"the xz file is damaged \(bad block\)"):
        decode(Failing(ValueError("bad block")), b"", 1, "xz")


def test_lack_of_memory_is_no_damage() -> None:
    with pytest.raises(MemoryError):
        decode(Failing(MemoryError()), b"", 1, "xz")
