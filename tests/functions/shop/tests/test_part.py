"""The function `part`, on messages of `fanout`."""

from pathlib import Path

from func.part import run
from tests.context import void_context

DATA = Path(__file__).parent / "data"
EVENT = (DATA / "event-part.json").read_text(encoding="utf-8")


def test_repeated_message_loads_once() -> None:
    with void_context(function="part") as context:
        reports = [run(EVENT, context) for _ in "ab"]
        assert [each["outcome"] for each in reports] == ["loaded", "loaded before"]
        assert [row[1] for row in context.rds.tables["clicks"]] == ["anna", "ben"]
