"""The function starter, on a saved event and on files as they come."""

from pathlib import Path

import pytest

from func.starter import run
from lib.events import objects
from tests.context import void_context

DATA = Path(__file__).parent / "data"
EVENT = (DATA / "event-starter.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("body", "good", "bad"),
    [
        ((DATA / "sanity.csv").read_bytes(), 10, 0),
        (b"1,anna,/shop,,2026-01-05 08:00:00\noops\n", 1, 1),
        (b"", 0, 0),
    ],
)
def test_good_and_bad_lines_are_counted(body: bytes, good: int, bad: int) -> None:
    [found] = objects(EVENT)
    with void_context(function="starter") as context:
        context.s3.put_object(Bucket=found.bucket, Key=found.key, Body=body)
        expected = {"object": str(found), "rows": good, "rejects": bad}
        assert run(EVENT, context) == [expected]


def test_message_that_names_no_object_does_nothing() -> None:
    with void_context(function="starter") as context:
        assert run('{"Event": "s3:TestEvent"}', context) == []
