"""Faults of the database: lost connections, restarts, downtime."""

from pathlib import Path

from baking import DEADLINE, Project
from proxy import TcpProxy
from shim_helpers import (
    LONG,
    OwnDatabase,
    clicks,
    count_clicks,
    count_loaded,
    count_messages,
    drop,
    fault,
    is_postgres,
    pausing_proxy,
    put_long_file,
    send_messages,
    start_worker,
    wait_for_load,
)

LOADED = '"outcome": "loaded"'


@fault("the server ends a connection in mid-load", "the worker connects again")
def test_connection_killed_in_mid_load_is_replaced(
    shimmed: Project,
) -> None:
    event = put_long_file(shimmed, "cut.csv", first=30_000_000)
    kill = "SELECT pg_terminate_backend({})" if is_postgres(shimmed) else "KILL {}"
    with pausing_proxy(shimmed) as s3:
        words = ("--event", event, f"--s3_endpoint={s3.url}")
        with start_worker(shimmed, *words) as running:
            shimmed.query(kill.format(wait_for_load(shimmed)))
            s3.release()
            assert running.process.wait(DEADLINE) == 0, running.output
    assert "retrying: " in running.output
    assert count_clicks(shimmed, 30_000_000) == LONG


@fault("a connection breaks while rows are sent", "the worker connects again")
def test_connection_reset_in_mid_load_is_replaced(
    shimmed: Project,
) -> None:
    event = put_long_file(shimmed, "reset.csv", first=32_000_000)
    port = int(shimmed.shim_environment()["DB_PORT"])
    with TcpProxy(port, LONG * 30) as wire:
        words = ("--event", event, f"--db_port={wire.port}")
        with start_worker(shimmed, *words) as running:
            assert running.process.wait(DEADLINE) == 0, running.output
        assert wire.connections == 2
    assert "retrying: " in running.output
    assert count_clicks(shimmed, 32_000_000) == LONG


@fault(
    "the database restarts in mid-load",
    "the worker waits, then loads everything without a restart of its own",
)
def test_worker_survives_database_restart(shimmed: Project, tmp_path: Path) -> None:
    event = put_long_file(shimmed, "restart.csv", first=61_000_000)
    with OwnDatabase(shimmed, tmp_path) as own, pausing_proxy(shimmed) as s3:
        assert own.query("SELECT count(*) FROM loads") == [[0]]
        send_messages(shimmed, event.read_text())
        with start_worker(own, f"--s3_endpoint={s3.url}") as running:
            wait_for_load(own)
            own.stop()
            s3.release()
            running.wait_until(
                lambda: "waiting for S3 or the database: " in running.output
            )
            own.restart()
            running.wait_until(lambda: LOADED in running.output)
        assert count_clicks(own, 61_000_000) == LONG
        assert own.query("SELECT count(*) FROM loads") == [[1]]


@fault(
    "the database is down when the worker starts",
    "the worker waits; no message is lost or uses up its receives",
)
def test_worker_waits_for_unreachable_database(
    shimmed: Project, tmp_path: Path
) -> None:
    with OwnDatabase(shimmed, tmp_path) as own:
        own.stop()
        with start_worker(own, "--workers=2") as running:
            keys = [
                drop(shimmed, f"away-{number}.csv", clicks(10, first=number))
                for number in (62_000_000, 62_000_100, 62_000_200)
            ]
            # more often than a message may be received
            running.wait_until(
                lambda: running.output.count("waiting for S3 or the database: ") >= 4
            )
            own.restart()
            running.wait_until(
                lambda: all(count_loaded(own, key) == 10 for key in keys)
            )
        assert running.process.returncode == 0
        assert "the database cannot be reached: " in running.output
        assert "Traceback" not in running.output
    assert count_messages(shimmed) == [0, 0]
    assert count_messages(shimmed, "worker-dead-letter") == [0, 0]
