"""The client of PostgreSQL: how it connects, and which errors can be retried."""

import logging
import re
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from lib.database_errors import DatabaseError, RetryReason, SlowStatementError
from lib.rds import Rds
from lib.store import PostgresStore
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


def make_client(**settings: Any) -> Client:
    """Return a client with these settings."""
    defaults = {
        "db_host": "db.example.com",
        "db_port": 5433,
        "db_name": "shop",
        "db_user": "app",
        "db_pass": "s3cret",
        "db_tls": "prefer",
        "db_ca": None,
        "db_statement_timeout": 60,
        "load_column": "load_id",
        "insert_statement": None,
        "on_duplicate": "reject",
    }
    return Client(SimpleNamespace(**{**defaults, **settings}), Driver())


def connected(**settings: Any) -> Client:
    """Return a client that has a connection."""
    client = make_client(**settings)
    client.open()
    return client


def test_connection_detects_dead_peers() -> None:
    client = connected()
    assert client.driver.options == [
        {
            "host": "db.example.com",
            "port": 5433,
            "dbname": "shop",
            "user": "app",
            "password": "s3cret",
            "connect_timeout": 10,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
            "autocommit": True,
            "prepare_threshold": None,
            "sslmode": "prefer",
        }
    ]


@for_each(("ca", "root"), [(None, "system"), ("rds.pem", "rds.pem")])
def test_tls_verifies_server(ca: str | None, root: str) -> None:
    [options] = connected(db_tls="verify", db_ca=ca).driver.options
    assert (options["sslmode"], options["sslrootcert"]) == ("verify-full", root)


def test_transaction_sets_its_limits() -> None:
    [statement] = make_client(db_statement_timeout=75).open().statements
    assert statement.lstrip().startswith("BEGIN ISOLATION LEVEL READ COMMITTED;")
    assert "SET LOCAL statement_timeout = '75s'" in statement
    assert "SET LOCAL lock_timeout = '5s'" in statement
    # a pooler may give each transaction another session
    assert not re.search("SET (?!LOCAL)", statement)


def test_driver_does_not_log_values(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver()
    monkeypatch.setitem(sys.modules, "psycopg", driver)
    logger = logging.getLogger("psycopg")
    monkeypatch.setattr(logger, "level", logging.NOTSET)
    assert Rds(None).driver is driver
    assert logger.level == logging.ERROR


def test_store_loads_into_table() -> None:
    client, server = make_client(), Server()
    store = client.open_store(server)
    assert isinstance(store, PostgresStore)
    store.delete_rows([1], lambda: None)
    assert 'DELETE FROM "clicks" WHERE "load_id"' in server.statements[0]


@for_each(
    ("state", "reason"),
    [
        ("08006", RetryReason.CONNECTION_LOST),
        ("57P01", RetryReason.CONNECTION_LOST),
        ("25006", RetryReason.READ_ONLY),
        ("40001", RetryReason.DEADLOCK),
        ("40P01", RetryReason.DEADLOCK),
        ("55P03", RetryReason.LOCK_TIMEOUT),
        ("23505", None),
        ("25P02", None),
        ("55000", None),
    ],
)
def test_state_says_whether_to_retry(state: str, reason: RetryReason | None) -> None:
    error = connected().translate(Error(state, "failed"))
    assert isinstance(error, DatabaseError)
    assert (error.retry_reason, error.code) == (reason, state)


def test_error_of_closed_connection_can_be_retried() -> None:
    client = make_client()
    connection = client.open()
    connection.closed = True
    error = client.translate(Error(None, "consuming input failed"))
    assert isinstance(error, DatabaseError)
    assert (error.retry_reason, error.code) == (RetryReason.CONNECTION_LOST, "")


def test_error_before_connection_can_be_retried() -> None:
    error = make_client().translate(Error("42P01", "failed"))
    assert isinstance(error, DatabaseError)
    assert error.retry_reason is RetryReason.CONNECTION_LOST


def test_canceled_statement_was_too_slow() -> None:
    error = connected().translate(Error("57014", "canceling statement"))
    assert isinstance(error, SlowStatementError)
    assert str(error) == "Error (57014): canceling statement"


@for_each(
    ("error", "text"),
    [
        # a message that names parts of the schema
        (Error("42P01", 'no "clicks"\nLINE 1: SELECT'), 'Error (42P01): no "clicks"'),
        # one that may have values, which a function has raised
        (
            Error("42P01", "no john.doe", context="PL/pgSQL function f() line 1"),
            "UndefinedTable (42P01)",
        ),
        # ones that have values
        (
            Error("23505", "duplicate john.doe", constraint_name="clicks_pkey"),
            "UniqueViolation (23505) at clicks_pkey",
        ),
        (Error("P0001", "no john.doe"), "error (P0001)"),
        # ones of the driver
        (OperationalError(None, "no route\nto host"), "no route"),
        (OperationalError(None, ""), ""),
        (Error(None, "cannot adapt john.doe"), "Error"),
    ],
)
def test_description_has_no_values(error: Error, text: str) -> None:
    assert str(connected().translate(error)) == text
