"""MySQL and MariaDB, with pymysql: connections, SQL and errors."""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from datetime import datetime
from functools import cache, partial
from importlib import import_module
from ssl import create_default_context
from typing import Any, Self

from lib.chunks import Chunk, parse_row
from lib.column_rules import read_columns
from lib.database import (
    Database,
    delete_in_pieces,
    escape,
    fill_in,
    quote_name,
    quote_table,
)
from lib.database_errors import RetryReason
from lib.duplicates import Duplicates
from lib.events import S3Object
from lib.load_data import LoadData
from lib.loads import Claim, OtherVersion
from lib.merge import Merge
from lib.rejects import Refusal, Reject, insert_acceptable
from lib.values import ValueCheck

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
# Errors that are due to values: of columns, keys and partitions, of functions, of JSON
# and geometry.
VALUE_ERRORS = (
    *(1048, 1062, 1138, 1169, 1216, 1263, 1264, 1265, 1292, 1300, 1366, 1367, 1369),
    *(1406, 1452, 1467, 1526, 1557, 1569, 1586, 1644, 1645, 1690, 1748, 1761, 1762),
    *(1859, 3751, 3752, 3819, 4025),
    *(1242, 1301, 1365, 1411, 1441, 3685, 3699),
    *(3140, 3141, 3143, 3144, 3146, 3147, 3156, 3157, 3903, 3904, 3905),
    *range(4036, 4045),
    *(1416, 3037, 3055, 3516, 3548, 3616, 3617),
)
# Triggers may choose a number for their own errors (`MYSQL_ERRNO`). Servers have none
# above this. pymysql reads those above 32,767 as negative.
LAST_OF_SERVER = 20_000
# Errors whose messages name parts of the schema or of the server, and no values.
NAMING_ERRORS = (
    *(0, 1040, 1044, 1045, 1049, 1053, 1054, 1142, 1143, 1146, 1205, 1213, 1227),
    *(1290, 1364, 1792, 1836, 1927, 1969, 2002, 2003, 2006, 2013, 2055, 3024, 4031),
)
DUPLICATE = 1062
# Warnings that have no row's number, but do not shift those of later warnings either.
SKIPPED_ROW = (DUPLICATE, 1452)
# LOAD DATA LOCAL lets the server read any file of the client. Only a server that TLS
# verifies may do so, or one on this machine.
LOOPBACK = ("127.0.0.1", "localhost", "::1")
INSERT = "INSERT INTO {table} ({columns}) VALUES ({values})"
MAX_STATEMENT = 4_000_000  # bytes, fit the least `max_allowed_packet`

CLAIM = """
INSERT INTO loads (object_id, target, bucket, object_key, version, `function`)
VALUES (%s, %s, %s, %s, %s, %s) ON DUPLICATE KEY UPDATE object_id = object_id
"""
FIND = "SELECT number FROM loads WHERE object_id = %s AND target = %s"
DESCRIBE = "UPDATE loads SET bytes = %s, modified_at = %s WHERE number = %s"
LOCK = """
SELECT GET_LOCK(SHA2(CONCAT_WS('/', target, bucket, object_key), 256), 5)
FROM loads WHERE number = %s
"""
OTHER_VERSIONS = """
SELECT other.number, CASE
    WHEN other.modified_at > this.modified_at THEN 1
    WHEN other.modified_at = this.modified_at THEN 0
    ELSE -1
END
FROM loads AS this JOIN loads AS other USING (target, bucket, object_key)
WHERE this.number = %s AND other.number <> this.number
"""
DELETE = "DELETE FROM {table} WHERE {column} IN ({numbers}) LIMIT %s"
DELETE_REJECTS = "DELETE FROM rejects WHERE number = %s"
REJECT = """
INSERT INTO rejects (number, line, content, reason) VALUES (%s, %s, %s, %s)
"""
SLICE = 2000  # rows to load again after a refusal
PIECE = 250_000  # characters of the rows of one INSERT
WORTH_LOAD_DATA = 50  # rows; fewer are faster by INSERT
SAVEPOINT = "SAVEPOINT batch"  # replaces the one before
ROLL_BACK = "ROLLBACK TO SAVEPOINT batch"
RECORD = """
UPDATE loads SET loaded = %s, rejected = %s, loaded_at = CURRENT_TIMESTAMP
WHERE number = %s
"""


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
    ) -> "MysqlStore":
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
        return RETRY_REASONS.get(_error_code(error))

    def _is_slow(self, error: Any) -> bool:
        code = _error_code(error)
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
        return str(_error_code(error))

    def _describe(self, error: Any) -> str:
        text = _name_condition(error)
        if _error_code(error) in NAMING_ERRORS:
            text += f": {(str(error.args[-1]).splitlines() or [''])[0]}"
        return text


class MysqlStore:
    """One transaction of MySQL, see `lib.loads.Store`.

    A batch is one LOAD DATA, behind a savepoint: a refused batch is rolled back alone.
    """

    chunks_per_batch = 4  # fit the socket's buffer
    ignored = 0
    updated = 0

    def __init__(
        self,
        cursor: Any,
        driver: Any,
        table: str,
        columns: Sequence[str],
        var: Any,
        is_bulk: bool,
    ) -> None:
        self._cursor = cursor
        self._cursor.max_stmt_length = MAX_STATEMENT
        self._driver = driver
        self._table = quote_table(table, "`")
        self._name = table
        self._target = table if "." in table else f"{var.db_name}.{table}"
        self._load_column = var.load_column
        self._timeout = var.db_statement_timeout
        self._is_bulk = is_bulk
        self._columns = list(columns)
        names = [*columns, self._load_column] if self._load_column else columns
        self._names = [_quote(name) for name in names]
        self._merge: Merge | None = None
        self._filled = self._table  # the table that the bulk statement fills
        if var.on_duplicate != "reject":
            self._merge = Merge(cursor, table, names, var)
            self._filled = self._merge.stage
        statement = var.insert_statement or INSERT
        self._insert = fill_in(statement, self._filled, self._names)
        pattern = driver.cursors.RE_INSERT_VALUES
        self._inserts_many = bool(pattern.match(self._insert))
        # ON DUPLICATE KEY UPDATE and REPLACE count rows twice
        self._counts_rows = bool(
            re.match(r"\s*INSERT\b(?!.*\bDUPLICATE\b)", self._insert, re.I | re.S)
        )
        # an own statement may convert values by functions
        self._stores_as_given = "{values}" in statement
        self._duplicates = Duplicates(cursor, table, names)
        self._value_check: ValueCheck | None = None
        self._bits: list[int] = []  # positions of columns of type BIT
        self._rows_sent = 0
        self._load_data: LoadData | None = None
        self._rows: list[list[str | None]] = []
        self._refusal = Refusal("a row is missing", "row missing")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._load_data:
            with suppress(self._driver.Error):
                self._load_data.finish()

    def claim(self, s3_object: S3Object, function: str) -> Claim:
        """See `lib.loads.Store`."""
        version = s3_object.version or s3_object.etag
        name = (s3_object.id, self._target, s3_object.bucket, s3_object.key)
        self._cursor.execute(CLAIM, (*name, version, function))
        if self._cursor.rowcount == 1:
            return Claim(self._cursor.lastrowid, is_new=True)
        self._cursor.execute(FIND, (s3_object.id, self._target))
        return Claim(self._cursor.fetchone()[0], is_new=False)

    def lock(self, number: int) -> None:
        """See `lib.loads.Store`."""
        self._cursor.execute(LOCK, (number,))
        if self._cursor.fetchone() != (1,):
            raise self._driver.OperationalError(1205, "lock wait timeout")

    def describe(self, number: int, size: int, modified: datetime) -> None:
        """See `lib.loads.Store`."""
        self._cursor.execute(DESCRIBE, (size, modified, number))

    def other_versions(self, number: int) -> list[OtherVersion]:
        """See `lib.loads.Store`."""
        self._cursor.execute(OTHER_VERSIONS, (number,))
        return [OtherVersion(*row) for row in self._cursor.fetchall()]

    def delete_rows(self, numbers: list[int], check: Callable[[], None]) -> None:
        """See `lib.loads.Store`."""
        if numbers:
            delete = partial(self._delete_piece, numbers)
            delete_in_pieces(delete, self._timeout, check)

    def delete_rejects(self, number: int) -> None:
        """See `lib.loads.Store`."""
        self._cursor.execute(DELETE_REJECTS, (number,))

    def check(self, chunk: Chunk) -> Chunk:
        """See `lib.loads.Store`."""
        if self._value_check is None:
            self._value_check = self._prepare()
        return self._value_check.check(chunk)

    def send(self, number: int, chunk: Chunk) -> None:
        """See `lib.loads.Store`."""
        if not self._rows_sent:
            self._cursor.execute(SAVEPOINT)
            if self._is_bulk:
                self._load_data = LoadData(self._cursor, self._into)
        text = self._add_number(number, chunk.text)
        self._rows_sent += len(chunk.origins)
        if self._load_data:
            self._load_data.write(text)
        else:
            self._rows += map(self._parse, text.splitlines(keepends=True))

    def flush(self) -> bool:
        """See `lib.loads.Store`."""
        sent, self._rows_sent = self._rows_sent, 0
        load_data, self._load_data = self._load_data, None
        rows, self._rows = self._rows, []
        try:
            if load_data:
                load_data.finish()
                is_refused = self._has_refused(sent)
            else:
                is_refused = self._insert_all(rows) is not None
            if not is_refused:
                self._merge_batch(sent)
        except self._driver.Error as error:
            _read_refusal(error)
            is_refused = True
        if is_refused:
            self._cursor.execute(ROLL_BACK)
        return not is_refused

    def insert_acceptable(
        self, number: int, chunk: Chunk, limit: int, check: Callable[[], None]
    ) -> dict[int, Refusal]:
        """See `lib.loads.Store`."""
        text = self._add_number(number, chunk.text)
        rows = text.splitlines(keepends=True)
        if self._merge or not self._is_bulk:
            return insert_acceptable(self._try_insert, rows, limit, check)
        refused: dict[int, Refusal] = {}
        for first in range(0, len(rows), SLICE):
            if len(refused) > limit:
                break
            found = self._load_acceptable(
                rows[first : first + SLICE], limit - len(refused), check
            )
            refused |= {first + index: found[index] for index in found}
        return refused

    def reject(self, number: int, rejects: list[Reject]) -> None:
        """See `lib.loads.Store`."""
        self._cursor.executemany(
            REJECT,
            [(number, each.line, each.text, each.reason) for each in rejects],
        )

    def record(self, number: int, loaded: int, rejected: int) -> None:
        """See `lib.loads.Store`."""
        self._cursor.execute(RECORD, (loaded, rejected, number))

    def _delete_piece(self, numbers: list[int], size: int) -> int:
        statement = DELETE.format(
            table=escape(self._table),
            column=escape(_quote(self._load_column)),
            numbers=", ".join(map(str, numbers)),
        )
        return int(self._cursor.execute(statement, (size,)))

    def _merge_batch(self, sent: int) -> None:
        """Write rows into their table that were loaded to be merged."""
        if self._merge:
            written, updated = self._merge.run()
            self.ignored += sent - written
            self.updated += updated

    def _add_number(self, number: int, text: bytes) -> bytes:
        return text.replace(b"\n", b"\t%d\n" % number) if self._load_column else text

    def _prepare(self) -> ValueCheck:
        """Read what to check, and create what rows are loaded into."""
        if self._merge:
            self._merge.prepare()
        if not self._stores_as_given:
            return ValueCheck({}, self._columns)
        columns = read_columns(self._cursor, self._name, self._columns)
        bits = {each.name for each in columns if each.data_type == "bit"}
        self._bits = [at for at, name in enumerate(self._columns) if name in bits]
        rules = {each.name: each.rule for each in columns if each.rule}
        return ValueCheck(rules, self._columns)

    @property
    def _into(self) -> str:
        """LOAD DATA's statement, from INTO TABLE on."""
        fields, assignments = list(self._names), []
        for at in self._bits:
            fields[at] = f"@bits_{at}"
            number = f"CAST(CONV(@bits_{at}, 2, 10) AS UNSIGNED)"
            assignments.append(f"{self._names[at]} = {number}")
        into = f"INTO TABLE {self._filled} CHARACTER SET utf8mb4 ({', '.join(fields)})"
        return f"{into} SET {', '.join(assignments)}" if assignments else into

    def _parse(self, row: bytes) -> list[Any]:
        """Return the values of a row for INSERT."""
        values: list[Any] = [*parse_row(row)]
        for at in self._bits:
            values[at] = None if values[at] is None else int(values[at], 2)
        return values

    def _insert_all(self, rows: Sequence[list[Any]]) -> Refusal | None:
        """Insert rows by INSERT, or return why one was refused.

        A function that cannot convert a value makes NULL of it, and only warns.

        Raises:
            Error: a row was refused by an error.
        """
        inserted = 0
        pieces = _split(rows) if self._inserts_many else [[row] for row in rows]
        for piece in pieces:
            self._cursor.executemany(self._insert, piece)
            inserted += self._cursor.rowcount
            if self._cursor.warning_count:
                for code, message in self._read_warnings():
                    # `INSERT IGNORE` warns of duplicates
                    if code in VALUE_ERRORS and code != DUPLICATE:
                        return Refusal(message, _name_code(code))
        if self._counts_rows:
            self.ignored += len(rows) - inserted
        return None

    def _has_refused(self, sent: int) -> bool:
        """Return whether LOAD DATA has refused or changed any of the rows sent.

        With LOCAL, it cuts values that do not fit, and only warns.
        """
        return bool(self._cursor.warning_count) or self._cursor.rowcount != sent

    def _load_acceptable(
        self, rows: Sequence[bytes], limit: int, check: Callable[[], None]
    ) -> dict[int, Refusal]:
        """Leave out the bad rows that LOAD DATA reports; search for the others."""
        refused: dict[int, Refusal] = {}
        rest = list(range(len(rows)))
        is_loaded = False
        while not is_loaded and len(refused) <= limit:
            check()
            is_loaded, reported = self._load([rows[index] for index in rest])
            refused |= {rest[index]: reported[index] for index in reported}
            if not is_loaded and not reported:
                found = insert_acceptable(
                    self._try_insert,
                    [rows[index] for index in rest],
                    limit - len(refused),
                    check,
                )
                refused |= {rest[index]: found[index] for index in found}
                break
            rest = [index for index in rest if index not in refused]
        return refused

    def _load(self, rows: Sequence[bytes]) -> tuple[bool, dict[int, Refusal]]:
        """Load rows; return whether the good ones are loaded, and the bad ones.

        Otherwise nothing is loaded, and only those bad rows are returned whose numbers
        are reported.
        """
        if not rows:
            return True, {}
        self._cursor.execute(SAVEPOINT)
        load_data = LoadData(self._cursor, self._into)
        load_data.write(b"".join(rows))
        refused: dict[int, Refusal] = {}
        try:
            load_data.finish()
        except self._driver.Error as error:
            self._refusal = _read_refusal(error)
        else:
            left_out = len(rows) - self._cursor.rowcount
            if not self._has_refused(len(rows)):
                return True, {}
            warnings = self._read_warnings()
            if duplicates := self._find_duplicates(rows, warnings, left_out):
                return True, duplicates
            refused = self._find_numbered(warnings, len(rows))
        self._cursor.execute(ROLL_BACK)
        return False, refused

    def _read_warnings(self) -> list[tuple[int, str]]:
        """Return code and message of each of LOAD DATA's warnings."""
        self._cursor.execute("SHOW WARNINGS")
        warnings = [(code, message) for _, code, message in self._cursor.fetchall()]
        for code, message in warnings[-1:]:
            self._refusal = Refusal(message, _name_code(code))
        return warnings

    def _find_duplicates(
        self, rows: Sequence[bytes], warnings: list[tuple[int, str]], left_out: int
    ) -> dict[int, Refusal]:
        """Return the rows left out, if all of them are known to be duplicates."""
        messages = [message for code, message in warnings if code == DUPLICATE]
        if not len(warnings) == len(messages) == left_out:
            return {}
        found = self._duplicates.find(rows, messages)
        condition = _name_code(DUPLICATE)
        return {index: Refusal(found[index], condition) for index in sorted(found)}

    def _find_numbered(
        self, warnings: list[tuple[int, str]], sent: int
    ) -> dict[int, Refusal]:
        """Return the bad rows whose numbers LOAD DATA reports, by their index.

        MariaDB does not count rows that a CHECK constraint refuses, so that the numbers
        of later rows are wrong: then none is returned.
        """
        refused: dict[int, Refusal] = {}
        is_numbered = True
        for code, message in warnings:
            if row := re.search(r"^Row (\d+) | at row (\d+)$", message):
                reason = message[: row.start()] or message
                refusal = Refusal(reason, _name_code(code))
                index = int(row[1] or row[2]) - 1
                refused.setdefault(index, refusal)
                is_numbered &= index < sent
            else:
                is_numbered &= code in SKIPPED_ROW
        return refused if is_numbered else {}

    def _try_insert(self, rows: Sequence[bytes]) -> Refusal | None:
        """Insert rows, or return why one was refused. Then none is inserted."""
        try:
            if self._is_bulk and len(rows) >= WORTH_LOAD_DATA:
                is_loaded, refused = self._load(rows)
                refusal = None if is_loaded and not refused else self._refusal
            else:
                self._cursor.execute(SAVEPOINT)
                refusal = self._insert_all([self._parse(row) for row in rows])
            if refusal is None:
                self._merge_batch(len(rows))
        except self._driver.Error as error:
            refusal = _read_refusal(error)
        if refusal:
            self._cursor.execute(ROLL_BACK)
        return refusal


def _split(rows: Sequence[list[Any]]) -> Iterator[Sequence[list[Any]]]:
    """Split rows into pieces, each of which fits one statement."""
    first = size = 0
    for index, row in enumerate(rows):
        size += sum(len(str(value)) + 4 for value in row)
        if size > PIECE:
            yield rows[first : index + 1]
            first, size = index + 1, 0
    if first < len(rows):
        yield rows[first:]


def _read_refusal(error: Any) -> Refusal:
    """Return why rows were refused.

    Raises:
        Error: the error is not due to values.
    """
    if not _is_due_to_value(_error_code(error)):
        raise error
    return Refusal(str(error.args[-1]), _name_condition(error))


def _is_due_to_value(code: int) -> bool:
    return code in VALUE_ERRORS or code > LAST_OF_SERVER or code < -1


def _name_condition(error: Any) -> str:
    code = _error_code(error)
    return _name_code(code) if code > 0 else type(error).__name__


@cache
def _names() -> dict[int, str]:
    errors = import_module("pymysql.constants.ER")
    return {code: name for name, code in vars(errors).items() if isinstance(code, int)}


def _name_code(code: int) -> str:
    return f"{_names().get(code, 'error')} ({code})"


def _error_code(error: BaseException) -> int:
    return error.args[0] if error.args and isinstance(error.args[0], int) else -1


def _quote(name: str) -> str:
    return quote_name(name, "`")
