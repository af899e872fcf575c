"""Converts any value to one that JSON can hold, and limits its size."""

from collections.abc import Callable
from typing import Any

from errors import as_text

MAX_DEPTH = 20
# CloudWatch accepts no metric beyond it.
MAX_NUMBER = 2**360
OVERHEAD = 8  # characters of a value besides its text, such as quotes


class LogValues:
    """The values of one log line, which share a number of characters.

    Args:
        mask: replaces secrets in a text.
        limit: number of characters. Texts are cut, and further items left out, so that
            all values together have about as many.

    Attributes:
        is_truncated: whether something was cut or left out.
    """

    def __init__(self, mask: Callable[[str], str], limit: int) -> None:
        self._mask = mask
        self._left = limit
        self.is_truncated = False

    def convert(self, value: Any, depth: int = 0) -> Any:
        """Return a value with the types of JSON only. Others become text."""
        try:
            if depth > MAX_DEPTH:
                return self.text("…")
            if isinstance(value, dict):
                return self._dictionary(value, depth + 1)
            if isinstance(value, list | tuple | set | frozenset):
                return self._list(value, depth + 1)
            if value is None or isinstance(value, bool) or is_number(value):
                self._left -= OVERHEAD
                return value
            return self.text(value)
        except Exception:  # the type's own methods are a function's code
            return self.text(f"<{type(value).__name__}>")

    def text(self, value: Any, share: float = 1) -> str:
        """Return a value as text, with secrets masked.

        Args:
            value: the value.
            share: part of the characters left, from 0 to 1, that it may have.
        """
        text = self._mask(as_text(value))
        shortened = shorten(text, max(0, int(self._left * share)))
        self.is_truncated |= len(shortened) < len(text)
        self._left -= len(shortened) + OVERHEAD
        return shortened

    def _dictionary(self, value: dict[Any, Any], depth: int) -> dict[str, Any]:
        result = {}
        for key, item in value.items():
            if self._is_full():
                break
            result[self.text(key)] = self.convert(item, depth)
        return result

    def _list(self, value: Any, depth: int) -> list[Any]:
        result = []
        for item in value:
            if self._is_full():
                break
            result.append(self.convert(item, depth))
        return result

    def _is_full(self) -> bool:
        is_full = self._left <= 0
        self.is_truncated |= is_full
        return is_full


def is_number(value: Any) -> bool:
    """Whether a value is a number that JSON and CloudWatch accept."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) < MAX_NUMBER  # false for NaN


def shorten(text: str, limit: int) -> str:
    """Cut the middle out of a text that is longer than `limit` characters, and say so.

    The result may be longer than a limit below the length of that remark.
    """
    if len(text) <= limit:
        return text
    half = limit // 2
    cut = len(text) - 2 * half
    return f"{text[:half]}… {cut} characters cut …{text[len(text) - half :]}"
