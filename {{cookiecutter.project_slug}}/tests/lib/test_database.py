"""What a client of the database makes of errors, whatever the database."""

from contextlib import nullcontext
from typing import Any

import pytest

from lib.database import ATTEMPTS, Database, Trouble
from lib.loads import DatabaseAwayError


class Driver:
    """A driver (PEP 249) in its own stead: module, connection and cursor."""

    class Error(Exception):
        """Of the trouble that it is given."""

    class OperationalError(Error):
        """The server cannot be reached."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.done: list[str] = []
        self.password = "first"

    def cursor(self) -> Any:
        """Return the cursor, to be closed at the end of a block."""
        return nullcontext(self)

    def __getattr__(self, name: str) -> Any:
        return lambda: self.done.append(name)


class Client(Database):
    """A client whose server does as the driver says."""

    def _own_driver(self) -> Any:
        raise AssertionError

    def _open(self, user: str, password: str) -> Any:
        if password != self.driver.password:
            self.driver.done.append("refuse")
            raise Driver.OperationalError("access denied")
        self.driver.done.append("open")
        return self.driver

    def _ping(self) -> None:
        if self.driver.failures:
            raise self.driver.failures.pop()

    def _store(self, *_: Any) -> Any:
        raise AssertionError

    def _diagnosis(self, error: Any) -> Trouble | None:
        found: Trouble | None = error.args[0]
        return found

    def _brief(self, error: BaseException) -> str:
        return str(error)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    """Return a client that does not pause between attempts."""
    monkeypatch.setattr("lib.database.time.sleep", lambda seconds: None)
    return Client(None, Driver(), lambda: ("worker", "first"))


def attempts_at(client: Client, trouble: Trouble | None, failures: int) -> list[str]:
    """Begin transactions of which the first ones fail; return what was done."""
    left = [Driver.Error(trouble)] * failures

    def act() -> None:
        with client.transaction():
            if left:
                raise left.pop()

    client.retry(act)
    return list(client.driver.done)


def test_deadlock_is_tried_again_on_the_same_connection(client: Client) -> None:
    assert attempts_at(client, Trouble.CONFLICT, 1) == ["open", "rollback", "commit"]


@pytest.mark.parametrize("trouble", [Trouble.AWAY, Trouble.READ_ONLY])
def test_lost_or_reading_server_is_left_for_a_new_connection(
    client: Client, trouble: Trouble
) -> None:
    done = ["open", "rollback", "close", "open", "commit"]
    assert attempts_at(client, trouble, 1) == done


def test_attempts_have_a_bound(client: Client) -> None:
    with pytest.raises(Driver.Error):
        attempts_at(client, Trouble.CONFLICT, ATTEMPTS)


def test_lock_of_others_is_waited_for_longer_but_not_for_ever(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts_at(client, Trouble.BUSY, 5 * ATTEMPTS)
    monkeypatch.setattr("lib.database.PATIENCE", -1)
    with pytest.raises(Driver.Error):
        attempts_at(client, Trouble.BUSY, 1)


def test_error_of_no_known_trouble_is_raised_at_once(client: Client) -> None:
    with pytest.raises(Driver.Error):
        attempts_at(client, None, 1)


def test_connection_is_kept_from_one_transaction_to_the_next(client: Client) -> None:
    attempts_at(client, None, 0)
    assert attempts_at(client, None, 0) == ["open", "commit", "commit"]


def test_connection_that_has_gone_meanwhile_is_made_anew(client: Client) -> None:
    attempts_at(client, None, 0)
    client.driver.failures = [Driver.Error("gone")]
    done = ["open", "commit", "close", "open", "commit"]
    assert attempts_at(client, None, 0) == done


def test_lost_connection_is_told_as_a_database_that_is_away(client: Client) -> None:
    with pytest.raises(DatabaseAwayError), client.transaction():
        raise Driver.Error(Trouble.AWAY)


def test_password_that_changes_is_read_again_where_it_is_refused() -> None:
    driver, passwords = Driver(), ["third", "second", "first"]
    client = Client(None, driver, lambda: ("worker", passwords.pop()))
    attempts_at(client, None, 0)
    assert passwords == ["third", "second"]
    client.close()
    driver.password = "second"
    attempts_at(client, None, 0)
    done = ["open", "commit", "close", "refuse", "open", "commit"]
    assert (driver.done, passwords) == (done, ["third"])


def test_password_that_stays_wrong_is_tried_once(client: Client) -> None:
    client.driver.password = "other"
    with pytest.raises(DatabaseAwayError, match="access denied"):
        client.check()
    assert client.driver.done == ["refuse"]
