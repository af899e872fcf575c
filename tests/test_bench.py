"""The bench runs, and tells what it finds."""

import pytest

from baking import ROOT, Project

WORDS = ("bench", "ROWS=1000", "RUNS=1", "ONLY=loading polling")


@pytest.mark.long
def test_bench_prints_its_tables_and_writes_the_page() -> None:
    said = Project(ROOT).make(*WORDS).stdout
    page = (ROOT / ".build/bench/1000-1/bench.md").read_text(encoding="utf-8")
    for line in (
        "| load, PostgreSQL ",
        "| requests a message |",
        "| load of small files, ",
    ):
        assert line in said
        assert line in page
    for name in ("loading-seconds", "loading-workers", "polling-workers"):
        assert f"(bench-{name}.svg)" in page
        assert (ROOT / f".build/bench/1000-1/bench-{name}.svg").exists()


def test_bench_of_too_few_rows_is_refused_in_a_sentence() -> None:
    result = Project(ROOT).make("bench", "ROWS=few", check=False)
    assert result.returncode != 0
    assert "--rows: 'few' is no whole number from 1000 on" in result.stdout
    assert "Traceback" not in result.stdout
