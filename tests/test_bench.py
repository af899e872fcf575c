"""`make bench` runs on small files and reports its results."""

import pytest
from filelock import FileLock

from baking import ROOT, Project

COMMAND = ("bench", "ROWS=1000", "RUNS=1", "ONLY=loading polling")


@pytest.fixture(autouse=True)
def installed() -> None:
    """Install what the bench needs, in one test process at a time."""
    with FileLock(ROOT / ".build" / "bench.lock"):
        Project(ROOT).make(".venv/.bench")


@pytest.mark.long
def test_bench_prints_and_writes_tables() -> None:
    output = Project(ROOT).make(*COMMAND).stdout
    page = (ROOT / ".build/bench/1000-1/bench.md").read_text(encoding="utf-8")
    for line in (
        "| load, PostgreSQL ",
        "| requests per message |",
        "| load of small files, ",
    ):
        assert line in output
        assert line in page
    for name in ("loading-seconds", "loading-workers", "polling-workers"):
        assert f"(bench-{name}.svg)" in page
        assert (ROOT / f".build/bench/1000-1/bench-{name}.svg").exists()


def test_wrong_number_of_rows_gets_one_sentence() -> None:
    result = Project(ROOT).make("bench", "ROWS=few", check=False)
    assert result.returncode != 0
    assert "--rows: 'few' is not a whole number from 1000 on" in result.stdout
    assert "Traceback" not in result.stdout
