"""What the tests share."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import takewhile
from pathlib import Path

import pytest
from filelock import FileLock

from baking import (
    CheckedOnce,
    Lint,
    Project,
    bake,
    has_terraform,
    need_server,
    skip,
)
from playground import DATABASES, client, queue

# A command that runs another one where Terraform gets its providers, for machines that
# no registry answers; it ends with 77 where it cannot.
TERRAFORM = os.environ.get("TERRAFORM", "").split()

# What is checked of what deploys; with CDK the functions and the database, which
# src/lib/rds.py tells, are a part of it.
HCL = ("infra/**/*.tf", "infra/**/*.hcl")
CDK = (
    *("infra/*/*.py", "infra/*.json", "infra/tests/*.yml"),
    *("src/func/*.py", "src/lib/rds.py"),
    *(f"infra/{name}.py" for name in ("app", "cdk", "common", "sizes", "toolkit")),
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test process its share: few shims, and the long tests first.

    Each first gets as many tests as the others, in this order; later those with nothing
    to do take some over. Tests that share a database's shim go to as few processes as
    hold them, since each starts one of its own; so do those of a module. The others
    begin with the long tests, else one is still at it when all else has ended.
    """
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    rooms = [(len(items) + place) // count for place in range(count)]
    shares: list[list[pytest.Item]] = [[] for _ in rooms]
    long = [item for item in items if not is_short(item)]
    # Terraform's, the longest, are at the end of the alphabet
    items[:] = [*reversed(long), *filter(is_short, items)]

    def room(place: int) -> int:
        return rooms[place] - len(shares[place])

    for first, database in enumerate(DATABASES):
        tests = [item for item in items if database_of(item) == database]
        for place in [*range(first, count, len(DATABASES)), *range(count)]:
            left = room(place)
            shares[place] += tests[:left]
            tests = tests[left:]
    for item in items:
        if database_of(item) is None:
            if is_short(item):
                place = next(filter(room, range(count)))
            else:
                place = max(range(count), key=room)
            shares[place].append(item)
    items[:] = [item for share in shares for item in sorted(share, key=is_short)]


def is_short(item: pytest.Item) -> bool:
    """Tell whether a test is none of the long ones."""
    return item.get_closest_marker("long") is None


def database_of(item: pytest.Item) -> str | None:
    """Return whose shim a test shares with others, if it does."""
    call = getattr(item, "callspec", None)
    return call.params.get("shimmed") if call else None


@pytest.fixture(scope="session")
def shimmed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """A project for the database that the test names, whose shim runs."""
    database = request.param
    need_server(database)
    project = bake(tmp_path_factory.mktemp(database), database=database)
    with project.share_installs().share_layer().shim():
        project.query("SELECT count(*) FROM loads")  # from now on, to ask is quick
        yield project


@pytest.fixture(autouse=True)
def empty_queues(request: pytest.FixtureRequest) -> None:
    """Let each test on a shim that it shares with others begin with empty queues."""
    for fixture in {"shimmed", "playing"} & set(request.fixturenames):
        project = request.getfixturevalue(fixture)
        for name in ("worker-pending", "worker-dead-letter"):
            client(project, "sqs").purge_queue(QueueUrl=queue(project, name))


@pytest.fixture
def baked(tmp_path: Path) -> Project:
    """A project of the default answers, with everything installed, for one test."""
    return bake(tmp_path).share_installs()


@pytest.fixture(scope="session")
def checked_once(tmp_path_factory: pytest.TempPathFactory) -> CheckedOnce:
    """Return what a word that checks what deploys runs in.

    That is the same for most answers, and to check it takes longer than all else of
    `make lint`: where the same has passed, the word leaves that out, unless it is to
    check it `anew`.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent

    @contextmanager
    def once(project: Project, anew: bool = False) -> Iterator[None]:
        is_cdk = (project.path / "infra" / "cdk.py").exists()
        passed = folder / project.digest(*(CDK if is_cdk else HCL))

        def is_known() -> bool:
            return passed.exists() and not anew

        with nullcontext() if is_known() else FileLock(f"{passed}.lock"):
            if is_known():
                tool = "cdk" if is_cdk else "terraform"
                stamp = project.path / ".build" / tool / ".validated"
                stamp.parent.mkdir(parents=True, exist_ok=True)
                stamp.touch()
            yield
            passed.touch()

    return once


@pytest.fixture(scope="session")
def lint(checked_once: CheckedOnce) -> Lint:
    """Return what runs a project's checks, and gives up where they fail."""

    def run(project: Project, check: bool = True) -> str:
        try:
            with checked_once(project):
                said = project.make("lint").stdout
        except AssertionError as error:
            if check:
                raise
            return str(error)
        assert check, said
        return said

    return run


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which Terraform gets its providers; skip where there is none.

    What makes it runs for as long as this fixture lives.
    """
    give_up = skip if TERRAFORM else pytest.skip
    if not has_terraform():
        give_up("this machine has no terraform")
    project = bake(tmp_path_factory.mktemp("init"), iac="terraform")
    told = "env | grep -E '^(TF|CHECKPOINT)_'; echo; exec cat"
    with subprocess.Popen(
        [*TERRAFORM, "sh", "-c", told],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        lines = takewhile(str.strip, process.stdout or ())
        found = dict(line.strip().split("=", 1) for line in lines)
        init = ("terraform", "-chdir=infra", "init")
        if project.run(*init, env=found, check=False).returncode != 0:
            give_up("Terraform's provider for AWS cannot be had here")
        yield found


@pytest.fixture
def providers(mirror: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Terraform get its providers."""
    for name, value in mirror.items():
        monkeypatch.setenv(name, value)
