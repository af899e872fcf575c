"""The function, on events and files as they come."""

import json
from pathlib import Path

import pytest

from context import CustomContext
from func.worker import run
from lib.rows import Reject
from tests.context import (
    broken_database_context,
    broken_stream_context,
    diff_delimiter_context,
    void_context,
)
from tests.mock.aws import NotThereError

DATA = Path(__file__).parent / "data"
LINE = b"1,anna,/shop,,2026-01-05 08:00:00\n"
ROW = ["1", "anna", "/shop", "", "2026-01-05 08:00:00"]


def put(context: CustomContext, body: bytes, key: str = "worker/clicks.csv") -> str:
    """Put an object; return the event that names it."""
    version = context.s3.put_object(Bucket="raw", Key=key, Body=body)["VersionId"]
    return json.dumps({"bucket": "raw", "key": key, "version": version})


def test_rows_of_the_named_object_are_in_the_table() -> None:
    with void_context() as context:
        event = put(context, (DATA / "large.csv").read_bytes())
        report = run(event, context)
        assert len(context.rds.tables["clicks"]) == 1000
        assert report == [
            {
                "object": "s3://raw/worker/clicks.csv",
                "outcome": "loaded",
                "loaded": 1000,
                "rejected": 0,
            }
        ]


def test_same_event_again_changes_nothing_and_says_so() -> None:
    with void_context() as context:
        event = put(context, LINE)
        run(event, context)
        assert run(event, context)[0]["outcome"] == "loaded before"
        assert context.rds.tables["clicks"] == [ROW]


def test_new_version_of_an_object_is_a_new_load() -> None:
    with void_context() as context:
        first, second = put(context, LINE), put(context, LINE.replace(b"1,", b"2,", 1))
        run(second, context)
        run(first, context)
        assert [row[0] for row in context.rds.tables["clicks"]] == ["2", "1"]


def test_event_without_a_state_means_the_state_that_the_object_has() -> None:
    event = '{"bucket": "raw", "key": "worker/clicks.csv"}'
    outcomes = []
    with void_context() as context:
        for body in (LINE, LINE, LINE + LINE):
            full_event = put(context, body)
            for each in (event, full_event):
                outcomes.append(run(each, context)[0]["outcome"])
    assert outcomes == ["loaded", "loaded before"] * 3


def test_delimiter_is_a_setting() -> None:
    with diff_delimiter_context() as context:
        run(put(context, LINE.replace(b",", b";")), context)
        assert context.rds.tables["clicks"] == [ROW]


def test_bad_line_is_set_aside_with_its_reason_and_the_others_are_loaded() -> None:
    with void_context() as context:
        report = run(put(context, LINE + b"oops\n" + LINE), context)
        assert context.rds.tables["clicks"] == [ROW, ROW]
        assert context.rds.rejects == [Reject(2, "oops", "fields: 1 instead of 5")]
        assert (report[0]["loaded"], report[0]["rejected"]) == (2, 1)


def test_object_that_is_not_there_fails_the_message_and_is_not_noted_as_loaded() -> (
    None
):
    event = '{"bucket": "raw", "key": "worker/nothing.csv"}'
    with void_context() as context:
        with pytest.raises(NotThereError) as raised:
            run(event, context)
        assert raised.value.__notes__ == ["s3://raw/worker/nothing.csv"]
        assert not context.rds.ledger


def test_stream_that_breaks_leaves_nothing() -> None:
    with broken_stream_context(LINE * 50) as context:
        with pytest.raises(ConnectionError):
            run('{"bucket": "raw", "key": "clicks.csv", "version": "1"}', context)
        assert not context.rds.tables


def test_database_that_fails_leaves_nothing() -> None:
    with broken_database_context() as context:
        with pytest.raises(ConnectionError):
            run(put(context, LINE), context)
        assert not context.rds.tables


def test_message_that_names_no_object_does_nothing() -> None:
    with void_context() as context:
        assert run('{"Event": "s3:TestEvent"}', context) == []
