"""Errors of the database. Their texts contain no values, so they can be logged."""

from enum import Enum, auto

from errors import UnreachableError


class RetryReason(Enum):
    """Why a transaction failed that may succeed if it is retried."""

    CONNECTION_LOST = auto()
    READ_ONLY = auto()  # after a failover, the connection leads to a reader
    DEADLOCK = auto()
    LOCK_TIMEOUT = auto()


class DatabaseError(Exception):
    """A statement or a transaction failed.

    Args:
        text: name of the condition. It contains no values of rows.
        code: the database's own code: an SQLSTATE, or MySQL's number.
        retry_reason: why it may succeed if it is retried, or None if it will not.
    """

    def __init__(
        self, text: str, code: str = "", retry_reason: RetryReason | None = None
    ) -> None:
        super().__init__(text)
        self.code = code
        self.retry_reason = retry_reason


class DatabaseUnreachableError(DatabaseError, UnreachableError):
    """The database cannot be reached or is read-only. A later attempt may succeed."""

    def __str__(self) -> str:
        return f"the database cannot be reached: {super().__str__()}"


class SlowStatementError(DatabaseError):
    """A statement took longer than its limit. The database itself can be reached."""
