"""What holds when workers are killed, told to stop, or get in each other's way."""

import json
import subprocess

from baking import DEADLINE, Project, Running, clean_environment, wait_until
from playground import (
    LONG,
    clicks,
    count_from,
    drain,
    drop,
    fault,
    pausing,
    put_long,
    rows_of,
    visibility,
    wait_for_claim,
    wait_for_load,
    waiting,
    worker,
)
from proxy import Proxy, hold

LOADED = '"outcome": "loaded"'
BEFORE = '"outcome": "loaded before"'


def outcome_of(invocation: Running) -> str:
    """Return what became of the one object of an event."""
    report = invocation.said[invocation.said.index("[\n") :]
    return str(json.loads(report)[0]["outcome"])


@fault("two workers on one object at once", "one loads it, the other finds it loaded")
def test_two_workers_on_one_object_load_it_once(shimmed: Project) -> None:
    event = put_long(shimmed, "race.csv", first=10_000_000)
    with pausing(shimmed) as s3:
        words = ("--event", event, f"--s3_endpoint={s3.url}")
        with worker(shimmed, *words) as one, worker(shimmed, *words) as other:
            wait_for_load(shimmed)
            wait_for_claim(shimmed)
            s3.let_go()
            assert [each.process.wait(DEADLINE) for each in (one, other)] == [0, 0]
    outcomes = [outcome_of(each) for each in (one, other)]
    assert sorted(outcomes) == ["loaded", "loaded before"]
    assert count_from(shimmed, 10_000_000) == LONG


@fault("kill -9 in mid-load", "nothing of it stays; the next worker loads all")
def test_worker_killed_in_mid_load_leaves_nothing_and_the_next_loads_all(
    shimmed: Project,
) -> None:
    event = put_long(shimmed, "killed.csv", first=20_000_000)
    with pausing(shimmed) as s3:
        words = ("--event", event, f"--s3_endpoint={s3.url}")
        with worker(shimmed, *words) as killed:
            wait_for_load(shimmed)
            killed.process.kill()
            assert killed.process.wait(DEADLINE) == -9
    assert count_from(shimmed, 20_000_000) == 0
    with worker(shimmed, "--event", event) as next_one:
        assert next_one.process.wait(DEADLINE) == 0
    assert outcome_of(next_one) == "loaded"
    assert count_from(shimmed, 20_000_000) == LONG


@fault("SIGTERM in mid-load, within the grace time", "it is finished; exit code 0")
def test_sigterm_in_mid_load_finishes_it_and_ends_with_exit_code_0(
    shimmed: Project,
) -> None:
    put_long(shimmed, "last.csv", first=40_000_000)
    shimmed.make("event", "FILE=last.csv")
    with pausing(shimmed) as s3, worker(shimmed, f"--s3_endpoint={s3.url}") as stopped:
        wait_for_load(shimmed)
        stopped.process.terminate()
        s3.let_go()
        assert stopped.process.wait(DEADLINE) == 0
    assert count_from(shimmed, 40_000_000) == LONG
    assert BEFORE not in drain(shimmed)


@fault("kill -9 before the load", "the message comes back, and is loaded once")
def test_worker_killed_before_the_load_leaves_the_message(shimmed: Project) -> None:
    key = drop(shimmed, "before.csv", clicks(10, first=51_000_000))
    s3 = shimmed.shim_environment()["AWS_ENDPOINT_URL"]
    with visibility(shimmed, 4), Proxy(s3, hold("GetObject")) as proxy:
        with worker(shimmed, f"--s3_endpoint={proxy.url}") as killed:
            proxy.wait_for("GetObject")
            killed.process.kill()
        assert rows_of(shimmed, key) == 0
        assert LOADED in drain(shimmed)
    assert count_from(shimmed, 51_000_000) == 10


@fault(
    "kill -9 between the commit and the delete",
    "the message comes back, and finds the object loaded",
)
def test_worker_killed_before_the_delete_has_loaded_once(shimmed: Project) -> None:
    key = drop(shimmed, "committed.csv", clicks(10, first=52_000_000))
    sqs = shimmed.shim_environment()["AWS_ENDPOINT_URL"]
    with visibility(shimmed, 4), Proxy(sqs, hold("DeleteMessageBatch")) as proxy:
        with worker(shimmed, f"--sqs_endpoint={proxy.url}") as killed:
            proxy.wait_for("DeleteMessageBatch")
            killed.process.kill()
        assert rows_of(shimmed, key) == 10
        assert BEFORE in drain(shimmed)
    assert count_from(shimmed, 52_000_000) == 10
    assert waiting(shimmed) == [0, 0]


@fault(
    "a visibility timeout shorter than the load",
    "it is extended: nobody else gets the message",
)
def test_message_stays_hidden_for_as_long_as_the_load_takes(shimmed: Project) -> None:
    upstream = shimmed.shim_environment()["AWS_ENDPOINT_URL"]
    slow = Proxy(upstream, hold("GetObject"))
    beats = Proxy(upstream)

    def extended() -> int:
        names = [call.operation for call in list(beats.calls)]
        return names.count("ChangeMessageVisibilityBatch")

    with visibility(shimmed, 4), slow, beats:
        key = drop(shimmed, "slow.csv", clicks(10, first=53_000_000))
        words = (f"--s3_endpoint={slow.url}", f"--sqs_endpoint={beats.url}")
        with worker(shimmed, *words) as holder:
            slow.wait_for("GetObject")
            with worker(shimmed) as other:
                # each extends by 4 s when 2.7 s are left
                wait_until(lambda: extended() >= 6, "six extensions")
            assert other.process.returncode == 0
            slow.let_go()
            holder.wait_until(lambda: LOADED in holder.said)
        assert '"messageId"' not in other.said
    assert rows_of(shimmed, key) == 10


@fault(
    "SIGTERM, and a message in hand past the grace time",
    "it is given back at once; exit code 0; the next worker loads it",
)
def test_message_that_outlasts_the_grace_time_is_given_back(shimmed: Project) -> None:
    key = drop(shimmed, "late.csv", clicks(10, first=54_000_000))
    s3 = shimmed.shim_environment()["AWS_ENDPOINT_URL"]
    with Proxy(s3, hold("GetObject")) as proxy:
        with worker(shimmed, f"--s3_endpoint={proxy.url}", "--grace=1") as stopped:
            proxy.wait_for("GetObject")
            stopped.process.terminate()
            assert stopped.process.wait(DEADLINE) == 0
        assert "given back: its time is up" in stopped.said
        assert waiting(shimmed) == [1, 0]
    assert LOADED in drain(shimmed)
    assert rows_of(shimmed, key) == 10


@fault(
    "another worker that holds an object for longer than locks are waited for",
    "the message waits for it, counts no failure, and finds the object loaded",
)
def test_worker_waits_for_another_that_has_the_object_in_hand(shimmed: Project) -> None:
    event = put_long(shimmed, "held.csv", first=55_000_000)
    s3 = shimmed.shim_environment()["AWS_ENDPOINT_URL"]
    with Proxy(s3, hold("GetObject")) as proxy:
        words = ("--event", event, f"--s3_endpoint={proxy.url}")
        with worker(shimmed, *words) as holder:
            proxy.wait_for("GetObject")
            with worker(shimmed, "--event", event) as other:
                other.wait_until(lambda: other.said.count("trying again: ") == 3)
                proxy.let_go()
                assert holder.process.wait(DEADLINE) == 0
                assert other.process.wait(DEADLINE) == 0
    assert [outcome_of(each) for each in (holder, other)] == ["loaded", "loaded before"]
    assert count_from(shimmed, 55_000_000) == LONG


@fault("no file can be written, as when disks are full", "loads go on: they use none")
def test_load_needs_no_room_on_any_disk(shimmed: Project) -> None:
    event = put_long(shimmed, "full.csv", first=57_000_000)
    shimmed.make("build", "TARGET=local")
    program = ".build/local/worker/local_wrapper.py"
    script = (
        "trap '' XFSZ; ulimit -f 0; echo x >full || echo no room >&2;"
        ' exec .venv/bin/python "$0" --event "$1"'
    )
    result = subprocess.run(
        ["bash", "-c", script, program, event],
        cwd=shimmed.path,
        env=clean_environment(shimmed.shim_environment()),
        capture_output=True,
        text=True,
    )
    assert "no room" in result.stderr
    assert '"outcome": "loaded"' in result.stdout, result.stderr
    assert count_from(shimmed, 57_000_000) == LONG
