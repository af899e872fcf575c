"""What stands for `lib.rds` in the unit tests: tables in memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lib.events import S3Object
from lib.rows import Batch, Reject, Row


class MockRdsLibrary:
    """As much of the module `lib.rds` as a context needs."""

    def Rds(self, var: Any) -> "MockRds":  # noqa: N802 - the name of a class there
        """Return a client of an empty database."""
        return MockRds()


class MockRds:
    """A database in memory; a load that fails leaves nothing."""

    def __init__(self) -> None:
        self.tables: dict[str, list[Row]] = {}
        self.rejects: list[Reject] = []
        self.ledger: set[tuple[str, str]] = set()
        self.is_closed = False

    @contextmanager
    def load(
        self, found: S3Object, table: str, columns: Sequence[str], statement: str
    ) -> Iterator["MockLoad"]:
        """Take rows and rejects of an object, all or nothing."""
        load = MockLoad(found, is_new=(found.id, table) not in self.ledger)
        yield load
        self.ledger.add((found.id, table))
        self.tables.setdefault(table, []).extend(load.rows)
        self.rejects.extend(load.rejects)

    def close(self) -> None:
        """Note that it was closed."""
        self.is_closed = True


class MockLoad:
    """One object on its way into a table."""

    def __init__(self, found: S3Object, is_new: bool) -> None:
        self.is_new = is_new
        self.rows: list[Row] = []
        self.rejects: list[Reject] = []
        self._found = found

    def add(self, batch: Batch) -> None:
        """Take a batch."""
        self.rows.extend(batch.rows)
        self.rejects.extend(batch.rejects)

    @property
    def report(self) -> dict[str, Any]:
        """What became of the object."""
        return {
            "object": str(self._found),
            "outcome": "loaded" if self.is_new else "loaded before",
            "loaded": len(self.rows),
            "rejected": len(self.rejects),
        }


class BrokenRds(MockRds):
    """A database that fails at the end of each load, as at a commit."""

    @contextmanager
    def load(self, *args: Any) -> Iterator[MockLoad]:
        """Take rows, then fail."""
        yield MockLoad(args[0], is_new=True)
        raise ConnectionError("server closed the connection unexpectedly")
