"""Test double of `lib.rds`: a database in memory."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from lib.events import S3Object
from lib.loads import Claim, Load, OtherVersion
from lib.rejects import Refusal, Reject
from lib.rows import Chunk, parse_row

Row = list[str | None]


class MockRds:
    """Both the module and its client.

    A row whose first field is `refused` is refused.
    """

    def __init__(self) -> None:
        self.tables: dict[str, list[Row]] = {}
        self.rejects: list[Reject] = []
        self.ledger: dict[tuple[str, str], dict[str, Any]] = {}
        self.is_closed = False

    def Rds(self, var: Any, credentials: Any) -> "MockRds":  # noqa: N802 - a class's
        """Return the client."""
        self.credentials = credentials
        return self

    @contextmanager
    def load(
        self,
        s3_object: S3Object,
        table: str,
        columns: Sequence[str],
        function: str,
        check: Callable[[], None],
    ) -> Iterator[Load]:
        """Open a transaction for rows, rejects and ledger entry: all or nothing."""
        store = MockStore(self, table)
        load = Load(store, s3_object, function, max_reject_share=0.5, check=check)
        yield load
        load.finish()
        self.commit(store)

    def commit(self, store: "MockStore") -> None:
        """Keep the rows, rejects and ledger entry of a transaction."""
        self.ledger |= store.entry
        self.tables.setdefault(store.table, []).extend(store.rows)
        self.rejects.extend(store.rejects)

    def retry(self, action: Callable[..., Any], *args: Any) -> Any:
        """Call `action` once."""
        return action(*args)

    def close(self) -> None:
        """Note that it was closed."""
        self.is_closed = True


class MockStore:
    """One transaction, see `lib.loads.Store`."""

    chunks_per_batch = 4

    def __init__(self, rds: MockRds, table: str) -> None:
        self._rds = rds
        self.table = table
        self.rows: list[Row] = []
        self._sent: list[Row] = []
        self.rejects: list[Reject] = []
        self.entry: dict[tuple[str, str], dict[str, Any]] = {}

    def claim(self, s3_object: S3Object, function: str) -> Claim:
        """See `lib.loads.Store`."""
        key = (s3_object.id, self.table)
        if key in self._rds.ledger:
            return Claim(0, is_new=False)
        self.entry[key] = {"function": function}
        return Claim(len(self._rds.ledger) + 1, is_new=True)

    def lock(self, number: int) -> None:
        """See `lib.loads.Store`."""

    def describe(self, number: int, size: int, modified: datetime) -> None:
        """See `lib.loads.Store`."""

    def other_versions(self, number: int) -> list[OtherVersion]:
        """See `lib.loads.Store`."""
        return []

    def delete_rows(self, numbers: list[int], check: Callable[[], None]) -> None:
        """See `lib.loads.Store`."""

    def delete_rejects(self, number: int) -> None:
        """See `lib.loads.Store`."""

    def send(self, number: int, chunk: Chunk) -> None:
        """See `lib.loads.Store`."""
        self._sent += map(parse_row, chunk.text.splitlines(keepends=True))

    def flush(self) -> bool:
        """See `lib.loads.Store`."""
        sent, self._sent = self._sent, []
        is_refused = any(row[0] == "refused" for row in sent)
        if not is_refused:
            self.rows += sent
        return not is_refused

    def insert_acceptable(
        self, number: int, chunk: Chunk, limit: int, check: Callable[[], None]
    ) -> dict[int, Refusal]:
        """See `lib.loads.Store`."""
        self.send(number, chunk)
        sent, self._sent = self._sent, []
        self.rows += [row for row in sent if row[0] != "refused"]
        refusal = Refusal("out of range", "OutOfRange")
        return {at: refusal for at, row in enumerate(sent) if row[0] == "refused"}

    def reject(self, number: int, rejects: list[Reject]) -> None:
        """See `lib.loads.Store`."""
        self.rejects += rejects

    def record(self, number: int, loaded: int, rejected: int) -> None:
        """See `lib.loads.Store`."""


class BrokenRds(MockRds):
    """A database that fails at each commit."""

    def commit(self, store: MockStore) -> None:
        """Fail."""
        raise ConnectionError("server closed the connection unexpectedly")
