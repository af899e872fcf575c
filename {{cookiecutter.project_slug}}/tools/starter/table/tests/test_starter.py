"""The function `starter`, on an event and files."""

from pathlib import Path

from func.starter import run
from lib.events import objects
from tests.context import void_context

DATA = Path(__file__).parent / "data"
EVENT = (DATA / "event-starter.json").read_text(encoding="utf-8")


def test_rows_are_loaded_once() -> None:
    [s3_object] = objects(EVENT)
    body = (DATA / "sanity.csv").read_bytes()
    with void_context(function="starter") as context:
        context.s3.put_object(Bucket=s3_object.bucket, Key=s3_object.key, Body=body)
        outcomes = [run(EVENT, context)[0]["outcome"] for _ in range(2)]
        assert outcomes == ["loaded", "loaded before"]
        assert len(context.rds.tables["starter_table"]) == 10


def test_bad_line_becomes_reject() -> None:
    [s3_object] = objects(EVENT)
    body = (DATA / "sanity.csv").read_bytes() + b"oops\n"
    with void_context(function="starter") as context:
        context.s3.put_object(Bucket=s3_object.bucket, Key=s3_object.key, Body=body)
        assert run(EVENT, context)[0]["rejected"] == 1
