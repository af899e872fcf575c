"""PgBouncer between a worker and PostgreSQL, in transaction mode."""

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from baking import DEADLINE, Project, free_port, skip, wait_until

SETTINGS = """\
[databases]
main = host=127.0.0.1 port={database} dbname=main user=app password=shim

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {users}
pool_mode = transaction
default_pool_size = 2
"""


@contextmanager
def pgbouncer(project: Project, directory: Path) -> Iterator[int]:
    """Run PgBouncer in front of a project's database; yield its port.

    Transactions share two connections of the server, whatever client they are from.
    """
    path = os.pathsep.join((os.environ["PATH"], "/usr/sbin"))
    program = shutil.which("pgbouncer", path=path)
    if not program:
        skip("this machine has no PgBouncer")
    port, users, settings = (
        free_port(),
        directory / "users",
        directory / "pgbouncer.ini",
    )
    users.write_text('"app" "shim"\n', encoding="utf-8")
    database = project.shim_environment()["DB_PORT"]
    text = SETTINGS.format(database=database, port=port, users=users)
    settings.write_text(text, encoding="utf-8")
    command = [program, "--quiet", str(settings)]
    if getpass.getuser() == "root":  # which PgBouncer refuses
        for each in (directory, *directory.parents):
            if each.owner() == "root" and each.name:
                each.chmod(each.stat().st_mode | 0o011)
        for each in (users, settings):
            shutil.chown(each, "nobody")
        command.insert(1, "--user=nobody")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: _is_open(port), "PgBouncer")
            yield port
        finally:
            process.terminate()
            process.wait(DEADLINE)


def _is_open(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
