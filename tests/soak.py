"""Run four workers under random faults, then compare the end state with the inputs.

    make soak [DATABASE=mysql] [SEED=] [MINUTES=]

Workers are killed and replaced, connections ended, the database restarted or read-only
for a while, its defaults hostile. Requests to S3 and SQS are refused, cut or never
answered, and SQS refuses entries of requests. Some messages and objects are bad, and
some messages end the process, hang, or raise errors that are no exceptions. When the
queue is empty, good dead letters are redriven without further faults. Then rows,
rejects, ledger and dead letters must be exactly those that the inputs imply.
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
from proxy import SILENCE, Answer, Call, Cut, Fault, Proxy, RefuseFirst
from shim_helpers import (
    DATABASES,
    HOSTILE,
    OwnDatabase,
    client,
    count_messages,
    empty,
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
# Messages that misbehave, and how many of each: they cost three receives each.
ENDS = {"kill": 3, "hang": 1, "exit": 3, "panic": 3}
SILENT = 0.003  # share of requests to SQS that are never answered
BATCHES = ("DeleteMessageBatch", "ChangeMessageVisibilityBatch")
WORKER = Path("src/func/worker.py")
MISBEHAVIOUR = Path(__file__).parent / "functions" / "soaked.py"
FAULTED = 0.08  # share of requests
ROWS = 20
MOST_REQUESTS = 350  # between two faults of a process
MOST_SECONDS = 6  # between two faults of a process
HASTY = ("--retry_delay=0", "--poll_interval=1")
THROTTLED = Answer(400, "RequestThrottled")
CALM = ("--drain", "--retry_delay=0")

SUMMARY = """\
seed {seed}, {database}, {seconds:.0f} s: {messages} messages over {objects} objects;
  workers killed {kills} times, by messages {suicides} times; connections ended {ended}
  times, database restarted {restarts} times; {faulted} requests failed;
  {redriven} good messages redriven;
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
        for end, number in ENDS.items():
            bodies = [json.dumps({"soak": end, "number": n}) for n in range(number)]
            self.dead.update(bodies)
            self.messages += bodies
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
    worker = project.path / WORKER
    kept = worker.read_text(encoding="utf-8")
    renamed = kept.replace("def run(", "def load(").replace('"""', "# ", 1)
    renamed = renamed.replace('"""', "", 1)  # its docstring cannot be in the middle
    text = MISBEHAVIOUR.read_text(encoding="utf-8")
    worker.write_text(f"{renamed}\n\n{text}", encoding="utf-8")
    try:
        with TemporaryDirectory() as folder, OwnDatabase(project, Path(folder)) as own:
            own.stop()
            own.restart(*HOSTILE[project.database])
            return soak_database(own, seed, messages, objects)
    finally:
        worker.write_text(kept, encoding="utf-8")


def soak_database(project: OwnDatabase, seed: int, messages: int, objects: int) -> str:
    """Run once on a database that may be restarted; return the summary."""
    began, chance = monotonic(), random.Random(seed)
    inputs = Inputs(chance, objects)
    counts: Counter[str] = Counter()
    inputs.make_messages(chance, messages, put(project, inputs.files))
    send_messages(project, *inputs.messages)
    with visibility_timeout(project, 6):
        faulted = run_with_faults(project, chance, counts)
        dead = redrive(project, inputs.dead, counts)
        with ExitStack() as stack:
            calm = [start_worker(project, *CALM) for _ in range(WORKERS)]
            for each in map(stack.enter_context, calm):
                assert each.process.wait(MINUTE) == 0, each.output
    compare(project, inputs, dead)
    return SUMMARY.format(
        seed=seed,
        database=project.database,
        messages=len(inputs.messages),
        objects=objects,
        seconds=monotonic() - began,
        faulted=faulted,
        rows=len(inputs.rows),
        rejects=len(inputs.rejects),
        dead=inputs.dead.total(),
        **{
            name: counts[name]
            for name in ("kills", "suicides", "ended", "restarts", "redriven")
        },
    )


def put(project: Project, files: dict[str, str]) -> dict[str, str]:
    """Empty the shim, put the objects, and return their versions."""
    empty(project)
    put_object = client(project, "s3").put_object
    return {
        key: put_object(Bucket="raw", Key=key, Body=text.encode())["VersionId"]
        for key, text in files.items()
    }


def run_with_faults(
    project: OwnDatabase, chance: random.Random, counts: Counter[str]
) -> int:
    """Let workers empty the queue under faults; return how many requests failed.

    Each request fails by chance. After some requests, or some seconds without any, a
    worker is killed and replaced, or the database ends all connections or restarts. So
    a slow machine has as many faults as a fast one.
    """
    upstream = project.shim_environment()["AWS_ENDPOINT_URL"]

    def rule(call: Call) -> Fault:
        is_of_sqs = "Message" in call.operation
        if is_of_sqs and chance.random() < SILENT:
            return SILENCE
        if chance.random() >= FAULTED:
            return None
        if call.operation == "GetObject" and chance.random() < 0.5:
            return Cut(chance.randrange(500))
        if call.operation in BATCHES and chance.random() < 0.5:
            return RefuseFirst()
        return chance.choice([Answer(500, "InternalError"), THROTTLED])

    pause = Event()
    with Proxy(upstream, rule) as proxy, ExitStack() as stack:
        words = (f"--s3_endpoint={proxy.url}", f"--sqs_endpoint={proxy.url}", *HASTY)
        encoding = {"PGCLIENTENCODING": "LATIN1"}
        workers = [start_worker(project, *words, **encoding) for _ in range(WORKERS)]

        def replace(number: int) -> None:
            workers[number].process.kill()
            workers[number].process.wait()
            workers[number] = start_worker(project, *words, **encoding)

        try:
            deadline = monotonic() + 10 * MINUTE
            while any(count_messages(project)):
                assert monotonic() < deadline, workers[0].output
                until = len(proxy.calls) + chance.randint(1, MOST_REQUESTS)
                end = monotonic() + MOST_SECONDS
                while monotonic() < end and len(proxy.calls) < until:
                    pause.wait(0.1)
                for number in range(WORKERS):
                    if workers[number].process.poll() is not None:
                        assert workers[number].process.returncode == -9
                        replace(number)
                        counts["suicides"] += 1
                hindrance = chance.random()
                if hindrance < 0.15:
                    end_connections(project)
                    counts["ended"] += 1
                elif hindrance < 0.3:
                    restart_database(project, chance)
                    counts["restarts"] += 1
                else:
                    waiting, _ = count_messages(project)
                    # in the end, one of them hangs
                    hindered = 1 if waiting else WORKERS
                    for number in chance.sample(range(WORKERS), hindered):
                        replace(number)
                        counts["kills"] += 1
        finally:
            for each in workers:
                stack.push(each)
        for each in workers:
            each.process.terminate()
        for each in workers:
            # one that had not started yet dies of the signal, one of its message
            is_clean = each.process.wait(MINUTE) in (0, -9)
            assert is_clean or not each.output, each.output
        return len(proxy.faulted)


def restart_database(project: OwnDatabase, chance: random.Random) -> None:
    """Restart the database; let it be read-only for a while as after a failover."""
    name = "default_transaction_read_only" if is_postgres(project) else "read_only"
    if chance.random() < 0.5:
        project.stop()
        project.restart(f"--{name}=1")
        Event().wait(chance.random() * 2)
    project.stop()
    project.restart(f"--{name}=0")


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


def redrive(
    project: Project, hopeless: Counter[str], counts: Counter[str]
) -> Counter[str]:
    """Send dead letters again, and return those that are not sent.

    Those that would end or block a worker are not sent. All others are, the hopeless
    ones, too.
    """
    bodies = Counter(take_dead_letters(project))
    kept = Counter(
        {body: number for body, number in bodies.items() if '{"soak"' in body}
    )
    sqs, url = client(project, "sqs"), queue_url(project)
    for body in (bodies - kept).elements():
        sqs.send_message(QueueUrl=url, MessageBody=body)
    counts["redriven"] = (bodies - hopeless).total()
    return kept


def compare(project: Project, inputs: Inputs, dead: Counter[str]) -> None:
    """Compare the end state with the one that the inputs imply.

    Args:
        project: whose shim runs.
        inputs: the objects and messages.
        dead: the dead letters that were not sent again.

    Raises:
        AssertionError: they differ.
    """
    assert count_messages(project) == [0, 0]
    assert Counter(take_dead_letters(project)) + dead == inputs.dead
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
