"""Faults of loads: refused rows, sessions, versions, slow and read-only databases."""

import json
import random
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from baking import DEADLINE, Project
from pgbouncer import pgbouncer
from shim_helpers import (
    HOSTILE,
    OwnDatabase,
    clicks,
    client,
    count_clicks,
    count_loaded,
    count_messages,
    drain,
    drop,
    fault,
    fetch_rejects,
    is_postgres,
    put_file,
    send_messages,
    start_worker,
    take_dead_letters,
)
from sql_client import connect_mysql, connect_postgres

LOADED = '"outcome": "loaded"'
REPLACE = "--on_new_version=replace --load_column=load_number"
SECRET = "john.doe@example.com"


@contextmanager
def created(project: Project, *statements: str) -> Iterator[None]:
    """Create the table `odd`, then run more statements; drop the table at the end.

    `{time}` is the type of clicked_at, `{function}` precedes a trigger's body.
    """
    time = "TIMESTAMP" if is_postgres(project) else "DATETIME"
    columns = (
        "click_id BIGINT NOT NULL, visitor VARCHAR(64) NOT NULL, "
        f"page VARCHAR(2048) NOT NULL, referrer VARCHAR(2048), clicked_at {time} "
        "NOT NULL, load_number BIGINT"
    )
    project.query(f"CREATE TABLE odd ({columns})")
    try:
        for statement in statements:
            project.query(statement)
        yield
    finally:
        project.query("DROP TABLE odd")
        if is_postgres(project):
            project.query("DROP FUNCTION IF EXISTS act()")


def on_each_row(project: Project, event: str, action: str) -> list[str]:
    """Return statements that make `odd` run a statement for each row.

    Args:
        project: whose shim runs.
        event: when, such as `BEFORE DELETE`.
        action: the statement.
    """
    trigger = f"CREATE TRIGGER act {event} ON odd FOR EACH ROW"
    if not is_postgres(project):
        return [f"{trigger} {action}"]
    row = "OLD" if "DELETE" in event else "NEW"
    return [
        f"CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {action}; RETURN {row}; END $$",
        f"{trigger} EXECUTE FUNCTION act()",
    ]


def pause(project: Project, seconds: float) -> str:
    """Return a statement that waits."""
    if is_postgres(project):
        return f"PERFORM pg_sleep({seconds})"
    return f"DO SLEEP({seconds})"


def count_odd(project: Project, what: str = "*") -> int:
    """Return the number of rows in the table `odd`."""
    return int(project.query(f"SELECT count({what}) FROM odd")[0][0])


@fault(
    "a message with four objects, one of which is missing",
    "the other three are loaded once; the message fails, naming the one",
)
def test_missing_object_leaves_others_alone(shimmed: Project) -> None:
    events = []
    for number, name in enumerate(("a.csv", "missing.csv", "b.csv", "c.csv")):
        events.append(
            json.loads(put_file(shimmed, name, clicks(10, 72_900_000 + 100 * number)))
        )
    client(shimmed, "s3").delete_object(Bucket="raw", Key=events[1]["key"])
    records = [
        {"s3": {"bucket": {"name": "raw"}, "object": {"key": event["key"]}}}
        for event in events
    ]
    send_messages(shimmed, json.dumps({"Records": records}))
    output = drain(shimmed, "--retry_delay=0")
    assert output.count('"outcome": "failed"') == 3
    assert output.count("s3://raw/by-hand/missing.csv") >= 3
    assert count_clicks(shimmed, 72_900_000, 1000) == 30
    assert len(take_dead_letters(shimmed)) == 1


@fault(
    "a new version that replaces more rows than can be deleted in a statement's time",
    "they are deleted in pieces, in one transaction",
)
def test_slow_delete_is_done_in_pieces(shimmed: Project) -> None:
    words = f"{REPLACE} --table=odd --db_statement_timeout=4"
    with created(shimmed, *on_each_row(shimmed, "BEFORE DELETE", pause(shimmed, 1e-3))):
        drop(shimmed, "pieces.csv", clicks(6000))
        drain(shimmed, words)
        drop(shimmed, "pieces.csv", clicks(10))
        output = drain(shimmed, words)
        assert LOADED in output, output
        assert count_odd(shimmed) == 10


@fault(
    "a statement that takes too long",
    "its message fails; the worker does not wait for the database",
)
def test_slow_statement_is_no_outage(shimmed: Project) -> None:
    words = "--table=odd --db_statement_timeout=1 --retry_delay=0"
    with created(shimmed, *on_each_row(shimmed, "BEFORE INSERT", pause(shimmed, 3))):
        drop(shimmed, "slow.csv", clicks(3))
        output = drain(shimmed, words)
        assert output.count('"error": "SlowStatementError"') == 3
        assert "waiting: " not in output
        assert len(take_dead_letters(shimmed)) == 1


@fault(
    "20,000 rows with 9,000 duplicate keys",
    "the first row of each key is loaded; the others are rejects",
)
def test_many_duplicate_keys_are_rejected(shimmed: Project) -> None:
    lines = clicks(20_000, first=1).splitlines()
    for number in range(20_000):
        if number % 20 in range(1, 10):
            lines[number] = lines[number - number % 20]
    with created(shimmed, "ALTER TABLE odd ADD PRIMARY KEY (click_id)"):
        key = drop(shimmed, "duplicates.csv", "\n".join(lines))
        output = drain(shimmed, "--table=odd")
        assert '"loaded": 11000, "rejected": 9000' in output
        assert count_odd(shimmed) == 11_000
    rejected = [line for line, _ in fetch_rejects(shimmed, key)]
    assert rejected == [
        number + 1 for number in range(20_000) if number % 20 in range(1, 10)
    ]


@fault(
    "3,000 rows of which many have a key that is taken, with one unique key, two, or "
    "one of two columns, and numbers such as 007",
    "exactly those behind the first with a key are rejects",
)
@pytest.mark.parametrize(
    "keys", [["click_id"], ["click_id", "visitor"], ["visitor, click_id"]]
)
def test_duplicates_are_found_exactly(shimmed: Project, keys: list[str]) -> None:
    chance, lines, bad = random.Random(4), [], []
    taken: set[tuple[Any, ...]] = set()
    visitors = 3 if "," in keys[0] else 2500
    for number in range(1, 3001):
        values = {
            "click_id": chance.randrange(2500),
            "visitor": chance.randrange(visitors),
        }
        zeros = "00" * (len(keys) == 2 and chance.random() < 0.1)
        lines.append(
            f"{zeros}{values['click_id']},v{values['visitor']},/,,2026-01-05 08:00:00"
        )
        entries = {(key, *(values[name] for name in key.split(", "))) for key in keys}
        if entries & taken:
            bad.append(number)
        else:
            taken |= entries
    statements = [f"ALTER TABLE odd ADD UNIQUE ({key})" for key in keys]
    with created(shimmed, *statements):
        name = f"duplicates-{len(keys)}-{len(keys[0])}.csv"
        key = drop(shimmed, name, "\n".join(lines))
        drain(shimmed, "--table=odd --max_reject_share=1")
        assert count_odd(shimmed) == 3000 - len(bad)
    assert len(bad) > 200
    assert [line for line, _ in fetch_rejects(shimmed, key)] == bad


@fault(
    "rows that break constraints, among rows with bad values",
    "exactly these are rejects",
)
def test_refused_rows_are_found_exactly(shimmed: Project) -> None:
    chance, lines, bad = random.Random(3), clicks(12_000).splitlines(), []
    for number in range(12_000):
        if chance.random() < (0.002 if number < 8000 else 0.4):
            bad.append(number + 1)
            old = ("visitor-", "/page/", f"{number + 1},")[number % 3]
            new = ("x" * 65, "/forbidden/", "one,")[number % 3]
            lines[number] = lines[number].replace(old, new, 1)
    check = "ALTER TABLE odd ADD CHECK (page NOT LIKE '/forbidden/%')"
    with created(shimmed, check):
        key = drop(shimmed, "exactly.csv", "\n".join(lines))
        drain(shimmed, "--table=odd")
        assert count_odd(shimmed) == 12_000 - len(bad)
    assert [line for line, _ in fetch_rejects(shimmed, key)] == bad


@fault(
    "a file whose lines are all bad",
    "the log says how many lines are bad for which reasons, and which are the first",
)
def test_failed_file_says_why(shimmed: Project) -> None:
    lines = clicks(1000).splitlines()
    lines = ["oops", *(f"x{line}" for line in lines[:998]), lines[999]]
    drop(shimmed, "why.csv", "\n".join(lines))
    output = drain(shimmed, "--retry_delay=0")
    condition = (
        "InvalidTextRepresentation (22P02) at click_id"
        if is_postgres(shimmed)
        else "no whole number at click_id"
    )
    assert "of 1000 lines are bad" in output
    assert f" x {condition}; 1 x fields: 1 instead of 5; the first are line 1" in output
    assert f"line 2: {condition}; line 3: {condition}" in output
    assert len(take_dead_letters(shimmed)) == 1


@fault(
    "a file of 100,000 rows that the database refuses, of which 1 % may be bad",
    "the load ends as soon as it cannot succeed",
)
def test_hopeless_file_ends_early(shimmed: Project) -> None:
    lines = clicks(100_000).splitlines()
    drop(shimmed, "hopeless.csv", "\n".join(f"x{line}" for line in lines))
    output = drain(shimmed, "--max_reject_share=0.01 --retry_delay=0")
    found = re.findall(r"(\d+) of \d+ lines are bad", output)
    assert found
    assert all(1_000 < int(bad) < 40_000 for bad in found)
    assert len(take_dead_letters(shimmed)) == 1


SHORT_OF_TIME = """
import itertools, sys
from types import SimpleNamespace
from context import CustomContext
from func import run
left = itertools.chain([60_000] * int(sys.argv[2]), itertools.repeat(500))
parent = SimpleNamespace(get_remaining_time_in_millis=lambda: next(left))
with CustomContext(parent, ["--max_reject_share=1"]) as context:
    run(sys.argv[1], context)
"""


@fault(
    "a Lambda's time ends while rows are sent, or during the search for those that the "
    "database refuses",
    "the load ends, nothing is loaded, and no log shows values",
)
@pytest.mark.parametrize("checks", [2, 3], ids=["sending", "searching"])
def test_load_ends_when_time_is_up(shimmed: Project, checks: int) -> None:
    lines = clicks(5000, first=74_500_000).replace("visitor-", SECRET).splitlines()
    bad = [rf"1,\N,{SECRET},,2026-01-05 08:00:00"] * 2500
    text = "\n".join([*lines[:2500], *bad])
    name = f"late-{checks}.csv"
    event = put_file(shimmed, name, text)
    shimmed.make("build", "TARGET=ecs")
    program = (".venv/bin/python", "-c", SHORT_OF_TIME, event, str(checks))
    paths = {"PYTHONPATH": ".build/local/worker"}
    variables = shimmed.shim_environment() | paths
    ended = shimmed.run(*program, env=variables, check=False)
    assert "NoTimeLeftError: less than 1 s left" in ended.stdout
    assert ("insert_acceptable" in ended.stdout) == (checks == 3)
    assert SECRET not in ended.stdout
    assert count_clicks(shimmed, 74_500_000, 5000) == 0
    assert count_loaded(shimmed, f"by-hand/{name}") == 0


@fault(
    "rows, constraints and triggers whose errors show values",
    "no value is in any log, not even at `--log_level=DEBUG`",
)
def test_no_log_shows_values(shimmed: Project) -> None:
    raising = (
        "RAISE EXCEPTION 'refused: %', NEW.visitor"
        if is_postgres(shimmed)
        else "IF NEW.page = '/raise' THEN SET @m = NEW.visitor; "
        "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = @m; END IF"
    )
    if is_postgres(shimmed):
        raising = f"IF NEW.page = '/raise' THEN {raising}; END IF"
    bad = [
        f"{SECRET},{SECRET},/,,2026-01-05 08:00:00",
        f"1,{SECRET}{'x' * 64},/,,2026-01-05 08:00:00",
        f"2,{SECRET},/,,{SECRET}",
        f"3,{SECRET},/raise,,2026-01-05 08:00:00",
        f"4,{SECRET},/forbidden,,2026-01-05 08:00:00",
        f"5,{SECRET},/,\\N,2026-01-05 08:00:00",
        f"6,{SECRET},/,,2026-01-05 08:00:00",
        f"7,\\N,{SECRET},,2026-01-05 08:00:00",
        f"{SECRET}",
        f'8,"{SECRET}',
    ]
    statements = [
        "ALTER TABLE odd ADD PRIMARY KEY (visitor)",
        "ALTER TABLE odd ADD CHECK (page <> '/forbidden')",
        *on_each_row(shimmed, "BEFORE INSERT", raising),
    ]
    insert = "INSERT INTO {table} ({columns}) VALUES ({values})"
    outputs = []
    with created(shimmed, *statements):
        for number, line in enumerate(bad):
            first = f"9,{SECRET},/,,2026-01-05 08:00:00"  # a duplicate of number 6
            for how in ("", f"--insert_statement='{insert}'", "--insert_statement=bad"):
                drop(shimmed, f"secret-{number}.csv", f"{first}\n{line}\n")
                words = f"--table=odd --max_reject_share=0.1 --log_level=DEBUG {how}"
                outputs.append(drain(shimmed, f"{words} --retry_delay=0"))
    assert [output for output in outputs if SECRET in output] == []
    assert all('"outcome": "failed"' in output for output in outputs[3:])
    assert len(take_dead_letters(shimmed)) >= len(outputs) - 3


@fault(
    "foreign keys, constraints that are checked at the end, and locks and statements "
    "that take too long, whose errors show values",
    "no value is in any log, not even at `--log_level=DEBUG`",
)
def test_no_log_shows_values_of_late_errors(shimmed: Project) -> None:
    words = ["--table=odd", "--max_reject_share=0", "--log_level=DEBUG"]
    words += ["--retry_delay=0", "--db_statement_timeout=1", "--drain"]
    rows = f"1,{SECRET},/,,2026-01-05 08:00:00\n" * 2
    unique = "ALTER TABLE odd ADD CONSTRAINT late UNIQUE (visitor)"
    late = " DEFERRABLE INITIALLY DEFERRED" if is_postgres(shimmed) else ""
    parent = "ALTER TABLE odd ADD FOREIGN KEY (visitor) REFERENCES parents (visitor)"
    slow = on_each_row(shimmed, "BEFORE INSERT", pause(shimmed, 3))
    shimmed.query("CREATE TABLE parents (visitor VARCHAR(64) PRIMARY KEY)")
    outputs = []
    try:
        for number, statements in enumerate([[f"{unique}{late}"], [parent], slow]):
            drop(shimmed, f"late-{number}.csv", rows)
            with (
                created(shimmed, *statements),
                start_worker(shimmed, *words) as worker,
            ):
                worker.wait_until(lambda: worker.process.poll() is not None)
            outputs.append(worker.output)
    finally:
        shimmed.query("DROP TABLE parents")
    with created(shimmed, unique), locked_visitor(shimmed):
        drop(shimmed, "locked.csv", rows)
        patient = ("--table=odd", "--log_level=DEBUG", "--grace=0")
        with start_worker(shimmed, *patient) as worker:
            worker.wait_for("retrying")  # after the lock's own timeout
            worker.process.terminate()
            assert worker.process.wait(DEADLINE) == 0
        outputs.append(worker.output)
    assert all(re.search('"outcome": "failed"', each) for each in outputs[:3])
    assert [each for each in outputs if SECRET in each] == []
    assert len(take_dead_letters(shimmed)) == 3


@contextmanager
def locked_visitor(project: Project) -> Iterator[None]:
    """Let another transaction hold a row of `odd` with the secret."""
    connect = connect_postgres if is_postgres(project) else connect_mysql
    with (
        closing(connect(project.shim_environment())) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("BEGIN")
        cursor.execute(
            "INSERT INTO odd (click_id, visitor, page, clicked_at) "
            f"VALUES (1, '{SECRET}', '/', '2026-01-05 08:00:00')"
        )
        yield
        cursor.execute("ROLLBACK")


@pytest.mark.fault(
    "a MySQL server whose SQL mode is empty, or allows and interprets everything",
    "zeros, backslashes, NULL, dates and long texts are stored, or rejected, as "
    "anywhere else",
)
@pytest.mark.parametrize("shimmed", ["mysql"], indirect=True)
@pytest.mark.parametrize(
    "mode", ["", "NO_BACKSLASH_ESCAPES,ALLOW_INVALID_DATES,ANSI_QUOTES,PAD_CHAR"]
)
def test_sql_mode_of_server_changes_nothing(
    shimmed: Project, tmp_path: Path, mode: str
) -> None:
    mode = mode.replace("PAD_CHAR", "PAD_CHAR_TO_FULL_LENGTH")
    number = "ALTER TABLE odd MODIFY click_id BIGINT AUTO_INCREMENT PRIMARY KEY"
    rows = (
        "0,zoë,a\\b,\\N,2026-01-05 08:00:00\n"
        "7,anna,'\"\"',,2026-01-05 08:00:00\n"
        "8,zero,/,,0000-00-00 00:00:00\n"
        "9,zero,/,,2026-00-05 00:00:00\n"
        "10,february,/,,2026-02-31 00:00:00\n"
        f"11,{'x' * 65},/,,2026-01-05 08:00:00\n"
    ).replace("'\"\"'", '"a ""quoted"" b"')
    insert = "--insert_statement=INSERT INTO {table} ({columns}) VALUES ({values})"
    with OwnDatabase(shimmed, tmp_path) as own:
        own.stop()
        own.restart(f"--sql_mode={mode}")
        for name, how in (("bulk", []), ("single", [insert])):
            key = drop(own, f"mode-{name}.csv", rows)
            with created(own, number):
                words = ("--drain", "--table=odd", "--max_reject_share=1", *how)
                with start_worker(own, *words) as worker:
                    worker.wait_until(lambda: worker.process.poll() is not None)
                found = own.query(
                    "SELECT click_id, visitor, page, referrer IS NULL FROM odd"
                )
            assert sorted(found) == [
                [0, "zoë", "a\\b", 1],
                [7, "anna", 'a "quoted" b', 0],
            ], worker.output
            assert [line for line, _ in fetch_rejects(own, key)] == [3, 4, 5, 6]


SEEN = {
    "postgres": "concat_ws(' ', current_setting('transaction_isolation'), "
    "current_setting('synchronous_commit'), current_setting('DateStyle'), "
    "current_setting('TimeZone'), current_setting('client_encoding'))",
    "mysql": "CONCAT_WS(' ', @@session.tx_isolation, @@session.time_zone, "
    "@@session.explicit_defaults_for_timestamp + 0)",
}
WANTED = {
    "postgres": "read committed on ISO, YMD UTC UTF8",
    "mysql": "READ-COMMITTED +00:00 1",
}


@fault(
    "a server whose defaults for isolation, commits, encodings, dates, time zones and "
    "SQL modes are others, and PGCLIENTENCODING=LATIN1",
    "the session sets its own",
)
def test_server_defaults_change_nothing(shimmed: Project, tmp_path: Path) -> None:
    database = shimmed.database
    with OwnDatabase(shimmed, tmp_path) as own:
        own.stop()
        own.restart(*HOSTILE[database])
        assign = "NEW.page :=" if is_postgres(own) else "SET NEW.page ="
        note = f"{assign} {SEEN[database]}"
        rows = (
            "1,zoë,/,\\N,2026-01-05 08:00:00\n"
            "2,anna,/,,2026-01-05 08:00:00\n"
            "3,zero,/,,0000-00-00 00:00:00\n"
        )
        key = drop(own, "hostile.csv", rows)
        with created(own, *on_each_row(own, "BEFORE INSERT", note)):
            words = ("--drain", "--table=odd")
            with start_worker(own, *words, PGCLIENTENCODING="LATIN1") as worker:
                worker.wait_until(lambda: worker.process.poll() is not None)
            found = own.query(
                "SELECT visitor, referrer IS NULL, page FROM odd ORDER BY click_id"
            )
        assert [row[:2] for row in found] == [["zoë", 1], ["anna", 0]], worker.output
        assert found[0][2] == WANTED[database]
        assert [line for line, _ in fetch_rejects(own, key)] == [3]


@fault(
    "versions of an object that four workers load at once, with REPEATABLE READ as the "
    "server's default",
    "the rows of the latest version are left",
)
def test_concurrent_versions_leave_the_latest(shimmed: Project, tmp_path: Path) -> None:
    with OwnDatabase(shimmed, tmp_path) as own:
        own.stop()
        own.restart(*HOSTILE[shimmed.database])
        events = put_versions(shimmed, keys=8, versions=5)
        send_messages(shimmed, *events)
        words = ("--drain", "--workers=4", "--retry_delay=0", *REPLACE.split())
        with start_worker(own, *words) as worker:
            worker.wait_until(lambda: worker.process.poll() is not None)
        assert worker.process.returncode == 0
        assert remaining(own) == [[key, 5] for key in range(8)], worker.output
    assert take_dead_letters(shimmed) == []


def put_versions(project: Project, keys: int, versions: int) -> list[str]:
    """Put versions of objects within a second or so; return their events, shuffled.

    The visitor of each row is the number of its key, the page that of its version.
    """
    events = []
    for key in range(keys):
        name = f"by-hand/version-{key}-{random.random()}.csv"
        for version in range(1, versions + 1):
            body = f"1,{key},{version},,2026-01-05 08:00:00\n"
            answer = client(project, "s3").put_object(
                Bucket="raw", Key=name, Body=body.encode()
            )
            event = {"bucket": "raw", "key": name, "version": answer["VersionId"]}
            events.append(json.dumps(event))
    random.Random(5).shuffle(events)
    return events


def remaining(project: Project) -> list[list[int]]:
    """Return key and version of all clicks."""
    found = project.query("SELECT visitor, page FROM clicks WHERE click_id = 1")
    return sorted([int(key), int(version)] for key, version in found)


@fault(
    "three versions of each of 100 objects within a second, whose messages arrive in "
    "any order at two pollers with four workers, with `on_new_version: replace`",
    "the rows of the latest version are left",
)
def test_versions_of_one_second_leave_the_latest(shimmed: Project) -> None:
    shimmed.query("DELETE FROM clicks WHERE click_id = 1")
    send_messages(shimmed, *put_versions(shimmed, keys=100, versions=3))
    words = ("--drain", "--workers=4", "--retry_delay=0", *REPLACE.split())
    with start_worker(shimmed, *words) as one, start_worker(shimmed, *words) as other:
        for each in (one, other):
            assert each.process.wait(DEADLINE) == 0, each.output
    assert remaining(shimmed) == [[key, 3] for key in range(100)]
    assert take_dead_letters(shimmed) == []


@fault(
    "objects of a bucket without versions, or whose versioning is suspended, that "
    "change from A to B and back to A, with `on_new_version: replace`",
    "the rows of A are left, also if all messages arrive at the end",
)
@pytest.mark.parametrize("versioning", ["", "Suspended"])
def test_object_that_changes_back_is_loaded_again(
    shimmed: Project, versioning: str
) -> None:
    bucket = f"changing-{versioning.lower() or 'never'}"
    put_bucket(shimmed, bucket, versioning)
    words = f"{REPLACE} --workers=4 --retry_delay=0"
    late = []
    for state in "ABA":
        for number in range(5):
            event = put_state(shimmed, bucket, f"{number}.csv", state)
            send_messages(shimmed, event, event)
            late.append(put_state(shimmed, bucket, f"late-{number}.csv", state))
        drain(shimmed, words)
    send_messages(shimmed, *late)
    drain(shimmed, words)
    keys = [f"{name}{number}.csv" for name in ("", "late-") for number in range(5)]
    found = shimmed.query(
        f"SELECT visitor, page FROM clicks WHERE referrer = '{bucket}'"
    )
    assert sorted(found) == sorted([key, "A"] for key in keys)
    assert len(take_dead_letters(shimmed)) == 5  # the late messages of B


def put_bucket(project: Project, bucket: str, versioning: str) -> None:
    """Create a bucket whose versioning has a status, or was never on."""
    s3 = client(project, "s3")
    where = {"LocationConstraint": s3.meta.region_name}
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    if versioning:
        status = {"Status": versioning}
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=status)


def put_state(project: Project, bucket: str, key: str, state: str) -> str:
    """Put an object of one row whose page is its state; return S3's event for it."""
    s3 = client(project, "s3")
    row = f"74210000,{key},{state},{bucket},2026-01-05 08:00:00\n"
    s3.put_object(Bucket=bucket, Key=key, Body=row.encode())
    etag = s3.head_object(Bucket=bucket, Key=key)["ETag"].strip('"')
    about = {"key": key, "versionId": "null", "eTag": etag}
    entity = {"bucket": {"name": bucket}, "object": about}
    return json.dumps({"Records": [{"s3": entity}]})


@fault("one table under two names", "the ledger knows that it is the same")
def test_table_has_one_name_in_the_ledger(shimmed: Project) -> None:
    schema = "public" if is_postgres(shimmed) else "main"
    event = put_file(shimmed, "spelling.csv", clicks(5, first=74_220_000))
    for table in ("clicks", f"{schema}.clicks"):
        send_messages(shimmed, event)
        output = drain(shimmed, f"--table={table}")
    assert '"outcome": "loaded before"' in output
    assert count_clicks(shimmed, 74_220_000, 100) == 5


@fault(
    "a ledger of an early version, whose tables have no schema",
    "the statement in `docs/upgrading.md` converts it: nothing is loaded again",
)
def test_early_ledger_is_converted(shimmed: Project) -> None:
    page = (shimmed.path / "docs" / "upgrading.md").read_text(encoding="utf-8")
    [statement] = re.findall(r"(?m)^UPDATE loads .*;$", page)
    if not is_postgres(shimmed):
        statement = statement.replace("public", "main")
    key = drop(shimmed, "early.csv", clicks(5, first=74_225_000))
    event = json.dumps({"bucket": "raw", "key": key})
    drain(shimmed)
    early = f"UPDATE loads SET target = 'clicks' WHERE object_key = '{key}'"
    shimmed.query(early)
    shimmed.make("sql", f"SQL={statement}")
    send_messages(shimmed, event)
    assert '"outcome": "loaded before"' in drain(shimmed)
    assert count_clicks(shimmed, 74_225_000, 100) == 5


@fault(
    "a database that is read-only for a while",
    "the worker waits; no message is lost or uses up its receives",
)
def test_worker_waits_for_read_only_database(shimmed: Project, tmp_path: Path) -> None:
    name = "default_transaction_read_only" if is_postgres(shimmed) else "read_only"
    with OwnDatabase(shimmed, tmp_path) as own:
        own.stop()
        own.restart(f"--{name}=1")
        with start_worker(own) as worker:
            key = drop(shimmed, "read-only.csv", clicks(10))
            worker.wait_until(lambda: worker.output.count("it is read-only") >= 4)
            own.stop()
            own.restart(f"--{name}=0")
            worker.wait_until(lambda: count_loaded(own, key) == 10)
        assert "Traceback" not in worker.output
    assert count_messages(shimmed) == [0, 0]
    assert count_messages(shimmed, "worker-dead-letter") == [0, 0]


@pytest.mark.fault(
    "PgBouncer in transaction mode between the worker and PostgreSQL",
    "the worker does everything as without it",
)
@pytest.mark.parametrize("shimmed", ["postgres"], indirect=True)
def test_pgbouncer_is_a_database(shimmed: Project, tmp_path: Path) -> None:
    with pgbouncer(shimmed, tmp_path) as port:
        for number in range(6):
            first = 74_230_000 + 20_000 * number
            drop(shimmed, f"pool-{number}.csv", clicks(20_000, first))
        bad = clicks(3000, first=74_400_000).replace("visitor-744000", "x" * 65)
        key = drop(shimmed, "pool-bad.csv", bad)
        output = drain(shimmed, f"--db_port={port} --workers=3")
        assert output.count(LOADED) == 7
        assert count_clicks(shimmed, 74_230_000, 120_000) == 120_000
        assert len(fetch_rejects(shimmed, key)) == 100
        event = put_file(shimmed, "pool.csv", clicks(5, first=74_410_000))
        send_messages(shimmed, event)
        insert = "INSERT INTO {table} ({columns}) VALUES ({values})"
        output = drain(shimmed, f"--db_port={port} --insert_statement='{insert}'")
        assert '"loaded": 5' in output
