"""The part of MySQL in migrations: connections, the lock, and kinds of errors."""

import os
import re
from typing import Any

import pymysql

from tools.migration_sessions import Session, StatementError

Error = pymysql.Error
# MySQL commits before and after each statement that changes a table's definition.
HAS_TRANSACTIONS = False
CREATE_HISTORY = """
CREATE TABLE IF NOT EXISTS migrations (
    name VARCHAR(200) PRIMARY KEY,
    checksum CHAR(64) NOT NULL,
    statements INT NOT NULL,
    state VARCHAR(9) NOT NULL,
    changed_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
) CHARACTER SET utf8mb4
"""
IN_TRANSACTION = ""
# A change that waits for a table lets no one else use it, so it must not wait long.
IN_SESSION = "SET lock_wait_timeout = 3, innodb_lock_wait_timeout = 3"
# A row is locked, because a transaction's end unlocks it. The Data API keeps sessions
# open, and with them the locks of GET_LOCK.
FIND_ROW = "SELECT name FROM migrations WHERE name = 'lock'"
ADD_ROW = (
    "INSERT IGNORE INTO migrations (name, checksum, statements, state) "
    "VALUES ('lock', '', 0, 'lock')"
)
LOCK = f"{FIND_ROW} FOR UPDATE NOWAIT"
KEEP_LOCK = "SELECT 1"
# https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
LOCK_TIMEOUTS = {"1205", "3572"}
LOST = {"2006", "2013", "1053", "1317"}
LOCK_MESSAGES = r"Lock wait timeout exceeded|NOWAIT is set"


def connect(database: str) -> Any:
    """Return a connection to a database of the shim, in autocommit."""
    return pymysql.connect(
        host=os.environ["DB_HOST"],
        port=int(os.environ["DB_PORT"]),
        database=database,
        user=os.environ["DB_ADMIN"],
        password=os.environ["DB_PASS"],
        autocommit=True,
        init_command=IN_SESSION,
    )


def try_lock(session: Session) -> bool:
    """Begin a transaction that has the lock until it ends; return whether it has it."""
    session.execute(CREATE_HISTORY)
    if not session.execute(FIND_ROW):
        session.execute(ADD_ROW)
    session.begin()
    try:
        session.execute(LOCK)
    except StatementError as error:
        session.roll_back()
        if not error.is_lock_timeout:
            raise
        return False
    return True


def error_code(error: Any) -> str:
    """Return the number of an error of the driver, empty if it has none."""
    return str(error.args[0]) if error.args else ""


def is_lost(error: Any) -> bool:
    """Return whether the connection was lost, and so whatever the statement did."""
    return error_code(error) in LOST or isinstance(error, pymysql.InterfaceError)


def is_lock_timeout(code_or_message: str) -> bool:
    """Return whether a statement gave up waiting for a lock.

    Args:
        code_or_message: a number, or the Data API's message.
    """
    is_code = code_or_message in LOCK_TIMEOUTS
    return is_code or bool(re.search(LOCK_MESSAGES, code_or_message))
