"""Prove an environment: deploy it, load files, disturb that, redrive, and destroy it.

It shows in your account what no emulator can. All that it creates is destroyed with the
environment. The shim's database stays, so its rows are deleted.
"""

import json
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from hashlib import md5
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from uuid import uuid4

from tests.context import void_context
from tools import (
    app_user,
    app_user_sql,
    confirmation,
    deploy,
    deploy_config,
    event,
    queues,
    sql,
)
from tools.environment import Environment, client, enter
from tools.errors import UserError
from tools.project import require_file, require_function

FILES = 5
POLL_SECONDS = 0.1
START_SECONDS = 300  # of a new Lambda, a task, or a database that was paused


def prove(func: str, file: Path, env: str, confirm: str) -> int:
    """Run all steps, destroy the environment whatever happens, and print a report.

    In the shim, an environment that is deployed already is used, and destroyed, too.

    Args:
        func: a function that loads files from the bucket.
        file: such a file.
        env: an environment of `config/deploy.yml`.
        confirm: the environment's name, or empty to ask on the terminal.

    Returns:
        0.

    Raises:
        UserError: the environment is protected, or deployed already on AWS, it is not
            confirmed, or a step failed.
    """
    require_function(func)
    require_file("FILE", file, "tests/data/large.csv")
    if deploy_config.is_protected(env):
        raise UserError(
            f"ENV={env} is protected, and this would destroy it: use another one"
        )
    environment = enter(env)
    table = find_table(environment, func)
    is_there = is_deployed(environment, func)
    if is_there and environment.is_on_aws:
        raise UserError(
            f"ENV={env} is deployed, and this would destroy it: add an environment of "
            "its own to config/deploy.yml, such as proof"
        )
    if environment.is_on_aws:
        question = f"This deploys ENV={env}, which costs money on AWS, and destroys it."
    elif is_there:
        question = f"ENV={env} is deployed into the shim: this uses it and destroys it."
    else:
        question = f"This deploys ENV={env} into the shim and destroys it."
    confirmation.require(question, env, "the environment's name", confirm)
    proof = Proof(environment, func, file, table)
    lines: list[str] = []
    with ExitStack() as at_end:
        at_end.callback(print_report, environment, lines)
        at_end.callback(run_step, lines, "destroy", partial(deploy.destroy, "", env))
        if is_there:
            lines.append("deploy   left out, because it is deployed already")
        else:
            run_step(lines, "deploy", partial(deploy.deploy, "", env))
        at_end.callback(run_step, lines, "clean", partial(proof.run, proof.clean))
        for step in (proof.load, proof.redrive):
            run_step(lines, step.__name__, partial(proof.run, step))
    return 0


def find_table(environment: Environment, func: str) -> str:
    """Return the table that a function loads.

    Raises:
        UserError: it loads none, or what exists already would be changed.
    """
    function, own = environment.functions[func], environment.spec["settings"]
    table = void_context(function=func).var.table if function["database"] else ""
    if function["trigger"] != "bucket" or not table:
        raise UserError(f"FUNC={func} loads no files of the bucket into a table")
    if "bucket" in own or "host" in (own.get("database") or {}):
        raise UserError(
            f"{environment} has a bucket or a database that exists already, and this "
            "would fill it: use an environment with new ones"
        )
    if function["runtime"] != "lambda" and not environment.is_on_aws:
        raise UserError(f"{environment} runs no containers: use ENV= of AWS")
    return str(table)


def is_deployed(environment: Environment, func: str) -> bool:
    """Return whether there is a queue or a database of an environment."""
    with suppress(UserError):
        environment.find_queue_url(func, "pending")
        return True
    if not environment.is_on_aws:
        return False
    rds = client("rds")
    try:
        rds.describe_db_clusters(DBClusterIdentifier=environment.prefix)
    except rds.exceptions.DBClusterNotFoundFault:
        return False
    return True


def run_step(lines: list[str], name: str, step: Callable[[], object]) -> None:
    """Run a step, and add how it ended to the lines of the report.

    Raises:
        UserError: it failed.
    """
    print(f"== prove: {name}", flush=True)
    start, result = monotonic(), "FAILED"
    try:
        found = step()
        result = found if isinstance(found, str) else "done"
    finally:
        lines.append(f"{name:8} {result} ({monotonic() - start:.0f} s)")


def print_report(environment: Environment, lines: list[str]) -> None:
    """Print how the steps ended, and what the shim leaves out."""
    print(f"\nProof of {environment}\n", *lines, sep="\n")
    if not environment.is_on_aws:
        kept = deploy_config.EMULATED
        missing = [each for each in deploy_config.STACKS if each not in kept]
        print(f"left out, as the shim has no such stacks: {', '.join(missing)}")


class Proof:
    """What is done with an environment while it is deployed.

    Args:
        environment: the one that was entered.
        func: the function that loads files.
        file: the file.
        table: the table that the function loads.
    """

    def __init__(
        self, environment: Environment, func: str, file: Path, table: str
    ) -> None:
        self.environment = environment
        self.func = func
        self.file = file
        self.table = table
        self.function: Any = environment.functions[func]
        self.name = f"prove-{uuid4().hex[:12]}-"
        self.before: int | None = None  # rows of the table, once they are counted

    def run(self, step: Callable[[sql.Execute], str]) -> str:
        """Return the result of a step, which is given a connection to the database."""
        with sql.connect(self.environment) as execute:
            return step(execute)

    def load(self, execute: sql.Execute) -> str:
        """Load files, and disturb the loads: none is lost, and none is loaded twice."""
        self.before = self._count(execute)
        for kind in queues.KINDS:
            if sum(queues.count_messages(self._find_queue(kind)).values()):
                raise UserError(
                    f"{self.environment.queue_name(self.func, kind)} has messages: "
                    "empty it with 'make purge'"
                )
        # its file is missing, so it fails while the others are loaded
        late = {"bucket": self.environment.find_bucket(), "key": self._key("late")}
        if not self.environment.is_on_aws:  # the emulator's events name no version
            digest = md5(self.file.read_bytes(), usedforsecurity=False)
            late["etag"] = digest.hexdigest()
        client("sqs").send_message(
            QueueUrl=self._find_queue("pending"), MessageBody=json.dumps(late)
        )
        for number in range(FILES):
            self._put(str(number))
        disturbed = self._disturb(execute)
        self._wait(lambda: len(self._loaded(execute)) >= FILES, "all files are loaded")
        rows = self._check(execute, FILES)
        return f"{FILES} files of {rows} rows, none lost or doubled; {disturbed}"

    def redrive(self, execute: sql.Execute) -> str:
        """Redrive a message that has become a dead letter, when its file is there."""
        dead_letter = self._find_queue("dead-letter")
        name = "ApproximateNumberOfMessages"
        self._wait(
            lambda: queues.count_messages(dead_letter)[name] == 1,
            "the message without a file is a dead letter",
        )
        self._put("late")
        queues.redrive(self.func, self.environment.name)
        self._wait(lambda: len(self._loaded(execute)) > FILES, "it is loaded")
        self._wait(
            lambda: (
                not any(
                    sum(queues.count_messages(self._find_queue(kind)).values())
                    for kind in queues.KINDS
                )
            ),
            "no message is left",
        )
        self._check(execute, FILES + 1)
        return "a dead letter was redriven and loaded"

    def clean(self, execute: sql.Execute) -> str:
        """Delete the rows that were loaded. Files are destroyed with their bucket."""
        if self.before is None:
            return "there are no rows"
        numbers = f"SELECT number FROM loads WHERE {self._is_own()}"
        column = void_context(function=self.func).var.load_column
        result = "the rows are deleted"
        if column:
            execute(f"DELETE FROM {self.table} WHERE {column} IN ({numbers})")
        elif not self.before:
            execute(f"DELETE FROM {self.table}")
        else:
            result = f"rows stay in {self.table}, which had some and no load_column"
        execute(f"DELETE FROM rejects WHERE number IN ({numbers})")
        execute(f"DELETE FROM loads WHERE {self._is_own()}")
        return result

    def _count(self, execute: sql.Execute) -> int:
        return int(execute(f"SELECT count(*) FROM {self.table}").rows[0][0])

    def _find_queue(self, kind: str) -> str:
        return self.environment.find_queue_url(self.func, kind)

    def _key(self, part: str) -> str:
        """Return the key of one of the files."""
        name = Path(f"{self.name}{part}{self.function['suffix']}")
        return event.make_key(self.function, self.func, name)

    def _put(self, part: str) -> None:
        bucket, body = self.environment.find_bucket(), self.file.read_bytes()
        client("s3").put_object(Bucket=bucket, Key=self._key(part), Body=body)

    def _is_own(self) -> str:
        return f"object_key LIKE '{self.function['prefix']}{self.name}%'"

    def _loaded(self, execute: sql.Execute) -> list[tuple[Any, ...]]:
        """Return the number of rows and of rejects of each file that is loaded."""
        where = f"loaded IS NOT NULL AND {self._is_own()}"
        return execute(f"SELECT loaded, rejected FROM loads WHERE {where}").rows

    def _check(self, execute: sql.Execute, files: int) -> int:
        """Check that each file is loaded once with the same rows, and all are there.

        Returns:
            The rows of a file.

        Raises:
            UserError: they have not.
        """
        found = self._loaded(execute)
        expected = sum(loaded for loaded, _ in found)
        added = self._count(execute) - (self.before or 0)
        are_equal = len({loaded + rejected for loaded, rejected in found}) == 1
        merges = bool(void_context(function=self.func).var.on_duplicate)
        if len(found) != files or not are_equal or (added != expected and not merges):
            raise UserError(
                f"{files} files have (rows, rejects) {found} in the ledger, and "
                f"{self.table} has {added} more rows: see 'make logs'"
            )
        return int(found[0][0])

    def _disturb(self, execute: sql.Execute) -> str:
        """Stop the tasks while messages are in flight, or end sessions in transactions.

        No one can stop a Lambda, so its sessions are ended.
        """
        on_aws, stopped = self.environment.is_on_aws, 0

        def is_over() -> bool:
            nonlocal stopped
            if self.function["runtime"] == "lambda":
                stopped = app_user_sql.end_sessions(execute, app_user.USER, on_aws)
            else:
                stopped = self._stop_tasks()
            return bool(stopped) or len(self._loaded(execute)) == FILES

        self._wait(is_over, "a file is being loaded")
        if not stopped:
            return "the loads were too short to disturb: try a larger FILE="
        kind = "sessions" if self.function["runtime"] == "lambda" else "tasks"
        return f"{kind} ended during that: {stopped}"

    def _stop_tasks(self) -> int:
        """Stop a function's tasks if they have messages; return how many."""
        counts = queues.count_messages(self._find_queue("pending"))
        if not counts["ApproximateNumberOfMessagesNotVisible"]:
            return 0
        ecs, cluster = client("ecs"), self.environment.prefix
        tasks = ecs.list_tasks(cluster=cluster, serviceName=self.func)["taskArns"]
        for task in tasks:
            ecs.stop_task(cluster=cluster, task=task, reason="make prove")
        return len(tasks)

    def _wait(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait as long as a message may fail until it becomes a dead letter.

        Raises:
            UserError: the deadline passes.
        """
        url, name = self._find_queue("pending"), "VisibilityTimeout"
        found = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[name])
        attempts = self.function["max_receives"] + 1
        seconds = START_SECONDS + attempts * int(found["Attributes"][name])
        deadline = monotonic() + seconds
        while not is_so():
            if monotonic() > deadline:
                raise UserError(f"after {seconds} s, still waiting until {what}")
            sleep(POLL_SECONDS)
