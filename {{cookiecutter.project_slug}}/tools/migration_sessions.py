"""What migrations need of a session, see `migration_driver` and `migration_data_api`.

Outside of a transaction, each statement is committed on its own.
"""

import re
from typing import Any, Protocol

# Parts of messages that show values of rows.
VALUES = re.compile(
    r"(Duplicate entry|value:?|syntax for type [\w ]+:|\) is) (['\"]).*\2"
)


class StatementError(Exception):
    """A statement failed.

    Args:
        message: of the database.
        is_lock_timeout: it gave up waiting for a lock, and has changed nothing.
        is_unclear: it is unknown whether it took effect.
    """

    def __init__(
        self, message: str, is_lock_timeout: bool = False, is_unclear: bool = False
    ) -> None:
        super().__init__(hide_values(message))
        self.is_lock_timeout = is_lock_timeout
        self.is_unclear = is_unclear


class Session(Protocol):
    """A session of a database.

    Each method may raise a `StatementError`.
    """

    def begin(self) -> None:
        """Begin a transaction."""

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement; return its rows."""

    def commit(self) -> None:
        """Commit the transaction."""

    def roll_back(self) -> None:
        """Roll the transaction back."""

    def close(self) -> None:
        """End the session, and with it a transaction that is not committed."""


def hide_values(message: str) -> str:
    """Return the first line of a message, without values of rows."""
    first_line = re.split(r"[\n;] *detail:|\n", f"{message}\n", flags=re.I)[0]
    return VALUES.sub(r"\1 …", first_line).rstrip(" .;")
