"""PostgreSQL, with psycopg: connections, SQL and errors."""

import logging
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from lib.database import Database
from lib.database_errors import RetryReason
from lib.error_codes import find_place, name_condition
from lib.store import PostgresStore

# Statements set this at the start of each transaction: start-up options are refused by
# RDS Proxy and PgBouncer, and PgBouncer's transactions may change their session.
BEGIN = """
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL standard_conforming_strings = on;
SET LOCAL synchronous_commit = on;
SET LOCAL TimeZone = 'UTC';
SET LOCAL DateStyle = 'ISO, YMD';
SET LOCAL IntervalStyle = 'postgres';
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '{timeout}s'
"""
# By the first characters of SQLSTATE, see
# https://www.postgresql.org/docs/current/errcodes-appendix.html
RETRY_REASONS = {
    "08": RetryReason.CONNECTION_LOST,
    "57P0": RetryReason.CONNECTION_LOST,  # the server shuts down or starts
    "25006": RetryReason.READ_ONLY,
    "40": RetryReason.DEADLOCK,
    "55P03": RetryReason.LOCK_TIMEOUT,
}
QUERY_CANCELED = "57014"
# Errors whose messages name parts of the schema or of the server, and no values.
NAMING_ERRORS = ("08", "25", "28", "3D", "3F", "42", "53", "55", "57")


class Rds(Database):
    """Client of PostgreSQL."""

    read_only_query = "SELECT current_setting('transaction_read_only') = 'on'"

    def _import_driver(self) -> Any:
        # it logs errors that it ignores, with values of rows
        logging.getLogger("psycopg").setLevel(logging.ERROR)
        return import_module("psycopg")

    def _open(self, user: str, password: str) -> Any:
        var = self._var
        tls = {"sslmode": "prefer"}
        if var.db_tls == "verify":
            tls = {"sslmode": "verify-full", "sslrootcert": var.db_ca or "system"}
        return self.driver.connect(
            host=var.db_host,
            port=var.db_port,
            dbname=var.db_name,
            user=user,
            password=password,
            connect_timeout=10,
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            tcp_user_timeout=30_000,
            autocommit=True,  # `BEGIN` is ours
            prepare_threshold=None,  # a prepared statement belongs to a session
            **tls,
        )

    def _start_transaction(self) -> None:
        self._connection.execute(BEGIN.format(timeout=self._var.db_statement_timeout))

    def _open_store(
        self, cursor: Any, table: str, columns: Sequence[str]
    ) -> PostgresStore:
        return PostgresStore(cursor, self.driver, table, columns, self._var)

    def _classify(self, error: Any) -> RetryReason | None:
        if self._connection is None or self._connection.closed:
            return RetryReason.CONNECTION_LOST
        for start, reason in RETRY_REASONS.items():
            if self._code(error).startswith(start):
                return reason
        return None

    def _is_slow(self, error: Any) -> bool:
        return self._code(error) == QUERY_CANCELED

    def _code(self, error: Any) -> str:
        return str(error.sqlstate or "")

    def _describe(self, error: Any) -> str:
        state = self._code(error)
        first_line = (str(error).splitlines() or [""])[0]
        if not state:  # it is the driver's own
            is_of_connection = isinstance(error, self.driver.OperationalError)
            return first_line if is_of_connection else type(error).__name__
        if state.startswith(NAMING_ERRORS) and not error.diag.context:
            return f"{type(error).__name__} ({state}): {first_line}"
        return name_condition(self.driver, state, find_place(error.diag))
