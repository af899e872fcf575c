"""The function `starter`, on an event and files."""

from pathlib import Path

import pytest

from func.starter import run
from lib.events import objects
from tests.context import void_context

DATA = Path(__file__).parent / "data"
EVENT = (DATA / "event-starter.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("body", "rows", "rejects"),
    [
        ((DATA / "sanity.csv").read_bytes(), 10, 0),
        (b"1,anna,/shop,,2026-01-05 08:00:00\noops\n", 1, 1),
        (b"", 0, 0),
    ],
)
def test_rows_and_rejects_are_counted(body: bytes, rows: int, rejects: int) -> None:
    [s3_object] = objects(EVENT)
    with void_context(function="starter") as context:
        context.s3.put_object(Bucket=s3_object.bucket, Key=s3_object.key, Body=body)
        expected = {"object": str(s3_object), "rows": rows, "rejects": rejects}
        assert run(EVENT, context) == [expected]
