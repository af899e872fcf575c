"""What the benches share: rounds, ratios, and processes whose cost is known."""

import os
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
        values: what the target speaks of, one value a round.
        target: the sign, "≥" or "≤", and the bound; nothing where there is none.
        unit: unit of the values; ratios have none.
        ours: what this project took, with its unit, for people.
        original: what the original way took.
        limit: what the limit took, or what else ours was held against.
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
        """Whether the median meets the target; nothing where there is none."""
        if self.target is None:
            return ""
        sign, bound = self.target
        is_met = self.middle >= bound if sign == "≥" else self.middle <= bound
        return "yes" if is_met else "**no**"


@dataclass(frozen=True)
class Chart:
    """Lines to draw: for each name, the points as pairs of x and y.

    `scales` are those of x and y, as matplotlib names them.
    """

    title: str
    x: str
    y: str
    lines: dict[str, list[tuple[float, float]]]
    scales: tuple[str, str] = ("linear", "linear")


@dataclass
class Report:
    """What a bench found: lines of the table, how it was done, charts by file name."""

    results: list[Result] = field(default_factory=list)
    text: str = ""
    charts: dict[str, Chart] = field(default_factory=dict)


class Ended(NamedTuple):
    """A process that has ended: seconds, peak memory in MB, and what it said."""

    seconds: float
    peak: float
    said: str


def run(
    words: list[str | Path], folder: Path, environment: dict[str, str] | None = None
) -> Ended:
    """Run a program to its end.

    Args:
        words: the command.
        folder: where it runs.
        environment: what it gets besides the environment that projects run in.

    Raises:
        AssertionError: it failed; the message is what it said.
    """
    with TemporaryFile("w+", encoding="utf-8") as log:
        began = monotonic()
        process = subprocess.Popen(
            words,
            cwd=folder,
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
        said = log.read()
    assert process.returncode == 0, f"{words} ended with {process.returncode}:\n{said}"
    return Ended(seconds, usage.ru_maxrss / PER_MB, said)


def own_peak() -> float:
    """Return the peak memory of this process, in MB.

    Linux counts it to the processes that this one starts, until they exceed it.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_maxrss / PER_MB


def rounds(
    title: str, count: int, ways: Mapping[str, Callable[[], T]]
) -> dict[str, list[T]]:
    """Take each way in turn, `count` times over; return what each returned.

    Every second round goes backwards, so that none has always the same one before it.
    """
    found: dict[str, list[T]] = {name: [] for name in ways}
    there = list(ways)
    back = there[::-1]
    steps = [name for each in range(count) for name in (back if each % 2 else there)]
    with tqdm(steps, desc=title, leave=False, disable=None) as bar:
        for name in bar:
            bar.set_postfix_str(name)
            found[name].append(ways[name]())
    return found


def ratios(over: list[float], under: list[float]) -> list[float]:
    """Return the ratio of each round."""
    return [a / b for a, b in zip(over, under, strict=True)]


def told(values: list[float], unit: str) -> str:
    """Return the median with its unit, for people."""
    return f"{number(median(values))} {unit}".strip()


def number(value: float) -> str:
    """Return a number with two digits or more, for people."""
    if value < 0.1:
        return f"{value:.2g}"
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def slower(
    what: str, ours: list[float], limit: list[float], bound: float | None
) -> Result:
    """Return a result on how often the limit's time ours takes, both in seconds."""
    return Result(
        what,
        ratios(ours, limit),
        ("≤", bound) if bound else None,
        ours=f"{number(median(ours) * 1000)} ms",
        limit=f"{number(median(limit) * 1000)} ms",
    )


def percentile(values: list[float], share: float) -> float:
    """Return the value that this share of all values does not exceed."""
    return sorted(values)[max(0, round(share * len(values)) - 1)]


def as_json(report: Report) -> dict[str, Any]:
    """Return a report as what JSON can hold."""
    return {
        "results": [vars(result) for result in report.results],
        "text": report.text,
        "charts": {name: vars(chart) for name, chart in report.charts.items()},
    }


def from_json(found: dict[str, Any]) -> Report:
    """Return the report that `as_json` wrote."""
    return Report(
        [Result(**result) for result in found["results"]],
        found["text"],
        {name: Chart(**chart) for name, chart in found["charts"].items()},
    )
