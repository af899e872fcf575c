"""`make parity`: the same messages end alike in all four environments."""

import pytest

from baking import Project
from shim_helpers import client, is_postgres, on_each_database

MISSING = "event-worker-missing"
COUNTS = {
    "messages deleted": "11",
    "messages returned": "2",
    "messages dead-lettered": "1",
}


def cells(page: str) -> dict[str, list[str]]:
    """Return the table of a page: for each name, a cell for each environment."""
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return {name: facts for name, *facts in table}


@on_each_database
def test_environments_end_in_equal_states(shimmed: Project) -> None:
    output = shimmed.make("parity").stdout
    page = (shimmed.path / ".build/parity.md").read_text(encoding="utf-8")
    assert page in output
    assert "All are equal." in page
    table = cells(page)
    assert table[""] == ["unit context", "command line", "Lambda", "container"]
    for name, fact in {**COUNTS, MISSING: "dead letter"}.items():
        assert table[name] == [fact] * 4
    for name in ("event", "event-s3", "event-worker-bad", "table clicks"):
        assert len(set(table[name])) == 1
    assert '"loaded": 11' in table["event-worker-bad"][0]
    assert table["table clicks"][0].startswith("39, ")


@on_each_database
def test_parity_leaves_nothing_behind(shimmed: Project) -> None:
    before = list_resources(shimmed)
    rows = shimmed.query("SELECT count(*) FROM clicks")
    shimmed.make("parity", "FUNC=worker")
    assert list_resources(shimmed) == before
    assert shimmed.query("SELECT count(*) FROM clicks") == rows


def list_resources(project: Project) -> list[str]:
    """Return the names of the resources in the shim, and of its databases."""
    aws = {name: client(project, name) for name in ("s3", "sqs", "lambda", "iam")}
    databases = (
        "datname FROM pg_database"
        if is_postgres(project)
        else ("schema_name FROM information_schema.schemata")
    )
    return [
        *(each["Name"] for each in aws["s3"].list_buckets()["Buckets"]),
        *aws["sqs"].list_queues().get("QueueUrls", []),
        *(each["FunctionName"] for each in aws["lambda"].list_functions()["Functions"]),
        *(each["RoleName"] for each in aws["iam"].list_roles()["Roles"]),
        *(name for (name,) in project.query(f"SELECT {databases} ORDER BY 1")),
    ]


@pytest.mark.parametrize("shimmed", ["postgres"], indirect=True)
def test_environment_specific_function_is_detected(shimmed: Project) -> None:
    worker = shimmed.path / "src/func/worker.py"
    text = worker.read_text(encoding="utf-8")
    cheat = '__import__("os").environ.get("AWS_LAMBDA_FUNCTION_NAME")'
    found = "objects = events.objects(event)"
    assert found in text
    changed = text.replace(found, f"{found} if not {cheat} else []")
    worker.write_text(changed, encoding="utf-8")
    try:
        result = shimmed.make("parity", check=False)
    finally:
        worker.write_text(text, encoding="utf-8")
    assert result.returncode != 0
    assert "Different: event-eventbridge, event-s3, " in result.stdout
    table = cells(result.stdout)
    assert '"loaded": 10' in table["event-worker-twice"][1]
    assert table["event-worker-twice"][2] == "[]"
    assert "table loads" in result.stdout
