"""MySQL and MariaDB, with pymysql: connections, SQL and errors."""

import logging
from collections.abc import Sequence
from contextlib import closing, suppress
from importlib import import_module
from ssl import create_default_context
from typing import Any

from lib.database import Database
from lib.database_errors import RetryReason
from lib.error_codes import error_code, name_condition
from lib.store import MysqlStore

logger = logging.getLogger("function")

# All modes that are on. They replace the server's, which may store other values than
# those sent: zero dates, cut texts, or `\\N` instead of NULL.
SQL_MODE = ",".join(
    (
        "ERROR_FOR_DIVISION_BY_ZERO",
        "NO_AUTO_VALUE_ON_ZERO",
        "NO_ENGINE_SUBSTITUTION",
        "NO_ZERO_DATE",
        "NO_ZERO_IN_DATE",
        "ONLY_FULL_GROUP_BY",
        "STRICT_ALL_TABLES",
    )
)
SESSION = (
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    f"SET SESSION sql_mode = '{SQL_MODE}', time_zone = '+00:00', "
    "innodb_lock_wait_timeout = 5, lock_wait_timeout = 5, foreign_key_checks = 1, "
    "unique_checks = 1, sql_auto_is_null = 0, sql_notes = 0",
)
# MariaDB would cut digits of seconds that a column has no place for. MySQL rounds.
ROUND_FRACTIONS = "SET SESSION sql_mode = CONCAT(@@sql_mode, ',TIME_ROUND_FRACTIONAL')"
LIMIT_MARIADB = "SET SESSION max_statement_time = %s"  # seconds
LIMIT_MYSQL = "SET SESSION max_execution_time = %s000"  # ms, of queries only
HAS_EXPLICIT_TIMESTAMPS = "SELECT @@explicit_defaults_for_timestamp"
# LOAD DATA reports as many bad rows at once. MySQL lets privileged users set it only.
REPORT_ALL_ROWS = "SET SESSION max_error_count = 65535"
SET_EXPLICIT_TIMESTAMPS = "SET SESSION explicit_defaults_for_timestamp = 1"
IS_RUNNING = """
SELECT 1 FROM information_schema.processlist WHERE id = %s AND command <> 'Sleep'
"""
# https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
RETRY_REASONS = {
    **dict.fromkeys(
        (0, 1053, 1927, 2002, 2003, 2006, 2013, 2055, 4031),
        RetryReason.CONNECTION_LOST,
    ),
    **dict.fromkeys((1290, 1792, 1836), RetryReason.READ_ONLY),
    1205: RetryReason.LOCK_TIMEOUT,
    1213: RetryReason.DEADLOCK,
}
STATEMENT_TIMEOUTS = (1969, 3024)
CONNECTION_TIMEOUTS = (2006, 2013)
# Errors whose messages name parts of the schema or of the server, and no values.
NAMING_ERRORS = (
    *(0, 1040, 1044, 1045, 1049, 1053, 1054, 1142, 1143, 1146, 1205, 1213, 1227),
    *(1290, 1364, 1792, 1836, 1927, 1969, 2002, 2003, 2006, 2013, 2055, 3024, 4031),
)
# LOAD DATA LOCAL lets the server read any file of the client. Only a server that TLS
# verifies may do so, or one on this machine.
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Rds(Database):
    """Client of MySQL and MariaDB."""

    read_only_query = "SELECT @@read_only OR @@innodb_read_only"

    def __init__(self, var: Any, driver: Any = None, credentials: Any = None) -> None:
        super().__init__(var, driver, credentials)
        self._has_load_data: bool | None = None  # unknown before the first load

    def _import_driver(self) -> Any:
        return import_module("pymysql")

    def _open(self, user: str, password: str) -> Any:
        var = self._var
        tls = None
        if var.db_tls == "verify":
            tls = create_default_context(cafile=var.db_ca)
        timeout = var.db_statement_timeout
        connection = self.driver.connect(
            host=var.db_host,
            port=var.db_port or 0,
            database=var.db_name,
            user=user,
            password=password.encode(),  # pymysql would encode it as Latin-1
            charset="utf8mb4",
            local_infile=self._is_trusted,
            ssl=tls,
            connect_timeout=10,
            read_timeout=timeout + 5,  # the server's own limit comes before
            write_timeout=20,  # a server may vanish while it is sent rows
        )
        for statement in SESSION:
            connection.query(statement)
        is_mariadb = "MariaDB" in connection.get_server_info()
        if is_mariadb:
            connection.query(ROUND_FRACTIONS)
        limit = LIMIT_MARIADB if is_mariadb else LIMIT_MYSQL
        connection.query(limit % timeout)
        with suppress(self.driver.OperationalError):
            connection.query(REPORT_ALL_ROWS)
        self._set_explicit_timestamps(connection)
        return connection

    def _set_explicit_timestamps(self, connection: Any) -> None:
        """Store NULL in TIMESTAMP columns, and not the current time.

        MySQL reserves this to privileged users, but has it as its default.
        """
        with connection.cursor() as cursor:
            cursor.execute(HAS_EXPLICIT_TIMESTAMPS)
            if cursor.fetchone() == (1,):
                return
            try:
                cursor.execute(SET_EXPLICIT_TIMESTAMPS)
            except self.driver.OperationalError:
                logger.warning(
                    "the server may store the current time instead of NULL: set "
                    "explicit_defaults_for_timestamp=1"
                )

    def _start_transaction(self) -> None:
        self._connection.begin()

    def _release_locks(self) -> None:
        if self._connection and self._var.on_new_version == "replace":
            try:
                self._connection.query("DO RELEASE_ALL_LOCKS()")
            except self.driver.Error:
                self.close()

    @property
    def _is_trusted(self) -> bool:
        return self._var.db_tls == "verify" or self._var.db_host in LOOPBACK

    def _open_store(
        self, cursor: Any, table: str, columns: Sequence[str]
    ) -> MysqlStore:
        is_bulk = self._can_load_data(cursor)
        return MysqlStore(cursor, self.driver, table, columns, self._var, is_bulk)

    def _can_load_data(self, cursor: Any) -> bool:
        """Whether to use LOAD DATA instead of INSERT; log once why it is not."""
        if self._var.insert_statement:
            return False
        if self._has_load_data is None:
            cursor.execute("SELECT @@local_infile")
            is_on = cursor.fetchone() == (1,)
            self._has_load_data = is_on and self._is_trusted
            if not self._has_load_data:
                reason = "TLS does not verify it" if is_on else "local_infile is off"
                host = self._var.db_host
                logger.warning("loading into %s by INSERT, slowly: %s", host, reason)
        return self._has_load_data

    def _classify(self, error: Any) -> RetryReason | None:
        return RETRY_REASONS.get(error_code(error))

    def _is_slow(self, error: Any) -> bool:
        code = error_code(error)
        has_waited = isinstance(error.__context__, TimeoutError)
        return code in STATEMENT_TIMEOUTS or (
            code in CONNECTION_TIMEOUTS and has_waited and self._is_still_running()
        )

    def _is_still_running(self) -> bool:
        """Return whether the server still runs the statement of a lost connection."""
        try:
            with closing(self._log_in()) as connection, connection.cursor() as cursor:
                return bool(cursor.execute(IS_RUNNING, (self._connection.thread_id(),)))
        except (self.driver.Error, ConnectionError):
            return False

    def _code(self, error: Any) -> str:
        return str(error_code(error))

    def _describe(self, error: Any) -> str:
        text = name_condition(error)
        if error_code(error) in NAMING_ERRORS:
            text += f": {(str(error.args[-1]).splitlines() or [''])[0]}"
        return text
