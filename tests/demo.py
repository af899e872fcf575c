"""Bake a project and load a file: 1,000 clicks become 1,000 rows."""

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


def step(name: str, act: Callable[[], T], describe: Callable[[T], str]) -> T:
    """Run a step, and print how long it took and a description of its result."""
    print(f"  {name:8}", end="", flush=True)
    began = monotonic()
    result = act()
    print(f"{monotonic() - began:6.1f} s   {describe(result)}", flush=True)
    return result


def show(database: str) -> None:
    """Run every step from the template to the rows.

    Raises:
        AssertionError: a step failed; the message has its output.
    """
    directory = ROOT / ".build" / f"demo-{database}"
    shutil.rmtree(directory, ignore_errors=True)
    project = step(
        "bake",
        lambda: bake(directory, database=database),
        lambda baked: f"a project for {database}: {baked.path.relative_to(ROOT)}",
    )
    step("install", project.share_installs, lambda _: "into .build/, for next time too")
    shim = project.shim("auto")
    step("shim", shim.__enter__, lambda env: f"S3 and SQS at {env['AWS_ENDPOINT_URL']}")
    try:
        work(project)
    finally:
        step(
            "stop",
            lambda: shim.__exit__(None, None, None),
            lambda _: "all servers have ended",
        )


def work(project: Project) -> None:
    """Put the file into the bucket, run the worker, and count the rows."""
    step(
        "event",
        lambda: project.make("event", f"FILE={FILE}"),
        lambda _: f"put a file of {CLICKS:,} clicks into the bucket",
    )
    step(
        "run",
        lambda: project.make("run", "FUNC=worker", "RUN_ARGS=--drain"),
        lambda _: "the worker loaded it and emptied the queue",
    )
    [[rows]] = step(
        "count",
        lambda: project.query("SELECT count(*) FROM clicks"),
        lambda found: f"SELECT count(*) FROM clicks: {found[0][0]:,} rows",
    )
    assert rows == CLICKS, f"{rows} rows instead of {CLICKS}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database", choices=["postgres", "mysql"])
    try:
        show(parser.parse_args().database)
    except AssertionError as failure:
        sys.exit(f"\n{failure}")
