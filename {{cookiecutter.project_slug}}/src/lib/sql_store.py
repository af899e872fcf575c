"""The part of a store that is the same for every database, see `lib.loads.Store`.

`lib.store` adds one database's own part.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Self

from lib.chunks import Chunk
from lib.database import delete_in_pieces
from lib.loads import OtherVersion
from lib.values import ValueCheck

DESCRIBE = "UPDATE loads SET bytes = %s, modified_at = %s WHERE number = %s"
OTHER_VERSIONS = """
SELECT other.number, CASE
    WHEN other.modified_at > this.modified_at THEN 1
    WHEN other.modified_at = this.modified_at THEN 0
    ELSE -1
END
FROM loads AS this JOIN loads AS other USING (target, bucket, object_key)
WHERE this.number = %s AND other.number <> this.number
"""
DELETE_REJECTS = "DELETE FROM rejects WHERE number = %s"
RECORD = """
UPDATE loads SET loaded = %s, rejected = %s, loaded_at = CURRENT_TIMESTAMP
WHERE number = %s
"""


class SqlStore(ABC):
    """One transaction of a database.

    Args:
        cursor: the transaction.
        driver: the module that connects (PEP 249).
        columns: names of the columns of the rows.
        var: settings.
    """

    ignored = 0
    updated = 0

    def __init__(
        self, cursor: Any, driver: Any, columns: Sequence[str], var: Any
    ) -> None:
        self._cursor = cursor
        self._driver = driver
        self._columns = list(columns)
        self._load_column = var.load_column
        self._timeout = var.db_statement_timeout
        self._value_check: ValueCheck | None = None

    def __enter__(self) -> Self:
        return self

    def describe(self, number: int, size: int, modified: datetime) -> None:
        """See `lib.loads.Store`."""
        self._cursor.execute(DESCRIBE, (size, modified, number))

    def other_versions(self, number: int) -> list[OtherVersion]:
        """See `lib.loads.Store`."""
        self._cursor.execute(OTHER_VERSIONS, (number,))
        return [OtherVersion(*row) for row in self._cursor.fetchall()]

    def delete_rows(self, numbers: list[int], check: Callable[[], None]) -> None:
        """See `lib.loads.Store`."""
        if numbers:
            delete = partial(self._delete_piece, numbers)
            delete_in_pieces(delete, self._timeout, check)

    def delete_rejects(self, number: int) -> None:
        """See `lib.loads.Store`."""
        self._cursor.execute(DELETE_REJECTS, (number,))

    def check(self, chunk: Chunk) -> Chunk:
        """See `lib.loads.Store`."""
        if self._value_check is None:
            self._value_check = self._prepare()
        return self._value_check.check(chunk)

    def record(self, number: int, loaded: int, rejected: int) -> None:
        """See `lib.loads.Store`."""
        self._cursor.execute(RECORD, (loaded, rejected, number))

    def _add_number(self, number: int, text: bytes) -> bytes:
        return text.replace(b"\n", b"\t%d\n" % number) if self._load_column else text

    def _count_merged(self, sent: int, written: int, updated: int) -> None:
        self.ignored += sent - written
        self.updated += updated

    @abstractmethod
    def _delete_piece(self, numbers: list[int], size: int) -> int:
        """Delete up to `size` rows of loads; return how many were deleted."""

    @abstractmethod
    def _prepare(self) -> ValueCheck:
        """Read what to check, and create what rows are loaded into."""
