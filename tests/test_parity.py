"""`make parity`: the same messages end alike in all four environments."""

import pytest

from baking import Project
from shim_helpers import client, on_each_database

EXPECTED = {
    "good": "50 rows, 0 rejected",
    "good by S3 +1": "50 rows, 0 rejected",
    "good by SNS": "50 rows, 0 rejected",
    "good by Jänner": "50 rows, 0 rejected",
    "bad rows": "51 rows, 3 rejected",
    "empty": "0 rows, 0 rejected",
    "missing": "dead letter",
    "other encoding": "50 rows, 1 rejected",
    "sent twice": "50 rows, 0 rejected",
    "messages deleted": "9",
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
    for name, fact in EXPECTED.items():
        assert table[name] == [fact] * 4
    left = "SELECT count(*) FROM loads WHERE target LIKE '%.parity%'"
    assert shimmed.query(left) == [[0]]
    assert (
        not client(shimmed, "sqs")
        .list_queues(QueueNamePrefix="parity")
        .get("QueueUrls")
    )


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
    assert "Different: good, good by S3 +1" in result.stdout
    assert cells(result.stdout)["good"][2] == "nothing"
