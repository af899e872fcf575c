"""The image, on a real Docker engine: runs container_tests.py where there is one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from baking import skip

# A command that runs another one with a Docker engine whose containers share the
# machine's network, for a machine that has none. It exits with 77 if it cannot.
ENGINE = os.environ.get("HOST_ENGINE", "").split()


@pytest.mark.long(4)
def test_image_passes_on_docker_engine() -> None:
    if not ENGINE and (
        not shutil.which("docker")
        or subprocess.run(["docker", "info"], capture_output=True).returncode != 0
    ):
        skip("no Docker engine answers here")
    tests = Path(__file__).with_name("container_tests.py")
    words = [*ENGINE, sys.executable, "-m", "pytest", "-v", str(tests)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    result = subprocess.run(words, env=environment, capture_output=True, text=True)
    if ENGINE and result.returncode == 77:
        skip(result.stderr.strip())
    assert result.returncode == 0, result.stdout + result.stderr
