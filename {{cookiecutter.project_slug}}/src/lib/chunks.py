r"""Rows and rejects of a file, as they go to a database.

Rows are text that PostgreSQL's COPY and MySQL's LOAD DATA read by default: fields
separated by tabs, rows ended by line feeds, `\t`, `\n`, `\r` and `\\` in values, and
`\N` for NULL. See https://www.postgresql.org/docs/current/sql-copy.html and
https://dev.mysql.com/doc/refman/8.4/en/load-data.html
"""

import re
from collections.abc import Callable, Sequence

from lib.rejects import Refusal, Reject

CHUNK_SIZE = 512 * 1024
TEXT_LIMIT = 1000
NULL = r"\N"

ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
ESCAPED = re.compile(r"\\(.)")
UNESCAPES = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r"}


class Chunk:
    """Some rows and rejects of a file, in the file's order.

    Args:
        text: rows as text for the bulk statement, or a function that returns it, to
            save memory.
        origins: for each row, the number of its first line, and its lines as they are.
        rejects: the bad lines.
        csv: the rows as CSV, if a database can read them so, see `lib.row_pattern`.
    """

    def __init__(
        self,
        text: bytes | Callable[[], bytes],
        origins: Sequence[tuple[int, str]] = (),
        rejects: Sequence[Reject] = (),
        csv: bytes = b"",
    ) -> None:
        self._text = text
        self._kept: bytes | None = None
        self.origins = origins
        self.rejects = rejects
        self.csv = csv

    @property
    def text(self) -> bytes:
        """The rows as text for the bulk statement."""
        kept, self._kept = self._kept, None
        if kept is not None:
            return kept
        return self._text() if callable(self._text) else self._text

    def keep(self, text: bytes) -> None:
        """Return this `text` the next time, so that it is not computed again."""
        self._kept = text

    def reject(self, index: int, refusal: Refusal) -> Reject:
        """Return the row with this index (from 0), which was refused, as a reject."""
        line, source = self.origins[index]
        return Reject(line, make_readable(source), *refusal)


class ChunkBuilder:
    """Collects rows and rejects until they are a chunk."""

    def __init__(self) -> None:
        self._clear()

    @property
    def is_full(self) -> bool:
        """Whether the rows are enough for a chunk."""
        return self._size > CHUNK_SIZE

    def add_row(self, line: int, source: str, text: str) -> None:
        """Add a row: its first line, the lines as they are, and its text."""
        self._texts.append(text)
        self._origins.append((line, source))
        self._size += len(source)

    def add_reject(
        self, line: int, source: str, reason: str, condition: str = ""
    ) -> None:
        """Add a bad line, see `lib.rejects.Reject`."""
        self._rejects.append(Reject(line, make_readable(source), reason, condition))
        self._size += TEXT_LIMIT

    def take(self) -> list[Chunk]:
        """Return what there is as a chunk, or nothing, and start again."""
        texts, origins, rejects = self._texts, self._origins, self._rejects
        self._clear()
        if not texts and not rejects:
            return []
        text = "".join(f"{text}\n" for text in texts).encode()
        return [Chunk(text, origins, rejects)]

    def _clear(self) -> None:
        self._texts: list[str] = []
        self._origins: list[tuple[int, str]] = []
        self._rejects: list[Reject] = []
        self._size = 0


def parse_row(text: bytes) -> list[str | None]:
    """Return the values of one row of a chunk's text."""
    values = text.decode().removesuffix("\n").split("\t")
    return [None if value == NULL else _unescape(value) for value in values]


def make_readable(text: str) -> str:
    r"""Return the start of `text`, with NUL and bytes that are not UTF-8 as `\x..`."""
    if text.isascii() and "\0" not in text:
        return text[:TEXT_LIMIT]
    raw = text[:TEXT_LIMIT].replace("\0", r"\x00").encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "backslashreplace")[:TEXT_LIMIT]


def _unescape(value: str) -> str:
    return ESCAPED.sub(lambda found: UNESCAPES[found[1]], value)
