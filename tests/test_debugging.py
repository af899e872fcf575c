"""`DEBUG=1`: an editor stops at a breakpoint in `src/`, in each environment."""

from pathlib import Path

import pytest

from baking import DEADLINE, Project, free_port
from debug_client import DebugClient, drop_sample, find_stop, stopped_at
from shim_helpers import client, queue_url

on_postgres = pytest.mark.parametrize("shimmed", ["postgres"], indirect=True)


@on_postgres
def test_breakpoint_stops_the_poller(shimmed: Project) -> None:
    """Its message has an hour, until a poller runs without debugger."""
    port = free_port()
    with (
        shimmed.start("run", "FUNC=worker", f"DEBUG={port}"),
        stopped_at(shimmed, port, "worker/polled.csv"),
    ):
        drop_sample(shimmed, "polled.csv")
    assert visibility(shimmed) == "3600"
    shimmed.make("run", "FUNC=worker", "RUN_ARGS=--drain")
    assert visibility(shimmed) == "30"


def visibility(project: Project) -> str:
    """Return the visibility timeout of the worker's queue, in seconds."""
    found = client(project, "sqs").get_queue_attributes(
        QueueUrl=queue_url(project, "worker-pending"),
        AttributeNames=["VisibilityTimeout"],
    )
    return str(found["Attributes"]["VisibilityTimeout"])


@on_postgres
def test_breakpoint_stops_an_invocation(shimmed: Project) -> None:
    port, key = free_port(), drop_sample(shimmed, "invoked.csv")
    event = shimmed.path / ".build" / "event-invoked.json"
    event.write_text(f'{{"bucket": "raw", "key": "{key}"}}', encoding="utf-8")
    words = ("invoke", "FUNC=worker", f"EVENT={event}", f"DEBUG={port}")
    with shimmed.start(*words) as invocation:
        with stopped_at(shimmed, port, key):
            pass
        invocation.process.wait(DEADLINE)
    assert invocation.process.returncode == 0, invocation.output


@on_postgres
def test_breakpoint_stops_a_unit_test(shimmed: Project) -> None:
    port = free_port()
    module, line = find_stop(shimmed)
    words = ("test", "TEST_ARGS=tests/test_worker.py -x", f"DEBUG={port}")
    with shimmed.start(*words), DebugClient(port, module, line) as editor:
        frame = editor.wait_for_stop()
        assert (frame["line"], Path(frame["path"])) == (line, module)
        assert "S3Object(" in frame["variables"]["s3_object"]
