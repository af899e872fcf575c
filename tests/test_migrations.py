"""`make migrate` on both databases, by the driver in the shim and by the Data API."""

import hashlib
import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import sql_client
from baking import TEMPLATE, Project, Running, bake, free_port, wait_until
from data_api import DataApi
from shim_helpers import (
    clicks,
    count_clicks,
    count_messages,
    drop,
    fault,
    is_postgres,
    on_each_database,
    start_worker,
)

on_postgres = pytest.mark.parametrize("shimmed", ["postgres"], indirect=True)
COLUMN = "ALTER TABLE clicks ADD COLUMN country CHAR(2);\n"
TEMPLATES = "tools/migrations/001_loads.sql"
FIRST = "migrations/001_clicks.sql"
RELEASED = {
    "mysql/migrations/001_clicks.sql": "dede314ba2a70b3c",
    "mysql/tools/migrations/001_loads.sql": "bf56e9f7e73e0b09",
    "postgres/migrations/001_clicks.sql": "871babef094b68ce",
    "postgres/tools/migrations/001_loads.sql": "713ad95d6fe870d1",
}


class Migrating(Project):
    """A project with a database of its own in a shim that tests share.

    Args:
        path: the project's.
        env: empty for the driver, "dev" for the Data API.
        api: the Data API.
    """

    def __init__(self, path: Path, env: str, api: DataApi) -> None:
        super().__init__(path)
        self.api = api
        self.words = ("migrate", *([f"ENV={env}"] if env else []))
        self.place = f"ENV={env}" if env else "the shim"
        self.command = f"'make {' '.join(self.words)}'"

    def migrate(self, *words: str, check: bool = True) -> list[str]:
        """Run `make migrate`; return the lines of its output."""
        result = self.make(*self.words, *words, check=check)
        assert check or result.returncode != 0, result.stdout
        assert "Traceback" not in result.stdout
        return list(result.stdout.splitlines())

    def fail(self, *words: str) -> str:
        """Run `make migrate`, which fails; return its sentence."""
        lines = self.migrate(*words, check=False)
        return next(line for line in lines if line.endswith("."))

    def write(self, name: str, text: str) -> str:
        """Write a file of `migrations/`; return its path."""
        path = f"migrations/{name}"
        (self.path / path).write_text(text, encoding="utf-8")
        return path

    def states(self) -> dict[str, list[Any]]:
        """Return statements and state of each file in the table `migrations`."""
        rows = self.query("SELECT name, statements, state FROM migrations")
        return {name: found for name, *found in rows if "/" in name}

    def columns(self, table: str = "clicks") -> list[str]:
        """Return the names of a table's columns."""
        statement = (
            "SELECT column_name FROM information_schema.columns WHERE "
            f"table_name = '{table}' AND table_schema = {schema(self)} "
            "ORDER BY ordinal_position"
        )
        return [name for [name] in self.query(statement)]


def schema(project: Project) -> str:
    """Return the expression for the schema of the tables."""
    return "current_schema()" if is_postgres(project) else "database()"


def sleep(project: Project) -> str:
    """Return a statement that does not end by itself."""
    return f"SELECT {'pg_sleep' if is_postgres(project) else 'sleep'}(600)"


def make_project(shimmed: Project, folder: Path, env: str) -> Migrating:
    """Bake a project that uses a new database of another one's shim."""
    name = f"parity_{folder.name.replace('-', '_')}"[-60:].lower()
    shimmed.query(f"DROP DATABASE IF EXISTS {name}")
    shimmed.query(f"CREATE DATABASE {name}")
    path = bake(folder, database=shimmed.database).share_installs().path
    variables = shimmed.shim_environment() | {"DB_NAME": name}
    project = Migrating(path, env, DataApi(shimmed.database, variables))
    if is_postgres(project):  # MySQL grants rights for all databases of this name
        grants = (path / "tools" / "grants.sql").read_text(encoding="utf-8")
        sql_client.query(project.database, variables, grants)
    text = (shimmed.path / ".shim" / "shim.env").read_text(encoding="utf-8")
    (path / ".shim").mkdir()
    text = text.replace("DB_NAME=main", f"DB_NAME={name}")
    (path / ".shim" / "shim.env").write_text(text, encoding="utf-8")
    return project


@pytest.fixture(params=["", "dev"], ids=["driver", "data-api"])
def project(
    request: pytest.FixtureRequest, shimmed: Project, tmp_path: Path
) -> Iterator[Migrating]:
    """A project with the first files applied, by driver and by Data API."""
    yield from prepare(shimmed, tmp_path, request.param)


@pytest.fixture
def local(shimmed: Project, tmp_path: Path) -> Iterator[Migrating]:
    """A project with the first files applied, by driver."""
    yield from prepare(shimmed, tmp_path, "")


def prepare(shimmed: Project, folder: Path, env: str) -> Iterator[Migrating]:
    """Yield a project with the first files applied."""
    project = make_project(shimmed, folder, env)
    with project.api.serve():
        secrets = project.path / "config" / "secrets-dev.env"
        keys = "AWS_ACCESS_KEY_ID=x\nAWS_SECRET_ACCESS_KEY=x\n"
        url = f"AWS_ENDPOINT_URL={project.api.url}\n"
        secrets.write_text(keys + url, encoding="utf-8")
        assert project.migrate() == [
            f"{project.place}: 2 of 2 files to apply",
            f"  {TEMPLATES}: {3 if is_postgres(project) else 2} statements",
            f"  {FIRST}: 1 statement",
            *(f"applied {name}" for name in (TEMPLATES, FIRST)),
        ]
        yield project


def kill(running: Running) -> None:
    """Kill a command and all that it has started."""
    os.killpg(running.process.pid, signal.SIGKILL)
    running.process.wait()


@on_each_database
def test_file_is_applied_once(project: Migrating) -> None:
    name = project.write("002_country.sql", COLUMN)
    assert project.migrate()[-1] == f"applied {name}"
    assert project.columns()[-1] == "country"
    assert project.migrate() == [f"{project.place} has all 3 files: nothing to apply"]
    checksum = hashlib.sha256(COLUMN.encode()).hexdigest()
    where = f"WHERE name = '{name}'"
    assert project.query(f"SELECT checksum FROM migrations {where}") == [[checksum]]


@on_each_database
def test_failed_statement_is_named(project: Migrating) -> None:
    good = "CREATE TABLE seen (n INT); INSERT INTO seen VALUES (1);\n\n"
    name = project.write(
        "002_seen.sql", f"{good}ALTER TABLE absent ADD n INT;\n{COLUMN}"
    )
    sentence = project.fail()
    assert sentence.startswith(f"{name} failed at statement 3 of 4 (line 3): ")
    assert "absent" in sentence
    again = f"run {project.command} again"
    if is_postgres(project):
        assert sentence.endswith(
            f"so nothing of this file was applied: correct it and {again}."
        )
        assert project.columns("seen") == []
    else:
        assert sentence.endswith(
            "and 2 statements before it took effect: correct the file from there on "
            f"and {again}, which continues there."
        )
        assert project.states()[name] == [2, "stopped"]
        project.write("002_seen.sql", f"{good.replace('1', '2')}{COLUMN}")
        assert project.fail().startswith(f"{name} is applied up to statement 2, and ")
    project.write("002_seen.sql", good + COLUMN)
    project.migrate()
    assert project.states()[name] == [3, "applied"]
    assert project.query("SELECT n FROM seen") == [[1]]
    assert project.columns()[-1] == "country"


@fault("`make migrate` is killed in the middle of a file", "consistent when run again")
def test_killed_migration_can_continue(project: Migrating) -> None:
    start = "CREATE TABLE seen (n INT);\nINSERT INTO seen VALUES (1);\n"
    name = project.write("002_seen.sql", f"{start}{sleep(project)};\n{COLUMN}")
    with project.start(*project.words) as running:
        running.wait_until(lambda: is_sleeping(project))
        kill(running)
    end_sleep(project)
    if project.words[1:]:
        with project.start(*project.words) as running:
            running.wait_for(f"Waiting: another process migrates {project.place}")
            kill(running)
        project.api.expire()
    if is_postgres(project):
        assert name not in project.states()
        project.write("002_seen.sql", start + COLUMN)
        project.migrate()
    else:
        sentence = project.fail()
        assert sentence.startswith(
            f"{name} was interrupted in statement 3 of 4 (line 3), and 2 statements "
            "before it took effect: look whether this one took effect or still runs, "
        )
        assert "STATEMENT=4' if it did" in sentence
        assert "STATEMENT=5" not in project.fail("STATEMENT=5")
        project.migrate("STATEMENT=4")
    assert project.states()[name][1] == "applied"
    assert project.query("SELECT n FROM seen") == [[1]]
    assert project.columns()[-1] == "country"


def is_sleeping(project: Project) -> bool:
    """Return whether the database runs the statement of `sleep`."""
    return bool(find_sleeping(project))


def find_sleeping(project: Project) -> list[Any]:
    """Return the sessions that run the statement of `sleep`."""
    if is_postgres(project):
        where = "query LIKE 'SELECT pg_sleep%' AND datname = current_database()"
        statement = (
            f"SELECT pid FROM pg_stat_activity WHERE state = 'active' AND {where}"
        )
    else:
        where = "info LIKE 'SELECT sleep%' AND db = database()"
        statement = f"SELECT id FROM information_schema.processlist WHERE {where}"
    return [number for [number] in project.query(statement)]


def end_sleep(project: Project) -> None:
    """End the sessions that still run the statement of `sleep`."""
    for number in find_sleeping(project):
        end = "SELECT pg_terminate_backend({})" if is_postgres(project) else "KILL {}"
        project.query(end.format(number))


@fault("two `make migrate` at once", "each file is applied once")
def test_two_at_once_apply_each_file_once(project: Migrating) -> None:
    name = project.write("002_country.sql", COLUMN)
    connect = {
        "postgres": sql_client.connect_postgres,
        "mysql": sql_client.connect_mysql,
    }[project.database]
    with ExitStack() as stack:
        reader = connect(project.shim_environment())
        cursor = reader.cursor()
        cursor.execute("BEGIN")
        cursor.execute("SELECT count(*) FROM clicks")  # as a load, it keeps the table
        first = stack.enter_context(project.start(*project.words))
        if is_postgres(project) or not project.words[1:]:
            first.wait_for("Waiting for tables that are in use, in statement 1 of 1")
        else:  # no session of the Data API has a short timeout for tables
            first.wait_for(f"  {name}: 1 statement")
        second = stack.enter_context(project.start(*project.words))
        second.wait_for(f"Waiting: another process migrates {project.place}")
        reader.close()
        for each in (first, second):
            assert each.process.wait(60) == 0, each.output
    assert f"applied {name}" in first.output
    assert second.output.endswith("has all 3 files: nothing to apply\n")


@on_postgres
def test_changed_file_is_refused(local: Migrating) -> None:
    path = local.path / FIRST
    path.write_bytes(path.read_bytes() + b"-- a comment\n")
    local.write("002_country.sql", COLUMN)
    assert local.fail() == (
        f"{FIRST} has changed since it was applied to the shim: restore it from git, "
        "and write the change into a new file, or restart the shim to begin anew."
    )
    assert "country" not in local.columns()


@on_postgres
def test_unknown_applied_file_is_refused(local: Migrating) -> None:
    name = local.write("002_country.sql", COLUMN)
    local.migrate()
    (local.path / name).unlink()
    [line] = local.migrate()[:1]
    assert line == f"the shim is ahead of these files: it has {name}"
    other = local.write("002_other.sql", "CREATE TABLE other (n INT);\n")
    assert local.fail().startswith(
        f"The shim has {name}, which is not here, so nothing"
    )
    (local.path / other).unlink()


@on_postgres
def test_late_file_is_refused(local: Migrating) -> None:
    first = local.write("002_a.sql", "CREATE TABLE a (n INT);\n")
    local.write("003_b.sql", "CREATE TABLE b (n INT);\n")
    local.migrate()
    local.query(f"DELETE FROM migrations WHERE name = '{first}'")
    assert local.fail() == (
        f"{first} comes too late: migrations/003_b.sql is applied to the shim already, "
        "so give this one the next number."
    )


@on_each_database
def test_bodies_and_comments_are_split(local: Migrating) -> None:
    body = """\
-- a; comment
INSERT INTO seen VALUES ('a;b''c', 5); /* one; more */
"""
    if is_postgres(local):
        body += """\
CREATE FUNCTION twice(n INT) RETURNS INT AS $body$
BEGIN
    IF n > 0 THEN RETURN 2 * n; END IF;
    RETURN 0;
END
$body$ LANGUAGE plpgsql;
INSERT INTO seen VALUES (E'it\\'s;', twice(4))"""
    else:
        body += """\
CREATE TRIGGER twice BEFORE INSERT ON seen FOR EACH ROW
BEGIN
    IF NEW.n > 0 THEN SET NEW.n = 2 * NEW.n; END IF;
    SET NEW.name = NEW.name;
END;
INSERT INTO seen VALUES ('it\\'s;', 4)"""
    table = "CREATE TABLE seen (name VARCHAR(9), n INT);\n"
    local.write("002_seen.sql", table + body)
    assert "  migrations/002_seen.sql: 4 statements" in local.migrate()
    rows = sorted(local.query("SELECT name, n FROM seen"))
    assert rows == [["a;b'c", 5], ["it's;", 8]]


@on_postgres
def test_file_without_transaction_is_applied(project: Migrating) -> None:
    """PostgreSQL refuses such an index in a transaction."""
    index = "CREATE INDEX CONCURRENTLY pages ON clicks (visitor);\n"
    name = project.write("002_pages.sql", f"-- no transaction\n{index}{COLUMN}")
    project.migrate()
    assert project.states()[name] == [2, "applied"]


@on_each_database
def test_slow_statement_of_data_api_is_reported(
    shimmed: Project, tmp_path: Path
) -> None:
    for project in prepare(shimmed, tmp_path, "dev"):
        name = project.write("002_seen.sql", f"-- no transaction\n{COLUMN}")
        project.api.is_slow = True
        sentence = project.fail()
        assert sentence.startswith(f"{name} was interrupted in statement 1 of 1")
        assert "45 s of the Data API, and goes on in the database" in sentence
        project.migrate("STATEMENT=2")
        assert project.states()[name] == [1, "applied"]


BAD_FILES: dict[str, tuple[str, bytes, str]] = {
    "name": ("2_a.sql", b"SELECT 1;", "migrations/2_a.sql is not a migration's name: "),
    "capital": ("002_A.sql", b"SELECT 1;", "002_A.sql is not a migration's name: use"),
    "extension": ("002_a.txt", b"SELECT 1;", "002_a.txt is not a migration's name: "),
    "number": ("001_a.sql", b"SELECT 1;", "001_clicks.sql and 001_a.sql have the same"),
    "gap": (
        "003_a.sql",
        b"SELECT 1;",
        "003_a.sql is out of order: number 002 is missin",
    ),
    "encoding": (
        "002_a.sql",
        b"SELECT '\xe4';",
        "002_a.sql is not in UTF-8, at byte 8:",
    ),
    "nul": ("002_a.sql", b"SELECT 1;\0", "002_a.sql contains a NUL byte: save it as"),
    "empty": ("002_a.sql", b"", "002_a.sql has no statement: write one, or delete"),
    "comments": ("002_a.sql", b"-- a\n;\n/* b */", "002_a.sql has no statement: "),
    "commit": (
        "002_a.sql",
        b"SELECT 1;\nCOMMIT;",
        "line 2 of migrations/002_a.sql has ",
    ),
    "begin": (
        "002_a.sql",
        b"BEGIN;\nSELECT 1;",
        "line 1 of migrations/002_a.sql has BEG",
    ),
    "repeat": (
        "002_a.sql",
        b"CREATE PROCEDURE p() BEGIN REPEAT SET i=1; UNTIL 1 END REPEAT; SELECT 2; END",
        "; or a body was cut here: see 'Write a file' in docs/migrations.md",
    ),
    "delimiter": (
        "002_a.sql",
        b"DELIMITER //\nSELECT 1//",
        "line 1 of migrations/002_a.",
    ),
    "long": (
        "002_a.sql",
        b"SELECT 1;\nSELECT '" + b"a" * 65_536 + b"';",
        "line 2 of migrations/002_a.sql has a statement of 65,545 characters, and the",
    ),
    "psql": (
        "002_a.sql",
        b"\\i a.sql\nSELECT 1;",
        "line 1 of migrations/002_a.sql has a ",
    ),
}
READ = """
import json, sys
from pathlib import Path
from tools import migrations
from tools.errors import UserError
found = {}
for case, (name, content, _) in json.loads(sys.argv[1]).items():
    path = Path("migrations", name)
    path.write_bytes(content.encode("latin-1"))
    try:
        found[case] = str(migrations.read_all())
    except UserError as error:
        found[case] = str(error)
    path.unlink()
print(json.dumps(found))
"""


def test_bad_file_gets_one_sentence(baked: Project) -> None:
    cases = {
        case: (name, content.decode("latin-1"), sentence)
        for case, (name, content, sentence) in BAD_FILES.items()
    }
    output = baked.run(".venv/bin/python", "-c", READ, json.dumps(cases)).stdout
    found = json.loads(output)
    for case, (*_, sentence) in cases.items():
        assert sentence in found[case], case
        assert "\n" not in found[case]
    (baked.path / "migrations" / "2.sql").write_text("SELECT 1;\n", encoding="utf-8")
    ports = (f"AWS_PORT={free_port()}", f"DB_PORT={free_port()}")
    refused = baked.make("shim", "SHIM=process", *ports, check=False)
    assert "migrations/2.sql is not a migration's name" in refused.stdout


def test_released_files_are_unchanged() -> None:
    """A project that has applied such a file would refuse the changed one.

    Write the change into a new file of `tools/migrations/`.
    """
    paths = (TEMPLATE / ".choices" / "database").glob("*/**/migrations/0*.sql")
    found = {
        path.relative_to(TEMPLATE / ".choices" / "database").as_posix(): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()[:16]
        for path in paths
        if "starter" not in path.parts
    }
    assert found == RELEASED


@on_each_database
def test_column_is_added_under_traffic(local: Migrating) -> None:
    first, files = 95_000_000, 60
    local.write("002_country.sql", COLUMN)
    with start_worker(local, "--poll_interval=1") as poller:
        for number in range(files):
            drop(local, f"traffic-{number}.csv", clicks(10, first=first + 10 * number))
            if number == files // 3:
                migrating = local.start(*local.words)
        assert migrating.process.wait(60) == 0, migrating.output
        poller.wait_until(lambda: count_clicks(local, first, 10 * files) == 10 * files)
        wait_until(lambda: count_messages(local) == [0, 0], "the queue")
    assert local.columns()[-1] == "country"
    assert count_messages(local, "worker-dead-letter") == [0, 0]
    assert "failed" not in poller.output
