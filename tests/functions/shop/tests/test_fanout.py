"""The function `fanout`, on files."""

import json
from pathlib import Path

from func.fanout import run
from lib.events import objects
from tests.context import void_context

DATA = Path(__file__).parent / "data"
EVENT = (DATA / "event-fanout.json").read_text(encoding="utf-8")


def test_rows_are_sent_in_parts() -> None:
    [s3_object] = objects(EVENT)
    with void_context(function="fanout") as context:
        body = (DATA / "sanity.csv").read_bytes()
        context.s3.put_object(Bucket=s3_object.bucket, Key=s3_object.key, Body=body)
        assert run(EVENT, context) == [{"object": str(s3_object), "messages": 3}]
        sent = [json.loads(each) for each in context.sqs.sent["part-pending"]]
    assert [len(each["rows"]) for each in sent] == [4, 4, 2]
    assert len({each["key"] for each in sent}) == 3
