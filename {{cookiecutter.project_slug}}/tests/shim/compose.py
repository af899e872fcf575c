"""The shim's servers as containers, by Docker Compose."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.shim.options import Options
from tests.shim.processes import ROOT, ShimError
from tests.shim.stop import Stop

COMPOSE = ["docker", "compose", "--file", "tests/docker-compose.yml"]


@contextmanager
def run_containers(options: Options, stop: Stop) -> Iterator[None]:
    """Run the containers; remove them and their volumes afterwards.

    Raises:
        ShimError: no engine answers, or the containers do not start.
    """
    environment = os.environ | {
        "PWD": str(ROOT),  # names the Compose project, as it does in a shell
        "AWS_PORT": str(options.aws_port),
        "DB_PORT": str(options.db_port),
        "AWS_REGION": options.region,
    }

    def compose(*words: str) -> int:
        return subprocess.run([*COMPOSE, *words], cwd=ROOT, env=environment).returncode

    if not engine_answers():
        raise ShimError("no Docker engine with Compose answers: see 'make doctor'")
    try:
        if compose("up", "--wait", "--quiet-pull") != 0:
            if not stop.is_set():
                compose("logs", "--tail=20")
            raise ShimError("Docker Compose could not start the servers; see above")
        yield
    finally:
        compose("down", "--volumes", "--remove-orphans")


def engine_answers() -> bool:
    """Return whether a Docker engine runs here, and Compose is installed."""
    return shutil.which("docker") is not None and all(
        subprocess.run(["docker", *words], capture_output=True).returncode == 0
        for words in (["info"], ["compose", "version"])
    )
