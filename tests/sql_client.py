"""Query the shim's database as the owner of its tables, without the project's code."""

from contextlib import closing
from typing import Any


def query(
    database: str, environment: dict[str, str], statement: str
) -> list[list[Any]]:
    """Return the rows of a statement; none for a change, which is committed.

    Args:
        database: "postgres" or "mysql".
        environment: variables of the shim's clients.
        statement: the SQL.
    """
    connect = {"postgres": connect_postgres, "mysql": connect_mysql}[database]
    with closing(connect(environment)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return [list(row) for row in cursor.fetchall()] if cursor.description else []


def connect_postgres(environment: dict[str, str]) -> Any:
    """Connect to PostgreSQL."""
    import psycopg  # here, because the bench must take less memory than it measures

    return psycopg.connect(
        host=environment["DB_HOST"],
        port=environment["DB_PORT"],
        dbname=environment["DB_NAME"],
        user=environment["DB_ADMIN"],
        password=environment["DB_PASS"],
        autocommit=True,
    )


def connect_mysql(environment: dict[str, str]) -> Any:
    """Connect to MySQL or MariaDB, by TLS if the server has it."""
    import pymysql

    return pymysql.connect(
        host=environment["DB_HOST"],
        port=int(environment["DB_PORT"]),
        database=environment["DB_NAME"],
        user=environment["DB_ADMIN"],
        password=environment["DB_PASS"],
        autocommit=True,
    )
