"""What holds when workers are killed, told to stop, or get in each other's way."""

import json

from baking import DEADLINE, Project
from playground import (
    BIG,
    count_from,
    drain,
    fault,
    is_postgres,
    put_big,
    wait_for_load,
    worker,
)


@fault("two workers on one object at once", "one loads it, the other finds it loaded")
def test_two_workers_on_one_object_load_it_once(shimmed: Project) -> None:
    event = put_big(shimmed, "race.csv", first=10_000_000)
    with (
        worker(shimmed, "--event", event) as one,
        worker(shimmed, "--event", event) as other,
    ):
        assert [each.process.wait(DEADLINE) for each in (one, other)] == [0, 0]
    outcomes = [json.loads(each.said)[0]["outcome"] for each in (one, other)]
    assert sorted(outcomes) == ["loaded", "loaded before"]
    assert count_from(shimmed, 10_000_000) == BIG


@fault("kill -9 in mid-load", "nothing of it stays; the next worker loads all")
def test_worker_killed_in_mid_load_leaves_nothing_and_the_next_loads_all(
    shimmed: Project,
) -> None:
    event = put_big(shimmed, "killed.csv", first=20_000_000)
    with worker(shimmed, "--event", event) as killed:
        wait_for_load(shimmed)
        killed.process.kill()
        assert killed.process.wait(DEADLINE) == -9
    assert count_from(shimmed, 20_000_000) == 0
    with worker(shimmed, "--event", event) as next_one:
        assert next_one.process.wait(DEADLINE) == 0
    assert json.loads(next_one.said)[0]["outcome"] == "loaded"
    assert count_from(shimmed, 20_000_000) == BIG


@fault(
    "a connection that the server ends in mid-load", "it is made anew, once more all"
)
def test_connection_that_the_server_ends_in_mid_load_is_made_anew(
    shimmed: Project,
) -> None:
    event = put_big(shimmed, "cut.csv", first=30_000_000)
    with worker(shimmed, "--event", event) as patient:
        connection = wait_for_load(shimmed)
        kill = "SELECT pg_terminate_backend({})" if is_postgres(shimmed) else "KILL {}"
        shimmed.query(kill.format(connection))
        assert patient.process.wait(DEADLINE) == 0, patient.said
    assert "trying again: " in patient.said
    assert count_from(shimmed, 30_000_000) == BIG


@fault("SIGTERM in mid-load, within the grace time", "it is finished; exit code 0")
def test_sigterm_in_mid_load_finishes_it_and_ends_with_exit_code_0(
    shimmed: Project,
) -> None:
    put_big(shimmed, "last.csv", first=40_000_000)
    shimmed.make("event", "FILE=last.csv")
    with worker(shimmed) as stopped:
        wait_for_load(shimmed)
        stopped.process.terminate()
        assert stopped.process.wait(DEADLINE) == 0
    assert count_from(shimmed, 40_000_000) == BIG
    assert '"outcome": "done"' not in drain(shimmed)
