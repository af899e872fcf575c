"""The client of MySQL: how it connects, and which errors can be retried."""

import logging
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from lib.database_errors import (
    DatabaseError,
    DatabaseUnreachableError,
    RetryReason,
    SlowStatementError,
)
from lib.rds import Rds
from lib.store import MysqlStore
from tests.mock.driver import Connection, Driver, Error, OperationalError, Server
from tests.tables import for_each


class Client(Rds):
    """A client with what a test needs of its base class made public."""

    def open(self) -> Connection:
        """Begin a transaction."""
        connection = self._begin()
        assert isinstance(connection, Connection)
        return connection

    def translate(self, error: BaseException) -> BaseException:
        """Return the error that the user sees."""
        return self._translate(error)

    def open_store(self, cursor: Any) -> Any:
        """Open the store of a load."""
        return self._open_store(cursor, "clicks", ["a"])


def make_client(driver: Driver | None = None, **settings: Any) -> Client:
    """Return a client with these settings."""
    defaults = {
        "db_host": "db.example.com",
        "db_port": 3307,
        "db_name": "shop",
        "db_user": "app",
        "db_pass": "s3cr€t",
        "db_tls": "prefer",
        "db_ca": None,
        "db_statement_timeout": 60,
        "load_column": "load_id",
        "insert_statement": None,
        "on_duplicate": "reject",
        "on_new_version": "append",
    }
    return Client(SimpleNamespace(**{**defaults, **settings}), driver or Driver())


def connect(driver: Driver | None = None, **settings: Any) -> list[str]:
    """Open a connection; return the statements that set up its session."""
    return make_client(driver, **settings).open().statements


def test_connection_has_timeouts() -> None:
    client = make_client()
    client.open()
    assert client.driver.options == [
        {
            "host": "db.example.com",
            "port": 3307,
            "database": "shop",
            "user": "app",
            "password": "s3cr€t".encode(),
            "charset": "utf8mb4",
            "local_infile": False,
            "ssl": None,
            "connect_timeout": 10,
            "read_timeout": 65,
            "write_timeout": 20,
        }
    ]


def test_port_is_the_drivers_by_default() -> None:
    client = make_client(db_port=None)
    client.open()
    assert client.driver.options[0]["port"] == 0


def test_tls_verifies_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.rds.create_default_context", lambda cafile: [cafile])
    client = make_client(db_tls="verify", db_ca="rds.pem")
    client.open()
    [options] = client.driver.options
    assert (options["ssl"], options["local_infile"]) == (["rds.pem"], True)


@for_each("host", ["127.0.0.1", "localhost", "::1"])
def test_server_on_this_machine_may_read_files(host: str) -> None:
    client = make_client(db_host=host)
    client.open()
    assert client.driver.options[0]["local_infile"] is True


def test_session_stores_values_as_they_are() -> None:
    statements = connect()
    assert statements[0] == "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
    for setting in (
        "STRICT_ALL_TABLES",
        "NO_ZERO_DATE",
        "time_zone = '+00:00'",
        "innodb_lock_wait_timeout = 5",
        "foreign_key_checks = 1",
    ):
        assert setting in statements[1]
    assert "SET SESSION max_error_count = 65535" in statements
    assert statements[-1] == "BEGIN"


def test_mysql_limits_queries() -> None:
    statements = connect(db_statement_timeout=75)
    assert "SET SESSION max_execution_time = 75000" in statements
    assert not any("ROUND_FRACTIONAL" in each for each in statements)


def test_mariadb_limits_statements_and_rounds() -> None:
    statements = connect(Driver("11.4.2-MariaDB"), db_statement_timeout=75)
    assert "SET SESSION max_statement_time = 75" in statements
    assert any("TIME_ROUND_FRACTIONAL" in each for each in statements)


def test_settings_of_privileged_users_may_fail(
    caplog: pytest.LogCaptureFixture,
) -> None:
    driver = Driver()
    driver.results["@@explicit_defaults"] = [(0,)]
    denied = OperationalError(1227, "Access denied")
    driver.failures = dict.fromkeys(("max_error_count", "SET SESSION explicit"), denied)
    assert connect(driver)[-1] == "BEGIN"
    assert caplog.messages == [
        "the server may store the current time instead of NULL: set "
        "explicit_defaults_for_timestamp=1"
    ]


@for_each("is_on", [0, 1])
def test_timestamps_store_null(is_on: int) -> None:
    driver = Driver()
    driver.results["@@explicit_defaults"] = [(is_on,)]
    statement = "SET SESSION explicit_defaults_for_timestamp = 1"
    assert (statement in connect(driver)) is not bool(is_on)


def test_driver_is_imported_on_use(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver()
    monkeypatch.setitem(sys.modules, "pymysql", driver)
    assert Rds(None).driver is driver


@for_each(
    ("on_new_version", "expected"),
    [
        ("replace", ["COMMIT", "DO RELEASE_ALL_LOCKS()"]),
        ("append", ["BEGIN", "COMMIT"]),
    ],
)
def test_locks_are_released(on_new_version: str, expected: list[str]) -> None:
    client = make_client(on_new_version=on_new_version)
    with client.transaction():
        pass
    [connection] = client.driver.connections
    assert connection.statements[-2:] == expected


def test_connection_that_keeps_locks_is_closed() -> None:
    client = make_client(on_new_version="replace")
    client.driver.failures["RELEASE"] = OperationalError(2013, "Lost connection")
    with client.transaction():
        pass
    [connection] = client.driver.connections
    assert connection.is_closed


def test_no_locks_are_released_without_connection() -> None:
    client = make_client(on_new_version="replace")
    client.driver.refusal = OperationalError(2003, "Can't connect")
    with pytest.raises(DatabaseUnreachableError), client.transaction():
        pass
    with pytest.raises(ZeroDivisionError), make_client().transaction():
        raise ZeroDivisionError


@for_each(
    ("settings", "is_on", "message"),
    [
        ({"db_host": "localhost"}, 1, None),
        ({"db_host": "localhost"}, 0, "local_infile is off"),
        ({}, 1, "TLS does not verify it"),
        ({}, 0, "local_infile is off"),
    ],
)
def test_load_data_is_used_where_it_is_safe(
    settings: dict[str, Any],
    is_on: int,
    message: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.clear()
    client, server = make_client(**settings), Server()
    server.results["@@local_infile"] = [(is_on,)]
    for _ in range(2):
        store = client.open_store(server)
    assert isinstance(store, MysqlStore)
    assert store._is_bulk is (message is None)
    # it is asked and logged once
    assert server.statements == ["SELECT @@local_infile"]
    host = settings.get("db_host", "db.example.com")
    text = f"loading into {host} by INSERT, slowly: {message}"
    assert caplog.messages == ([text] if message else [])


def test_own_statement_needs_no_load_data(caplog: pytest.LogCaptureFixture) -> None:
    client, server = make_client(insert_statement="CALL add(%s, %s)"), Server()
    assert client.open_store(server)._is_bulk is False
    assert (server.sent, caplog.messages) == ([], [])


LOST, READ_ONLY = RetryReason.CONNECTION_LOST, RetryReason.READ_ONLY


@for_each(
    ("codes", "reason"),
    [
        ((0, 1053, 1927, 2002, 2003, 2006, 2013, 2055, 4031), LOST),
        ((1290, 1792, 1836), READ_ONLY),
        ((1205,), RetryReason.LOCK_TIMEOUT),
        ((1213,), RetryReason.DEADLOCK),
        ((1, 1045, 1054, 1062, 1204, 1206, 1214, 2000, 2014, 4032), None),
    ],
)
def test_number_says_whether_to_retry(
    codes: tuple[int, ...], reason: RetryReason | None
) -> None:
    for code in codes:
        error = make_client().translate(Error(code, "failed"))
        assert isinstance(error, DatabaseError)
        assert (code, error.retry_reason, error.code) == (code, reason, str(code))


@for_each("code", [1969, 3024])
def test_interrupted_statement_was_too_slow(code: int) -> None:
    error = make_client().translate(OperationalError(code, "interrupted"))
    assert isinstance(error, SlowStatementError)
    assert str(error) == f"error ({code}): interrupted"


def lose_connection(
    client: Client, code: int = 2013, reason: Exception | None = None
) -> BaseException:
    """Return the error of a connection that was lost while a statement ran."""
    error = OperationalError(code, "Lost connection")
    error.__context__ = reason or TimeoutError()
    return client.translate(error)


@for_each("code", [2006, 2013])
def test_statement_that_still_runs_is_too_slow(code: int) -> None:
    client = make_client()
    client.driver.results["processlist"] = [(1,)]
    client.open()
    assert isinstance(lose_connection(client, code), SlowStatementError)
    other = client.driver.connections[1]
    assert other.values[-1] == (42,)
    assert other.is_closed


@for_each(
    ("code", "reason", "count"), [(2013, OSError(), 1), (2003, TimeoutError(), 1)]
)
def test_server_is_asked_after_timeouts_only(
    code: int, reason: Exception, count: int
) -> None:
    client = make_client()
    client.driver.results["processlist"] = [(1,)]
    client.open()
    error = lose_connection(client, code, reason)
    assert isinstance(error, DatabaseUnreachableError)
    assert len(client.driver.connections) == count


def test_lost_connection_of_idle_server_can_be_retried() -> None:
    client = make_client()
    client.open()
    assert isinstance(lose_connection(client), DatabaseUnreachableError)


@for_each("refusal", [OperationalError(2003, "Can't connect"), ConnectionResetError()])
def test_server_that_is_gone_can_be_retried(refusal: Exception) -> None:
    client = make_client()
    client.open()
    client.driver.refusal = refusal
    assert isinstance(lose_connection(client), DatabaseUnreachableError)


@for_each(
    ("error", "text"),
    [
        # a message that names parts of the schema
        (Error(1146, "no table clicks\nin x"), "error (1146): no table clicks"),
        (Error(1213, ""), "LOCK_DEADLOCK (1213): "),
        # one that has values
        (Error(1062, "Duplicate entry 'john.doe'"), "DUP_ENTRY (1062)"),
        (Error("cannot encode john.doe"), "Error"),
        (Error(0, "closed"), "the database cannot be reached: Error: closed"),
        (Error(), "Error"),
    ],
)
def test_description_has_no_values(error: Error, text: str) -> None:
    assert str(make_client().translate(error)) == text


@for_each(
    "code",
    [
        *(1040, 1044, 1045, 1049, 1054, 1142, 1143, 1146, 1205, 1213, 1227, 1364),
        *(1969, 3024),
    ],
)
def test_messages_with_names_are_shown(code: int) -> None:
    assert str(make_client().translate(Error(code, "the text"))).endswith(": the text")


@for_each("code", [1053, 1290, 1792, 1836, 1927, 2002, 2003, 2006, 2013, 2055, 4031])
def test_messages_of_lost_connections_are_shown(code: int) -> None:
    text = str(make_client().translate(Error(code, "the text")))
    assert text == f"the database cannot be reached: error ({code}): the text"


def test_logger_is_the_functions(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="function"):
        client, server = make_client(), Server()
        server.results["@@local_infile"] = [(1,)]
        client.open_store(server)
    assert [record.name for record in caplog.records] == ["function"]
