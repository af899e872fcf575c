"""The shim by Docker Compose, on a real engine."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from baking import DEADLINE, bake, clean_environment, skip
from playground import clicks

# A command that runs another one where an engine answers, for machines without one of
# their own; it ends with 77 where it cannot.
ENGINE = os.environ.get("ENGINE", "").split()

SCRIPT = f"""
set -eu
make shim SHIM=docker & shim=$!
end=$(($(date +%s) + {DEADLINE}))
until test -f .shim/shim.env; do
  kill -0 $shim && test "$(date +%s)" -lt "$end"
  sleep 0.1
done
make sanity_check
make event FILE=refused.csv
make run FUNC=worker RUN_ARGS=--drain
kill $shim
wait $shim || true
test ! -e .shim/shim.env
docker ps --all --quiet --filter name=shim-
docker volume ls --quiet --filter name=shim-
"""


@pytest.mark.parametrize("database", ["postgres", "mysql"])
def test_sanity_check_by_compose_and_nothing_is_left(
    database: str, tmp_path: Path
) -> None:
    if not ENGINE and (
        not shutil.which("docker")
        or subprocess.run(["docker", "info"], capture_output=True).returncode != 0
    ):
        pytest.skip("no Docker engine answers here")
    project = bake(tmp_path, database=database).share_installs()
    project.make("build", "TARGET=local")
    lines = clicks(100).splitlines()
    lines[3] = f"4,{'x' * 65},/,,2026-01-05 08:00:00"
    lines[5] = "six,anna,/,,2026-01-05 08:00:00"
    (project.path / "refused.csv").write_text("\n".join(lines), encoding="utf-8")
    result = subprocess.run(
        [*ENGINE, "sh", "-c", SCRIPT],
        cwd=project.path,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if ENGINE and result.returncode == 77:
        skip(result.stderr.strip())
    assert result.returncode == 0, result.stdout + result.stderr
    assert "10 rows in, 10 rows out" in result.stdout
    assert '"loaded": 98, "rejected": 2' in result.stderr
    # what is listed after that would be containers and volumes that are left
    assert result.stdout.endswith("s3://raw/worker/refused.csv\n")
