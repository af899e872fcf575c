"""Measure how long you wait for tests, builds, the shim and saved code."""

import shutil
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
    ratios,
    run,
    run_rounds,
)
from conftest import TERRAFORM, run_mirror
from shim_helpers import require_server

MORE = 2  # rounds in addition to those of other benchmarks

# Deploys as `make deploy ENV=local` would without what makes it faster.
ONE_BY_ONE = """\
from tools import deploy, stack_order

def work_on(stacks, needs, prepare, act):
    for stack in stacks:
        prepare(stack)
        act(stack)
    return []

stack_order.work_on = work_on
deploy.deploy("", "local")
"""
BUCKET = "infra/bucket/main.tf"
LIFECYCLE = ("is_local ? 0 : local.count", "count")  # of a local deployment: none

TEXT = """\
Each is the median of {rounds} rounds, those of a first deployment of {runs}.

- *`make test`* runs all unit tests of a new project, compared with pytest on one test
  that does nothing, in the same environment.
- *`make watch`*: from saving a file of `src/lib` until the result is printed, compared
  with `make test`.
- *`make build`* builds the function again and finds the layer up to date.
- *`make shim`* creates a new database, and is ready when other targets can use it.
- *`make run RELOAD=1`*: from saving a function until the new code polls. *Before* is
  Ctrl-C and `make run`, without the time to type them.
- *`make sync`*: until a Lambda in the shim runs saved code. *Before* is
  `make deploy TARGET=lambda` with Terraform.
- *The first `make deploy`* of all stacks into an empty shim, with Terraform and a
  provider that is on the machine. The original way is one stack after the other, and
  with the bucket's lifecycle, which a local deployment leaves out. Each of the two
  queues takes 25 s of waiting, the lifecycle 55 s.
- *A bake* is compared with cookiecutter's rendering of the same tree without the hooks.

Only AWS can show how long `make sync ENV=dev` takes: for a Lambda, an upload and an
update of its code, for a container, a push of one image layer and a new task.

All of them have run once before, so everything is installed."""


def measure(rows: int, runs: int) -> Report:
    """Measure the make targets of a project, and baking.

    Args:
        rows: not used.
        runs: number of rounds.
    """
    rounds = runs + MORE
    report = Report(text=TEXT.format(rounds=rounds, runs=runs))
    with TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        project = bake(directory / "postgres", database="postgres").share_installs()
        report.results += _tests(project, directory, rounds)
        report.results.append(_builds(project, rounds))
        report.results.append(_shims("postgres", project, rounds))
        report.results += _reloads(project, rounds)
        try:
            report.results += _deployments(project, directory, runs)
        except pytest.skip.Exception as reason:
            report.text += f"\n\nNot measured with Terraform: {reason}."
        try:
            require_server("mysql")
        except pytest.skip.Exception as reason:
            report.text += f"\n\nNot measured on mysql: {reason}."
        else:
            project = bake(directory / "mysql", database="mysql").share_installs()
            report.results.append(_shims("mysql", project, rounds))
        report.results.append(_bakes(directory / "bakes", rounds))
    return report


def _tests(project: Project, directory: Path, rounds: int) -> list[Result]:
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
        seconds = run_rounds("loops: tests", rounds, ways)
    return [
        compare_seconds("`make test`", seconds["make test"], seconds["empty"], 5),
        compare_seconds("`make watch`", seconds["make watch"], seconds["make test"], 2),
    ]


def _save(project: Project, watch: Running) -> float:
    """Save a file; return the seconds until the tests have passed."""
    runs = watch.output.count(" passed in ")
    _change(project, "src/lib/rows.py")
    return _wait_for_result(watch, runs + 1)


def _change(project: Project, file: str) -> None:
    with (project.path / file).open("a", encoding="utf-8") as stream:
        stream.write("\n# saved\n")


def _wait_for_result(watch: Running, count: int) -> float:
    return _seconds_until(watch, lambda: watch.output.count(" passed in ") >= count)


def _builds(project: Project, rounds: int) -> Result:
    project.make("build")
    way = {"": lambda: run(["make", "build"], project.path).seconds}
    [seconds] = run_rounds("loops: builds", rounds, way).values()
    return _amount("`make build`", seconds, 2)


def _shims(database: str, project: Project, rounds: int) -> Result:
    way = {"": partial(_start_shim, project)}
    [seconds] = run_rounds(f"loops: shims, {database}", rounds, way).values()
    return _amount(f"`make shim`, {database}", seconds, 5)


def _start_shim(project: Project) -> float:
    ports = [f"AWS_PORT={free_port()}", f"DB_PORT={free_port()}"]
    with project.start("shim", "SHIM=process", *ports) as shim:
        return _seconds_until(shim, (project.path / ".shim/shim.env").exists)


def _reloads(project: Project, rounds: int) -> list[Result]:
    ways = {
        "RELOAD=1": partial(_reload, project),
        "restart": partial(_restart, project),
    }
    with project.shim():
        run_rounds("warm up", 1, ways)
        seconds = run_rounds("loops: reloads", rounds, ways)
    reload, restart = seconds.values()
    return [
        _amount("`make run RELOAD=1`", reload, 1),
        _compare("`make run RELOAD=1`, and before", reload, restart, 0.5),
    ]


def _reload(project: Project) -> float:
    """Save a function; return the seconds until a new poller polls."""
    with project.start("run", "FUNC=worker", "RELOAD=1") as poller:
        poller.wait_for("polling")
        time.sleep(1)  # until the reloader, too, knows that it polls
        _change(project, "src/func/worker.py")
        return _seconds_until(poller, lambda: poller.output.count("polling") == 2)


def _restart(project: Project) -> float:
    """Save a function; return the seconds to stop a poller and to start another."""
    with project.start("run", "FUNC=worker") as poller:
        poller.wait_for("polling")
        _change(project, "src/func/worker.py")
        began = time.monotonic()
    with project.start("run", "FUNC=worker") as poller:
        _seconds_until(poller, lambda: "polling" in poller.output)
        return time.monotonic() - began


def _deployments(project: Project, directory: Path, runs: int) -> list[Result]:
    """Measure deployments into the shim, and `make sync`.

    Raises:
        pytest.skip.Exception: this machine lacks Terraform or its provider.
    """
    with run_mirror(TERRAFORM, directory / "init") as provider:
        updates = _updates(project, provider, runs + MORE)
        return [*updates, _first_deployments(project, provider, runs)]


def _updates(project: Project, provider: dict[str, str], rounds: int) -> list[Result]:
    def update(*words: str) -> float:
        _change(project, "src/func/worker.py")
        return run(["make", *words, "ENV=local"], project.path, provider).seconds

    ways = {
        "sync": partial(update, "sync", "FUNC=worker"),
        "deploy": partial(update, "deploy", "TARGET=lambda"),
    }
    with project.shim():
        update("deploy")
        seconds = run_rounds("loops: updates of a Lambda", rounds, ways)
    sync, deploy = seconds.values()
    return [
        _amount("`make sync`", sync, 2),
        _compare("`make sync`, and before", sync, deploy, 0.5),
    ]


def _first_deployments(project: Project, provider: dict[str, str], runs: int) -> Result:
    def deploy(*words: str | Path) -> float:
        state = project.path / ".build" / "terraform" / "local"
        shutil.rmtree(state, ignore_errors=True)
        with project.shim():
            return run([*words], project.path, provider).seconds

    def deploy_one_by_one() -> float:
        file = project.path / BUCKET
        text = file.read_text(encoding="utf-8")
        assert LIFECYCLE[0] in text
        file.write_text(text.replace(*LIFECYCLE), encoding="utf-8")
        try:
            return deploy(".venv/bin/python", "-c", ONE_BY_ONE)
        finally:
            file.write_text(text, encoding="utf-8")

    ways: dict[str, Callable[[], float]] = {
        "together": partial(deploy, "make", "deploy", "ENV=local"),
        "one by one": deploy_one_by_one,
    }
    together, one_by_one = run_rounds("loops: first deployments", runs, ways).values()
    return _compare("the first `make deploy`", together, one_by_one, 0.5)


def _bakes(directory: Path, rounds: int) -> Result:
    ways = {
        "baked": partial(_bake, directory),
        "rendered": partial(_bake, directory, "--accept-hooks=no"),
    }
    run_rounds("warm up", 1, ways)
    seconds = run_rounds("loops: bakes", rounds, ways)
    return compare_seconds("a bake", seconds["baked"], seconds["rendered"], 1.3)


def _bake(directory: Path, *words: str) -> float:
    with TemporaryDirectory(prefix="bench-") as name:
        began = time.monotonic()
        finished = cookiecutter(Path(name), *words)
        seconds = time.monotonic() - began
    assert finished.returncode == 0, finished.stderr
    return seconds


def _compare(what: str, ours: list[float], before: list[float], bound: float) -> Result:
    """Return a result with the ratio of our seconds to those of an earlier way."""
    return Result(
        what,
        ratios(ours, before),
        ("≤", bound),
        ours=format_median(ours, "s"),
        original=format_median(before, "s"),
    )


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
