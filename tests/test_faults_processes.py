"""Faults of processes: kill -9, SIGTERM, slow loads, workers on one object."""

import json
import subprocess

from baking import DEADLINE, Project, Running, clean_environment, wait_until
from proxy import Proxy, hold
from shim_helpers import (
    LONG,
    clicks,
    count_clicks,
    count_loaded,
    count_messages,
    drain,
    drop,
    fault,
    pausing_proxy,
    put_long_file,
    start_worker,
    visibility_timeout,
    wait_for_claim,
    wait_for_load,
)

LOADED = '"outcome": "loaded"'
BEFORE = '"outcome": "loaded before"'


def outcome_of(invocation: Running) -> str:
    """Return the outcome of an event with one object."""
    report = invocation.output[invocation.output.index("[\n") :]
    return str(json.loads(report)[0]["outcome"])


@fault("two workers on one object at once", "one loads it, the other finds it loaded")
def test_two_workers_load_an_object_once(shimmed: Project) -> None:
    event = put_long_file(shimmed, "race.csv", first=10_000_000)
    with pausing_proxy(shimmed) as s3:
        words = ("--event", event, f"--s3_endpoint={s3.url}")
        with (
            start_worker(shimmed, *words) as one,
            start_worker(shimmed, *words) as other,
        ):
            wait_for_load(shimmed)
            wait_for_claim(shimmed)
            s3.release()
            assert [each.process.wait(DEADLINE) for each in (one, other)] == [0, 0]
    outcomes = [outcome_of(each) for each in (one, other)]
    assert sorted(outcomes) == ["loaded", "loaded before"]
    assert count_clicks(shimmed, 10_000_000) == LONG


@fault("kill -9 in mid-load", "no row stays; the next worker loads everything")
def test_worker_killed_in_mid_load_leaves_no_rows(
    shimmed: Project,
) -> None:
    event = put_long_file(shimmed, "killed.csv", first=20_000_000)
    with pausing_proxy(shimmed) as s3:
        words = ("--event", event, f"--s3_endpoint={s3.url}")
        with start_worker(shimmed, *words) as killed:
            wait_for_load(shimmed)
            killed.process.kill()
            assert killed.process.wait(DEADLINE) == -9
    assert count_clicks(shimmed, 20_000_000) == 0
    with start_worker(shimmed, "--event", event) as next_one:
        assert next_one.process.wait(DEADLINE) == 0
    assert outcome_of(next_one) == "loaded"
    assert count_clicks(shimmed, 20_000_000) == LONG


@fault("SIGTERM in mid-load", "the load is finished within `grace`; exit code 0")
def test_sigterm_in_mid_load_finishes_the_load(
    shimmed: Project,
) -> None:
    put_long_file(shimmed, "last.csv", first=40_000_000)
    shimmed.make("event", "FILE=last.csv")
    with (
        pausing_proxy(shimmed) as s3,
        start_worker(shimmed, f"--s3_endpoint={s3.url}") as stopped,
    ):
        wait_for_load(shimmed)
        stopped.process.terminate()
        s3.release()
        assert stopped.process.wait(DEADLINE) == 0
    assert count_clicks(shimmed, 40_000_000) == LONG
    assert BEFORE not in drain(shimmed)


@fault("kill -9 before the load", "the message comes back and is loaded once")
def test_worker_killed_before_load_keeps_message(shimmed: Project) -> None:
    key = drop(shimmed, "before.csv", clicks(10, first=51_000_000))
    s3 = shimmed.shim_environment()["AWS_ENDPOINT_URL"]
    with visibility_timeout(shimmed, 4), Proxy(s3, hold("GetObject")) as proxy:
        with start_worker(shimmed, f"--s3_endpoint={proxy.url}") as killed:
            proxy.wait_for("GetObject")
            killed.process.kill()
        assert count_loaded(shimmed, key) == 0
        assert LOADED in drain(shimmed)
    assert count_clicks(shimmed, 51_000_000) == 10


@fault(
    "kill -9 between commit and delete",
    "the message comes back and finds the object loaded",
)
def test_worker_killed_before_delete_loads_once(shimmed: Project) -> None:
    key = drop(shimmed, "committed.csv", clicks(10, first=52_000_000))
    sqs = shimmed.shim_environment()["AWS_ENDPOINT_URL"]
    with (
        visibility_timeout(shimmed, 4),
        Proxy(sqs, hold("DeleteMessageBatch")) as proxy,
    ):
        with start_worker(shimmed, f"--sqs_endpoint={proxy.url}") as killed:
            proxy.wait_for("DeleteMessageBatch")
            killed.process.kill()
        assert count_loaded(shimmed, key) == 10
        assert BEFORE in drain(shimmed)
    assert count_clicks(shimmed, 52_000_000) == 10
    assert count_messages(shimmed) == [0, 0]


@fault(
    "a visibility timeout shorter than the load",
    "it is extended: no other worker receives the message",
)
def test_visibility_is_extended_during_long_load(shimmed: Project) -> None:
    upstream = shimmed.shim_environment()["AWS_ENDPOINT_URL"]
    slow = Proxy(upstream, hold("GetObject"))
    sqs = Proxy(upstream)

    def extended() -> int:
        names = [call.operation for call in list(sqs.calls)]
        return names.count("ChangeMessageVisibilityBatch")

    with visibility_timeout(shimmed, 4), slow, sqs:
        key = drop(shimmed, "slow.csv", clicks(10, first=53_000_000))
        words = (f"--s3_endpoint={slow.url}", f"--sqs_endpoint={sqs.url}")
        with start_worker(shimmed, *words) as holder:
            slow.wait_for("GetObject")
            with start_worker(shimmed) as other:
                # each extends the timeout to 4 s when 2.7 s are left
                wait_until(lambda: extended() >= 6, "six extensions")
            assert other.process.returncode == 0
            slow.release()
            holder.wait_until(lambda: LOADED in holder.output)
        assert '"messageId"' not in other.output
    assert count_loaded(shimmed, key) == 10


@fault(
    "SIGTERM during a load that takes longer than `grace`",
    "the message returns to the queue at once; exit code 0; the next worker loads it",
)
def test_load_beyond_grace_period_is_returned(shimmed: Project) -> None:
    key = drop(shimmed, "late.csv", clicks(10, first=54_000_000))
    s3 = shimmed.shim_environment()["AWS_ENDPOINT_URL"]
    with Proxy(s3, hold("GetObject")) as proxy:
        with start_worker(
            shimmed, f"--s3_endpoint={proxy.url}", "--grace=1"
        ) as stopped:
            proxy.wait_for("GetObject")
            stopped.process.terminate()
            assert stopped.process.wait(DEADLINE) == 0
        assert "returned to the queue: the grace period ended" in stopped.output
        assert count_messages(shimmed) == [1, 0]
    assert LOADED in drain(shimmed)
    assert count_loaded(shimmed, key) == 10


@fault(
    "another worker has an object for longer than the lock timeout",
    "the message waits, counts as no failure, and finds the object loaded",
)
def test_worker_waits_for_object_of_another(shimmed: Project) -> None:
    event = put_long_file(shimmed, "held.csv", first=55_000_000)
    s3 = shimmed.shim_environment()["AWS_ENDPOINT_URL"]
    with Proxy(s3, hold("GetObject")) as proxy:
        words = ("--event", event, f"--s3_endpoint={proxy.url}")
        with start_worker(shimmed, *words) as holder:
            proxy.wait_for("GetObject")
            with start_worker(shimmed, "--event", event) as other:
                other.wait_until(lambda: other.output.count("retrying: ") == 3)
                proxy.release()
                assert holder.process.wait(DEADLINE) == 0
                assert other.process.wait(DEADLINE) == 0
    assert [outcome_of(each) for each in (holder, other)] == ["loaded", "loaded before"]
    assert count_clicks(shimmed, 55_000_000) == LONG


@fault("no file can be written, as on a full disk", "loads use no files and succeed")
def test_load_works_on_a_full_disk(shimmed: Project) -> None:
    event = put_long_file(shimmed, "full.csv", first=57_000_000)
    shimmed.make("build", "TARGET=ecs")
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
    assert count_clicks(shimmed, 57_000_000) == LONG
