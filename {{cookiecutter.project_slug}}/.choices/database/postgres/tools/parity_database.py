"""Further databases of the shim's server, with the project's tables."""

import io
from contextlib import redirect_stdout

from tests.shim.database import GRANTS
from tools import migrate, migration_database, migrations

# Table and name of each column, except those that the database fills in itself.
COLUMNS = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = 'public' AND table_name <> 'migrations'
AND is_identity = 'NO'
AND position('(' IN coalesce(column_default, '')) = 0
AND position('CURRENT' IN coalesce(column_default, '')) = 0
ORDER BY table_name, column_name
"""


def create(name: str) -> None:
    """Create a database with the project's tables, in place of one of this name."""
    drop(name)
    with migration_database.connect("main") as connection:
        connection.execute(f"CREATE DATABASE {name}")
    run_script(name, GRANTS.read_text(encoding="utf-8"))
    with redirect_stdout(io.StringIO()):
        migrate.apply_to_shim(migrations.read_all(), name)


def run_script(name: str, script: str) -> None:
    """Run the statements of a script in a database."""
    with migration_database.connect(name) as connection:
        connection.execute(script)


def drop(name: str) -> None:
    """Drop a database, and end its connections."""
    with migration_database.connect("main") as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
