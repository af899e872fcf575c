"""Measure how fast files become rows: ours, the original way, the database's client."""

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pytest

from baking import Project, bake
from bench import sampling
from bench.clients import Client, Mysql, Psql, put
from bench.files import BROKEN, CLICKS, LONG, WIDE, File, repeat, write
from bench.measuring import (
    Chart,
    Finished,
    Report,
    Result,
    format_median,
    format_number,
    own_peak,
    ratios,
    run,
    run_rounds,
)
from shim_helpers import require_server

DEFAULT_ROWS = 2_000_000
SMALL_FILES = 20
QUEUED_FILES = 8
WORKERS = (2, 4)
TABLES = ("clicks", "loads", "rejects", "wide", "long_fields", "broken_lines")
PROGRAM = Path(__file__).with_name("programs") / "load.py"

# name in the table, our way, the way that it is compared with, target, its column
COMPARED: list[tuple[str, str, str, float | None, str]] = [
    ("load", "load", "client", 0.9, "limit"),
    ("load", "load in slow rounds", "original", 3, "original"),
    ("load, the whole process", "whole", "client", None, "limit"),
    ("load of quotes and CR LF", "quoted", "quoted client", 0.65, "limit"),
    ("load of line feeds in fields", "broken", "broken client", 0.65, "limit"),
    ("load of 30 columns", "wide", "wide client", 0.9, "limit"),
    ("load of fields of 1 KB", "long", "long client", 0.9, "limit"),
    ("load of small files", "small", "small original", 1, "original"),
]

TEXT = """\
A file of {rows:,} clicks (five columns, about 70 bytes a row) is in the shim's bucket,
and next to it as a local file for the database's client. Before each load, all tables
are emptied and pending writes are flushed, on PostgreSQL after a CHECKPOINT. After each
load, the number of rows and the sum of their CRC-32 must match the file.

- *Ours*: `run` of the built worker, from the event to the commit, in a process that has
  imported everything and created its S3 client. Connecting to the database counts. The
  event names the object's version, like S3's notifications. *Whole process* is
  `local_wrapper.py --event` from start to end.
- *Original way*: read the whole object, split it into lines and fields, insert with one
  `executemany`. Timed like ours, with the same driver.
- *Limit*: the database's own client, the whole process of `psql` (`\\copy`) or
  `mariadb` (`LOAD DATA LOCAL`).

Comparisons with the client have more rounds, seven times as many on PostgreSQL and five
times on MySQL, because single loads vary by a fifth and short ones by more.

*Quotes and CR LF* are the same rows with quotes around each field. *Line feeds in
fields* are as many rows with quotes and line feeds inside fields. There are {tenth:,}
rows of 30 columns, and as many with a field of 1 KB. Small files have 1,000 rows each
and are loaded one after another in a process that has loaded one before. Peak memory is
that of the whole process.

Up to four workers share a queue of eight files of {queued:,} rows, as threads of one
process or as processes. The time is taken from their logs, from the start of the first
load to the end of the last one. The limit is one worker."""

PROFILE = """\
### Where the time of a load goes

Samples of a load of {rows:,} rows, as shares of the main thread's time. A waiting
thread counts for what it waits for, so "database" is mostly waiting."""

T = TypeVar("T")


def measure(rows: int, runs: int) -> Report:
    """Measure loads into each database that this machine has.

    Args:
        rows: rows of the file that is loaded.
        runs: number of rounds.

    Raises:
        AssertionError: a load failed, or its rows are not those of the file.
    """
    report = Report(text=TEXT.format(rows=rows, tenth=rows // 10, queued=_queued(rows)))
    profiles = []
    kinds: dict[str, type[Client]] = {"postgres": Psql, "mysql": Mysql}
    for database, kind in kinds.items():
        if reason := _missing(database):
            report.text += f"\n\nNot measured on {database}: {reason}."
            continue
        with TemporaryDirectory(prefix="bench-") as directory:
            project = bake(Path(directory), database=database).share_installs()
            with project.shim() as environment:
                loads = _Loads(project, environment, kind, rows, runs)
                loads.compare(report)
                loads.measure_growth(report)
                loads.measure_workers(report)
                profiles += [f"#### {loads.server}", loads.profile()]
    report.text = "\n\n".join([report.text, PROFILE.format(rows=rows), *profiles])
    return report


class _Loads:
    """Loads into one database, by a project whose shim runs."""

    def __init__(
        self,
        project: Project,
        environment: dict[str, str],
        kind: type[Client],
        rows: int,
        runs: int,
    ) -> None:
        self._project = project
        self._environment = environment | {"BUCKET": "raw"}
        self._client = kind(project, environment)
        self._folder = project.path.parent
        self._rows = rows
        self._runs = runs
        self._base: list[float] = []
        self.server = self._client.query(self._client.version)
        project.make("build", "TARGET=ecs")
        for shape in (WIDE, LONG, BROKEN):
            self._client.create_table(shape)
        self._plain = write(self._folder / "plain", CLICKS, rows)
        self._put(self._plain)

    def compare(self, report: Report) -> None:
        """Compare the ways, round by round."""
        rows = self._rows
        thousand = self._clicks("thousand", 1000)
        small = [self._clicks(f"small-{each}", 1000) for each in range(SMALL_FILES)]
        against_client = {
            "quoted": write(self._folder / "quoted", CLICKS, rows, is_csv=True),
            "wide": write(self._folder / "wide", WIDE, rows // 10),
            "long": write(self._folder / "long", LONG, rows // 10),
            "broken": write(self._folder / "broken", BROKEN, rows, is_csv=True),
        }
        self._put(thousand, *small, *against_client.values())
        slow = {
            "original": partial(self._load, "original", self._plain),
            "load in slow rounds": partial(self._load, "ours", self._plain),
            "small": partial(self._load, "ours", *small),
            "small original": partial(self._load, "original", *small),
            "thousand": partial(self._whole, thousand),
        }
        fast = {
            "whole": partial(self._whole, self._plain),
            "load": partial(self._load, "ours", self._plain),
            "client": partial(self._by_client, self._plain),
        }
        for name, file in against_client.items():
            fast[name] = partial(self._load, "ours", file)
            fast[f"{name} client"] = partial(self._by_client, file)
        repeats = self._runs * (self._client.repeats if rows == DEFAULT_ROWS else 1)
        found = run_rounds(f"loads, {self.server}", self._runs, slow)
        found |= run_rounds(f"loads, {self.server}", repeats, fast)
        seconds = {name: [each.seconds for each in found[name]] for name in found}
        for what, ours, other, bound, column in COMPARED:
            result = Result(
                f"{what}, {self.server}",
                ratios(seconds[other], seconds[ours]),
                ("≥", bound) if bound else None,
                ours=format_median(seconds[ours], "s"),
                **{column: format_median(seconds[other], "s")},
            )
            report.results.append(result)
        self._base = [each.peak for each in found["thousand"]]
        self._add_memory(report, rows, [each.peak for each in found["whole"]])

    def measure_growth(self, report: Report) -> None:
        """Measure seconds and memory from a thousand rows upwards."""
        sizes = [10**power for power in range(3, 7) if 10**power < self._rows]
        files = [self._clicks(f"rows-{size}", size) for size in sizes]
        if self._rows == DEFAULT_ROWS:
            files.append(repeat(self._plain, self._folder / "tenfold", 10))
        self._put(*files)
        files.append(self._plain)
        files.sort(key=lambda file: file.rows)
        ways = {f"{file.rows:,}": partial(self._whole, file) for file in files}
        found = [each for [each] in run_rounds("growth", 1, ways).values()]
        if self._rows == DEFAULT_ROWS:
            self._add_memory(report, files[-1].rows, [found[-1].peak])
        seconds = [finished.seconds for finished in found]
        peaks = [finished.peak for finished in found]
        for name, y, scale, values in (
            ("seconds", "seconds of the whole process", "log", seconds),
            ("memory", "peak memory, MB", "linear", peaks),
        ):
            chart = Chart(f"Loading: {name}", "rows", y, {}, ("log", scale))
            chart = report.charts.setdefault(f"loading-{name}", chart)
            at = [float(file.rows) for file in files]
            chart.lines[self.server] = list(zip(at, values, strict=True))

    def measure_workers(self, report: Report) -> None:
        """Measure threads and processes that share a queue of files."""
        rows = _queued(self._rows)
        files = [self._clicks(f"queued-{each}", rows) for each in range(QUEUED_FILES)]
        ways = {"one": partial(self._drain, files, "threads", 1)} | {
            f"{count} {kind}": partial(self._drain, files, kind, count)
            for count in WORKERS
            for kind in ("threads", "processes")
        }
        found = run_rounds("workers", 1, ways)
        speeds = {name: rows * len(files) / found[name][0] for name in found}
        one = speeds["one"]
        for kind in ("threads", "processes"):
            more = [(float(count), speeds[f"{count} {kind}"]) for count in WORKERS]
            best = max(speed for _, speed in more)
            report.results.append(
                Result(
                    f"load by up to {WORKERS[-1]} {kind}, {self.server}",
                    [best / one],
                    ours=f"{format_number(best)} rows/s",
                    limit=f"{format_number(one)} rows/s",
                )
            )
            chart = Chart("Loading: workers at once", "workers", "rows a second", {})
            chart = report.charts.setdefault("loading-workers", chart)
            chart.lines[f"{self.server}, {kind}"] = [(1, one), *more]

    def profile(self) -> str:
        """Return tables of where the time of a load goes."""
        self._client.empty(TABLES)
        words, environment = self._words("ours", self._plain)
        return sampling.sample(words, self._project.path, environment)

    def _whole(self, file: File) -> Finished:
        """Load a file with the built worker, as a user runs it."""
        event = self._folder / "event.json"
        event.write_text(json.dumps({"bucket": "raw", "key": _key(file)}))
        return self._checked(lambda: self._work("--event", event), file)

    def _load(self, way: str, *files: File) -> Finished:
        """Load files in one process; of several, the first does not count."""
        words, environment = self._words(way, *files)
        act = partial(run, words, self._project.path, environment)
        finished = self._checked(act, *files)
        seconds = json.loads(finished.output.splitlines()[-1])
        return finished._replace(seconds=sum(seconds[1:] or seconds))

    def _by_client(self, file: File) -> Finished:
        return self._checked(partial(self._client.load, file), file)

    def _drain(self, files: list[File], kind: str, workers: int) -> float:
        """Let workers load queued files; return the seconds from first to last."""
        self._put(*files, prefix="worker")
        processes = workers if kind == "processes" else 1
        threads = f"--workers={workers // processes}"
        queue = ("--read_queue=worker-pending", "--poll_batch_size=1", "--drain")

        def work_at_once() -> list[Finished]:
            with ThreadPoolExecutor(processes) as pool:
                futures = [
                    pool.submit(self._work, threads, *queue) for _ in range(processes)
                ]
                return [each.result() for each in futures]

        finished = self._checked(work_at_once, *files)
        lines = [
            json.loads(line) for each in finished for line in each.output.splitlines()
        ]
        done = [(line["_aws"]["Timestamp"], line) for line in lines if "_aws" in line]
        first = min(time - line["duration"] for time, line in done)
        return float(max(time for time, _ in done) - first) / 1000

    def _work(self, *args: str | Path) -> Finished:
        command = [".venv/bin/python", ".build/local/worker/local_wrapper.py", *args]
        return run(list(command), self._project.path, self._environment)

    def _words(self, way: str, *files: File) -> tuple[list[str | Path], dict[str, str]]:
        """Return the command that loads files in one process, and its environment."""
        shape = files[0].shape
        keys = ",".join(map(_key, files))
        python = ".venv/bin/python"
        words: list[str | Path] = [python, PROGRAM, self._client.driver, way, keys]
        column = "load_number" if shape is CLICKS else ""
        settings = [f"--table={shape.table}", f"--load_column={column}"]
        settings += ["--columns", *shape.columns]
        paths = {"PYTHONPATH": ".build/local/worker"}
        return [*words, *settings], self._environment | paths

    def _checked(self, act: Callable[[], T], *files: File) -> T:
        """Load files into empty tables, and check the rows."""
        self._client.empty(TABLES)
        os.sync()  # or a load would pay for the writes of the one before
        result = act()
        self._client.check(*files)
        return result

    def _clicks(self, name: str, rows: int) -> File:
        return write(self._folder / name, CLICKS, rows)

    def _put(self, *files: File, prefix: str = "bench") -> None:
        paths = {_key(file, prefix): file.path for file in files}
        put(self._environment, paths)

    def _add_memory(self, report: Report, rows: int, peaks: list[float]) -> None:
        assert min(self._base) > own_peak(), (
            f"the benchmark itself takes {format_number(own_peak())} MB, so a worker's "
            f"{format_number(min(self._base))} MB cannot be measured"
        )
        report.results.append(
            Result(
                f"memory at {rows:,} rows above that at 1,000, {self.server}",
                [a - b for a, b in zip(peaks, self._base, strict=False)],
                ("≤", 10),
                unit="MB",
                ours=format_median(peaks, "MB"),
                limit=format_median(self._base, "MB"),
            )
        )


def _missing(database: str) -> str:
    """Return what this machine lacks to measure a database, or an empty string."""
    try:
        require_server(database)
    except pytest.skip.Exception as reason:
        return str(reason)
    if database == "mysql" and not Mysql.program():
        return "this machine has no client of MySQL or MariaDB"
    return ""


def _key(file: File, prefix: str = "bench") -> str:
    return f"{prefix}/{file.path.name}"


def _queued(rows: int) -> int:
    """Return the number of rows of each queued file."""
    return max(1000, rows // 20)
