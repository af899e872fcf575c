"""Functions log in as a user that may change rows and nothing else."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import sql_client
from aws_stubs import Answer, Request, answering, as_json, data_api
from baking import DEADLINE, Project
from shim_helpers import (
    OwnDatabase,
    clicks,
    count_loaded,
    drop,
    is_postgres,
    on_each_database,
    start_worker,
)

REFUSED = (
    "CREATE TABLE mine (number INT)",
    "DROP TABLE clicks",
    "TRUNCATE TABLE clicks",
    "ALTER TABLE clicks ADD COLUMN more INT",
    "CREATE INDEX more ON clicks (visitor)",
    "CREATE USER other",
    "GRANT SELECT ON clicks TO app",
)


def connect(project: Project, user: str, password: str) -> Any:
    """Return a connection to the project's database as a user."""
    login = {"DB_ADMIN": user, "DB_PASS": password}
    connect = sql_client.connect_mysql
    if is_postgres(project):
        connect = sql_client.connect_postgres
    return connect(project.shim_environment() | login)


@on_each_database
def test_user_of_functions_changes_rows_only(shimmed: Project) -> None:
    assert shimmed.shim_environment()["DB_USER"] == "app"
    with closing(connect(shimmed, "app", "shim")) as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE TEMPORARY TABLE stage (number INT)")
        cursor.execute("DELETE FROM clicks WHERE click_id = 1")
        for statement in REFUSED:
            if statement.startswith("GRANT") and is_postgres(shimmed):
                continue  # PostgreSQL only warns
            with pytest.raises(Exception, match=r"(?i)denied|permission|owner"):
                cursor.execute(statement)


@on_each_database
def test_user_of_functions_has_rights_on_later_tables(shimmed: Project) -> None:
    shimmed.query("CREATE TABLE later (number INT)")
    try:
        with closing(connect(shimmed, "app", "shim")) as connection:
            cursor = connection.cursor()
            cursor.execute("INSERT INTO later VALUES (1)")
            cursor.execute("UPDATE later SET number = 2")
    finally:
        shimmed.query("DROP TABLE later")


class Aurora:
    """A stub of AWS whose Data API is a real server, and whose secrets are kept."""

    def __init__(self, project: OwnDatabase) -> None:
        self.statements: list[str] = []
        self.secrets: dict[str, Any] = {}
        self._project = project
        self._cluster = data_api()

    def __call__(self, request: Request) -> Answer:
        """Answer a request as AWS would."""
        if request.action == "PutSecretValue":
            value = json.loads(request.parameters["SecretString"])
            self.secrets[request.parameters["SecretId"]] = value
            return as_json({"Name": request.parameters["SecretId"]})
        if request.action != "Execute":
            return self._cluster(request)
        self.statements.append(request.parameters["sql"])
        found = self._run(request.parameters["sql"])
        records = [[{"stringValue": str(each)} for each in row] for row in found]
        return as_json({"records": records, "columnMetadata": []})

    def _run(self, statement: str) -> list[Any]:
        if is_postgres(self._project):
            return self._project.query(statement)
        import pymysql

        socket = str(self._project.folder / "data" / "server.sock")
        root = pymysql.connect(unix_socket=socket, user="root", autocommit=True)
        with root, root.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())


@pytest.fixture
def aurora(shimmed: Project, tmp_path: Path) -> Iterator[tuple[OwnDatabase, Aurora]]:
    """A server of the test's own, which is the cluster of prod, too."""
    secrets = shimmed.path / "config" / "secrets-prod.env"
    with OwnDatabase(shimmed, tmp_path) as own:
        stub = Aurora(own)
        with answering(stub) as url:
            keys = "AWS_ACCESS_KEY_ID=x\nAWS_SECRET_ACCESS_KEY=x\n"
            secrets.write_text(f"{keys}AWS_ENDPOINT_URL={url}\n", encoding="utf-8")
            yield own, stub


@on_each_database
def test_rotate_gives_the_user_a_new_password(
    aurora: tuple[OwnDatabase, Aurora],
) -> None:
    own, stub = aurora
    passwords = []
    for _ in ("first", "again"):
        output = own.make("rotate", "ENV=prod").stdout
        [(name, value)] = stub.secrets.items()
        assert name == "click-loader-prod-app"
        assert value["username"] == "app"
        password = value["password"]
        assert len(password) > 40
        assert password not in output
        if is_postgres(own):  # it gets a verifier
            assert password not in "".join(stub.statements)
        connect(own, "app", password).close()
        passwords.append(password)
    assert passwords[0] != passwords[1]
    for old in ("shim", passwords[0]):
        with pytest.raises(Exception, match=r"(?i)denied|authentication failed"):
            connect(own, "app", old)
    key = drop(own, "rotated.csv", clicks(10, first=71_000_000))
    with start_worker(own, "--drain", DB_PASS=password) as running:
        running.process.wait(DEADLINE)
    assert count_loaded(own, key) == 10


def test_shim_has_no_password_to_rotate(baked: Project) -> None:
    refused = baked.make("rotate", check=False)
    assert refused.returncode != 0
    assert "Traceback" not in refused.stdout
