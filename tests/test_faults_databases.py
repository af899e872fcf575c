"""What holds when the database goes away and comes back."""

from pathlib import Path

from baking import DEADLINE, Project
from playground import (
    LONG,
    OwnDatabase,
    clicks,
    count_from,
    drop,
    fault,
    is_postgres,
    pausing,
    put_long,
    rows_of,
    send,
    wait_for_load,
    waiting,
    worker,
)
from proxy import Wire

LOADED = '"outcome": "loaded"'


@fault("a connection that the server ends in mid-load", "it is made anew")
def test_connection_that_the_server_ends_in_mid_load_is_made_anew(
    shimmed: Project,
) -> None:
    event = put_long(shimmed, "cut.csv", first=30_000_000)
    kill = "SELECT pg_terminate_backend({})" if is_postgres(shimmed) else "KILL {}"
    with pausing(shimmed) as s3:
        words = ("--event", event, f"--s3_endpoint={s3.url}")
        with worker(shimmed, *words) as patient:
            shimmed.query(kill.format(wait_for_load(shimmed)))
            s3.let_go()
            assert patient.process.wait(DEADLINE) == 0, patient.said
    assert "trying again: " in patient.said
    assert count_from(shimmed, 30_000_000) == LONG


@fault("a connection that is reset while rows are sent", "it is made anew")
def test_connection_that_is_reset_while_rows_are_sent_is_made_anew(
    shimmed: Project,
) -> None:
    event = put_long(shimmed, "reset.csv", first=32_000_000)
    port = int(shimmed.shim_environment()["DB_PORT"])
    with Wire(port, LONG * 30) as wire:
        words = ("--event", event, f"--db_port={wire.port}")
        with worker(shimmed, *words) as patient:
            assert patient.process.wait(DEADLINE) == 0, patient.said
        assert wire.connections == 2
    assert "trying again: " in patient.said
    assert count_from(shimmed, 32_000_000) == LONG


@fault(
    "the database stops in mid-load, and starts again",
    "the worker waits, and loads all without a restart",
)
def test_worker_outlives_a_restart_of_the_database(
    shimmed: Project, tmp_path: Path
) -> None:
    event = put_long(shimmed, "restart.csv", first=61_000_000)
    with OwnDatabase(shimmed, tmp_path) as own, pausing(shimmed) as s3:
        assert own.query("SELECT count(*) FROM loads") == [[0]]
        send(shimmed, event.read_text())
        with worker(own, f"--s3_endpoint={s3.url}") as patient:
            wait_for_load(own)
            own.stop()
            s3.let_go()
            patient.wait_until(lambda: "waiting: " in patient.said)
            own.restart()
            patient.wait_until(lambda: LOADED in patient.said)
        assert count_from(own, 61_000_000) == LONG
        assert own.query("SELECT count(*) FROM loads") == [[1]]


@fault(
    "the database is away when the worker starts",
    "no message is lost, nor spends its receives; all are loaded when it is back",
)
def test_worker_waits_for_a_database_that_is_away(
    shimmed: Project, tmp_path: Path
) -> None:
    with OwnDatabase(shimmed, tmp_path) as own:
        own.stop()
        with worker(own, "--workers=2") as patient:
            keys = [
                drop(shimmed, f"away-{number}.csv", clicks(10, first=number))
                for number in (62_000_000, 62_000_100, 62_000_200)
            ]
            # more waits than a message has receives
            patient.wait_until(lambda: patient.said.count("waiting: ") >= 4)
            own.restart()
            patient.wait_until(lambda: all(rows_of(own, key) == 10 for key in keys))
        assert patient.process.returncode == 0
        assert "the database is away" in patient.said
        assert "Traceback" not in patient.said
    assert waiting(shimmed) == [0, 0]
    assert waiting(shimmed, "worker-dead-letter") == [0, 0]
