"""Sessions of the shim's database, for migrations."""

from typing import Any

from tools import migration_database
from tools.migration_sessions import StatementError


class DriverSession:
    """A session through the database's driver, see `migration_sessions.Session`.

    Args:
        database: name of the database.
    """

    def __init__(self, database: str) -> None:
        self._connection = migration_database.connect(database)

    def begin(self) -> None:
        """Begin a transaction."""
        self.execute("BEGIN")

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement; return its rows."""
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []
        except migration_database.Error as error:
            code = migration_database.error_code(error)
            raise StatementError(
                str(error.args[-1] if error.args else error),
                is_lock_timeout=migration_database.is_lock_timeout(code),
                is_unclear=migration_database.is_lost(error),
            ) from None

    def commit(self) -> None:
        """Commit the transaction."""
        self.execute("COMMIT")

    def roll_back(self) -> None:
        """Roll the transaction back."""
        self.execute("ROLLBACK")

    def close(self) -> None:
        """End the session."""
        self._connection.close()
