"""Measure how fast the poller empties a queue, and how soon it receives a message."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

from baking import Project, bake, clean_environment, wait_until
from bench.measuring import (
    Chart,
    Report,
    Result,
    format_median,
    format_number,
    percentile,
    ratios,
    run,
    run_rounds,
)

DIRECTORY = Path(__file__).parent
SLEEP = 15  # seconds between two polls of the original
ARRIVALS = 200
GAP = 0.05  # seconds between two arrivals, on average
WORKERS = (1, 2, 4, 16)
BACKLOG = {"ours": 5000, "by_ten": 5000, "one_by_one": 1000, "original": 500}
TEXT = """\
The built `local_wrapper.py` polls a stub of SQS in another process on the same machine,
which is never the slowest part. A backlog is {backlog:,} messages that exist before the
poller starts, and the function does nothing. The time runs from the first receive to
the last delete, by the stub's clock.

- *Limit*: a plain loop of boto3 that receives ten messages and deletes them in one
  batch.
- *One by one*: a plain loop that receives one message and deletes it.
- *Original way*: the same with a new client for each poll, here without its sleep.

*Latency* is the time from just before a message is sent until `run` begins, for
{arrivals} messages at random times. That of the original way is computed, not measured:
a message that arrives during the sleep of {sleep} s waits for half of it at the median
and for 99 % of it at the 99th percentile. Then comes one poll, which takes as long as
one message of the backlog. This favours the original, because no message ever waits
behind another.

The function that computes takes about a millisecond of pure Python, the one that waits
takes 50 ms. The limit is one worker."""


def measure(rows: int, runs: int) -> Report:
    """Measure the poller on a stub of SQS.

    Args:
        rows: scales the number of messages, up to 100,000 rows.
        runs: number of rounds.

    Raises:
        AssertionError: a queue was not emptied.
    """
    share = min(1.0, rows / 100_000)
    report = Report()
    with TemporaryDirectory(prefix="bench-") as directory, serving() as port:
        project = bake(Path(directory)).share_installs()
        for path in (DIRECTORY / "functions").glob("*.py"):
            shutil.copy(path, project.path / "src/func")
            (project.path / f"config/{path.name}").with_suffix(".yml").write_text(
                "{}\n"
            )
        project.make("build", "TARGET=ecs")
        polls = _Polls(project, port, share, runs)
        poll_seconds = polls.empty_backlogs(report)
        polls.measure_latency(report, poll_seconds)
        polls.measure_workers(report)
    report.text = TEXT.format(
        backlog=polls.scaled(BACKLOG["ours"]),
        arrivals=polls.scaled(ARRIVALS),
        sleep=SLEEP,
    )
    return report


@contextmanager
def serving() -> Iterator[int]:
    """Run the stub of SQS; yield its port."""
    words = [sys.executable, "-m", "bench.sqs_stub"]
    environment = clean_environment({"PYTHONPATH": str(DIRECTORY.parent)})
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE) as stub:
        assert stub.stdout is not None
        try:
            yield int(stub.stdout.readline())
        finally:
            stub.terminate()


class _Polls:
    """Ways of polling the stub that listens on a port."""

    def __init__(self, project: Project, port: int, share: float, runs: int) -> None:
        self._project = project
        self._connection = HTTPConnection("127.0.0.1", port)
        self._share = share
        self._runs = runs
        self._names = (f"queue-{number}" for number in count(1))
        self._environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_DEFAULT_REGION": "eu-west-1",
        }

    def scaled(self, messages: int) -> int:
        """Return a number of messages scaled down for a short run."""
        return max(10, round(messages * self._share))

    def empty_backlogs(self, report: Report) -> list[float]:
        """Compare ways to empty a queue; return the seconds of the original's polls."""
        ways = {
            way: partial(self._empty, way, self.scaled(messages))
            for way, messages in BACKLOG.items()
        }
        found = run_rounds("polling: backlog", self._runs, ways)
        speeds = {way: [speed for speed, _ in pairs] for way, pairs in found.items()}
        ours = speeds["ours"]
        compared: list[tuple[str, str, float | None, str]] = [
            ("backlog", "by_ten", None, "limit"),
            ("backlog, one by one", "one_by_one", 5, "limit"),
            ("backlog", "original", 20, "original"),
        ]
        for what, way, bound, column in compared:
            result = Result(
                what,
                ratios(ours, speeds[way]),
                ("≥", bound) if bound else None,
                ours=format_median(ours, "messages/s"),
                **{column: format_median(speeds[way], "messages/s")},
            )
            report.results.append(result)
        requests = {way: [each for _, each in pairs] for way, pairs in found.items()}
        result = Result(
            "requests per message",
            requests["ours"],
            ("≤", 0.25),
            ours=format_median(requests["ours"], ""),
            original=format_median(requests["original"], ""),
            limit=format_median(requests["by_ten"], ""),
        )
        report.results.append(result)
        return [1 / speed for speed in speeds["original"]]

    def measure_latency(self, report: Report, poll_seconds: list[float]) -> None:
        """Compare the latency of messages at random times."""
        [delays] = run_rounds(
            "polling: arrivals", self._runs, {"": self._arrive}
        ).values()
        for name, share in (("median", 0.5), ("99th percentile", 0.99)):
            ours = [percentile(each, share) for each in delays]
            theirs = [share * SLEEP + poll for poll in poll_seconds]
            result = Result(
                f"latency, {name}",
                ratios(ours, theirs),
                ("≤", 0.02),
                ours=f"{format_number(median(ours) * 1000)} ms",
                original=format_median(theirs, "s"),
            )
            report.results.append(result)

    def measure_workers(self, report: Report) -> None:
        """Measure threads that share a queue."""
        messages = {"computes": 1000, "waits": 40}
        ways = {
            f"{function}, {workers} workers": partial(
                self._empty_ours,
                self.scaled(messages[function])
                * (workers if function == "waits" else 1),
                function,
                workers,
            )
            for function in messages
            for workers in WORKERS
        }
        found = run_rounds("polling: workers", self._runs, ways)
        chart = Chart("Polling: workers at once", "workers", "messages a second", {})
        report.charts["polling-workers"] = chart
        for function in messages:
            speeds = {
                workers: [speed for speed, _ in found[f"{function}, {workers} workers"]]
                for workers in WORKERS
            }
            chart.lines[f"function that {function}"] = [
                (workers, median(values)) for workers, values in speeds.items()
            ]
            report.results += [
                Result(
                    f"function that {function}, {workers} workers",
                    ratios(speeds[workers], speeds[1]),
                    ours=format_median(speeds[workers], "messages/s"),
                    limit=format_median(speeds[1], "messages/s"),
                )
                for workers in WORKERS[1:]
            ]

    def _empty(self, way: str, messages: int) -> tuple[float, float]:
        if way == "ours":
            return self._empty_ours(messages)
        name = self._filled(messages)
        program = DIRECTORY / "programs/poll.py"
        words: list[str | Path] = [".venv/bin/python", program, way, name]
        run(words, self._project.path, self._environment)
        return self._emptied(name, messages)

    def _empty_ours(
        self, messages: int, function: str = "does_nothing", workers: int = 1
    ) -> tuple[float, float]:
        name = self._filled(messages)
        more = [f"--read_queue={name}", "--drain", f"--workers={workers}"]
        run(_command(function, *more), self._project.path, self._environment)
        return self._emptied(name, messages)

    def _filled(self, messages: int) -> str:
        name = next(self._names)
        self._ask("Fill", QueueName=name, Count=messages)
        return name

    def _emptied(self, name: str, messages: int) -> tuple[float, float]:
        """Return messages per second and requests per message of an emptied queue."""
        stats = self._stats(name)
        assert stats["left"] == 0, f"{stats['left']} of {messages} messages are left"
        seconds = stats["last"] - stats["first"]
        return messages / seconds, stats["requests"] / messages

    def _arrive(self) -> list[float]:
        """Send messages at random times; return the latency of each in seconds."""
        name = next(self._names)
        chance = random.Random(1)
        with TemporaryFile("w+", encoding="utf-8") as log:
            poller = subprocess.Popen(
                _command("reports_delay", f"--read_queue={name}"),
                cwd=self._project.path,
                env=clean_environment(self._environment),
                stdout=log,
                stderr=log,
            )
            try:
                # the queue's URL, its attributes, and the first request for messages
                wait_until(lambda: self._stats(name)["requests"] > 2, "the poller")
                for _ in range(self.scaled(ARRIVALS)):
                    time.sleep(chance.expovariate(1 / GAP))
                    sent = str(time.monotonic())
                    self._ask("SendMessage", QueueName=name, MessageBody=sent)
                wait_until(lambda: self._stats(name)["left"] == 0, "the last message")
            finally:
                poller.send_signal(signal.SIGTERM)
                poller.wait()
            log.seek(0)
            lines = [json.loads(line) for line in log]
        delays = [line["report"]["delay"] for line in lines if line.get("report")]
        assert len(delays) == self.scaled(ARRIVALS), f"{len(delays)} messages arrived"
        return delays

    def _stats(self, name: str) -> Any:
        return self._ask("Stats", QueueName=name)

    def _ask(self, action: str, **parameters: Any) -> Any:
        headers = {"X-Amz-Target": f"AmazonSQS.{action}"}
        self._connection.request("POST", "/", json.dumps(parameters), headers)
        return json.loads(self._connection.getresponse().read())


def _command(function: str, *args: str) -> list[str | Path]:
    program = f".build/local/{function}/local_wrapper.py"
    return [".venv/bin/python", program, *args]
