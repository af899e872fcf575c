"""Each make target, used wrongly, prints a sentence or two that say what to do."""

import os
import shlex
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from aws_stubs import answering, expired
from baking import Project, bake, free_port
from make_menu import read_targets

SECRETS = "AWS_ACCESS_KEY_ID=x\nAWS_SECRET_ACCESS_KEY=x\nAWS_ENDPOINT_URL={}\n"
STALE = """
export AWS_ACCESS_KEY_ID=shim AWS_SECRET_ACCESS_KEY=shim AWS_REGION=eu-west-1
export AWS_DEFAULT_REGION=eu-west-1 AWS_ENDPOINT_URL=http://127.0.0.1:{0} BUCKET=raw
export DB_HOST=127.0.0.1 DB_PORT={0} DB_NAME=main DB_USER=app DB_ADMIN=worker
export DB_PASS=x DB_TLS=prefer
"""
FILE = "FILE=tests/data/sanity.csv"
ABSENT = ("docker", "terraform", "tmux")


class Situation(NamedTuple):
    """A project, and more environment variables for its make targets."""

    project: Project
    environment: dict[str, str]


def with_dev(project: Project, endpoint: str) -> Situation:
    """Return a situation whose environment dev is at a URL."""
    secrets = project.path / "config" / "secrets-dev.env"
    secrets.write_text(SECRETS.format(endpoint), encoding="utf-8")
    (project.path / "config" / "rds-ca.pem").touch()
    return Situation(project, {})


def without_shim(project: Project, _: ExitStack) -> Situation:
    """Return a situation with neither a shim nor a Docker engine."""
    return Situation(project, {"DOCKER_HOST": f"tcp://127.0.0.1:{free_port()}"})


def with_stale_shim(project: Project, _: ExitStack) -> Situation:
    """Return a situation in which the shim and its servers were killed."""
    (project.path / ".shim").mkdir()
    stale = project.path / ".shim" / "shim.env"
    stale.write_text(STALE.format(free_port()), encoding="utf-8")
    return Situation(project, {})


def with_shim(project: Project, stack: ExitStack) -> Situation:
    """Return a situation with a shim that enforces IAM."""
    stack.enter_context(pytest.MonkeyPatch.context()).setenv("AUTH", "true")
    variables = stack.enter_context(project.shim())
    (project.path / "empty.json").touch()
    (project.path / "array.json").write_text("[]", encoding="utf-8")
    return with_dev(project, variables["AWS_ENDPOINT_URL"])


def with_expired_credentials(project: Project, stack: ExitStack) -> Situation:
    """Return a situation in which AWS says that the credentials have expired."""
    return with_dev(project, stack.enter_context(answering(expired)))


def with_port_in_use(project: Project, stack: ExitStack) -> Situation:
    """Return a situation with another server on the port of S3 and SQS."""
    server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    ports = {"AWS_PORT": str(server.getsockname()[1]), "DB_PORT": str(free_port())}
    return Situation(project, ports)


def with_few_programs(project: Project, _: ExitStack) -> Situation:
    """Return a situation without Docker, Terraform and tmux."""
    programs = project.path / ".programs"
    programs.mkdir()
    for folder in reversed(os.environ["PATH"].split(os.pathsep)):
        for path in Path(folder).glob("*"):
            if path.name not in ABSENT and shutil.which(path):
                (programs / path.name).unlink(missing_ok=True)
                (programs / path.name).symlink_to(path)
    (project.path / ".shim").mkdir()
    (project.path / ".shim" / "shim.env").touch()
    return Situation(project, {"PATH": str(programs)})


STOPPED = "The shim is not running: start it in another terminal with 'make shim'."
SILENT = "restart it with 'make shim'"
EXPIRED = "The credentials for ENV=dev have expired: log in again, or put new ones into"
REJECTED = "AWS does not accept the credentials for ENV=dev ("
NO_CREDENTIALS = "There are no credentials for ENV=dev: set a profile or keys"
NO_FUNCTION = "FUNC= is missing: choose one of worker"
UNKNOWN_FUNCTION = "FUNC=absent is not a function: choose one of worker"
UNKNOWN_ENVIRONMENT = "ENV=moon is not in config/deploy.yml: choose one of local"
UNKNOWN_STACK = "TARGET=moon is unknown: choose one of role"
NO_ENGINE = "No Docker engine answers: run 'make doctor' for help."
NO_LOG = "There is no log of worker on this machine: start 'make run FUNC=worker'"
OPEN_QUOTE = "cannot be split: No closing quotation"
MISTAKES: dict[Callable[[Project, ExitStack], Situation], dict[str, str]] = {
    without_shim: {
        "build TARGET=moon": UNKNOWN_STACK,
        "build ENV=moon": UNKNOWN_ENVIRONMENT,
        "test TARGET=moon": UNKNOWN_STACK,
        "test TARGET=tests": "lambda, ecr, ecs, monitoring, tools.",
        "test TARGET=queue TEST_ARGS=-x": "TEST_ARGS cannot be used with TARGET=queue",
        "test TEST_ARGS='\"'": f'TEST_ARGS=" {OPEN_QUOTE}',
        "new": "FUNC= is missing: name the function",
        "migrate": STOPPED,
        "migrate ENV=moon": UNKNOWN_ENVIRONMENT,
        "migrate STATEMENT=two": "STATEMENT=two is not the number of a statement: use",
        "run": NO_FUNCTION,
        "run FUNC=absent": UNKNOWN_FUNCTION,
        "run FUNC=worker": STOPPED,
        "run FUNC=worker RUN_ARGS='\"'": f'RUN_ARGS=" {OPEN_QUOTE}',
        "run FUNC=worker RELOAD=1": STOPPED,
        "run FUNC=worker RELOAD=1 DEBUG=1": "RELOAD=1 cannot be used with DEBUG: leave",
        "run FUNC=worker DEBUG=on": "'on' is neither 1 nor a port, such as 5678",
        "invoke": NO_FUNCTION,
        "invoke FUNC=worker": STOPPED,
        "invoke FUNC=worker MESSAGE=x": STOPPED,
        "invoke FUNC=worker ENV=dev": "add MESSAGE=, or leave out ENV.",
        "invoke FUNC=worker MESSAGE=x EVENT=y": "EVENT= and MESSAGE= are both set: use",
        "invoke FUNC=worker EVENT=no.json": "EVENT=no.json is not a file: try EVENT=te",
        "event": "FILE= is missing: try FILE=tests/data/large.csv",
        "event FILE=no.csv": "FILE=no.csv is not a file: try FILE=tests/data/large.csv",
        f"event {FILE} FUNC=absent": UNKNOWN_FUNCTION,
        f"event {FILE}": STOPPED,
        f"event {FILE} ENV=local": STOPPED,
        f"event {FILE} ENV=moon": UNKNOWN_ENVIRONMENT,
        f"event {FILE} ENV=dev": NO_CREDENTIALS,
        "queue": STOPPED,
        "queue FUNC=absent": UNKNOWN_FUNCTION,
        "queue ENV=moon": UNKNOWN_ENVIRONMENT,
        "queue ENV=dev": NO_CREDENTIALS,
        "sql": STOPPED,
        "sql ENV=moon": UNKNOWN_ENVIRONMENT,
        "logs": NO_FUNCTION,
        "logs FUNC=worker": NO_LOG,
        "logs FUNC=worker ENV=moon": UNKNOWN_ENVIRONMENT,
        "trace": "MESSAGE= is missing: 'make logs' shows the IDs of messages",
        "trace MESSAGE=x": NO_LOG,
        "trace MESSAGE=x ENV=local": STOPPED,
        "rollback": NO_FUNCTION,
        "rollback FUNC=absent": UNKNOWN_FUNCTION,
        "rollback FUNC=worker": STOPPED,
        "rollback FUNC=worker ENV=moon": UNKNOWN_ENVIRONMENT,
        "rollback FUNC=worker VERSION=v1": "VERSION=v1 is not the number of a version",
        "sync": STOPPED,
        "sync FUNC=absent": UNKNOWN_FUNCTION,
        "sync ENV=prod": "ENV=prod is protected: change it with 'make deploy ENV=prod'",
        "sync DEBUG=1": "DEBUG needs one function in the shim: add FUNC= and ENV=local",
        "replay": NO_FUNCTION,
        "replay FUNC=worker": STOPPED,
        "replay FUNC=worker SINCE=monday": "'monday' is not a time, such as 2026-01-31",
        "replay FUNC=worker SINCE=60": "60' is not a time, such as 2026-01-31 or ",
        "replay FUNC=worker SINCE=2026-02-02 UNTIL=2026-01-01": (
            "SINCE=2026-02-02T00:00:00Z is not before UNTIL=2026-01-01T00:00:00Z: "
        ),
        "replay FUNC=worker RATE=0": "'0' is not a number of messages, such as 100",
        "replay FUNC=worker STATE=lost": "invalid choice: 'lost'",
        "dead": NO_FUNCTION,
        "dead FUNC=worker": STOPPED,
        "undo": STOPPED,
        "undo LOAD=1 FUNC=worker": STOPPED,
        "reload": STOPPED,
        "rejects": STOPPED,
        "rejects ENV=moon": UNKNOWN_ENVIRONMENT,
        "redrive": NO_FUNCTION,
        "redrive FUNC=worker BODY=x": "replace the body of one message: add MESSAGE=",
        "purge FUNC=worker CAUSE=x": "CAUSE= and MESSAGE= need QUEUE=dead-letter.",
        "redrive FUNC=worker": STOPPED,
        "purge": NO_FUNCTION,
        "purge FUNC=worker": STOPPED,
        "send": NO_FUNCTION,
        "send FUNC=worker BODY=x": STOPPED,
        "send FUNC=worker BODY=x ENV=moon": UNKNOWN_ENVIRONMENT,
        "send FUNC=worker BODY=x ENV=dev": NO_CREDENTIALS,
        "sanity_check": STOPPED,
        "sanity_check FUNC=absent": UNKNOWN_FUNCTION,
        "parity": STOPPED,
        "parity FUNC=absent": UNKNOWN_FUNCTION,
        "image": NO_FUNCTION,
        "image FUNC=worker": NO_ENGINE,
        "container FUNC=worker DOCKER_ARGS='\"'": f'DOCKER_ARGS=" {OPEN_QUOTE}',
        "container": NO_FUNCTION,
        "container FUNC=worker": NO_ENGINE,
        "cockpit FUNC=absent": UNKNOWN_FUNCTION,
        "plan": STOPPED,
        "plan ENV=local": STOPPED,
        "plan TARGET=moon": UNKNOWN_STACK,
        "deploy ENV=local": STOPPED,
        "destroy ENV=local": STOPPED,
        "prove": STOPPED,
        "prove ENV=moon": UNKNOWN_ENVIRONMENT,
        "prove ENV=prod": "ENV=prod is protected, and this would destroy it: use ano",
        "bootstrap ENV=moon": UNKNOWN_ENVIRONMENT,
        "cost ENV=moon": UNKNOWN_ENVIRONMENT,
        "rotate ENV=moon": UNKNOWN_ENVIRONMENT,
        "shim SHIM=docker": "no Docker engine with Compose answers: see 'make doctor'",
        "shim SHIM=moon": "SHIM=moon is unknown: choose docker or process",
        "shim AWS_PORT=1 DB_PORT=1": "AWS_PORT and DB_PORT are both 1: change one",
        "shim AWS_PORT=x": "AWS_PORT=x is not a port: choose a number from 1 to 65535",
        "doctor ENV=dev": NO_CREDENTIALS,
        "doctor ENV=moon": UNKNOWN_ENVIRONMENT,
        "doctor ENV=local": "in another terminal: make shim",
        "comment REPORT=no.txt": "REPORT=no.txt is no file: make plan REPORT=",
    },
    with_stale_shim: {
        "run FUNC=worker": SILENT,
        "invoke FUNC=worker": SILENT,
        f"event {FILE}": SILENT,
        f"event {FILE} ENV=local": SILENT,
        "queue": SILENT,
        "sql SQL=x": "restart the shim with 'make shim'",
        "logs FUNC=worker": SILENT,
        "redrive FUNC=worker": SILENT,
        "purge FUNC=worker": SILENT,
        "send FUNC=worker BODY=x": SILENT,
        "sanity_check": SILENT,
        "parity": SILENT,
    },
    with_shim: {
        # the next ones leave a log
        "logs FUNC=worker": NO_LOG,
        "invoke FUNC=worker EVENT=empty.json": "in a known form: it is empty",
        "invoke FUNC=worker EVENT=array.json": "it is an array instead of an object",
        "sql SQL=selec": "The database refuses: ",
        "logs FUNC=worker ENV=local": (
            "There is no log of click-loader-local-worker: create it with 'make deploy"
        ),
        "trace MESSAGE=x ENV=local": "There is no log of click-loader-local-worker: ",
        "trace MESSAGE=absent": "No function has logged absent in the last 60 minutes",
        "invoke FUNC=worker MESSAGE=absent": "MESSAGE=absent is not in worker-dead-let",
        "dead FUNC=worker MESSAGE=absent": "MESSAGE=absent is not in worker-dead",
        "redrive FUNC=worker MESSAGE=absent": "MESSAGE=absent is not in worker-dead",
        "undo": "LOAD= is missing: 'make rejects' and 'make sql' show numbers.",
        "undo LOAD=x": "LOAD=x is not the number of a load, such as 17.",
        "undo LOAD=17": "LOAD=17 is not in the ledger: list loads with make sql",
        "reload": "OBJECT= is missing: use one such as worker/clicks.csv.",
        "reload OBJECT=no.csv": "OBJECT=no.csv is not in the ledger: load it with",
        "rejects LOAD=1 OBJECT=x": "Name either a load or an object: LOAD=17, or",
        "rejects FILE=x.csv": "REASON= and FILE= need LOAD= or OBJECT=: choose",
        "rejects REASON=x": "REASON= and FILE= need LOAD= or OBJECT=: choose whose",
        "redrive FUNC=worker CAUSE=x": "CAUSE=x is no cause in worker-dead-letter: ",
        "replay FUNC=worker ENV=local": "There is no queue click-loader-local-worker-",
        "rollback FUNC=worker": "There is no alias live of the Lambda click-loader-l",
        "sync FUNC=worker": "There is no Lambda click-loader-local-worker: create",
        "logs FUNC=worker SINCE=x": "'x' is not a number of minutes, such as 60",
        "redrive FUNC=worker ENV=local": "create it with 'make deploy ENV=local'",
        "purge FUNC=worker": "Without a terminal, confirm with CONFIRM=worker.",
        "purge FUNC=worker CONFIRM=other": "'other' is not worker: nothing was done",
        "purge FUNC=worker QUEUE=moon": "invalid choice: 'moon'",
        "prove": "This deploys ENV=local into the shim and destroys it. Without a term",
        "prove CONFIRM=dev": "'dev' is not local: nothing was done.",
        f"event {FILE} BUCKET=nowhere": "BUCKET=nowhere is not a bucket of the shim.",
        f"event {FILE} ENV=dev": REJECTED,
        "queue ENV=dev": REJECTED,
        "sql ENV=dev SQL=x": REJECTED,
        "logs FUNC=worker ENV=dev": REJECTED,
        "redrive FUNC=worker ENV=dev": REJECTED,
        "doctor ENV=dev": REJECTED,
        "bootstrap ENV=dev": REJECTED,
        "shim SHIM=process": "this checkout's shim runs already",
    },
    with_expired_credentials: {
        f"event {FILE} ENV=dev": EXPIRED,
        f"event {FILE} ENV=dev BUCKET=raw": EXPIRED,
        "queue ENV=dev": EXPIRED,
        "sql ENV=dev": EXPIRED,
        "logs FUNC=worker ENV=dev": EXPIRED,
        "redrive FUNC=worker ENV=dev": EXPIRED,
        "purge FUNC=worker ENV=dev": EXPIRED,
        "doctor ENV=dev": EXPIRED,
        "bootstrap ENV=dev": EXPIRED,
        "plan ENV=dev TARGET=queue": EXPIRED,
        "build TARGET=ecr ENV=dev": EXPIRED,
    },
    with_port_in_use: {"shim SHIM=process": "of 127.0.0.1 is in use"},
    with_few_programs: {
        "plan ENV=local TARGET=queue": "Terraform is not installed: see 'make doctor'.",
        "image FUNC=worker": NO_ENGINE,
        "cockpit": "Tmux is missing, see 'make doctor'; or open terminals yourself for",
    },
}
SITUATIONS = {make.__name__: make for make in MISTAKES}
# Targets without variables, or with none that can be wrong.
OTHERS = {
    *("help", "install", "watch", "lint", "lint-code", "lint-infra", "format"),
    *("settings", "lock", "audit", "sbom", "ci_setup", "clean"),
    "update",  # its mistakes need versions of the template: see test_update.py
}
# Lines other than the sentence: make's own, and the lists of doctor and build.
OTHER_LINES = ("make", "WARNING", "built ", "ok ", "absent ", "MISSING ", "too old ")


@pytest.fixture(scope="module")
def situations(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], Situation]]:
    """A function that returns a situation by its name."""
    made: dict[str, Situation] = {}
    with ExitStack() as stack:

        def get(name: str) -> Situation:
            if name not in made:
                project = bake(tmp_path_factory.mktemp(name)).share_installs()
                made[name] = SITUATIONS[name](project, stack)
            return made[name]

        yield get


@pytest.mark.parametrize(
    ("situation", "words", "message"),
    [
        pytest.param(make.__name__, words, message, id=f"{make.__name__}-{words}")
        for make, mistakes in MISTAKES.items()
        for words, message in mistakes.items()
    ],
)
def test_mistake_gets_sentence_with_remedy(
    situations: Callable[[str], Situation], situation: str, words: str, message: str
) -> None:
    project, environment = situations(situation)
    result = project.make(*shlex.split(words), env=environment, check=False)
    assert result.returncode != 0
    assert message in result.stdout
    assert "Traceback" not in result.stdout
    lines = [line for line in result.stdout.splitlines() if line]
    sentences = [each for each in lines if not each.startswith((*OTHER_LINES, " "))]
    assert len(sentences) <= 2, result.stdout


def test_every_target_is_tried(baked: Project) -> None:
    tried = {words.split()[0] for each in MISTAKES.values() for words in each}
    assert not tried & OTHERS
    assert set(read_targets(baked.path)) == tried | OTHERS
