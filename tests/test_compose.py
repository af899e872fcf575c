"""The shim in Docker, on a real engine: by `make shim`, and by Compose itself."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import value_cases
from baking import DEADLINE, Project, bake, clean_environment, skip
from shim_helpers import clicks

# A command that runs another one with a Docker engine, for a machine that has none. It
# exits with 77 if it cannot.
ENGINE = os.environ.get("ENGINE", "").split()
# The same, with a network for builds.
HOST_ENGINE = os.environ.get("HOST_ENGINE", "").split()

PUT = (
    "import boto3; "
    'boto3.client("s3").upload_file("tests/data/large.csv", "raw", "worker/large.csv")'
)
BY_MAKE = f"""
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
(set -a; . .shim/shim.env; .venv/bin/python alone.py < alone.json)
kill $shim
wait $shim || true
echo left by make:
find .shim -type f -not -name '*.log'
docker ps --all --quiet --filter name=shim-
docker volume ls --quiet
"""

BY_HAND = f"""
set -eu
export AWS_ENDPOINT_URL=http://127.0.0.1:4566 AWS_DEFAULT_REGION=eu-west-1
export AWS_ACCESS_KEY_ID=shim AWS_SECRET_ACCESS_KEY=shim
compose="docker compose -f tests/docker-compose.yml"
$compose config | grep ^name:
WORKERS=1 $compose up --wait
.venv/bin/python tests/shim/create_tables.py
.venv/bin/python -c '{PUT}'
end=$(($(date +%s) + {DEADLINE}))
until $compose logs worker | grep '"loaded": 1000'; do
  test "$(date +%s)" -lt $end
  sleep 0.1
done
$compose stop worker
$compose ps --all --format '{{{{.Service}}}}: {{{{.ExitCode}}}}' worker
$compose down -v
echo left by hand:
docker ps --all --quiet --filter name=shim-
docker volume ls --quiet
docker network ls --quiet --filter name=shim-
"""


def run_with_engine(script: str, project: Project, engine: list[str] = ENGINE) -> str:
    """Run a script with a Docker engine; return its output and errors."""
    if not engine and (
        not shutil.which("docker")
        or subprocess.run(["docker", "info"], capture_output=True).returncode != 0
    ):
        skip("no Docker engine answers here")
    result = subprocess.run(
        [*engine, "sh", "-c", script],
        cwd=project.path,
        env=clean_environment({"PWD": str(project.path)}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if engine and result.returncode == 77:
        skip(result.stderr.strip())
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stderr + result.stdout


@pytest.mark.parametrize("database", ["postgres", "mysql"])
def test_compose_leaves_nothing_behind(database: str, tmp_path: Path) -> None:
    project = bake(tmp_path, project_slug=database, database=database)
    project.share_installs()
    (project.path / ".venv-shim").unlink()  # needs Docker only
    build = "make image FUNC=worker DOCKER_ARGS=--network=host"
    run_with_engine(build, project, HOST_ENGINE)
    lines = clicks(100).splitlines()
    lines[3] = f"4,{'x' * 65},/,,2026-01-05 08:00:00"
    lines[5] = "six,anna,/,,2026-01-05 08:00:00"
    (project.path / "refused.csv").write_text("\n".join(lines), encoding="utf-8")
    cases = value_cases.list_alone(database)
    (project.path / "alone.json").write_text(cases, encoding="utf-8")
    (project.path / "alone.py").write_text(value_cases.ALONE, encoding="utf-8")
    # both with one engine, which takes longer to start than either
    by_hand = f"export IMAGE={database}/worker\n{BY_HAND}"
    output = run_with_engine(f"{BY_MAKE}\n{by_hand}", project)
    by_make, by_hand = output.split("left by make:\n")
    assert "10 rows in, 10 rows out" in by_make
    assert '"loaded": 98, "rejected": 2' in by_make
    assert "\ncompared\n" in by_make  # MySQL itself, where the shim has MariaDB
    assert " instead of " not in by_make
    checkout = re.sub("[^a-z0-9_-]", "", str(project.path).lower())
    # remaining containers, volumes and networks would be listed before and after
    assert by_hand.startswith(f"name: shim-{checkout}\n")
    assert by_hand.endswith("worker: 0\nleft by hand:\n")
    assert not (project.path / ".venv-shim").exists()
