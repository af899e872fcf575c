"""A prompt of the database, or the rows of one statement.

The shim's database is reached by its driver. One on AWS is in a network that lets
nobody in, so there the statements go through RDS's Data API: IAM says who may, and the
password never comes here.
"""

import argparse
import base64
import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from context import CustomContext
from lib.loads import DatabaseAwayError
from place import Place, answer, parser
from sizes import Refusal

DATABASE = "main"
WAKING_SECONDS = 60
# of a statement, not of the call; see the errors of
# https://docs.aws.amazon.com/rdsdataservice/latest/APIReference/API_ExecuteStatement.html
REFUSALS = (
    *("BadRequestException", "DatabaseErrorException"),
    *("StatementTimeoutException", "UnsupportedResultException"),
)


class Result(NamedTuple):
    """What a statement yields: names of columns, none where there are no rows."""

    columns: list[str]
    rows: list[tuple[Any, ...]]
    changed: int


Execute = Callable[[str], Result]


def run(place: Place, options: argparse.Namespace) -> int:
    """Print the rows of the statement, or ask for statements; return the exit code.

    Raises:
        Refusal: the statement fails, or the database cannot be reached.
    """
    is_far = place.name not in ("", "local")
    with contextlib.ExitStack() as stack:
        if is_far:
            execute = by_data_api(place)
        else:
            execute = by_driver(stack.enter_context(CustomContext()))
        if options.statement:
            tell(execute(options.statement))
            return 0
        return prompt(place, execute)


def prompt(place: Place, execute: Execute) -> int:
    """Take statements until the end of what is typed; return the exit code.

    On a terminal a statement that fails is told, and the next one is taken. Elsewhere
    it is the last.
    """
    is_terminal = sys.stdin.isatty()
    if is_terminal:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - makes lines that can be edited
        print(f"{place}: a statement ends with ; and the prompt by Ctrl-D")
    for statement in statements(is_terminal):
        try:
            tell(execute(statement))
        except Refusal as error:
            if not is_terminal:
                raise
            print(f"{error}.")
    return 0


def statements(is_terminal: bool) -> Iterator[str]:
    """Yield what is typed, statement by statement; Ctrl-C drops one that is begun."""
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


def by_driver(context: CustomContext) -> Execute:
    """Return what executes statements by the database's driver, each on its own."""

    def execute(statement: str) -> Result:
        try:
            with context.rds.transaction() as cursor:
                cursor.execute(statement)
                if cursor.description is None:
                    return Result([], [], cursor.rowcount)
                names = [each[0] for each in cursor.description]
                return Result(names, list(cursor.fetchall()), 0)
        except DatabaseAwayError as error:
            raise Refusal(f"{error}: start the shim anew by 'make shim'") from None
        except context.rds.driver.Error as error:
            said = str(error.args[-1] if error.args else error)
            raise Refusal(f"the database refuses: {said.splitlines()[0]}") from None

    return execute


def by_data_api(place: Place) -> Execute:
    """Return what executes statements on a cluster by its Data API.

    Raises:
        Refusal: there is no cluster, or it has no Data API.
    """
    rds, data = place.client("rds"), place.client("rds-data")
    name = place.prefix
    try:
        [cluster] = rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"]
    except rds.exceptions.DBClusterNotFoundFault:
        raise Refusal(place.lacks(f"database {name}")) from None
    if not cluster.get("HttpEndpointEnabled"):
        raise Refusal(
            f"the database {name} has no Data API, the one way in from outside of its "
            f"network: 'make deploy TARGET=aurora ENV={place.name}' turns it on"
        )
    where = {
        "resourceArn": cluster["DBClusterArn"],
        "secretArn": cluster["MasterUserSecret"]["SecretArn"],
        "database": DATABASE,
    }

    def execute(statement: str) -> Result:
        for second in range(WAKING_SECONDS):
            try:
                found = data.execute_statement(
                    **where, sql=statement, includeResultMetadata=True
                )
                break
            except data.exceptions.DatabaseResumingException:
                if not second:
                    print("The database wakes up.", file=sys.stderr)
                threading.Event().wait(1)
            except ClientError as error:
                if error.response["Error"]["Code"] not in REFUSALS:
                    raise
                said = error.response["Error"]["Message"]
                raise Refusal(f"the database refuses: {said}") from None
        else:
            raise Refusal(f"{name} is not awake after {WAKING_SECONDS} s: try again")
        names = [each["label"] for each in found.get("columnMetadata", [])]
        rows = [tuple(map(value, row)) for row in found.get("records", [])]
        return Result(names, rows, found.get("numberOfRecordsUpdated", 0))

    return execute


def value(field: dict[str, Any]) -> Any:
    """Return a value as the Data API tells it, None for NULL."""
    [(kind, found)] = field.items()
    if kind == "isNull":
        return None
    return base64.b64encode(found) if kind == "blobValue" else found


def tell(result: Result) -> None:
    """Print rows as a table, or how many were changed."""
    if not result.columns and not result.rows:
        print(f"{max(result.changed, 0)} rows changed")
        return
    cells = [result.columns, *(list(map(shown, row)) for row in result.rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [" | ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
    lines.insert(1, "-+-".join("-" * width for width in widths))
    print(*lines, sep="\n")
    print(f"{len(result.rows)} {'row' if len(result.rows) == 1 else 'rows'}")


def shown(value: Any) -> str:
    """Return a value on one line; NULL is what SQL calls it."""
    if value is None:
        return "NULL"
    return str(value).replace("\n", "\\n")


if __name__ == "__main__":
    words = parser(__doc__)
    words.add_argument("--statement", default="")
    sys.exit(answer(words.parse_args(), run))
