"""The part of the database client that is the same for every database.

`lib.rds` adds one database's own part: its driver, its SQL, its errors.
"""

import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, ClassVar, ParamSpec, TypeVar

from errors import BadInputError
from lib.columns import SKIPPED
from lib.database_errors import (
    DatabaseError,
    DatabaseUnreachableError,
    RetryReason,
    SlowStatementError,
)
from lib.events import S3Object
from lib.loads import Load, Store, choose_source

logger = logging.getLogger("function")

P = ParamSpec("P")
R = TypeVar("R")

ATTEMPTS = 3
MAX_LOCK_WAIT = 900  # seconds, as long as a Lambda can run
FIRST_PIECE = 1000  # rows to delete at once


class Database(ABC):
    """Client of a database. It connects on first use and keeps the connection.

    Args:
        var: settings.
        driver: module that connects (PEP 249). Defaults to the database's own.
        credentials: returns the current user and password. Defaults to the settings.
    """

    # A transaction of this process has failed because the database is read-only.
    _needs_writes: ClassVar[bool] = False
    # The shortest and the longest pause before another attempt, in seconds.
    _pauses: ClassVar[tuple[float, float]] = (0.1, 0.5)

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
        self,
        s3_object: S3Object | None = None,
        table: str = "",
        columns: Sequence[str] = (),
        function: str = "",
        check: Callable[[], None] = lambda: None,
        key: str = "",
    ) -> Iterator[Load]:
        """Open a transaction for rows, rejects and ledger entry: all or nothing.

        It loads an object, or rows under a key of your own. What was loaded before
        changes nothing when it is loaded again.

        Args:
            s3_object: the object to load, with its version or ETag.
            table: table for the rows, optionally with its schema: `schema.table`.
            columns: columns of the table, in the order of the fields. `-` stands for a
                field to skip.
            function: name of the function, for the ledger.
            check: is called before each step, and raises to stop, for example
                `context.require_time`.
            key: names rows that are in no object, such as `orders/2026-11-29`.

        Raises:
            DatabaseUnreachableError: there is no connection, or it was lost.
            DatabaseError: a statement failed.
            TooManyRejectsError: the share of rejects exceeds `max_reject_share`.
            ValueError: both `s3_object` and `key` are given, or none.
            BadInputError: the message asks for a load in place of an earlier one, whose
                rows cannot be found without `load_column`.
        """
        source = choose_source(s3_object, key)
        if source.reload and not self._var.load_column:
            raise BadInputError(f"{source} cannot be loaded again without load_column")
        columns = [name for name in columns if name != SKIPPED]
        var = self._var
        replaces = var.on_new_version == "replace"
        share = var.max_reject_share
        # with a delimiter between columns and a newline
        shortest = 0 if var.missing_fields == "null" else len(columns)
        try:
            with (
                self.transaction() as cursor,
                self._open_store(cursor, table, columns) as store,
            ):
                load = Load(
                    store, source, function, replaces, share, check, columns, shortest
                )
                yield load
                load.finish()
        except Exception as error:
            error.add_note(str(source))
            raise

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """Open a transaction and yield its cursor (PEP 249): all or nothing.

        Errors of the driver may show values of rows. They end here.

        Raises:
            DatabaseUnreachableError: there is no connection, or it was lost, or the
                database is read-only.
            DatabaseError: a statement failed.
        """
        connection = self._begin()
        try:
            with connection.cursor() as cursor:
                yield cursor
            connection.commit()
        except BaseException as error:
            failure = self._translate(error)  # before `rollback` changes the state
            self._roll_back()
            if failure is error:
                raise
            raise failure.with_traceback(error.__traceback__) from None
        finally:
            self._release_locks()

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
            except DatabaseError as error:
                reason = error.retry_reason
                if reason is not RetryReason.LOCK_TIMEOUT:
                    attempts_left -= 1
                is_over = not attempts_left or time.monotonic() > deadline
                if reason is None or is_over:
                    raise
                logger.warning("retrying: %s", error)
                if reason in (RetryReason.CONNECTION_LOST, RetryReason.READ_ONLY):
                    self.close()
                time.sleep(random.uniform(*self._pauses))  # noqa: S311 - jitter

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Run a statement in its own transaction and return its rows as tuples.

        Args:
            statement: SQL, with `%s` for each value.
            values: the values.

        Raises:
            DatabaseUnreachableError: there is no connection, or it was lost.
            DatabaseError: the statement failed.
        """
        with self.transaction() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def check(self) -> None:
        """Check that the database responds, and accepts changes if any were tried.

        Raises:
            DatabaseUnreachableError: it does not.
        """
        [(is_read_only,)] = self.query(self.read_only_query)
        if is_read_only and self._needs_writes:
            self.close()  # the next connection may lead to another server
            raise DatabaseUnreachableError("it is read-only")

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

    def _begin(self) -> Any:
        """Begin a transaction, on a new connection unless the last one is alive."""
        if self._connection is not None:
            try:
                self._start_transaction()
            except self.driver.Error:
                self.close()
            else:
                return self._connection
        try:
            self._connection = self._log_in()
            self._start_transaction()
        except self.driver.OperationalError as error:
            failure = self._describe(error)
            self.close()
            reason = RetryReason.CONNECTION_LOST
            raise DatabaseUnreachableError(failure, "", reason) from None
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

    def _roll_back(self) -> None:
        try:
            self._connection.rollback()
        except (self.driver.Error, OSError):
            self.close()

    def _translate(self, error: BaseException) -> BaseException:
        """Return an error of the driver as a `DatabaseError`, others as they are."""
        if not isinstance(error, self.driver.Error):
            return error
        text, code = self._describe(error), self._code(error)
        if self._is_slow(error):
            return SlowStatementError(text, code)
        reason = self._classify(error)
        if reason in (RetryReason.CONNECTION_LOST, RetryReason.READ_ONLY):
            Database._needs_writes |= reason is RetryReason.READ_ONLY
            return DatabaseUnreachableError(text, code, reason)
        return DatabaseError(text, code, reason)

    # The query whose only value says whether the database refuses changes.
    read_only_query: ClassVar[str]

    @abstractmethod
    def _import_driver(self) -> Any:
        """Import and return the database's own driver."""

    @abstractmethod
    def _open(self, user: str, password: str) -> Any:
        """Open and return a connection."""

    @abstractmethod
    def _start_transaction(self) -> None:
        """Begin a transaction with the session's settings.

        Raises an error of the driver if the connection is dead.
        """

    def _release_locks(self) -> None:  # noqa: B027 - most have none
        """Release locks that the end of a transaction does not."""

    @abstractmethod
    def _open_store(
        self, cursor: Any, table: str, columns: Sequence[str]
    ) -> AbstractContextManager[Store]:
        """Return a store that loads into a table, in the cursor's transaction."""

    @abstractmethod
    def _classify(self, error: Any) -> RetryReason | None:
        """Return why a transaction can be retried after an error of the driver."""

    @abstractmethod
    def _is_slow(self, error: Any) -> bool:
        """Return whether a statement was ended because it took too long."""

    @abstractmethod
    def _code(self, error: Any) -> str:
        """Return the database's own code of an error."""

    @abstractmethod
    def _describe(self, error: Any) -> str:
        """Describe an error of the driver without values of rows."""


def delete_in_pieces(
    delete: Callable[[int], int], timeout: float, check: Callable[[], None]
) -> None:
    """Delete rows piece by piece, so that no statement takes as long as its limit.

    Args:
        delete: deletes up to a number of rows, and returns how many it deleted.
        timeout: limit of a statement in seconds.
        check: is called before each piece, and may raise.
    """
    size = FIRST_PIECE
    deleted = size
    while deleted == size:
        check()
        started = time.monotonic()
        deleted = delete(size)
        if deleted == size and time.monotonic() - started < timeout / 10:
            size = deleted = 2 * size
