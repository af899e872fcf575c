"""The shim's servers as local processes on the loopback interface."""

import http.client
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.shim import database
from tests.shim.environment_file import variables
from tests.shim.options import Options
from tests.shim.processes import STATE, VENV, Processes, ShimError, run_logged
from tools import install

DATABASE = STATE / "database"
TEMPORARY = STATE / "tmp"
SPACE = 250  # MB, for the database's first files and the emulator


@contextmanager
def run_local_servers(options: Options, processes: Processes) -> Iterator[None]:
    """Run the emulator of S3 and SQS, and the database.

    Raises:
        ShimError: a server is missing or does not start.
    """
    check_space()
    database.require_server(processes.stop)
    install.ensure(VENV.name)
    try:
        for directory in (DATABASE, TEMPORARY):
            shutil.rmtree(directory, ignore_errors=True)  # of a shim that was killed
            directory.mkdir()
        processes.start("aws", [_python(), "-m", "ministack"], _emulator(options))
        database.create(DATABASE)
        processes.start(
            "database",
            database.command(DATABASE, options.db_port),
            stop_signal=database.STOP_SIGNAL,
        )
        processes.wait_for("S3 and SQS", lambda: _answers(options.aws_port))
        create_resources(options)
        processes.wait_for("the database", lambda: database.is_ready(options.db_port))
        database.create_database(options.db_port)
        yield
    finally:
        processes.end()
        for directory in (DATABASE, TEMPORARY):
            shutil.rmtree(directory, ignore_errors=True)


def check_space() -> None:
    """Raise ShimError if the disk is too full for the servers to start."""
    free = shutil.disk_usage(STATE).free // 1_000_000
    if free < SPACE:
        raise ShimError(
            f"the shim needs {SPACE} MB in {STATE} and {free} MB are free: make room"
        )


def create_resources(options: Options) -> None:
    """Create what the functions declare; see `bootstrap`."""
    program = str(Path(__file__).with_name("bootstrap.py"))
    run_logged(
        "bootstrap",
        [_python(), program],
        environment=variables(options) | {"PATH": os.environ["PATH"]},
    )


def _python() -> str:
    return str(VENV / "bin" / "python")


def _emulator(options: Options) -> dict[str, str]:
    return os.environ | {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(options.aws_port),
        "MINISTACK_REGION": options.region,
        "LAMBDA_EXECUTOR": "local",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "TMPDIR": str(TEMPORARY),  # it leaves files there
        "AUTH": "true",  # Lambdas may do only what their role allows
        "AWS_ACCESS_KEY_ID": "shim",  # this key may do everything
        "AWS_SECRET_ACCESS_KEY": "shim",
    }


def _answers(port: int) -> bool:
    # http.client, unlike urllib, uses no proxy, whatever the environment says
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/_ministack/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
