"""What the image does on a real engine; `test_engine.py` runs these where one is."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from baking import Project, free_port, wait_until
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
# containers reach the shim, and a build the packages, by the machine's network
NETWORK = "--network=host"
IMAGE = "click-loader/worker"


def docker(*words: str) -> str:
    """Run a command of Docker; return what it said."""
    result = subprocess.run(["docker", *words], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return (result.stdout + result.stderr).strip()


def state(name: str, what: str) -> str:
    """Return a part of a container's state."""
    return docker("inspect", "--format", "{{.State." + what + "}}", name)


@pytest.fixture
def imaged(shimmed: Project) -> Project:
    """A project whose shim runs, and whose image is built."""
    build(shimmed)
    return shimmed


def build(project: Project, image: str = IMAGE) -> None:
    """Build the image by its make word."""
    words = (f"IMAGE={image}", f"DOCKER_ARGS={NETWORK}")
    project.make("image", "FUNC=worker", *words)


@contextmanager
def another_image(project: Project, name: str, line: str) -> Iterator[None]:
    """Build an image whose function has one line more, for a while."""
    path = project.path / "src/func/worker.py"
    text = path.read_text(encoding="utf-8")
    first = "    found = events.objects(event)\n"
    assert first in text
    path.write_text(text.replace(first, f"    {line}\n{first}"), encoding="utf-8")
    try:
        build(project, name)
    finally:
        path.write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        docker("image", "rm", "--force", name)


@contextmanager
def container(
    project: Project, settings: str = "", more: str = "", image: str = ""
) -> Iterator[str]:
    """Run the image by its make word; yield the container's name.

    Args:
        project: whose shim it talks to.
        settings: of the function, on the command line.
        more: words for Docker.
        image: name of another image than the word's own.
    """
    name = f"container-{free_port()}"
    words = [f"DOCKER_ARGS=--detach --rm=false --name={name} {more}"]
    words += [f"IMAGE={image}"] if image else []
    project.make("container", "FUNC=worker", f"RUN_ARGS={settings}", *words)
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
        docker("stop", name)
        assert state(name, "ExitCode") == "0"
    assert count_messages(imaged) == [0, 0]


@on_each_database
def test_parity_holds_with_the_image(imaged: Project) -> None:
    said = imaged.make("parity", f"DOCKER_ARGS={NETWORK}").stdout
    assert "All are equal. The container is the image." in said


@on_postgres
def test_image_is_unprivileged_and_read_only(imaged: Project) -> None:
    with container(imaged) as name:
        assert docker("exec", name, "id", "-u") == "65532"
        words = ("docker", "exec", name, "touch", "/app/file")
        refused = subprocess.run(words, capture_output=True, text=True)
    assert "Read-only file system" in refused.stderr


@on_postgres
def test_changed_function_rebuilds_last_layer_only(imaged: Project) -> None:
    def layers(image: str) -> list[str]:
        words = ("--format", "{{json .RootFS.Layers}}", image)
        return list(json.loads(docker("image", "inspect", *words)))

    with another_image(imaged, "changed", "# changed"):
        before, after = layers(IMAGE), layers("changed")
    assert before[:-1] == after[:-1]
    assert before[-1] != after[-1]


@on_postgres
def test_container_stops_during_startup(imaged: Project) -> None:
    with container(imaged) as name:
        docker("stop", name)  # Python has hardly started
        assert state(name, "ExitCode") == "0"


@on_postgres
def test_container_stop_finishes_the_load(imaged: Project) -> None:
    rows = 1_000_000  # take a second, for Docker's stop lets nobody do anything else
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
def test_container_stop_gives_back_a_long_load(imaged: Project) -> None:
    key = drop(imaged, "late.csv", clicks(10, first=62_000_000))
    s3 = imaged.shim_environment()["AWS_ENDPOINT_URL"]
    with Proxy(s3, hold("GetObject")) as proxy:
        with container(imaged, f"--s3_endpoint={proxy.url}") as name:
            proxy.wait_for("GetObject")
            docker("stop", name)
            assert state(name, "ExitCode") == "0"
            assert "given back: its time is up" in docker("logs", name)
        assert count_messages(imaged) == [1, 0]
    drain(imaged)
    assert count_loaded(imaged, key) == 10


@on_postgres
def test_out_of_memory_keeps_the_message(
    imaged: Project,
) -> None:
    limit = "--memory=200m --memory-swap=200m"
    with (
        another_image(imaged, "greedy", "_ = b'x' * 500_000_000"),
        visibility_timeout(imaged, 4),
    ):
        key = drop(imaged, "greedy.csv", clicks(10, first=63_000_000))
        with container(imaged, more=limit, image="greedy") as name:
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
            # one by one: else a container may take both
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
