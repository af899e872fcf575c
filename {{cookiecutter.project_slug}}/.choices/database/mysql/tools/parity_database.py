"""Further databases of the shim's server, with the project's tables."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pymysql

from tests.shim.database import SCHEMA

# Table and name of each column, except those that the database fills in itself.
COLUMNS = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = DATABASE() AND position('auto_increment' IN extra) = 0
AND position('(' IN coalesce(column_default, '')) = 0
AND position('CURRENT' IN coalesce(column_default, '')) = 0
ORDER BY table_name, column_name
"""


def create(name: str) -> None:
    """Create a database with the project's tables, in place of one of this name."""
    drop(name)
    with connect("main") as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    run_script(name, SCHEMA.read_text(encoding="utf-8"))


def run_script(name: str, script: str) -> None:
    """Run the statements of a script in a database; each ends with `;` and a line."""
    statements = re.sub(r"(?m)^\s*--.*$", "", script).split(";\n")
    with connect(name) as cursor:
        for statement in filter(str.strip, statements):
            cursor.execute(statement)


def drop(name: str) -> None:
    """Drop a database."""
    with connect("main") as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")


@contextmanager
def connect(name: str) -> Iterator[Any]:
    """Yield a cursor on a connection to a database of the shim."""
    connection = pymysql.connect(
        host=os.environ["DB_HOST"],
        port=int(os.environ["DB_PORT"]),
        database=name,
        user=os.environ["DB_USER"],
        password=os.environ["DB_PASS"],
        autocommit=True,
    )
    with connection, connection.cursor() as cursor:
        yield cursor
