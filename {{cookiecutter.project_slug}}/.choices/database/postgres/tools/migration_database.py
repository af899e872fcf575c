"""The part of PostgreSQL in migrations: connections, the lock, kinds of errors."""

import os
from typing import Any

import psycopg

from tools.migration_sessions import Session

Error = psycopg.Error
# Without `-- no transaction`, a file's statements are one transaction.
HAS_TRANSACTIONS = True
CREATE_HISTORY = """
CREATE TABLE IF NOT EXISTS migrations (
    name VARCHAR(200) PRIMARY KEY,
    checksum CHAR(64) NOT NULL,
    statements INT NOT NULL,
    state VARCHAR(9) NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
)
"""
# A change that waits for a table lets no one else use it, so it must not wait long.
IN_TRANSACTION = "SET LOCAL lock_timeout = '3s'"
LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('migrations', 0))"
# No query: its portal would keep a snapshot, for which CREATE INDEX CONCURRENTLY waits.
KEEP_LOCK = "SET LOCAL application_name = 'migrate'"
LOCK_TIMEOUT = "55P03"
LOST = ("08", "57P0")  # the first characters of SQLSTATE


def connect(database: str) -> Any:
    """Return a connection to a database of the shim, in autocommit."""
    return psycopg.connect(
        host=os.environ["DB_HOST"],
        port=int(os.environ["DB_PORT"]),
        dbname=database,
        user=os.environ["DB_ADMIN"],
        password=os.environ["DB_PASS"],
        autocommit=True,
    )


def try_lock(session: Session) -> bool:
    """Begin a transaction that has the lock until it ends; return whether it has it."""
    session.begin()
    [(is_locked,)] = session.execute(LOCK)
    if not is_locked:
        session.roll_back()
    return bool(is_locked)


def error_code(error: Any) -> str:
    """Return the SQLSTATE of an error of the driver, empty if it has none."""
    return str(error.sqlstate or "")


def is_lost(error: Any) -> bool:
    """Return whether the connection was lost, and so whatever the statement did."""
    code = error_code(error)
    is_of_driver = not code and isinstance(error, psycopg.OperationalError)
    return is_of_driver or code.startswith(LOST)


def is_lock_timeout(code_or_message: str) -> bool:
    """Return whether a statement gave up waiting for a lock.

    Args:
        code_or_message: a SQLSTATE, or the Data API's message, which contains it.
    """
    return LOCK_TIMEOUT in code_or_message
