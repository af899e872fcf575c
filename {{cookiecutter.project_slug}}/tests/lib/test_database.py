"""The database client: retries, connections, passwords. The same for each database."""

import traceback
from contextlib import nullcontext
from typing import Any

import pytest

from lib.database import ATTEMPTS, Database, delete_in_pieces
from lib.database_errors import DatabaseError, DatabaseUnreachableError, RetryReason
from tests.tables import for_each


class Driver:
    """A driver (PEP 249): module, connection and cursor in one.

    `calls` lists all calls, `failures` are raised when transactions begin.
    """

    class Error(Exception):
        """An error whose argument is the reason to retry."""

    class OperationalError(Error):
        """The server cannot be reached."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.calls: list[str] = []
        self.password = "first"

    def cursor(self) -> Any:
        """Return the cursor as a context manager."""
        return nullcontext(self)

    def execute(self, *_: Any) -> None:
        """Do nothing."""

    def fetchall(self) -> list[tuple[bool]]:
        """Return that the database is read-only."""
        return [(True,)]

    def __getattr__(self, name: str) -> Any:
        return lambda: self.calls.append(name)


class Client(Database):
    """A client that uses this driver."""

    read_only_query = "SELECT true"

    def _import_driver(self) -> Any:
        raise AssertionError

    def _open(self, user: str, password: str) -> Any:
        if password != self.driver.password:
            self.driver.calls.append("refuse")
            raise Driver.OperationalError("access denied")
        self.driver.calls.append("open")
        return self.driver

    def _start_transaction(self) -> None:
        if self.driver.failures:
            raise self.driver.failures.pop()

    def _open_store(self, *_: Any) -> Any:
        raise AssertionError

    def _classify(self, error: Any) -> RetryReason | None:
        reason: RetryReason | None = error.args[0]
        return reason

    def _is_slow(self, error: Any) -> bool:
        return False

    def _code(self, error: Any) -> str:
        return "1"

    def _describe(self, error: Any) -> str:
        return "access denied" if isinstance(error, Driver.OperationalError) else "?"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    """Return a client that does not pause between attempts."""
    monkeypatch.setattr("lib.database.time.sleep", lambda seconds: None)
    return Client(None, Driver(), lambda: ("worker", "first"))


def retry(client: Client, reason: RetryReason | None, failures: int) -> list[str]:
    """Retry a transaction whose first attempts fail; return the driver's calls."""
    errors = [Driver.Error(reason)] * failures

    def transaction() -> None:
        with client.transaction():
            if errors:
                raise errors.pop()

    client.retry(transaction)
    return list(client.driver.calls)


def test_deadlock_is_retried_on_same_connection(client: Client) -> None:
    assert retry(client, RetryReason.DEADLOCK, 1) == ["open", "rollback", "commit"]


@pytest.mark.parametrize("reason", [RetryReason.CONNECTION_LOST, RetryReason.READ_ONLY])
def test_lost_connection_is_replaced(client: Client, reason: RetryReason) -> None:
    calls = ["open", "rollback", "close", "open", "commit"]
    assert retry(client, reason, 1) == calls


def test_attempts_are_bounded(client: Client) -> None:
    with pytest.raises(DatabaseError):
        retry(client, RetryReason.DEADLOCK, ATTEMPTS)


def test_lock_timeout_is_retried_until_deadline(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    retry(client, RetryReason.LOCK_TIMEOUT, 5 * ATTEMPTS)
    monkeypatch.setattr("lib.database.MAX_LOCK_WAIT", -1)
    with pytest.raises(DatabaseError):
        retry(client, RetryReason.LOCK_TIMEOUT, 1)


def test_other_error_is_not_retried(client: Client) -> None:
    with pytest.raises(DatabaseError):
        retry(client, None, 1)


def test_connection_is_reused(client: Client) -> None:
    retry(client, None, 0)
    assert retry(client, None, 0) == ["open", "commit", "commit"]


def test_dead_connection_is_replaced(client: Client) -> None:
    retry(client, None, 0)
    client.driver.failures = [Driver.Error("gone")]
    calls = ["open", "commit", "close", "open", "commit"]
    assert retry(client, None, 0) == calls


def test_lost_connection_raises_unreachable(client: Client) -> None:
    with pytest.raises(DatabaseUnreachableError), client.transaction():
        raise Driver.Error(RetryReason.CONNECTION_LOST)


def test_read_only_database_is_unreachable(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Database, "_needs_writes", False)
    client.check()  # readers are fine for functions that only read
    with pytest.raises(DatabaseUnreachableError):
        retry(client, RetryReason.READ_ONLY, ATTEMPTS)
    with pytest.raises(DatabaseUnreachableError, match="read-only"):
        client.check()


def test_driver_error_is_hidden_with_its_values(client: Client) -> None:
    value = "john.doe"
    with pytest.raises(DatabaseError) as raised, client.transaction():
        raise Driver.Error(None, value)
    shown = "".join(traceback.format_exception(raised.value))
    assert "raise Driver.Error(None, value)" in shown
    assert shown.count(value) == 0


def test_other_errors_pass_a_transaction(client: Client) -> None:
    with pytest.raises(KeyError), client.transaction():
        raise KeyError
    assert client.driver.calls == ["open", "rollback"]


@for_each("rows", [0, 999, 1000, 1001, 100_000])
def test_rows_are_deleted_in_growing_pieces(rows: int) -> None:
    pieces: list[int] = []

    def delete(size: int) -> int:
        deleted = min(size, rows - sum(pieces))
        pieces.append(deleted)
        return deleted

    delete_in_pieces(delete, 60, lambda: None)
    assert sum(pieces) == rows
    assert max(pieces) <= rows
    assert len(pieces) <= 8


def test_rotated_password_is_read_again() -> None:
    driver, passwords = Driver(), ["third", "second", "first"]
    client = Client(None, driver, lambda: ("worker", passwords.pop()))
    retry(client, None, 0)
    assert passwords == ["third", "second"]
    client.close()
    driver.password = "second"
    retry(client, None, 0)
    calls = ["open", "commit", "close", "refuse", "open", "commit"]
    assert (driver.calls, passwords) == (calls, ["third"])


def test_wrong_password_is_tried_once(client: Client) -> None:
    client.driver.password = "other"
    with pytest.raises(DatabaseUnreachableError, match="access denied"):
        client.check()
    assert client.driver.calls == ["refuse"]
