"""Runs four workers through many faults at random; then compares what is there.

    SEED= MINUTES= make soak [DATABASE=mysql]

Workers are killed and started anew, connections ended, requests to S3 and SQS refused
or cut; some messages and some objects are bad. When the queue is empty, messages that
have spent their receives are redriven, with no more faults. Then rows, rejects, ledger
and dead letters must be those that the inputs tell.
"""

import argparse
import hashlib
import json
import random
from collections import Counter
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from time import monotonic

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
BAD = 0.05  # of messages, and of lines
HINDERED = 0.08  # of requests
ROWS = 20
SOME = 350  # requests, at most, from one fault to the next
PATIENCE = 6  # seconds, if they are not done before
HASTY = ("--retry_delay=0", "--poll_interval=1")
THROTTLED = Answer(400, "RequestThrottled")
CALM = ("--drain", "--retry_delay=0")

SUMMARY = """\
seed {seed}, {database}, {seconds:.0f} s: {messages} messages over {objects} objects;
  workers killed {kills} times, connections ended {ended} times, {faulted} requests
  faulted, {redriven} good messages redriven;
  {rows} rows, {rejects} rejects, {dead} dead letters, all as the inputs tell"""


class Inputs:
    """Objects and messages, and what must become of them.

    Of the objects, most are good; some have bad lines, some are nothing but bad lines,
    and some are not there. Of the messages, some are poison.
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

    def tell(self, chance: random.Random, messages: int, puts: dict[str, str]) -> None:
        """Make the messages.

        Half of them name an object's version, as S3's notifications do; the others do
        not, as those of people.

        Args:
            chance: draws.
            messages: how many.
            puts: version of each object that is there.
        """
        objects = len(self._keys)
        named = self._keys + chance.choices(self._keys, k=messages - objects)
        for number, key in enumerate(named):
            body = json.dumps({"bucket": "raw", "key": key})
            if key in puts and chance.random() < 0.5:
                about = {"key": key, "versionId": puts[key]}
                entity = {"bucket": {"name": "raw"}, "object": about}
                body = json.dumps({"Records": [{"s3": entity}]})
            # each object is named by one good message at least
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
    """Run it once on a project whose shim runs; return the summary.

    Raises:
        AssertionError: something is there that should not be, or the other way round.
    """
    began, chance = monotonic(), random.Random(seed)
    inputs = Inputs(chance, objects)
    told: Counter[str] = Counter()
    inputs.tell(chance, messages, put(project, inputs.files))
    send_messages(project, *inputs.messages)
    with visibility_timeout(project, 6):
        faulted = run_with_faults(project, chance, told)
        told["redriven"] = redrive(project, inputs.dead)
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
        kills=told["kills"],
        ended=told["ended"],
        faulted=faulted,
        redriven=told["redriven"],
        rows=len(inputs.rows),
        rejects=len(inputs.rejects),
        dead=inputs.dead.total(),
    )


def put(project: Project, files: dict[str, str]) -> dict[str, str]:
    """Empty tables and queues; put the objects there, and return their versions."""
    for table in ("clicks", "loads", "rejects"):
        project.change(f"DELETE FROM {table}")
    take_dead_letters(project)
    client(project, "sqs").purge_queue(QueueUrl=queue_url(project))
    put_object = client(project, "s3").put_object
    return {
        key: put_object(Bucket="raw", Key=key, Body=text.encode())["VersionId"]
        for key, text in files.items()
    }


def run_with_faults(project: Project, chance: random.Random, told: Counter[str]) -> int:
    """Let workers empty the queue under faults; return how many requests were faulted.

    Whether a request is faulted is drawn for each. After some of them, or when
    nothing goes on, a worker is killed and another started, or the database ends all
    connections: so a slow machine has no more faults than a fast one.
    """
    upstream = project.shim_environment()["AWS_ENDPOINT_URL"]

    def rule(call: Call) -> Fault:
        if chance.random() >= HINDERED:
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
                until = len(proxy.calls) + chance.randint(1, SOME)
                patience = monotonic() + PATIENCE
                while monotonic() < patience and len(proxy.calls) < until:
                    pause.wait(0.1)
                if chance.random() < 0.2:
                    end_connections(project)
                    told["ended"] += 1
                else:
                    place = chance.randrange(WORKERS)
                    workers[place].process.kill()
                    workers[place].process.wait()
                    workers[place] = start_worker(project, *words)
                    told["kills"] += 1
        finally:
            for each in workers:
                stack.push(each)
        for each in workers:
            each.process.terminate()
        for each in workers:
            is_begun = each.process.wait(MINUTE) == 0
            assert is_begun or not each.output, each.output
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
    for (number,) in connections:
        project.change(f"KILL {number}", check=False)  # it may have gone by itself


def redrive(project: Project, dead: Counter[str]) -> int:
    """Send all dead letters to the queue again; return how many were good messages."""
    bodies = take_dead_letters(project)
    sqs, url = client(project, "sqs"), queue_url(project)
    for body in bodies:
        sqs.send_message(QueueUrl=url, MessageBody=body)
    return (Counter(bodies) - dead).total()


def compare(project: Project, inputs: Inputs) -> None:
    """Compare what is there with what the inputs tell.

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
    """Return a checksum of lines, whatever their order."""
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def main() -> None:
    """Run it as often as there is time for, each time with the next seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database", choices=DATABASES)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--minutes", type=float, default=0)
    options = parser.parse_args()
    end = monotonic() + options.minutes * MINUTE
    with TemporaryDirectory() as folder:
        project = bake(Path(folder), database=options.database).share_installs()
        with project.shim():
            for seed in count(options.seed):
                print(f"seed {seed}", flush=True)
                print(soak(project, seed), flush=True)
                if monotonic() > end:
                    break


if __name__ == "__main__":
    main()
