"""The database client: retries, connections, passwords. The same for each database."""

import traceback
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from errors import BadInputError
from lib.chunks import Chunk
from lib.database import ATTEMPTS, Database, delete_in_pieces
from lib.database_errors import (
    DatabaseError,
    DatabaseUnreachableError,
    RetryReason,
    SlowStatementError,
)
from lib.events import S3Object
from lib.loads import Load
from tests.mock.rds import MockRds
from tests.tables import for_each

OBJECT = S3Object("raw", "a.csv", version="v1")


class Driver:
    """A driver (PEP 249): module, connection and cursor in one.

    `calls` lists all calls, `failures` are raised when transactions begin, `broken` has
    what other calls raise, by name.
    """

    class Error(Exception):
        """An error whose argument is the reason to retry."""

    class OperationalError(Error):
        """The server cannot be reached."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.calls: list[str] = []
        self.broken: dict[str, Exception] = {}
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
        def call() -> None:
            self.calls.append(name)
            if name in self.broken:
                raise self.broken[name]

        return call


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

    def _release_locks(self) -> None:
        self.driver.calls.append("release")

    def _open_store(self, *_: Any) -> Any:
        raise AssertionError

    def _classify(self, error: Any) -> RetryReason | None:
        reason: RetryReason | None = error.args[0]
        return reason

    def _is_slow(self, error: Any) -> bool:
        return "slow" in error.args

    def _code(self, error: Any) -> str:
        return "1"

    def _describe(self, error: Any) -> str:
        return "access denied" if isinstance(error, Driver.OperationalError) else "?"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    """Return a client that does not pause between attempts."""
    monkeypatch.setattr("lib.database.time.sleep", lambda seconds: None)
    return make_client()


def make_client() -> Client:
    """Return a client that has a driver of its own."""
    return Client(None, Driver(), lambda: ("worker", "first"))


def retry(client: Client, reason: RetryReason | None, failures: int) -> list[str]:
    """Retry a transaction whose first attempts fail; return the driver's calls."""
    errors = [Driver.Error(reason)] * failures

    def transaction() -> None:
        with client.transaction():
            if errors:
                raise errors.pop()

    client.retry(transaction)
    return [call for call in client.driver.calls if call != "release"]


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
    assert client.driver.calls == ["open", "rollback", "release"]


def test_cause_of_other_errors_is_kept(client: Client) -> None:
    cause = ZeroDivisionError()
    with pytest.raises(KeyError) as raised, client.transaction():
        raise KeyError from cause
    assert raised.value.__cause__ is cause


def test_locks_are_released_after_commit(client: Client) -> None:
    with client.transaction():
        pass
    assert client.driver.calls == ["open", "commit", "release"]


@for_each(
    ("error", "kind", "reason"),
    [
        (Driver.Error(None), DatabaseError, None),
        (Driver.Error(RetryReason.DEADLOCK), DatabaseError, RetryReason.DEADLOCK),
        (
            Driver.Error(RetryReason.CONNECTION_LOST),
            DatabaseUnreachableError,
            RetryReason.CONNECTION_LOST,
        ),
        (Driver.Error(None, "slow"), SlowStatementError, None),
    ],
)
def test_driver_errors_are_translated(
    error: Exception, kind: type[DatabaseError], reason: RetryReason | None
) -> None:
    with pytest.raises(DatabaseError) as raised, make_client().transaction():
        raise error
    assert type(raised.value) is kind
    assert (raised.value.code, raised.value.retry_reason) == ("1", reason)
    assert raised.value.args == ("?",)


@for_each("error", [Driver.Error(None), OSError()])
def test_connection_that_cannot_roll_back_is_closed(error: Exception) -> None:
    client = make_client()
    client.driver.broken["rollback"] = error
    with pytest.raises(ZeroDivisionError), client.transaction():
        raise ZeroDivisionError
    assert client.driver.calls == ["open", "rollback", "close", "release"]


def test_connection_that_cannot_begin_is_closed(client: Client) -> None:
    client.driver.failures = [Driver.OperationalError(None)]
    with pytest.raises(DatabaseUnreachableError) as raised:
        client.query("SELECT 1")
    assert client.driver.calls == ["open", "close"]
    assert raised.value.retry_reason is RetryReason.CONNECTION_LOST
    assert (raised.value.code, raised.value.args) == ("", ("access denied",))


def test_connection_is_closed_once(client: Client) -> None:
    client.driver.broken["close"] = Driver.Error(None)
    client.close()
    with client.transaction():
        pass
    client.close()
    client.close()
    assert client.driver.calls == ["open", "commit", "release", "close"]


def test_query_returns_rows() -> None:
    rds = make_rds()
    rds.results["SELECT"] = [(1, "anna"), (2, "bob")]
    assert rds.query("SELECT %s", [1]) == [(1, "anna"), (2, "bob")]
    assert rds.query("SELECT 100 % 3") == [(1, "anna"), (2, "bob")]
    # a driver takes `%` for a placeholder if there are values, even none
    assert rds.statements == [("SELECT %s", [1]), ("SELECT 100 % 3", None)]


@for_each(("password", "expected"), [("s3cret", "s3cret"), (None, "")])
def test_settings_are_the_default_credentials(
    password: str | None, expected: str
) -> None:
    driver = Driver()
    driver.password = expected
    client = Client(SimpleNamespace(db_user="app", db_pass=password), driver)
    assert retry(client, None, 0) == ["open", "commit"]


def test_own_driver_is_imported_by_default() -> None:
    with pytest.raises(AssertionError):
        print(Client(None).driver)


def test_pauses_between_attempts_vary(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("lib.database.time.sleep", pauses.append)
    retry(make_client(), RetryReason.LOCK_TIMEOUT, 200)
    assert 0.1 <= min(pauses) < 0.2
    assert 0.4 < max(pauses) <= 0.5


def test_retries_are_logged(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    retry(client, RetryReason.DEADLOCK, 2)
    assert caplog.messages == ["retrying: ?"] * 2


def test_arguments_and_result_pass_a_retry(client: Client) -> None:
    assert client.retry(divmod, 7, 2) == (3, 1)
    assert client.retry(sorted, [1, 2], reverse=True) == [2, 1]


def test_lock_is_waited_for_up_to_its_limit(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Lambda cannot run any longer than these 15 minutes."""
    clock = [0.0]
    monkeypatch.setattr("lib.database.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("lib.database.time.sleep", lambda _: None)

    passing = [0.5, 0, 900]

    def fail() -> None:
        clock[0] += passing.pop()
        raise DatabaseError("locked", "", RetryReason.LOCK_TIMEOUT)

    with pytest.raises(DatabaseError, match="locked"):
        client.retry(fail)
    assert passing == []


def test_check_needs_writes_after_a_failed_one(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Database, "_needs_writes", False)
    with pytest.raises(DatabaseUnreachableError):
        retry(client, RetryReason.CONNECTION_LOST, ATTEMPTS)
    client.check()
    monkeypatch.setattr(Database, "_needs_writes", True)
    with pytest.raises(DatabaseUnreachableError):
        client.check()
    assert client.driver.calls[-1] == "close"
    make_rds().check()  # it accepts changes


def make_rds(**settings: Any) -> MockRds:
    """Return a client whose database is in memory."""
    defaults = {
        "load_column": None,
        "on_new_version": "append",
        "max_reject_share": 1,
        "missing_fields": "reject",
    }
    rds = MockRds()
    rds.Rds(SimpleNamespace(**{**defaults, **settings}), lambda: ("app", ""))
    return rds


def test_load_writes_rows_and_ledger() -> None:
    rds = make_rds()
    with rds.load(OBJECT, "clicks", ["a", "-", "b"], "worker") as load:
        load.add(Chunk(b"1\t2\n", [(1, "1,x,2")]))
        assert rds.tables == {}
    assert rds.tables == {"clicks": [["1", "2"]]}
    assert rds.columns == {"clicks": ["a", "b"]}  # `-` skips a field
    [entry] = rds.ledger.values()
    assert (entry.loaded, entry.rejected) == (1, 0)


def test_failed_load_writes_nothing_and_names_object() -> None:
    rds = make_rds()
    with pytest.raises(ZeroDivisionError) as raised, rds.load(OBJECT, "clicks"):
        raise ZeroDivisionError
    assert (rds.tables, rds.ledger) == ({}, {})
    assert raised.value.__notes__ == [str(OBJECT)]


def test_rows_are_loaded_once_by_key() -> None:
    rds = make_rds()
    for _ in range(2):
        with rds.load(table="clicks", columns=["a"], key="clicks/1") as load:
            load.add_rows([(1,)])
    assert rds.tables == {"clicks": [["1"]]}


@for_each("arguments", [{}, {"s3_object": OBJECT, "key": "clicks/1"}])
def test_load_is_of_an_object_or_a_key(arguments: dict[str, Any]) -> None:
    with (
        pytest.raises(ValueError, match="pass one of them"),
        make_rds().load(**arguments),
    ):
        pass


def test_load_again_needs_load_column() -> None:
    again = OBJECT._replace(reload=True)
    message = "cannot be loaded again without load_column"
    with pytest.raises(BadInputError, match=message), make_rds().load(again, "clicks"):
        pass
    with make_rds(load_column="load_id").load(again, "clicks") as load:
        assert load.is_new


@for_each(
    ("settings", "expected"),
    [
        ({}, {"replaces": False, "share": 1, "shortest": 2}),
        ({"on_new_version": "replace"}, {"replaces": True}),
        ({"max_reject_share": 0.1}, {"share": 0.1}),
        # the last fields of a row may be missing
        ({"missing_fields": "null"}, {"shortest": 0}),
    ],
)
def test_settings_reach_load(
    settings: dict[str, Any], expected: dict[str, Any]
) -> None:
    found: dict[str, Any] = {}

    class RecordingLoad(Load):
        def __init__(self, store: Any, source: Any, function: str, *options: Any):
            names = ("replaces", "share", "check", "columns", "shortest")
            found.update(zip(names, options, strict=True))
            super().__init__(store, source, function, *options)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("lib.database.Load", RecordingLoad)
        with make_rds(**settings).load(OBJECT, "clicks", ["a", "-", "b"]):
            pass
    assert {name: found[name] for name in expected} == expected


@for_each(("seconds", "sizes"), [(5.9, [1000, 2000, 4000]), (6, [1000] * 3)])
def test_slow_pieces_do_not_grow(
    seconds: float, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    found: list[int] = []
    checks: list[int] = []
    monkeypatch.setattr("lib.database.time.monotonic", lambda: clock[0])

    def delete(size: int) -> int:
        assert len(checks) == len(found) + 1
        found.append(size)
        clock[0] += seconds
        return size if len(found) < 3 else size - 1

    delete_in_pieces(delete, 60, lambda: checks.append(1))
    assert found == sizes


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
    calls = [call for call in driver.calls if call != "release"]
    assert calls == ["open", "commit", "close", "refuse", "open", "commit"]
    assert passwords == ["third"]


def test_wrong_password_is_tried_once(client: Client) -> None:
    client.driver.password = "other"
    with pytest.raises(DatabaseUnreachableError, match="access denied"):
        client.check()
    assert client.driver.calls == ["refuse"]
