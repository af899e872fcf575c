"""The client of a database, whatever the database: transactions, retries, loads.

`lib.rds` adds what is one database's own: how to connect, its SQL, its errors.
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
from lib.loads import DatabaseAwayError, Load, Store

logger = logging.getLogger("function")

P = ParamSpec("P")
R = TypeVar("R")

ATTEMPTS = 3
PATIENCE = 900  # seconds for a lock that others hold, as long as a Lambda lives


class Trouble(Enum):
    """What stands in the way of a transaction, and may not the next time."""

    AWAY = auto()  # the connection is lost
    READ_ONLY = auto()  # after a failover it leads to a reader
    CONFLICT = auto()  # a deadlock
    BUSY = auto()  # others hold a lock for long


class Database(ABC):
    """Client of a database; it connects when it is first needed.

    Args:
        var: settings.
        driver: module that connects (PEP 249); by default the database's own.
        credentials: returns user and password, as they are now; by default those of
            the settings.
    """

    def __init__(
        self,
        var: Any,
        driver: Any = None,
        credentials: Callable[[], tuple[str, str]] | None = None,
    ) -> None:
        self._var = var
        self._given = driver
        self._credentials = credentials or (lambda: (var.db_user, var.db_pass or ""))
        self._known: tuple[str, str] | None = None
        self._connection: Any = None

    @contextmanager
    def load(
        self, found: S3Object, table: str, columns: Sequence[str], function: str
    ) -> Iterator[Load]:
        """Open one transaction for rows, rejects and ledger entry: all or nothing.

        Args:
            found: the object whose rows are loaded.
            table: table that takes the rows, by its schema too if need be.
            columns: columns of the table, in the order of the fields.
            function: who loads it, for the ledger.
        """
        var = self._var
        replaces = var.on_new_version == "replace"
        try:
            with (
                self.transaction() as cursor,
                self._store(cursor, table, columns) as store,
            ):
                load = Load(store, found, function, replaces, var.max_reject_share)
                yield load
                load.finish()
        except Exception as error:
            error.add_note(str(found))
            raise

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """Open a transaction and yield its cursor (PEP 249): all or nothing.

        Raises:
            DatabaseAwayError: there is no connection, or it was lost.
        """
        connection = self._connect()
        try:
            with connection.cursor() as cursor:
                yield cursor
            connection.commit()
        except BaseException as error:
            trouble = self._trouble(error)
            try:
                connection.rollback()
            except (self.driver.Error, OSError):
                self.close()
            if trouble is Trouble.AWAY:
                raise DatabaseAwayError(self._brief(error)) from error
            raise

    def retry(self, act: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what `act` returns; try again where others were in its way.

        A deadlock, a connection that was lost or that leads to a server which only
        reads: there are `ATTEMPTS` in all. A lock that others hold is waited for, up
        to `PATIENCE` seconds; `act` may end that by raising when its time is short.
        """
        left, end = ATTEMPTS, time.monotonic() + PATIENCE
        while True:
            try:
                return act(*args, **kwargs)
            except (DatabaseAwayError, self.driver.Error) as error:
                trouble = self._trouble(error)
                left -= trouble is not Trouble.BUSY
                if not trouble or not left or time.monotonic() > end:
                    raise
                logger.warning("trying again: %s", self._brief(error))
                if trouble in (Trouble.AWAY, Trouble.READ_ONLY):
                    self.close()
                time.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - jitter

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows that a statement yields, as tuples; `%s` marks a value."""
        with self.transaction() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def check(self) -> None:
        """Do nothing, if the database answers.

        Raises:
            DatabaseAwayError: it does not.
        """
        self.query("SELECT 1")

    def close(self) -> None:
        """Close the connection; the next use opens a new one."""
        if self._connection is not None:
            with suppress(self.driver.Error):
                self._connection.close()
            self._connection = None

    @property
    def driver(self) -> Any:
        """The module that connects."""
        return self._given or self._own_driver()

    def _connect(self) -> Any:
        if self._connection is not None:
            try:
                self._ping()
            except self.driver.Error:
                self.close()
        if self._connection is None:
            try:
                self._connection = self._log_in()
            except self.driver.OperationalError as error:
                raise DatabaseAwayError(self._brief(error)) from error
        return self._connection

    def _log_in(self) -> Any:
        """Open a connection, at once again where the password has changed meanwhile."""
        known = self._known or self._credentials()
        try:
            connection = self._open(*known)
        except self.driver.OperationalError:
            before, known = known, self._credentials()
            if known == before:
                raise
            connection = self._open(*known)
        self._known = known
        return connection

    def _trouble(self, error: BaseException) -> Trouble | None:
        if isinstance(error, DatabaseAwayError):
            return Trouble.AWAY
        return self._diagnosis(error) if isinstance(error, self.driver.Error) else None

    @abstractmethod
    def _own_driver(self) -> Any:
        """Import the module that connects by default."""

    @abstractmethod
    def _open(self, user: str, password: str) -> Any:
        """Return a new connection."""

    @abstractmethod
    def _ping(self) -> None:
        """Raise the driver's error where the connection is dead."""

    @abstractmethod
    def _store(
        self, cursor: Any, table: str, columns: Sequence[str]
    ) -> AbstractContextManager[Store]:
        """Return what loads into a table in the transaction of a cursor."""

    @abstractmethod
    def _diagnosis(self, error: Any) -> Trouble | None:
        """Tell what an error of the driver means for another attempt."""

    @abstractmethod
    def _brief(self, error: BaseException) -> str:
        """Return the first line of an error, which says no values."""


def filled_in(
    statement: str, table: str, columns: Sequence[str], quoted: Callable[[str], str]
) -> str:
    """Return a statement with `{table}`, `{columns}` and `{values}` filled in."""
    escaped = [quoted(name).replace("%", "%%") for name in (table, *columns)]
    return (
        statement.replace("{table}", escaped[0])
        .replace("{columns}", ", ".join(escaped[1:]))
        .replace("{values}", ", ".join(["%s"] * len(columns)))
    )


def quoted(name: str, mark: str) -> str:
    """Return a name between marks, part by part where points join its parts."""
    parts = name.replace(mark, 2 * mark).split(".")
    return ".".join(f"{mark}{part}{mark}" for part in parts)
