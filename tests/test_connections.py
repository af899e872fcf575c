"""Targets warn if functions may open more connections than the database accepts."""

import sys
from typing import Any

import pytest

from baking import TEMPLATE, Project

sys.path.insert(0, str(TEMPLATE))

from tools import connections

SIZE = {"min_capacity": 1, "max_capacity": 1}
LAMBDA = {
    "runtime": "lambda",
    "database": True,
    "max_concurrency": 200,
    "reserved_concurrency": -1,
}
CONTAINER = {
    "runtime": "container",
    "database": True,
    "fifo": False,
    "max_tasks": 50,
    "environment": {"WORKERS": "4"},
}
POLLERS = {"provisioned_pollers": {"min": 2, "max": 30}}


@pytest.mark.parametrize(
    ("engine", "low", "high", "accepted"),
    [
        ("postgres", 1, 1, 189),
        ("postgres", 0, 2, 400),
        ("postgres", 1, 16, 3360),
        ("postgres", 0.5, 16, 2000),
        ("postgres", 1, 256, 5000),
        ("mysql", 0, 1, 90),
        ("mysql", 0.5, 2.5, 90),
        ("mysql", 1, 8, 1000),
        ("mysql", 1, 256, 6000),
    ],
)
def test_capacity_limits_connections(
    engine: str, low: float, high: float, accepted: int
) -> None:
    size = {"min_capacity": low, "max_capacity": high}
    assert connections.count_accepted(size, engine) == accepted


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        (LAMBDA, 200),
        (LAMBDA | POLLERS, 300),
        (LAMBDA | POLLERS | {"reserved_concurrency": 50}, 50),
        (CONTAINER, 200),
        (CONTAINER | {"fifo": True}, 50),
        (CONTAINER | {"environment": {}}, 50),
    ],
)
def test_function_opens_a_connection_per_message(
    settings: dict[str, Any], count: int
) -> None:
    assert connections.count("part", settings) == count


@pytest.mark.parametrize(
    ("size", "total"),
    [
        (SIZE, "400 connections (one 200, two 200), but the database of shop-dev acc"),
        (SIZE | {"max_capacity": 2}, ""),
        (SIZE | {"proxy": True}, ""),
        ({"host": "db.example.internal"}, ""),
    ],
)
def test_too_many_connections_are_reported(size: dict[str, Any], total: str) -> None:
    functions = {"one": LAMBDA, "two": CONTAINER, "none": LAMBDA | {"database": False}}
    spec = {"settings": {"database": size}, "functions": functions}
    problem = connections.find_problem(spec | {"prefix": "shop-dev-"}, "postgres")
    assert total in problem
    assert bool(total) == bool(problem)


def test_targets_warn_of_too_many_connections(baked: Project) -> None:
    config = baked.path / "config" / "deploy.yml"
    text = config.read_text(encoding="utf-8")
    assert "max_concurrency: 10 " in text
    config.write_text(text.replace("max_concurrency: 10 ", "max_concurrency: 999 "))
    own = baked.path / "config" / "worker.yml"
    own.write_text(own.read_text("utf-8") + "workers: 9\n", encoding="utf-8")
    warning = "Warning: functions may open 999 connections (worker 999), but the data"
    linted = baked.run(".venv/bin/python", "-m", "tools", "check_functions").stdout
    assert linted.count("Warning: ") == 1  # prod accepts more
    assert warning in linted
    program = (
        "from tools import deploy\n"
        "deploy._build = lambda *_: exit('built')\n"
        "deploy.{}('', 'dev'{})"
    )
    for action, more in (("plan", ", ''"), ("deploy", "")):
        command = (".venv/bin/python", "-c", program.format(action, more))
        assert warning in baked.run(*command, check=False).stdout
    config.write_text(text.replace("runtime: lambda ", "runtime: container "))
    for tasks, is_reported in ((44, False), (45, True)):
        many = text.replace("runtime: lambda ", "runtime: container ")
        config.write_text(many.replace("max_tasks: 4", f"max_tasks: {tasks}"))
        output = baked.run(".venv/bin/python", "-m", "tools", "check_functions").stdout
        assert (f"(worker {9 * tasks})" in output) == is_reported
