"""Each make word used wrongly says in a sentence or two what to do."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from aws_stubs import answering, expired
from baking import Project, bake, free_port

SECRETS = "AWS_ACCESS_KEY_ID=x\nAWS_SECRET_ACCESS_KEY=x\nAWS_ENDPOINT_URL={}\n"
STALE = """
export AWS_ACCESS_KEY_ID=shim AWS_SECRET_ACCESS_KEY=shim AWS_REGION=eu-west-1
export AWS_DEFAULT_REGION=eu-west-1 AWS_ENDPOINT_URL=http://127.0.0.1:{0} BUCKET=raw
export DB_HOST=127.0.0.1 DB_PORT={0} DB_NAME=main DB_USER=worker DB_PASS=x DB_TLS=prefer
"""
FILE = "FILE=tests/data/sanity.csv"
ABSENT = ("docker", "terraform", "tmux")


class Place:
    """A project in some trouble."""

    def __init__(self, project: Project, **environment: str) -> None:
        self.project = project
        self.environment = environment


def far(project: Project, endpoint: str) -> Place:
    """Return a project whose environment dev is somewhere."""
    secrets = project.path / "config" / "secrets-dev.env"
    secrets.write_text(SECRETS.format(endpoint), encoding="utf-8")
    (project.path / "config" / "rds-ca.pem").touch()
    return Place(project)


def without_shim(project: Project, _: ExitStack) -> Place:
    return Place(project, DOCKER_HOST=f"tcp://127.0.0.1:{free_port()}")


def with_stale_shim(project: Project, _: ExitStack) -> Place:
    """Return a project whose shim was killed together with its servers."""
    (project.path / ".shim").mkdir()
    stale = project.path / ".shim" / "shim.env"
    stale.write_text(STALE.format(free_port()), encoding="utf-8")
    return Place(project)


def with_shim(project: Project, stack: ExitStack) -> Place:
    """Return a project whose shim runs, and enforces IAM."""
    stack.enter_context(pytest.MonkeyPatch.context()).setenv("AUTH", "true")
    given = stack.enter_context(project.shim())
    (project.path / "empty.json").touch()
    (project.path / "array.json").write_text("[]", encoding="utf-8")
    return far(project, given["AWS_ENDPOINT_URL"])


def with_expired_credentials(project: Project, stack: ExitStack) -> Place:
    return far(project, stack.enter_context(answering(expired)))


def with_taken_port(project: Project, stack: ExitStack) -> Place:
    server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    return Place(
        project, AWS_PORT=str(server.getsockname()[1]), DB_PORT=str(free_port())
    )


def with_few_programs(project: Project, _: ExitStack) -> Place:
    """Return a project on a machine that has neither Docker, Terraform nor tmux."""
    programs = project.path / ".programs"
    programs.mkdir()
    for folder in reversed(os.environ["PATH"].split(os.pathsep)):
        for path in Path(folder).glob("*"):
            if path.name not in ABSENT and shutil.which(path):
                (programs / path.name).unlink(missing_ok=True)
                (programs / path.name).symlink_to(path)
    (project.path / ".shim").mkdir()
    (project.path / ".shim" / "shim.env").touch()
    return Place(project, PATH=str(programs))


PLACES: dict[str, Callable[[Project, ExitStack], Place]] = {
    each.__name__: each
    for each in (
        *(without_shim, with_stale_shim, with_shim, with_expired_credentials),
        *(with_taken_port, with_few_programs),
    )
}
GONE = "The shim does not run: start it in another terminal by 'make shim'."
SILENT = "start it anew by 'make shim'"
EXPIRED = "The credentials for ENV=dev have expired: log in anew, or put new ones into"
UNKNOWN = "AWS does not accept the credentials for ENV=dev ("
NO_FUNCTION = "is no function: choose one of worker, as in 'make"
MISTAKES = {
    without_shim: {
        "build TARGET=moon": "TARGET=moon is unknown: choose one of local layer lambda",
        "new": "FUNC= is missing: name the function",
        "run": NO_FUNCTION,
        "run FUNC=nobody": NO_FUNCTION,
        "run FUNC=worker": GONE,
        "invoke": NO_FUNCTION,
        "invoke FUNC=worker": GONE,
        "invoke FUNC=worker EVENT=no.json": "EVENT=no.json is no file: try EVENT=tests",
        "event": "FILE= is no file: try FILE=tests/data/large.csv",
        "event FILE=no.csv": "FILE=no.csv is no file: try FILE=tests/data/large.csv",
        f"event {FILE} FUNC=nobody": NO_FUNCTION,
        f"event {FILE}": GONE,
        f"event {FILE} ENV=local": GONE,
        f"event {FILE} ENV=moon": "ENV=moon is not in config/deploy.yml: choose of",
        f"event {FILE} ENV=dev": "There are no credentials for ENV=dev: name a profile",
        "queue": GONE,
        "queue FUNC=nobody": NO_FUNCTION,
        "queue ENV=moon": "ENV=moon is not in config/deploy.yml: choose of local dev",
        "queue ENV=dev": "There are no credentials for ENV=dev: name a profile or keys",
        "sql": GONE,
        "sql ENV=moon": "ENV=moon is not in config/deploy.yml: choose of local dev",
        "logs": NO_FUNCTION,
        "logs FUNC=worker": GONE,
        "logs FUNC=worker ENV=moon": "ENV=moon is not in config/deploy.yml",
        "redrive": NO_FUNCTION,
        "redrive FUNC=worker": GONE,
        "purge": NO_FUNCTION,
        "purge FUNC=worker": GONE,
        "sanity_check": GONE,
        "parity": GONE,
        "image": NO_FUNCTION,
        "image FUNC=worker": "No Docker engine answers here: see 'make doctor'.",
        "container FUNC=worker": "No Docker engine answers here: see 'make doctor'.",
        "cockpit FUNC=nobody": NO_FUNCTION,
        "plan ENV=local": GONE,
        "deploy ENV=local": GONE,
        "destroy ENV=local": GONE,
        "shim SHIM=docker": "no Docker engine with Compose answers here: see 'make",
        "shim AWS_PORT=1 DB_PORT=1": "AWS_PORT and DB_PORT are both 1: they must diff",
        "doctor ENV=dev": "There are no credentials for ENV=dev: name a profile or",
        "doctor ENV=moon": "ENV=moon is not in config/deploy.yml: choose of local dev",
        "doctor ENV=local": "in another terminal: make shim",
    },
    with_stale_shim: {
        "run FUNC=worker": SILENT,
        "invoke FUNC=worker": SILENT,
        f"event {FILE}": SILENT,
        f"event {FILE} ENV=local": SILENT,
        "queue": SILENT,
        "sql SQL=x": "the shim anew by 'make shim'",
        "logs FUNC=worker": SILENT,
        "redrive FUNC=worker": SILENT,
        "purge FUNC=worker": SILENT,
        "sanity_check": SILENT,
        "parity": SILENT,
    },
    with_shim: {
        "invoke FUNC=worker EVENT=empty.json": "message of unknown form",
        "invoke FUNC=worker EVENT=array.json": "message of unknown form",
        "sql SQL=selec": "The database refuses: ",
        "logs FUNC=worker": "No Lambda worker has logged in the shim: 'make run' and",
        "logs FUNC=worker ENV=local": "There is no log of click-loader-local-worker: '",
        "logs FUNC=worker SINCE=x": "invalid int value: 'x'",
        "redrive FUNC=worker ENV=local": "'make deploy ENV=local' makes it",
        "purge FUNC=worker": "no terminal can be asked; say CONFIRM=worker",
        "purge FUNC=worker CONFIRM=other": "That is not worker: nothing is deleted.",
        "purge FUNC=worker QUEUE=moon": "invalid choice: 'moon'",
        f"event {FILE} BUCKET=nowhere": "BUCKET=nowhere is no bucket of the shim.",
        f"event {FILE} ENV=dev": UNKNOWN,
        "queue ENV=dev": UNKNOWN,
        "sql ENV=dev SQL=x": UNKNOWN,
        "logs FUNC=worker ENV=dev": UNKNOWN,
        "redrive FUNC=worker ENV=dev": UNKNOWN,
        "doctor ENV=dev": UNKNOWN,
        "bootstrap ENV=dev": UNKNOWN,
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
    with_taken_port: {"shim SHIM=process": "of 127.0.0.1 is in use; end what uses it"},
    with_few_programs: {
        "plan ENV=local TARGET=queue": "terraform is missing: see 'make doctor'.",
        "image FUNC=worker": "No Docker engine answers here: see 'make doctor'.",
        "cockpit": "There is no tmux: see 'make doctor'. Open four terminals yourself:",
    },
}
# what make, and the words of two kinds of answers, add to the sentence
AROUND = (
    "make",
    "WARNING",
    "built ",
    "ok ",
    "absent ",
    "MISSING ",
    "        ",
    "  ",
    "* ",
)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Place]]:
    """Return projects in trouble, each made when it is first asked for."""
    with ExitStack() as stack:

        class Made(dict[str, Place]):
            def __missing__(self, name: str) -> Place:
                project = bake(tmp_path_factory.mktemp(name)).share_installs()
                self[name] = PLACES[name](project, stack)
                return self[name]

        yield Made()


@pytest.mark.parametrize(
    ("place", "words", "told"),
    [
        pytest.param(make.__name__, words, told, id=f"{make.__name__}-{words}")
        for make, mistakes in MISTAKES.items()
        for words, told in mistakes.items()
    ],
)
def test_mistake_gets_sentence_with_remedy(
    places: dict[str, Place], place: str, words: str, told: str
) -> None:
    found = places[place]
    ports = [f"{k}={v}" for k, v in found.environment.items() if k.endswith("_PORT")]
    result = found.project.make(
        *(*words.split(), *ports, "NEEDS_=", "NEEDS_queue="),
        env=found.environment,
        check=False,
    )
    assert result.returncode != 0
    assert told in result.stdout
    assert "Traceback" not in result.stdout
    lines = result.stdout.splitlines()
    said = [line for line in lines if line and not line.startswith(AROUND)]
    assert len(said) <= 2, result.stdout


def test_every_target_is_tried() -> None:
    tried = {words.split()[0] for each in MISTAKES.values() for words in each}
    # these take no words, or none that can be wrong
    others = {"help", "install", "test", "watch", "lint", "format", "settings", "clean"}
    text = (Path(__file__).parent / "test_words.py").read_text(encoding="utf-8")
    words = set(text.partition('WORDS = """')[2].partition('"""')[0].split())
    assert words == tried | others
