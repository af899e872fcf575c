"""MySQL or MariaDB as a local process, from the server that the machine has."""

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

PORT = 13306
SCHEMA = Path(__file__).with_name("schema.sql")
SPEED = ("innodb_flush_log_at_trx_commit=0", "skip_name_resolve")
FOLDERS = ("/usr/sbin", "/usr/libexec", "/usr/local/sbin", "/opt/homebrew/bin")
MISSING = (
    "no MySQL or MariaDB server on this machine; get one by `apt-get install "
    "mariadb-server` (Debian, Ubuntu, WSL) or `brew install mysql` (macOS), or start "
    "Docker"
)


def server() -> str | None:
    """Return the server that the machine has, if any."""
    return _program("mariadbd", "mysqld")


def program() -> Path:
    """Return the program that serves the database.

    Raises:
        FileNotFoundError: the machine has none.
    """
    if found := server():
        return Path(found)
    raise FileNotFoundError(MISSING)


def make(folder: Path) -> None:
    """Make a new database, `data` in a folder; see `program` for what it raises."""
    # a defaults file of the machine's own server must not be read
    words = [str(program()), "--no-defaults", "--initialize-insecure"]
    if install := _program("mariadb-install-db"):
        normal = "--auth-root-authentication-method=normal"
        words = [install, "--no-defaults", normal]
    with (folder / "install.log").open("wb") as log:
        subprocess.run([*words, *_own(folder)], check=True, stdout=log, stderr=log)


def command(folder: Path, port: int) -> list[str]:
    """Return the command that serves the database in a folder."""
    start = folder / "start.sql"
    start.write_text(_one_line_each(SETUP + SCHEMA.read_text(encoding="utf-8")))
    settings = (
        f"port={port}",
        "bind_address=127.0.0.1",
        "socket=server.sock",
        "local_infile=1",
        f"pid_file={folder}/pid",
        f"init_file={start}",
        *SPEED,
    )
    more = (f"--{setting}" for setting in settings)
    return [str(program()), "--no-defaults", *_own(folder), *more]


def is_ready(port: int) -> bool:
    """Tell whether the database answers; it does once `SETUP` and schema are done."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            return len(connection.recv(1)) == 1
    except OSError:
        return False


def prepare(port: int) -> None:
    """Do nothing: the server has made the tables when it started."""


SETUP = """
CREATE DATABASE main CHARACTER SET utf8mb4;
CREATE USER worker@'127.0.0.1' IDENTIFIED BY 'shim';
GRANT ALL ON main.* TO worker@'127.0.0.1';
USE main;
"""


def _own(folder: Path) -> list[str]:
    """Return what keeps a server to a folder; make one for its temporary files."""
    # a server deletes what others have in a folder for temporary files
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    words = [f"--datadir={folder / 'data'}", f"--tmpdir={temporary}"]
    return [*words, "--user=root"] if os.geteuid() == 0 else words


def _one_line_each(script: str) -> str:
    """Return the statements as an init file wants them: a line each, no comments."""
    statements = re.sub(r"(?m)^\s*--.*$", "", script).split(";\n")
    return "".join(
        " ".join(each.split()) + ";\n" for each in statements if each.strip()
    )


def _program(*names: str) -> str | None:
    path = os.pathsep.join((os.environ["PATH"], *FOLDERS))
    return next(filter(None, (shutil.which(name, path=path) for name in names)), None)
