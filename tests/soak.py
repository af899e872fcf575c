"""Run four workers under random faults, then compare the end state with the inputs.

    make soak [DATABASE=mysql] [SEED=] [MINUTES=]

Workers are killed and replaced, connections ended, requests to S3 and SQS refused or
cut; some messages and some objects are bad. When the queue is empty, dead letters are
redriven without further faults. Then rows, rejects, ledger and dead letters must be
exactly those that the inputs imply.
"""

import argparse
import hashlib
import json
import random
from collections import Counter
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from time import monotonic

import pymysql

from baking import Project, bake
from proxy import Answer, Call, Cut, Fault, Proxy
from shim_helpers import (
    DATABASES,
    client,
    count_messages,
    is_postgres,
    queue_url,
    send_messages,
    start_worker,
    take_dead_letters,
    visibility_timeout,
)

MINUTE = 60
WORKERS = 4
BAD = 0.05  # share of messages, and of lines
FAULTED = 0.08  # share of requests
ROWS = 20
MOST_REQUESTS = 350  # between two faults of a process
MOST_SECONDS = 6  # between two faults of a process
HASTY = ("--retry_delay=0", "--poll_interval=1")
THROTTLED = Answer(400, "RequestThrottled")
CALM = ("--drain", "--retry_delay=0")

SUMMARY = """\
seed {seed}, {database}, {seconds:.0f} s: {messages} messages over {objects} objects;
  workers killed {kills} times, connections ended {ended} times, {faulted} requests
  failed, {redriven} good messages redriven;
  {rows} rows, {rejects} rejects, {dead} dead letters, exactly as expected"""


class Inputs:
    """Objects and messages, and the end state that they imply.

    Most objects are good; some have bad lines, some have only bad lines, and some do
    not exist. Some messages are poison.
    """

    def __init__(self, chance: random.Random, objects: int) -> None:
        self.files: dict[str, str] = {}
        self.rows: list[str] = []
        self.rejects: list[tuple[str, int]] = []
        self.ledger: list[tuple[str, int, int]] = []
        self.dead: Counter[str] = Counter()
        self.messages: list[str] = []
        self._keys = [f"soak/{number:05}.csv" for number in range(objects)]
        self._hopeless = set()
        for number, key in enumerate(self._keys):
            kind = chance.choices(["good", "bad", "missing"], [0.95, 0.03, 0.02])[0]
            if kind != "good":
                self._hopeless.add(key)
            if kind != "missing":
                self.files[key] = self._file(chance, key, number, kind)

    def make_messages(
        self, chance: random.Random, messages: int, puts: dict[str, str]
    ) -> None:
        """Make the messages.

        Half of them name an object's version, as S3's notifications do.

        Args:
            chance: the source of randomness.
            messages: how many messages.
            puts: version of each object that exists.
        """
        objects = len(self._keys)
        named = self._keys + chance.choices(self._keys, k=messages - objects)
        for number, key in enumerate(named):
            body = json.dumps({"bucket": "raw", "key": key})
            if key in puts and chance.random() < 0.5:
                about = {"key": key, "versionId": puts[key]}
                entity = {"bucket": {"name": "raw"}, "object": about}
                body = json.dumps({"Records": [{"s3": entity}]})
            # at least one good message names each object
            if number >= objects and chance.random() < BAD:
                body = f"poison {number}"
            if body.startswith("poison") or key in self._hopeless:
                self.dead[body] += 1
            self.messages.append(body)
        chance.shuffle(self.messages)

    def _file(self, chance: random.Random, key: str, number: int, kind: str) -> str:
        lines, loaded = [], 0
        for row in range(ROWS):
            click = number * ROWS + row
            if kind == "bad" or chance.random() < BAD:
                lines.append(chance.choice(["oops", f"{click},,,,never"]))
            else:
                lines.append(f"{click},visitor {click % 7},/{row},,2026-01-05 08:00:00")
                loaded += 1
        if kind == "good":
            self.ledger.append((key, loaded, ROWS - loaded))
            for row, line in enumerate(lines):
                if line.endswith("00"):
                    self.rows.append(line)
                else:
                    self.rejects.append((key, row + 1))
        return "".join(f"{line}\n" for line in lines)


def soak(project: Project, seed: int, messages: int = 2000, objects: int = 200) -> str:
    """Run once on a project whose shim runs; return the summary.

    Raises:
        AssertionError: the end state differs from the one that the inputs imply.
    """
    began, chance = monotonic(), random.Random(seed)
    inputs = Inputs(chance, objects)
    counts: Counter[str] = Counter()
    inputs.make_messages(chance, messages, put(project, inputs.files))
    send_messages(project, *inputs.messages)
    with visibility_timeout(project, 6):
        faulted = run_with_faults(project, chance, counts)
        counts["redriven"] = redrive(project, inputs.dead)
        with ExitStack() as stack:
            calm = [start_worker(project, *CALM) for _ in range(WORKERS)]
            for each in map(stack.enter_context, calm):
                assert each.process.wait(MINUTE) == 0, each.output
    compare(project, inputs)
    return SUMMARY.format(
        seed=seed,
        database="postgres" if is_postgres(project) else "mysql",
        messages=messages,
        objects=objects,
        seconds=monotonic() - began,
        kills=counts["kills"],
        ended=counts["ended"],
        faulted=faulted,
        redriven=counts["redriven"],
        rows=len(inputs.rows),
        rejects=len(inputs.rejects),
        dead=inputs.dead.total(),
    )


def put(project: Project, files: dict[str, str]) -> dict[str, str]:
    """Empty tables and queues, put the objects, and return their versions."""
    for table in ("clicks", "loads", "rejects"):
        project.query(f"DELETE FROM {table}")
    take_dead_letters(project)
    client(project, "sqs").purge_queue(QueueUrl=queue_url(project))
    put_object = client(project, "s3").put_object
    return {
        key: put_object(Bucket="raw", Key=key, Body=text.encode())["VersionId"]
        for key, text in files.items()
    }


def run_with_faults(
    project: Project, chance: random.Random, counts: Counter[str]
) -> int:
    """Let workers empty the queue under faults; return how many requests failed.

    Each request fails by chance. After some requests, or some seconds without any, a
    worker is killed and replaced, or the database ends all connections. So a slow
    machine has as many faults as a fast one.
    """
    upstream = project.shim_environment()["AWS_ENDPOINT_URL"]

    def rule(call: Call) -> Fault:
        if chance.random() >= FAULTED:
            return None
        if call.operation == "GetObject" and chance.random() < 0.5:
            return Cut(chance.randrange(500))
        return chance.choice([Answer(500, "InternalError"), THROTTLED])

    pause = Event()
    with Proxy(upstream, rule) as proxy, ExitStack() as stack:
        words = (f"--s3_endpoint={proxy.url}", f"--sqs_endpoint={proxy.url}", *HASTY)
        workers = [start_worker(project, *words) for _ in range(WORKERS)]
        try:
            deadline = monotonic() + 10 * MINUTE
            while any(count_messages(project)):
                assert monotonic() < deadline, workers[0].output
                until = len(proxy.calls) + chance.randint(1, MOST_REQUESTS)
                end = monotonic() + MOST_SECONDS
                while monotonic() < end and len(proxy.calls) < until:
                    pause.wait(0.1)
                if chance.random() < 0.2:
                    end_connections(project)
                    counts["ended"] += 1
                else:
                    number = chance.randrange(WORKERS)
                    workers[number].process.kill()
                    workers[number].process.wait()
                    workers[number] = start_worker(project, *words)
                    counts["kills"] += 1
        finally:
            for each in workers:
                stack.push(each)
        for each in workers:
            each.process.terminate()
        for each in workers:
            # one that had not started yet dies of the signal
            is_clean = each.process.wait(MINUTE) == 0
            assert is_clean or not each.output, each.output
        return len(proxy.faulted)


def end_connections(project: Project) -> None:
    """Let the database end the connections of all workers."""
    if is_postgres(project):
        project.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return
    connections = project.query(
        "SELECT id FROM information_schema.processlist WHERE id <> connection_id()"
    )
    for [number] in connections:
        with suppress(pymysql.Error):  # it may have ended by itself
            project.query(f"KILL {number}")


def redrive(project: Project, dead: Counter[str]) -> int:
    """Send all dead letters again; return how many of them were good messages."""
    bodies = take_dead_letters(project)
    sqs, url = client(project, "sqs"), queue_url(project)
    for body in bodies:
        sqs.send_message(QueueUrl=url, MessageBody=body)
    return (Counter(bodies) - dead).total()


def compare(project: Project, inputs: Inputs) -> None:
    """Compare the end state with the one that the inputs imply.

    Raises:
        AssertionError: they differ.
    """
    assert count_messages(project) == [0, 0]
    assert Counter(take_dead_letters(project)) == inputs.dead
    ledger = project.query("SELECT object_key, loaded, rejected FROM loads")
    assert sorted(map(tuple, ledger)) == sorted(inputs.ledger)
    rejects = project.query(
        "SELECT object_key, line FROM rejects JOIN loads USING (number)"
    )
    assert sorted(map(tuple, rejects)) == sorted(inputs.rejects)
    rows = project.query(
        "SELECT click_id, visitor, page, referrer, clicked_at FROM clicks"
    )
    lines = [",".join(map(str, row)) for row in rows]
    assert checksum(lines) == checksum(inputs.rows)


def checksum(lines: list[str]) -> str:
    """Return a checksum of lines in any order."""
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def main() -> None:
    """Run as often as there is time, each time with the next seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database", choices=DATABASES)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--minutes", type=float, default=0)
    options = parser.parse_args()
    end = monotonic() + options.minutes * MINUTE
    with TemporaryDirectory() as directory:
        project = bake(Path(directory), database=options.database).share_installs()
        with project.shim():
            for seed in count(options.seed):
                print(f"seed {seed}", flush=True)
                print(soak(project, seed), flush=True)
                if monotonic() > end:
                    break


if __name__ == "__main__":
    main()
