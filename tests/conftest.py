"""Fixtures of several test modules."""

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis.configuration import set_hypothesis_home_dir

from baking import ROOT, Project, bake, has_terraform, skip
from shim_helpers import empty, require_server

# Commands that run another one where Terraform can install its providers, for a machine
# that reaches no registry: the oldest AWS provider that the stacks accept, and the
# newest. They exit with 77 if they cannot.
TERRAFORM = os.environ.get("TERRAFORM", "").split()
NEWEST_PROVIDER = os.environ.get("NEWEST_PROVIDER", "").split()

set_hypothesis_home_dir(ROOT / ".build" / "hypothesis")
settings.register_profile(
    "template",
    database=None,
    deadline=None,
    derandomize=False,  # or CI would try the same examples for ever
    phases=[Phase.explicit, Phase.generate, Phase.target, Phase.shrink],
    print_blob=True,
)
settings.load_profile("template")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose a seed for hypothesis, which the workers of pytest-xdist inherit."""
    if config.option.hypothesis_seed is None:
        seed = os.environ.setdefault("HYPOTHESIS_SEED", str(random.randrange(10**9)))
        config.option.hypothesis_seed = seed


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the seed if tests have failed."""
    if {"failed", "error"} & terminalreporter.stats.keys():
        seed = config.option.hypothesis_seed
        terminalreporter.write_line(f"--hypothesis-seed={seed}")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each worker begin with long tests, so that none is left at the end.

    Each worker of pytest-xdist gets a slice of the list, and idle ones take the ends of
    the others' slices.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    short = [item for item in items if not minutes(item)]
    long = sorted((item for item in items if minutes(item)), key=minutes, reverse=True)
    total, ordered = len(items), []
    for worker in range(workers):
        ordered += long[worker::workers]
        end = total * (worker + 1) // workers
        room = max(0, end - len(ordered))
        ordered += short[:room]
        short = short[room:]
    items[:] = ordered + short


def minutes(item: pytest.Item) -> int:
    """Return how many minutes the mark of a long test says; 0 for other tests."""
    mark = item.get_closest_marker("long")
    return int([*mark.args, 1][0]) if mark else 0


@pytest.fixture(scope="session")
def shimmed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """A project whose shim runs, for the database that the test names."""
    database = request.param
    require_server(database)
    project = bake(tmp_path_factory.mktemp(database), database=database)
    with project.share_installs().share_layer().shim():
        yield project


@pytest.fixture(autouse=True)
def empty_shim(request: pytest.FixtureRequest) -> None:
    """Empty a shim that tests share, before each of these tests."""
    for fixture in {"shimmed", "playing"} & set(request.fixturenames):
        empty(request.getfixturevalue(fixture))


@pytest.fixture
def baked(tmp_path: Path) -> Project:
    """A project of the default answers, with everything installed, for one test."""
    return bake(tmp_path).share_installs()


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which Terraform can install its AWS provider.

    Skips where there is none. The mirror runs as long as this fixture lives.
    """
    with run_mirror(TERRAFORM, tmp_path_factory.mktemp("init")) as variables:
        yield variables


@pytest.fixture(scope="session")
def newest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """As `mirror`, for the newest AWS provider."""
    with run_mirror(NEWEST_PROVIDER, tmp_path_factory.mktemp("init")) as variables:
        yield variables


@contextmanager
def run_mirror(command: list[str], directory: Path) -> Iterator[dict[str, str]]:
    """Run a command that leads Terraform to a provider; yield its variables.

    Args:
        command: the command; empty if Terraform reaches its registry.
        directory: for a project to try it with.
    """
    if not has_terraform():
        skip("this machine has no terraform")
    project = bake(directory, iac="terraform")
    script = "env | grep -E '^(TF|CHECKPOINT)_'; echo; exec cat"
    with subprocess.Popen(
        [*command, "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        lines = takewhile(str.strip, process.stdout or ())
        variables = dict(line.strip().split("=", 1) for line in lines)
        init = ("terraform", "-chdir=infra", "init")
        if project.run(*init, env=variables, check=False).returncode != 0:
            skip("Terraform cannot install its AWS provider here")
        yield variables


@pytest.fixture
def providers(mirror: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Terraform install its AWS provider."""
    for name, value in mirror.items():
        monkeypatch.setenv(name, value)
