"""Rounds, ratios, results, and processes whose time and memory are measured."""

import os
import platform
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from tqdm import tqdm

from baking import clean_environment

T = TypeVar("T")

PER_MB = 1024 * 1024 if sys.platform == "darwin" else 1024  # of `ru_maxrss`


@dataclass(frozen=True)
class Result:
    """A line of the table.

    Args:
        what: what was measured.
        values: the measured quantity that the target is about, one value a round.
        target: the sign, "≥" or "≤", and the bound; or None.
        unit: unit of the values; ratios have none.
        ours: what this project took, formatted with its unit.
        original: what the original way took.
        limit: what the limit took, or whatever else ours is compared with.
    """

    what: str
    values: list[float]
    target: tuple[str, float] | None = None
    unit: str = ""
    ours: str = ""
    original: str = ""
    limit: str = ""

    @property
    def middle(self) -> float:
        """Median of the rounds."""
        return median(self.values)

    @property
    def verdict(self) -> str:
        """Whether the median meets the target; empty without a target."""
        if self.target is None:
            return ""
        sign, bound = self.target
        is_met = self.middle >= bound if sign == "≥" else self.middle <= bound
        return "yes" if is_met else "**no**"


@dataclass(frozen=True)
class Chart:
    """A chart of lines: for each name, points as pairs of x and y.

    `scales` are the scales of x and y, as matplotlib names them.
    """

    title: str
    x: str
    y: str
    lines: dict[str, list[tuple[float, float]]]
    scales: tuple[str, str] = ("linear", "linear")


def describe_machine() -> str:
    """Return the number of cores, the system and the version of Python."""
    system = f"{platform.system()} on {platform.machine()}"
    return f"{os.cpu_count()} cores, {system}, Python {platform.python_version()}"


@dataclass
class Report:
    """The results of a benchmark, a text on its method, and charts by file name."""

    results: list[Result] = field(default_factory=list)
    text: str = ""
    charts: dict[str, Chart] = field(default_factory=dict)
    machine: str = field(default_factory=describe_machine)


class Finished(NamedTuple):
    """A finished process: seconds, peak memory in MB, and output."""

    seconds: float
    peak: float
    output: str


def run(
    words: list[str | Path], directory: Path, environment: dict[str, str] | None = None
) -> Finished:
    """Run a program to its end.

    Args:
        words: the command.
        directory: its working directory.
        environment: variables in addition to the clean environment.

    Raises:
        AssertionError: it failed; the message has its output.
    """
    with TemporaryFile("w+", encoding="utf-8") as log:
        began = monotonic()
        process = subprocess.Popen(
            words,
            cwd=directory,
            env=clean_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        output = log.read()
    assert process.returncode == 0, (
        f"{words} finished with {process.returncode}:\n{output}"
    )
    return Finished(seconds, usage.ru_maxrss / PER_MB, output)


def own_peak() -> float:
    """Return the peak memory of this process, in MB.

    Linux counts it as the memory of new processes until they exceed it.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_maxrss / PER_MB


def run_rounds(
    title: str, count: int, ways: Mapping[str, Callable[[], T]]
) -> dict[str, list[T]]:
    """Run each way in turn, `count` times; return the results of each.

    Every second round goes backwards, so that no way always follows the same one.
    """
    found: dict[str, list[T]] = {name: [] for name in ways}
    forward = list(ways)
    backward = forward[::-1]
    steps = [
        name
        for number in range(count)
        for name in (backward if number % 2 else forward)
    ]
    with tqdm(steps, desc=title, leave=False, disable=None) as bar:
        for name in bar:
            bar.set_postfix_str(name)
            found[name].append(ways[name]())
    return found


def ratios(over: list[float], under: list[float]) -> list[float]:
    """Return the ratio of each round."""
    return [a / b for a, b in zip(over, under, strict=True)]


def format_median(values: list[float], unit: str) -> str:
    """Return the median with its unit, as text."""
    return f"{format_number(median(values))} {unit}".strip()


def format_number(value: float) -> str:
    """Return a number with two digits or more, as text."""
    if value < 0.1:
        return f"{value:.2g}"
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def compare_seconds(
    what: str, ours: list[float], limit: list[float], bound: float | None
) -> Result:
    """Return a result with the ratio of our seconds to those of the limit."""
    return Result(
        what,
        ratios(ours, limit),
        ("≤", bound) if bound else None,
        ours=f"{format_number(median(ours) * 1000)} ms",
        limit=f"{format_number(median(limit) * 1000)} ms",
    )


def percentile(values: list[float], share: float) -> float:
    """Return the value that a share of all values does not exceed."""
    return sorted(values)[max(0, round(share * len(values)) - 1)]


def as_json(report: Report) -> dict[str, Any]:
    """Return a report as values for JSON."""
    return {
        "results": [vars(result) for result in report.results],
        "text": report.text,
        "charts": {name: vars(chart) for name, chart in report.charts.items()},
        "machine": report.machine,
    }


def from_json(found: dict[str, Any]) -> Report:
    """Return the report that `as_json` wrote."""
    return Report(
        [Result(**result) for result in found["results"]],
        found["text"],
        {name: Chart(**chart) for name, chart in found["charts"].items()},
        found["machine"],
    )
