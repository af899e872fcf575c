"""Prompt for SQL statements, or print the rows of one.

The shim's database is reached through its driver. A database on AWS is in a private
network, so statements go through the RDS Data API: IAM decides who may use it, and the
password never reaches this machine.
"""

import base64
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from time import sleep
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from context import CustomContext
from lib.database_errors import DatabaseError, DatabaseUnreachableError
from tools.counts import count
from tools.environment import Environment, client, enter
from tools.errors import UserError

DATABASE = "main"
RESUME_SECONDS = 60
# Errors of the statement rather than of the call, see
# https://docs.aws.amazon.com/rdsdataservice/latest/APIReference/API_ExecuteStatement.html
STATEMENT_ERRORS = (
    *("BadRequestException", "DatabaseErrorException"),
    *("StatementTimeoutException", "UnsupportedResultException"),
)


class Result(NamedTuple):
    """The result of a statement; without columns it returned no rows."""

    columns: list[str]
    rows: list[tuple[Any, ...]]
    changed: int


Execute = Callable[[str], Result]


def run(sql: str, env: str) -> int:
    """Print the rows of a statement, or prompt for statements; return 0.

    Args:
        sql: a statement, or empty for a prompt.
        env: an environment of `config/deploy.yml`; empty for the shim.

    Raises:
        UserError: the statement failed, or the database cannot be reached.
    """
    environment = enter(env)
    with connect(environment) as execute:
        if sql:
            print_result(execute(sql))
        else:
            prompt(environment, execute)
    return 0


@contextlib.contextmanager
def connect(environment: Environment) -> Iterator[Execute]:
    """Yield a function that runs statements on an environment's database.

    Raises:
        UserError: there is no database, or its Data API is off.
    """
    if environment.is_on_aws:
        yield connect_data_api(environment)
    else:
        with CustomContext(args=[f"--db_user={os.environ['DB_ADMIN']}"]) as context:
            yield connect_driver(context)


def prompt(environment: Environment, execute: Execute) -> None:
    """Run statements from standard input until its end.

    On a terminal, an error is printed and the prompt goes on. Elsewhere it is raised.
    """
    is_terminal = sys.stdin.isatty()
    if is_terminal:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - makes the input line editable
        print(f"{environment}: end a statement with ; and the prompt with Ctrl-D")
    for statement in read_statements(is_terminal):
        try:
            print_result(execute(statement))
        except UserError as error:
            if not is_terminal:
                raise
            print(f"{error}.")


def read_statements(is_terminal: bool) -> Iterator[str]:
    """Yield the statements of standard input; Ctrl-C discards a half-typed one."""
    lines: list[str] = []
    while True:
        try:
            lines.append(input(("...> " if lines else "sql> ") if is_terminal else ""))
        except EOFError:
            if is_terminal:
                print()
            break
        except KeyboardInterrupt:
            print()
            lines = []
            continue
        if lines[-1].rstrip().endswith(";"):
            yield "\n".join(lines)
            lines = []
    if any(line.strip() and not line.lstrip().startswith("--") for line in lines):
        yield "\n".join(lines)


def connect_driver(context: CustomContext) -> Execute:
    """Return a function that runs each statement in a transaction of its own."""

    def execute(statement: str) -> Result:
        try:
            with context.rds.transaction() as cursor:
                return fetch(cursor, statement)
        except DatabaseUnreachableError as error:
            raise UserError(f"{error}: restart the shim with 'make shim'") from None
        except DatabaseError as error:
            raise UserError(f"the database refuses: {error}") from None

    def fetch(cursor: Any, statement: str) -> Result:
        try:
            cursor.execute(statement)
        except context.rds.driver.Error as error:  # its message may show values
            message = str(error.args[-1] if error.args else error)
            raise UserError(
                f"the database refuses: {message.splitlines()[0]}"
            ) from None
        if cursor.description is None:
            return Result([], [], cursor.rowcount)
        names = [each[0] for each in cursor.description]
        return Result(names, list(cursor.fetchall()), 0)

    return execute


def find_database(environment: Environment) -> dict[str, str]:
    """Return what requests to the Data API say of an environment's cluster.

    Raises:
        UserError: there is no cluster, or its Data API is off.
    """
    if host := environment.spec["database"].get("DB_HOST"):
        raise UserError(
            f"the database of {environment.name} is not the project's: use a client "
            f"of your own that reaches {host}"
        )
    rds, name = client("rds"), environment.prefix
    try:
        [cluster] = rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"]
    except rds.exceptions.DBClusterNotFoundFault:
        raise environment.explain_missing(f"database {name}") from None
    if not cluster.get("HttpEndpointEnabled"):
        raise UserError(
            f"the Data API of {name} is off, and it is the only way in from outside "
            f"its network: run 'make deploy TARGET=aurora ENV={environment.name}'"
        )
    return {
        "resourceArn": cluster["DBClusterArn"],
        "secretArn": cluster["MasterUserSecret"]["SecretArn"],
        "database": DATABASE,
    }


def connect_data_api(environment: Environment) -> Execute:
    """Return a function that runs statements on an Aurora cluster by its Data API.

    Raises:
        UserError: there is no cluster, or its Data API is off.
    """
    data = client("rds-data")
    database = find_database(environment)

    def execute(statement: str) -> Result:
        request = {**database, "sql": statement, "includeResultMetadata": True}
        try:
            found = call_when_resumed(data, request)
        except ClientError as error:
            if error.response["Error"]["Code"] not in STATEMENT_ERRORS:
                raise
            message = error.response["Error"]["Message"]
            raise UserError(f"the database refuses: {message}") from None
        names = [each["label"] for each in found.get("columnMetadata", [])]
        rows = [tuple(map(field_value, row)) for row in found.get("records", [])]
        return Result(names, rows, found.get("numberOfRecordsUpdated", 0))

    return execute


def call_when_resumed(data: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Execute a statement; wait for a cluster that was paused.

    Raises:
        UserError: it is not available after `RESUME_SECONDS`.
    """
    for second in range(RESUME_SECONDS):
        try:
            return dict(data.execute_statement(**request))
        except data.exceptions.DatabaseResumingException:
            if not second:
                print("The database is resuming.", file=sys.stderr)
            sleep(1)
    raise UserError(f"the database has not resumed after {RESUME_SECONDS} s: try again")


def field_value(field: dict[str, Any]) -> Any:
    """Return the value of a field of the Data API, None for NULL."""
    [(kind, value)] = field.items()
    if kind == "isNull":
        return None
    return base64.b64encode(value) if kind == "blobValue" else value


def print_result(result: Result) -> None:
    """Print rows as a table, or how many rows were changed."""
    if not result.columns and not result.rows:
        print(f"{count(max(result.changed, 0), 'row')} changed")
        return
    cells = [result.columns, *(list(map(format_value, row)) for row in result.rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [" | ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
    lines.insert(1, "-+-".join("-" * width for width in widths))
    print(*lines, sep="\n")
    print(count(len(result.rows), "row"))


def format_value(value: Any) -> str:
    """Return a value on one line, NULL for None."""
    return "NULL" if value is None else str(value).replace("\n", "\\n")
