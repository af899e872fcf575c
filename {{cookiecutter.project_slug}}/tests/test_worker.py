"""The function `worker`, on events and files."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from context import CustomContext
from errors import NoTimeLeftError
from func.worker import run
from lib.database_errors import DatabaseUnreachableError, RetryReason
from lib.rejects import Reject
from tests.context import (
    broken_database_context,
    broken_stream_context,
    diff_delimiter_context,
    void_context,
)
from tests.mock.aws import NotFoundError
from tests.mock.rds import MockDriver

DATA = Path(__file__).parent / "data"
LINE = b"1,anna,/shop,,2026-01-05 08:00:00\n"
ROW = ["1", "anna", "/shop", "", "2026-01-05 08:00:00"]


def put(context: CustomContext, body: bytes, key: str = "worker/clicks.csv") -> str:
    """Put an object into S3; return an event that names it."""
    version = context.s3.put_object(Bucket="raw", Key=key, Body=body)["VersionId"]
    return json.dumps({"bucket": "raw", "key": key, "version": version})


def test_object_is_loaded_into_table() -> None:
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


def test_repeated_event_changes_nothing() -> None:
    with void_context() as context:
        event = put(context, LINE)
        run(event, context)
        assert run(event, context)[0]["outcome"] == "loaded before"
        assert context.rds.tables["clicks"] == [ROW]


def test_new_version_is_loaded() -> None:
    with void_context() as context:
        first, second = put(context, LINE), put(context, LINE.replace(b"1,", b"2,", 1))
        run(second, context)
        run(first, context)
        assert [row[0] for row in context.rds.tables["clicks"]] == ["2", "1"]


def test_event_without_version_loads_current_one() -> None:
    event = '{"bucket": "raw", "key": "worker/clicks.csv"}'
    outcomes = []
    with void_context() as context:
        for body in (LINE, LINE, LINE + LINE):
            event_with_version = put(context, body)
            for each in (event, event_with_version):
                outcomes.append(run(each, context)[0]["outcome"])
    assert outcomes == ["loaded", "loaded before"] * 3


def test_delimiter_setting_is_applied() -> None:
    with diff_delimiter_context() as context:
        run(put(context, LINE.replace(b",", b";")), context)
        assert context.rds.tables["clicks"] == [ROW]


def test_bad_line_becomes_reject() -> None:
    with void_context() as context:
        report = run(put(context, LINE + b"oops\n" + LINE), context)
        assert context.rds.tables["clicks"] == [ROW, ROW]
        assert context.rds.rejects == [Reject(2, "oops", "fields: 1 instead of 5")]
        assert (report[0]["loaded"], report[0]["rejected"]) == (2, 1)


def test_missing_object_fails_message() -> None:
    event = '{"bucket": "raw", "key": "worker/nothing.csv"}'
    with void_context() as context:
        with pytest.raises(NotFoundError) as raised:
            run(event, context)
        assert raised.value.__notes__ == ["s3://raw/worker/nothing.csv"]
        assert not context.rds.ledger


def test_nothing_is_begun_without_time() -> None:
    """Not even a request to S3, which has no such object."""
    parent = SimpleNamespace(get_remaining_time_in_millis=lambda: 999)
    with void_context(parent=parent) as context, pytest.raises(NoTimeLeftError):
        run('{"bucket": "raw", "key": "worker/nothing.csv"}', context)


def test_broken_stream_loads_nothing() -> None:
    with broken_stream_context(LINE * 50) as context:
        with pytest.raises(ConnectionError):
            run('{"bucket": "raw", "key": "clicks.csv", "version": "1"}', context)
        assert not context.rds.tables


def test_failed_commit_loads_nothing() -> None:
    with broken_database_context() as context:
        with pytest.raises(DatabaseUnreachableError):
            run(put(context, LINE), context)
        assert not context.rds.tables


def test_s3_test_message_does_nothing() -> None:
    with void_context() as context:
        assert run('{"Event": "s3:TestEvent"}', context) == []


def test_other_objects_are_loaded_if_one_is_missing() -> None:
    with void_context() as context:
        for key in "abc":
            put(context, LINE, key)
        names = ("a", "missing", "b", "c")
        records = [
            {"s3": {"bucket": {"name": "raw"}, "object": {"key": key}}} for key in names
        ]
        event = json.dumps({"Records": records})
        for _ in range(2):
            with pytest.raises(NotFoundError) as raised:
                run(event, context)
            assert raised.value.__notes__ == ["s3://raw/missing"]
        assert context.rds.tables["clicks"] == [ROW] * 3


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 1, 0)])
def test_latest_version_stays_in_any_order(order: tuple[int, ...]) -> None:
    args = ("--on_new_version=replace", "--load_column=load_number")
    with void_context(*args) as context:
        events = [put(context, LINE * count) for count in (1, 2)]
        for number in order:
            run(events[number], context)
        assert context.rds.tables["clicks"] == [ROW, ROW]


def test_duplicate_key_becomes_reject() -> None:
    with void_context("--max_reject_share=1") as context:
        context.rds.keys["clicks"] = ["click_id"]
        [report] = run(put(context, LINE * 3), context)
        assert (report["loaded"], report["rejected"]) == (1, 2)
        assert [each.line for each in context.rds.rejects] == [2, 3]


def test_lost_commit_is_repeated_once() -> None:
    with void_context() as context:
        lost = MockDriver.OperationalError(RetryReason.CONNECTION_LOST)
        context.rds.failures = [lost]
        run(put(context, LINE), context)
        assert context.rds.tables["clicks"] == [ROW]


def test_null_version_is_no_version() -> None:
    with void_context() as context:
        context.s3.is_versioned = False
        for number in (1, 2, 2):
            body = LINE * number
            etag = context.s3.put_object(Bucket="raw", Key="a.csv", Body=body)["ETag"]
            state = {"version": "null", "etag": etag.strip('"')}
            run(json.dumps({"bucket": "raw", "key": "a.csv", **state}), context)
        assert context.rds.tables["clicks"] == [ROW] * 3
