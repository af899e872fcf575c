"""The part of the database client that is the same for every database.

`lib.rds` adds one database's own part: its driver, its SQL, its errors.
"""

import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from enum import Enum, auto
from typing import Any, ParamSpec, TypeVar

from lib.events import S3Object
from lib.loads import DatabaseUnreachableError, Load, Store

logger = logging.getLogger("function")

P = ParamSpec("P")
R = TypeVar("R")

ATTEMPTS = 3
MAX_LOCK_WAIT = 900  # seconds, as long as a Lambda can run


class RetryReason(Enum):
    """Why a transaction failed that may succeed if it is retried."""

    CONNECTION_LOST = auto()
    READ_ONLY = auto()  # after a failover, the connection leads to a reader
    DEADLOCK = auto()
    LOCK_TIMEOUT = auto()


class Database(ABC):
    """Client of a database. It connects on first use and keeps the connection.

    Args:
        var: settings.
        driver: module that connects (PEP 249). Defaults to the database's own.
        credentials: returns the current user and password. Defaults to the settings.
    """

    def __init__(
        self,
        var: Any,
        driver: Any = None,
        credentials: Callable[[], tuple[str, str]] | None = None,
    ) -> None:
        self._var = var
        self._driver = driver
        self._read_credentials = credentials or (
            lambda: (var.db_user, var.db_pass or "")
        )
        self._credentials: tuple[str, str] | None = None
        self._connection: Any = None

    @contextmanager
    def load(
        self, s3_object: S3Object, table: str, columns: Sequence[str], function: str
    ) -> Iterator[Load]:
        """Open a transaction for rows, rejects and ledger entry: all or nothing.

        Args:
            s3_object: the object to load, with its version or ETag.
            table: table for the rows, optionally with its schema: `schema.table`.
            columns: columns of the table, in the order of the fields.
            function: name of the function, for the ledger.

        Raises:
            DatabaseUnreachableError: there is no connection, or it was lost.
            TooManyRejectsError: the share of rejects exceeds `max_reject_share`.
        """
        var = self._var
        replaces = var.on_new_version == "replace"
        try:
            with (
                self.transaction() as cursor,
                self._open_store(cursor, table, columns) as store,
            ):
                load = Load(store, s3_object, function, replaces, var.max_reject_share)
                yield load
                load.finish()
        except Exception as error:
            error.add_note(str(s3_object))
            raise

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """Open a transaction and yield its cursor (PEP 249): all or nothing.

        Raises:
            DatabaseUnreachableError: there is no connection, or it was lost.
        """
        connection = self._connect()
        try:
            with connection.cursor() as cursor:
                yield cursor
            connection.commit()
        except BaseException as error:
            reason = self._retry_reason(error)  # before `rollback` changes the state
            try:
                connection.rollback()
            except (self.driver.Error, OSError):
                self.close()
            if reason is RetryReason.CONNECTION_LOST:
                raise DatabaseUnreachableError(self._first_line(error)) from error
            raise

    def retry(self, action: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `action` and return its result; call it again after transient errors.

        After a deadlock, a lost connection or a failover, there are up to `ATTEMPTS` in
        all. Locks are waited for up to `MAX_LOCK_WAIT`. `action` ends that earlier by
        raising another error, for example if too little time is left.

        Raises:
            Exception: the last error of `action`.
        """
        attempts_left = ATTEMPTS
        deadline = time.monotonic() + MAX_LOCK_WAIT
        while True:
            try:
                return action(*args, **kwargs)
            except (DatabaseUnreachableError, self.driver.Error) as error:
                reason = self._retry_reason(error)
                if reason is not RetryReason.LOCK_TIMEOUT:
                    attempts_left -= 1
                is_over = not attempts_left or time.monotonic() > deadline
                if reason is None or is_over:
                    raise
                logger.warning("retrying: %s", self._first_line(error))
                if reason in (RetryReason.CONNECTION_LOST, RetryReason.READ_ONLY):
                    self.close()
                time.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - jitter

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Run a statement in its own transaction and return its rows as tuples.

        Args:
            statement: SQL, with `%s` for each value.
            values: the values.

        Raises:
            DatabaseUnreachableError: there is no connection, or it was lost.
        """
        with self.transaction() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def check(self) -> None:
        """Check that the database responds.

        Raises:
            DatabaseUnreachableError: it does not.
        """
        self.query("SELECT 1")

    def close(self) -> None:
        """Close the connection. The next use opens a new one."""
        if self._connection is not None:
            with suppress(self.driver.Error):
                self._connection.close()
            self._connection = None

    @property
    def driver(self) -> Any:
        """The module that connects (PEP 249)."""
        return self._driver or self._import_driver()

    def _connect(self) -> Any:
        """Return the connection: the last one if it is alive, else a new one."""
        if self._connection is not None:
            try:
                self._ping()
            except self.driver.Error:
                self.close()
        if self._connection is None:
            try:
                self._connection = self._log_in()
            except self.driver.OperationalError as error:
                raise DatabaseUnreachableError(self._first_line(error)) from error
        return self._connection

    def _log_in(self) -> Any:
        """Open a connection; retry at once if the password has been rotated."""
        credentials = self._credentials or self._read_credentials()
        try:
            connection = self._open(*credentials)
        except self.driver.OperationalError:
            refused, credentials = credentials, self._read_credentials()
            if credentials == refused:
                raise
            connection = self._open(*credentials)
        self._credentials = credentials
        return connection

    def _retry_reason(self, error: BaseException) -> RetryReason | None:
        if isinstance(error, DatabaseUnreachableError):
            return RetryReason.CONNECTION_LOST
        return self._classify(error) if isinstance(error, self.driver.Error) else None

    @abstractmethod
    def _import_driver(self) -> Any:
        """Import and return the database's own driver."""

    @abstractmethod
    def _open(self, user: str, password: str) -> Any:
        """Open and return a connection."""

    @abstractmethod
    def _ping(self) -> None:
        """Raise an error of the driver if the connection is dead."""

    @abstractmethod
    def _open_store(
        self, cursor: Any, table: str, columns: Sequence[str]
    ) -> AbstractContextManager[Store]:
        """Return a store that loads into a table, in the cursor's transaction."""

    @abstractmethod
    def _classify(self, error: Any) -> RetryReason | None:
        """Return why a transaction can be retried after an error of the driver."""

    @abstractmethod
    def _first_line(self, error: BaseException) -> str:
        """Return the first line of an error's message, which contains no values."""


def fill_in(
    statement: str, table: str, columns: Sequence[str], quote: Callable[[str], str]
) -> str:
    """Replace `{table}`, `{columns}` and `{values}` in a statement.

    Args:
        statement: SQL, with these placeholders.
        table: name of the table.
        columns: names of its columns. Each has a `%s` among the values.
        quote: quotes a name.
    """
    names = [quote(name).replace("%", "%%") for name in (table, *columns)]
    return (
        statement.replace("{table}", names[0])
        .replace("{columns}", ", ".join(names[1:]))
        .replace("{values}", ", ".join(["%s"] * len(columns)))
    )


def quote_name(name: str, mark: str) -> str:
    """Quote an SQL name, each part of `schema.table` on its own.

    Args:
        name: the name.
        mark: the database's quotation mark for names.
    """
    parts = name.replace(mark, 2 * mark).split(".")
    return ".".join(f"{mark}{part}{mark}" for part in parts)
