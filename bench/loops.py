"""Measure how long you wait for tests, builds, the shim and a new project."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from baking import DEADLINE, Project, Running, bake, cookiecutter, free_port
from bench.measuring import (
    Report,
    Result,
    compare_seconds,
    format_median,
    run,
    run_rounds,
)
from shim_helpers import require_server

TIMES = 3  # rounds for each round of other benchmarks: short times vary

TEXT = """\
- *`make test`* runs all unit tests of a new project, compared with pytest on one test
  that does nothing, in the same environment.
- *`make watch`*: from saving a file of `src/lib` until the result is printed, compared
  with `make test`.
- *`make build`* builds the function again and finds the layer up to date.
- *`make shim`* creates a new database, and is ready when other targets can use it.
- *A bake* is compared with cookiecutter's rendering of the same tree without the hooks.

All of them have run once before, so everything is installed."""


def measure(rows: int, runs: int) -> Report:
    """Measure the make targets of a project, and baking.

    Args:
        rows: not used.
        runs: number of rounds.
    """
    report = Report(text=TEXT)
    with TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        project = bake(directory / "postgres", database="postgres").share_installs()
        report.results += _tests(project, directory, runs)
        report.results.append(_builds(project, runs))
        report.results.append(_shims("postgres", project, runs))
        try:
            require_server("mysql")
        except pytest.skip.Exception as reason:
            report.text += f"\n\nNot measured on mysql: {reason}."
        else:
            project = bake(directory / "mysql", database="mysql").share_installs()
            report.results.append(_shims("mysql", project, runs))
        report.results.append(_bakes(directory / "bakes", runs))
    return report


def _tests(project: Project, directory: Path, runs: int) -> list[Result]:
    (directory / "empty").mkdir()
    (directory / "empty/test_empty.py").write_text(
        "def test_nothing() -> None:\n    ...\n"
    )
    empty: list[str | Path] = [project.path / ".venv/bin/pytest", "-q"]
    with project.start("watch") as watch:
        _wait_for_result(watch, 1)
        ways = {
            "make watch": lambda: _save(project, watch),
            "empty": lambda: run(empty, directory / "empty").seconds,
            "make test": lambda: run(["make", "test"], project.path).seconds,
        }
        run_rounds("warm up", 1, ways)
        seconds = run_rounds("loops: tests", runs * TIMES, ways)
    return [
        compare_seconds("`make test`", seconds["make test"], seconds["empty"], 5),
        compare_seconds("`make watch`", seconds["make watch"], seconds["make test"], 2),
    ]


def _save(project: Project, watch: Running) -> float:
    """Save a file; return the seconds until the tests have passed."""
    runs = watch.output.count(" passed in ")
    with (project.path / "src/lib/rows.py").open("a", encoding="utf-8") as file:
        file.write("\n# saved\n")
    return _wait_for_result(watch, runs + 1)


def _wait_for_result(watch: Running, count: int) -> float:
    return _seconds_until(watch, lambda: watch.output.count(" passed in ") >= count)


def _builds(project: Project, runs: int) -> Result:
    project.make("build")
    way = {"": lambda: run(["make", "build"], project.path).seconds}
    [seconds] = run_rounds("loops: builds", runs * TIMES, way).values()
    return _amount("`make build`", seconds, 2)


def _shims(database: str, project: Project, runs: int) -> Result:
    way = {"": partial(_start_shim, project)}
    [seconds] = run_rounds(f"loops: shims, {database}", runs, way).values()
    return _amount(f"`make shim`, {database}", seconds, 5)


def _start_shim(project: Project) -> float:
    ports = [f"AWS_PORT={free_port()}", f"DB_PORT={free_port()}"]
    with project.start("shim", "SHIM=process", *ports) as shim:
        return _seconds_until(shim, (project.path / ".shim/shim.env").exists)


def _bakes(directory: Path, runs: int) -> Result:
    ways = {
        "baked": partial(_bake, directory),
        "rendered": partial(_bake, directory, "--accept-hooks=no"),
    }
    run_rounds("warm up", 1, ways)
    seconds = run_rounds("loops: bakes", runs * TIMES, ways)
    return compare_seconds("a bake", seconds["baked"], seconds["rendered"], 1.3)


def _bake(directory: Path, *words: str) -> float:
    with TemporaryDirectory(prefix="bench-") as name:
        began = time.monotonic()
        finished = cookiecutter(Path(name), *words)
        seconds = time.monotonic() - began
    assert finished.returncode == 0, finished.stderr
    return seconds


def _amount(what: str, seconds: list[float], bound: float) -> Result:
    return Result(
        what, seconds, ("≤", bound), unit="s", ours=format_median(seconds, "s")
    )


def _seconds_until(running: Running, is_true: Callable[[], bool]) -> float:
    """Return the seconds until a condition is true."""
    began = time.monotonic()
    while not is_true():
        seconds = time.monotonic() - began
        assert running.process.poll() is None, running.output
        assert seconds < DEADLINE, f"nothing after {DEADLINE} s: {running.output}"
        time.sleep(0.005)
    return time.monotonic() - began
