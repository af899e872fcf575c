"""Decompressors with the interface of `bz2.BZ2Decompressor`."""

import zlib
from typing import Protocol

from lib.file_types import FileFormatError


class Decoder(Protocol):
    """A decompressor of one member."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return up to `max_length` bytes."""


class Inflater:
    """Decompresses deflated data, with the interface of `bz2.BZ2Decompressor`.

    Args:
        wbits: the kind of header, see `zlib.decompressobj`.
    """

    def __init__(self, wbits: int) -> None:
        self._object = zlib.decompressobj(wbits)

    @property
    def eof(self) -> bool:
        """Whether the member has ended."""
        return self._object.eof

    @property
    def needs_input(self) -> bool:
        """Whether more data is needed for more output."""
        return not self._object.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        """The data behind the member's end."""
        return self._object.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return up to `max_length` bytes."""
        return self._object.decompress(self._object.unconsumed_tail + data, max_length)


def decode(decoder: Decoder, data: bytes, size: int, name: str) -> bytes:
    """Return up to `size` bytes of a member.

    Raises:
        FileFormatError: the data is damaged.
    """
    try:
        return decoder.decompress(data, size)
    except MemoryError:
        raise
    except Exception as error:  # each decoder has its own
        raise FileFormatError(
            f"the {name} file is damaged ({error}): send it again"
        ) from None
