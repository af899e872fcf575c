"""MySQL or MariaDB as a local process: an installed server, or a downloaded one."""

import os
import re
import shutil
import signal
import socket
from pathlib import Path

from tests.shim import mariadb_packages
from tests.shim.processes import ROOT, ShimError, run_logged
from tests.shim.stop import Stop

PORT = 13306
APP = Path(__file__).with_name("app.sql")
GRANTS = ROOT / "tools" / "grants.sql"
STOP_SIGNAL = signal.SIGTERM
# with a binary log, MySQL would create no triggers for users without SUPER
SPEED = ("innodb_flush_log_at_trx_commit=0", "skip_log_bin", "skip_name_resolve")
DIRECTORIES = ("/usr/sbin", "/usr/libexec", "/usr/local/sbin", "/opt/homebrew/bin")
MISSING = (
    "install MySQL or MariaDB with `apt-get install mariadb-server` (Debian, Ubuntu, "
    "WSL) or `brew install mysql` (macOS), or start Docker"
)
# An init file wants each statement on a line of its own.
SETUP = """
CREATE DATABASE main CHARACTER SET utf8mb4;
CREATE USER worker@'127.0.0.1' IDENTIFIED BY 'shim';
GRANT ALL ON *.* TO worker@'127.0.0.1';
"""


def server() -> str | None:
    """Return the server's path or a description, None if there is no way to one.

    `MISSING` is the remedy. `make doctor` shows both.
    """
    if found := _installed("mariadbd", "mysqld"):
        return found
    if mariadb_packages.is_supported():
        return "MariaDB, which make shim downloads"
    return None


def require_server(stop: Stop) -> None:
    """Download a server unless one is installed or was downloaded before.

    Raises:
        ShimError: none is installed, and none can be downloaded.
    """
    if _installed("mariadbd", "mysqld"):
        return
    if not mariadb_packages.is_supported():
        raise ShimError(f"this machine has no MySQL or MariaDB server: {MISSING}")
    try:
        mariadb_packages.download(stop)
    except mariadb_packages.DownloadError as error:
        raise ShimError(
            f"the packages of MariaDB cannot be downloaded ({error}): {MISSING}"
        ) from error


def create(directory: Path) -> None:
    """Create the database `data` in a directory."""
    temporary = directory / "temporary"
    temporary.mkdir()
    run_logged(
        "database-setup",
        [*_installer(), "--datadir=./data", *_as_root()],
        directory,  # its path may contain characters that the script's shell interprets
        os.environ | {"TMPDIR": str(temporary)},
    )


def command(directory: Path, port: int) -> list[str]:
    """Return the command that serves the database in a directory."""
    start = directory / "start.sql"
    scripts = [path.read_text(encoding="utf-8") for path in (APP, GRANTS)]
    start.write_text(_one_line_each("\n".join([SETUP, *scripts])), encoding="utf-8")
    settings = (
        f"datadir={directory / 'data'}",
        f"tmpdir={directory / 'temporary'}",  # in /tmp it deletes other servers' files
        f"pid_file={directory / 'pid'}",
        f"init_file={start}",
        "socket=server.sock",
        f"port={port}",
        "bind_address=127.0.0.1",
        "local_infile=1",
        *SPEED,
    )
    options = [f"--{setting}" for setting in settings]
    return [*_server(), *options, *_as_root()]


def is_ready(port: int) -> bool:
    """Return whether the database accepts connections, once it has run `SETUP`."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            return len(connection.recv(1)) == 1
    except OSError:
        return False


def create_database(port: int) -> None:
    """Do nothing: the server creates the database when it starts."""


def _server() -> list[str]:
    # --no-defaults: the machine's own configuration is for another server
    if found := _installed("mariadbd", "mysqld"):
        return [found, "--no-defaults"]
    return [*mariadb_packages.program("sbin/mariadbd"), "--no-defaults", *_base()]


def _installer() -> list[str]:
    mariadb_options = ["--no-defaults", "--auth-root-authentication-method=normal"]
    if found := _installed("mariadb-install-db"):
        return [found, *mariadb_options]
    if _installed("mariadbd", "mysqld"):
        return [*_server(), "--initialize-insecure"]
    script = mariadb_packages.program("bin/mariadb-install-db")
    return [*script, *mariadb_options, *_base()]


def _base() -> list[str]:
    return [f"--basedir={mariadb_packages.root() / 'usr'}"]


def _as_root() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []


def _installed(*names: str) -> str | None:
    path = os.pathsep.join((os.environ["PATH"], *DIRECTORIES))
    return next(filter(None, (shutil.which(name, path=path) for name in names)), None)


def _one_line_each(script: str) -> str:
    """Return the statements as an init file wants them: a line each, no comments."""
    statements = re.sub(r"(?m)^\s*--.*$", "", script).split(";\n")
    return "".join(
        " ".join(each.split()) + ";\n" for each in statements if each.strip()
    )
