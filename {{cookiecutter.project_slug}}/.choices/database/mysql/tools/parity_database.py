"""Further databases of the shim's server, with the project's tables."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from tools import migrate, migration_database, migrations

# Table and name of each column, except those that the database fills in itself.
COLUMNS = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = DATABASE() AND table_name <> 'migrations'
AND position('auto_increment' IN extra) = 0
AND position('(' IN coalesce(column_default, '')) = 0
AND position('CURRENT' IN coalesce(column_default, '')) = 0
ORDER BY table_name, column_name
"""


def create(name: str) -> None:
    """Create a database with the project's tables, in place of one of this name."""
    drop(name)
    with connect("main") as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    with redirect_stdout(io.StringIO()):
        migrate.apply_to_shim(migrations.read_all(), name)


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
    with migration_database.connect(name) as connection, connection.cursor() as cursor:
        yield cursor
