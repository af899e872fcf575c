"""Further databases of the shim's server, with the project's tables."""

import os
from typing import Any

import psycopg

from tests.shim.database import SCHEMA

# Table and name of each column, except those that the database fills in itself.
COLUMNS = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = 'public' AND is_identity = 'NO'
AND position('(' IN coalesce(column_default, '')) = 0
AND position('CURRENT' IN coalesce(column_default, '')) = 0
ORDER BY table_name, column_name
"""


def create(name: str) -> None:
    """Create a database with the project's tables, in place of one of this name."""
    drop(name)
    with connect("main") as connection:
        connection.execute(f"CREATE DATABASE {name}")
    run_script(name, SCHEMA.read_text(encoding="utf-8"))


def run_script(name: str, script: str) -> None:
    """Run the statements of a script in a database."""
    with connect(name) as connection:
        connection.execute(script)


def drop(name: str) -> None:
    """Drop a database, and end its connections."""
    with connect("main") as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def connect(name: str) -> Any:
    """Return a connection to a database of the shim."""
    return psycopg.connect(
        host=os.environ["DB_HOST"],
        port=int(os.environ["DB_PORT"]),
        dbname=name,
        user=os.environ["DB_USER"],
        password=os.environ["DB_PASS"],
        autocommit=True,
    )
