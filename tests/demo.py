"""Bakes a project and shows its main job: a file of clicks becomes rows of a table."""

import argparse
import shutil
import sys
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

from baking import ROOT, Project, bake

FILE = "tests/data/large.csv"
CLICKS = 1000

T = TypeVar("T")


def step(name: str, act: Callable[[], T], says: Callable[[T], str]) -> T:
    """Do something; print how long it took, and what it says of the result."""
    print(f"  {name:8}", end="", flush=True)
    began = monotonic()
    result = act()
    print(f"{monotonic() - began:6.1f} s   {says(result)}", flush=True)
    return result


def show(database: str) -> None:
    """Show every step from the template to the rows.

    Raises:
        AssertionError: a step failed; the message is what it output.
    """
    folder = ROOT / ".build" / f"demo-{database}"
    shutil.rmtree(folder, ignore_errors=True)
    project = step(
        "bake",
        lambda: bake(folder, database=database),
        lambda baked: f"a project for {database}: {baked.path.relative_to(ROOT)}",
    )
    step("install", project.share_installs, lambda _: "kept below .build for next time")
    shim = project.shim("auto")
    step("shim", shim.__enter__, lambda env: f"S3 and SQS at {env['AWS_ENDPOINT_URL']}")
    try:
        work(project)
    finally:
        step("stop", lambda: shim.__exit__(None, None, None), lambda _: "all servers")


def work(project: Project) -> None:
    """Drop the file, let the worker take it, and count."""
    step(
        "event",
        lambda: project.make("event", f"FILE={FILE}"),
        lambda _: f"{CLICKS:,} clicks dropped into the bucket",
    )
    step(
        "run",
        lambda: project.make("run", "FUNC=worker", "RUN_ARGS=--drain"),
        lambda _: "the worker took them from the queue until it was empty",
    )
    [[rows]] = step(
        "count",
        lambda: project.query("SELECT count(*) FROM clicks"),
        lambda found: f"SELECT count(*) FROM clicks: {found[0][0]:,} rows",
    )
    assert rows == CLICKS, f"{rows} rows instead of {CLICKS}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database", choices=["mysql", "postgres"])
    try:
        show(parser.parse_args().database)
    except AssertionError as failure:
        sys.exit(f"\n{failure}")
