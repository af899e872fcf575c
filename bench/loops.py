"""How long an engineer waits: for tests, builds, the shim, and for a new project."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from baking import (
    DEADLINE,
    Project,
    Running,
    bake,
    cookiecutter,
    free_port,
    need_server,
)
from bench.measuring import Report, Result, rounds, run, slower, told

TIMES = 3  # as often as other ways are taken: what is short varies

TEXT = """\
- *`make test`* of a project just baked is held against pytest on one test that does
  nothing, in the same environment. It runs the tests of functions; those of
  `src/common` and `src/lib` run, too, when these have changed since they passed.
- *`make watch`*: from saving a file of `src/lib` until the verdict is there, held
  against `make test` of all tests, which run then.
- *`make build`* has nothing to do.
- *`make shim`* copies the database that it has made first, and is ready when the other
  words may use it.
- *A bake* is held against cookiecutter's rendering of the same tree without the hooks.

All of them have run once before, so what they install is there."""


def measure(rows: int, runs: int) -> Report:
    """Measure the make words of a project, and baking.

    Args:
        rows: not used here.
        runs: how often each is run.
    """
    report = Report(text=TEXT)
    with TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        project = bake(folder / "postgres", database="postgres").share_installs()
        report.results += _tests(project, folder, runs)
        report.results.append(_builds(project, runs))
        report.results.append(_shims("postgres", project, runs))
        try:
            need_server("mysql")
        except pytest.skip.Exception as reason:
            report.text += f"\n\nNot measured on mysql: {reason}."
        else:
            project = bake(folder / "mysql", database="mysql").share_installs()
            report.results.append(_shims("mysql", project, runs))
        report.results.append(_bakes(folder / "bakes", runs))
    return report


def _tests(project: Project, folder: Path, runs: int) -> list[Result]:
    (folder / "empty").mkdir()
    (folder / "empty/test_empty.py").write_text(
        "def test_nothing() -> None:\n    ...\n"
    )
    empty: list[str | Path] = [project.path / ".venv/bin/pytest", "-q"]
    with project.start("watch") as watch:
        _wait_for_verdict(watch, 1)
        ways = {
            "make watch": lambda: _save(project, watch),
            "empty": lambda: run(empty, folder / "empty").seconds,
            "all": lambda: _test_all(project),
            "functions": lambda: run(["make", "test"], project.path).seconds,
        }
        rounds("warm up", 1, ways)
        seconds = rounds("loops: tests", runs * TIMES, ways)
    return [
        slower("`make test`", seconds["functions"], seconds["empty"], 1.5),
        slower(
            "`make test`, all that functions stand on",
            seconds["all"],
            seconds["empty"],
            None,
        ),
        slower("`make watch`", seconds["make watch"], seconds["all"], 2),
    ]


def _test_all(project: Project) -> float:
    """Run the tests as if none had passed; return the seconds that takes."""
    (project.path / ".build/tested").unlink()
    return run(["make", "test"], project.path).seconds


def _save(project: Project, watch: Running) -> float:
    """Save a file; return the seconds until the tests have passed."""
    verdicts = watch.said.count(" passed in ")
    with (project.path / "src/lib/rows.py").open("a", encoding="utf-8") as file:
        file.write("\n# saved\n")
    return _wait_for_verdict(watch, verdicts + 1)


def _wait_for_verdict(watch: Running, count: int) -> float:
    return _seconds_until(watch, lambda: watch.said.count(" passed in ") >= count)


def _builds(project: Project, runs: int) -> Result:
    project.make("build")
    way = {"": lambda: run(["make", "build"], project.path).seconds}
    [seconds] = rounds("loops: builds", runs * TIMES, way).values()
    return _amount("`make build`", seconds, 0.3)


def _shims(database: str, project: Project, runs: int) -> Result:
    way = {"": partial(_start_shim, project)}
    [seconds] = rounds(f"loops: shims, {database}", runs, way).values()
    return _amount(f"`make shim`, {database}", seconds, 5)


def _start_shim(project: Project) -> float:
    ports = [f"AWS_PORT={free_port()}", f"DB_PORT={free_port()}"]
    with project.start("shim", "SHIM=process", *ports) as shim:
        return _seconds_until(shim, (project.path / ".shim/shim.env").exists)


def _bakes(folder: Path, runs: int) -> Result:
    ways = {
        "baked": partial(_bake, folder),
        "rendered": partial(_bake, folder, "--accept-hooks=no"),
    }
    rounds("warm up", 1, ways)
    seconds = rounds("loops: bakes", runs * TIMES, ways)
    return slower("a bake", seconds["baked"], seconds["rendered"], 1.3)


def _bake(folder: Path, *words: str) -> float:
    with TemporaryDirectory(prefix="bench-") as name:
        began = time.monotonic()
        ended = cookiecutter(Path(name), *words)
        seconds = time.monotonic() - began
    assert ended.returncode == 0, ended.stderr
    return seconds


def _amount(what: str, seconds: list[float], bound: float) -> Result:
    return Result(what, seconds, ("≤", bound), unit="s", ours=told(seconds, "s"))


def _seconds_until(running: Running, holds: Callable[[], bool]) -> float:
    """Return how long it takes until a condition holds, asking often."""
    began = time.monotonic()
    while not holds():
        seconds = time.monotonic() - began
        assert running.process.poll() is None, running.said
        assert seconds < DEADLINE, f"nothing after {DEADLINE} s: {running.said}"
        time.sleep(0.005)
    return time.monotonic() - began
