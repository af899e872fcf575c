"""A stub of RDS whose Data API runs the statements in a database of the shim.

As on AWS, a request is one statement, a statement outside of a transaction is committed
on its own, and a transaction without calls ends.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import psycopg
import pymysql

import sql_client
from aws_stubs import CLUSTER, Answer, Request, answering, as_json

ERRORS = (psycopg.Error, pymysql.Error)
# https://docs.aws.amazon.com/rdsdataservice/latest/APIReference/API_ExecuteStatement.html
LONGEST = 65_536  # characters of a statement


class DataApi:
    """The Data API of one database.

    Args:
        database: "postgres" or "mysql".
        environment: variables of the shim's clients.

    Attributes:
        url: where it answers, while `serve` runs.
        is_slow: whether the next `ALTER` outside of a transaction takes too long.
        is_lost: whether the next commit is not answered as one, though it takes effect.
    """

    url = ""
    is_slow = False
    is_lost = False

    def __init__(self, database: str, environment: dict[str, str]) -> None:
        self._database = database
        self._environment = environment
        self._transactions: dict[str, Any] = {}
        self._count = 0
        self._lock = Lock()

    def expire(self) -> None:
        """End all transactions, as AWS does after three minutes without a call."""
        while self._transactions:
            self._transactions.popitem()[1].close()

    @contextmanager
    def serve(self) -> Iterator[None]:
        """Answer requests."""
        with answering(self._answer) as self.url:
            yield
        self.expire()

    def _answer(self, request: Request) -> Answer:
        parameters = request.parameters
        if request.action == "DescribeDBClusters":
            text = CLUSTER.replace("{name}", parameters["DBClusterIdentifier"])
            return Answer(200, text.replace("{is_open}", "true"))
        if request.action == "BeginTransaction":
            with self._lock:
                self._count += 1
                name = str(self._count)
            self._transactions[name] = connection = self._connect()
            connection.cursor().execute("BEGIN")
            return as_json({"transactionId": name})
        if request.action == "Execute":
            return self._execute(parameters)
        connection = self._transactions.pop(parameters["transactionId"], None)
        if connection is None:
            return refuse("BadRequestException", "Transaction is not found")
        is_commit = request.action == "CommitTransaction"
        connection.cursor().execute("COMMIT" if is_commit else "ROLLBACK")
        connection.close()
        if is_commit and self.is_lost:
            self.is_lost = False
            return refuse("InternalServerErrorException", "Try again")
        return as_json({"transactionStatus": "ended"})

    def _execute(self, parameters: dict[str, Any]) -> Answer:
        if len(parameters["sql"]) > LONGEST:
            return refuse(
                "ValidationException", "Member must have a length up to 65536"
            )
        name = parameters.get("transactionId")
        connection = self._transactions.get(name) if name else self._connect()
        if connection is None:
            return refuse("BadRequestException", f"Transaction {name} is not found")
        # migrations say so; statements of make sql and of the functions' user do not
        assert parameters.get("continueAfterTimeout", not name) is (name is None)
        cursor = connection.cursor()
        # the extended protocol accepts one statement only, as the Data API does
        options = {"prepare": True} if self._database == "postgres" else {}
        try:
            cursor.execute(parameters["sql"], **options)
            rows = cursor.fetchall() if cursor.description else []
        except ERRORS as error:
            code = getattr(error, "sqlstate", None) or error.args[0]
            text = f"ERROR: {error.args[-1]}; SQLState: {code}"
            return refuse("DatabaseErrorException", text)
        finally:
            if not name:
                connection.close()
        if self.is_slow and not name and "ALTER" in parameters["sql"]:
            self.is_slow = False
            return refuse("StatementTimeoutException", "Request timed out")
        return as_json(
            {"records": [[as_field(value) for value in row] for row in rows]}
        )

    def _connect(self) -> Any:
        connect = {
            "postgres": sql_client.connect_postgres,
            "mysql": sql_client.connect_mysql,
        }
        return connect[self._database](self._environment)


def refuse(code: str, message: str) -> Answer:
    """Return an error of the Data API."""
    return as_json({"__type": code, "message": message}, 400)


def as_field(value: Any) -> dict[str, Any]:
    """Return a value as the Data API does."""
    if value is None:
        return {"isNull": True}
    kinds = {bool: "booleanValue", int: "longValue"}
    kind = kinds.get(type(value), "stringValue")
    return {kind: value if kind != "stringValue" else str(value)}


@contextmanager
def serving_data_api(database: str, environment: dict[str, str]) -> Iterator[str]:
    """Run the stub; yield its URL."""
    api = DataApi(database, environment)
    with api.serve():
        yield api.url
