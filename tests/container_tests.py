"""Tests of the image on a Docker engine; `test_container.py` runs them."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from baking import Project, bake, free_port, wait_until
from debug_client import drop_sample, stopped_at
from proxy import Proxy, hold
from shim_helpers import (
    clicks,
    count_clicks,
    count_loaded,
    count_messages,
    drain,
    drop,
    on_each_database,
    put_long_file,
    send_messages,
    visibility_timeout,
    wait_for_load,
)

on_postgres = pytest.mark.parametrize("shimmed", ["postgres"], indirect=True)
# containers reach the shim, and builds the packages, through the machine's network
NETWORK = "--network=host"
IMAGE = "click-loader/worker:latest"


def docker(*words: str) -> str:
    """Run a command of Docker; return its output and errors."""
    result = subprocess.run(["docker", *words], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return (result.stdout + result.stderr).strip()


def state(name: str, what: str) -> str:
    """Return a part of a container's state, such as `ExitCode`."""
    return docker("inspect", "--format", "{{.State." + what + "}}", name)


@pytest.fixture
def imaged(shimmed: Project) -> Project:
    """A project whose shim runs, and whose image is built."""
    build(shimmed)
    return shimmed


def build(project: Project) -> None:
    """Build the image of the worker."""
    project.make("image", "FUNC=worker", f"DOCKER_ARGS={NETWORK}")


@contextmanager
def changed_function(project: Project, line: str) -> Iterator[None]:
    """Add a line to the function, and build its image, for a while."""
    path = project.path / "src/func/worker.py"
    text = path.read_text(encoding="utf-8")
    first = "    objects = events.objects(event)\n"
    assert first in text
    path.write_text(text.replace(first, f"    {line}\n{first}"), encoding="utf-8")
    try:
        build(project)
        yield
    finally:
        path.write_text(text, encoding="utf-8")


@contextmanager
def container(
    project: Project, settings: str = "", more: str = "", debug: int = 0
) -> Iterator[str]:
    """Run `make container`; yield the container's name.

    Args:
        project: whose shim runs, and whose image is built.
        settings: the function's settings on the command line.
        more: arguments of `docker run`.
        debug: port for the debugger, or 0.
    """
    name = f"container-{free_port()}"
    options = f"DOCKER_ARGS=--detach --rm=false --name={name} {more}"
    words = ("FUNC=worker", f"RUN_ARGS={settings}", options, f"DEBUG={debug}")
    project.make("container", *words)
    try:
        yield name
    finally:
        docker("rm", "--force", name)


@on_each_database
def test_container_loads_file_and_is_healthy(imaged: Project) -> None:
    with container(imaged) as name:
        key = drop(imaged, "image.csv", clicks(100, first=1000))
        wait_until(lambda: count_loaded(imaged, key) == 100, "100 rows")
        wait_until(lambda: state(name, "Health.Status") == "healthy", "its health")
        assert f"s3://raw/{key}" in imaged.make("logs", "FUNC=worker").stdout
        docker("stop", name)
        assert state(name, "ExitCode") == "0"
    assert count_messages(imaged) == [0, 0]


@on_each_database
def test_parity_holds_with_the_image(imaged: Project) -> None:
    output = imaged.make("parity").stdout
    assert "All are equal. The container is the image." in output


@on_postgres
def test_image_is_unprivileged_and_read_only(imaged: Project) -> None:
    with container(imaged) as name:
        assert docker("exec", name, "id", "-u") == "65532"
        command = ("docker", "exec", name, "touch", "/app/file")
        refused = subprocess.run(command, capture_output=True, text=True)
    assert "Read-only file system" in refused.stderr


def test_image_works_with_umask_077(tmp_path: Path) -> None:
    project = bake(tmp_path, project_slug="private").share_installs()
    words = f"make image FUNC=worker 'DOCKER_ARGS={NETWORK}'"
    project.run("sh", "-c", f"umask 077; chmod -R go= .; {words}")
    help_page = docker("run", "--rm", "--read-only", "private/worker", "--help")
    assert "--read_queue" in help_page


@on_postgres
def test_changed_function_rebuilds_last_layer_only(imaged: Project) -> None:
    def layers() -> list[str]:
        format_ = ("--format", "{{json .RootFS.Layers}}", IMAGE)
        return list(json.loads(docker("image", "inspect", *format_)))

    before = layers()
    with changed_function(imaged, "# changed"):
        after = layers()
    assert before[:-1] == after[:-1]
    assert before[-1] != after[-1]


@on_postgres
def test_container_stops_during_startup(imaged: Project) -> None:
    with container(imaged) as name:
        docker("stop", name)  # while Python is starting
        assert state(name, "ExitCode") == "0"


@on_postgres
def test_container_stop_finishes_the_load(imaged: Project) -> None:
    rows = 1_000_000  # take about a second
    send_messages(
        imaged, put_long_file(imaged, "stopped.csv", 60_000_000, rows).read_text()
    )
    with container(imaged, "--grace=50") as name:
        wait_for_load(imaged, seconds=0)
        docker("stop", "--time=60", name)
        assert state(name, "ExitCode") == "0"
    assert count_clicks(imaged, 60_000_000) == rows
    assert count_messages(imaged) == [0, 0]


@on_postgres
def test_container_stop_returns_a_long_load(imaged: Project) -> None:
    key = drop(imaged, "late.csv", clicks(10, first=62_000_000))
    s3 = imaged.shim_environment()["AWS_ENDPOINT_URL"]
    with Proxy(s3, hold("GetObject")) as proxy:
        with container(imaged, f"--s3_endpoint={proxy.url}") as name:
            proxy.wait_for("GetObject")
            docker("stop", name)
            assert state(name, "ExitCode") == "0"
            assert "returned to the queue: the grace period ended" in docker(
                "logs", name
            )
        assert count_messages(imaged) == [1, 0]
    drain(imaged)
    assert count_loaded(imaged, key) == 10


@on_postgres
def test_out_of_memory_keeps_the_message(imaged: Project) -> None:
    limit = "--memory=200m --memory-swap=200m"
    with visibility_timeout(imaged, 4):
        with changed_function(imaged, "_ = b'x' * 500_000_000"):
            key = drop(imaged, "greedy.csv", clicks(10, first=63_000_000))
            with container(imaged, more=limit) as name:
                wait_until(lambda: state(name, "Status") == "exited", "its end")
                assert state(name, "OOMKilled") == "true"
                assert state(name, "ExitCode") == "137"
        assert count_loaded(imaged, key) == 0
        drain(imaged)
    assert count_loaded(imaged, key) == 10
    assert count_clicks(imaged, 63_000_000) == 10


@on_postgres
def test_stuck_container_is_unhealthy(
    imaged: Project,
) -> None:
    def health(name: str) -> str:
        return state(name, "Health.Status")

    often = "--health-interval=1s"
    s3 = imaged.shim_environment()["AWS_ENDPOINT_URL"]
    with Proxy(s3, hold("GetObject")) as proxy:
        held = f"--s3_endpoint={proxy.url}"
        with (
            container(imaged, f"{held} --stuck_after=1", often) as stuck,
            container(imaged, held, often) as busy,
        ):
            # one by one, or a container may receive both
            drop(imaged, "health0.csv", clicks(10, first=64_000_000))
            wait_until(lambda: len(proxy.faulted) == 1, "a load")
            drop(imaged, "health1.csv", clicks(10, first=64_000_000))
            wait_until(lambda: len(proxy.faulted) == 2, "two loads")
            with container(imaged, more=often) as halted:
                wait_until(lambda: health(halted) == "healthy", "its start")
                docker("kill", "--signal=STOP", halted)
                wait_until(lambda: health(stuck) == "unhealthy", "the stuck one")
                wait_until(lambda: health(halted) == "unhealthy", "the halted one")
                assert "stuck: message" in docker("logs", stuck)
                assert health(busy) == "healthy"
                docker("kill", stuck, busy, halted)


@on_postgres
def test_breakpoint_stops_the_container(imaged: Project) -> None:
    """The image's Python runs the files in `src/`, not its own copies of them."""
    port = free_port()
    with (
        container(imaged, debug=port),
        stopped_at(imaged, port, "worker/contained.csv"),
    ):
        drop_sample(imaged, "contained.csv")
