"""Sessions of an Aurora cluster, for migrations: the RDS Data API needs no network.

See https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/data-api.html
"""

from contextlib import suppress
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError

from tools import migration_database
from tools.migration_sessions import StatementError
from tools.sql import STATEMENT_ERRORS, call_when_resumed, field_value

SECONDS = 45  # after which the API ends a statement, or goes on without an answer
TIMEOUT = "StatementTimeoutException"
# A statement must not be sent again: the first one may have taken effect.
ONCE = Config(
    connect_timeout=5, read_timeout=2 * SECONDS, retries={"total_max_attempts": 1}
)


class DataApiSession:
    """A session through the Data API, see `migration_sessions.Session`.

    Only a transaction keeps to one session of the database. Without calls it ends after
    three minutes.

    Args:
        database: what each request says of the cluster, see `sql.find_database`.
    """

    def __init__(self, database: dict[str, str]) -> None:
        self._database = database
        self._data = boto3.client("rds-data", config=ONCE)
        self._transaction: dict[str, str] = {}

    def begin(self) -> None:
        """Begin a transaction."""
        self.execute("SELECT 1")  # waits for a cluster that was paused
        found = self._data.begin_transaction(**self._database)
        self._transaction = {"transactionId": found["transactionId"]}

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement; return its rows.

        Outside of a transaction it goes on in the database after `SECONDS`.
        """
        request = {
            **self._database,
            **self._transaction,
            "sql": statement,
            "continueAfterTimeout": not self._transaction,
        }
        try:
            found = call_when_resumed(self._data, request)
        except ClientError as error:
            found = error.response["Error"]
            if found["Code"] not in STATEMENT_ERRORS:
                raise
            raise self._explain(found["Code"], found["Message"]) from None
        except HTTPClientError as error:
            raise StatementError(str(error), is_unclear=True) from None
        return [tuple(map(field_value, row)) for row in found.get("records", [])]

    def commit(self) -> None:
        """Commit the transaction."""
        transaction, self._transaction = self._transaction, {}
        try:
            self._data.commit_transaction(**self._cluster, **transaction)
        except (ClientError, HTTPClientError) as error:
            raise StatementError(str(error), is_unclear=True) from None

    def roll_back(self) -> None:
        """Roll the transaction back, unless it has ended."""
        transaction, self._transaction = self._transaction, {}
        if not transaction:
            return
        try:
            self._data.rollback_transaction(**self._cluster, **transaction)
        except (ClientError, HTTPClientError) as error:
            raise StatementError(str(error)) from None

    def close(self) -> None:
        """Roll back a transaction that is not committed."""
        with suppress(StatementError):
            self.roll_back()

    @property
    def _cluster(self) -> dict[str, str]:
        return {name: self._database[name] for name in ("resourceArn", "secretArn")}

    def _explain(self, code: str, message: str) -> StatementError:
        if code != TIMEOUT:
            is_lock_timeout = migration_database.is_lock_timeout(message)
            return StatementError(message, is_lock_timeout)
        goes_on = not self._transaction
        end = "goes on in the database" if goes_on else "was canceled"
        return StatementError(
            f"it takes longer than the {SECONDS} s of the Data API, and {end}",
            is_unclear=goes_on,
        )
