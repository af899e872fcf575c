"""The doubles behave as AWS and the database do, as far as functions can tell."""

import io
from typing import Any

import pytest
from botocore.exceptions import ParamValidationError

from tests.context import bare_context
from tests.mock.aws import RefusedError


def test_object_is_returned_as_it_was_put() -> None:
    s3 = bare_context().s3
    put = {"ContentType": "application/json", "Metadata": {"source": "shop"}}
    s3.put_object(Bucket="raw", Key="a", Body='{"ä": 1}', **put)
    response = s3.get_object(Bucket="raw", Key="a")
    assert response["Body"].read() == '{"ä": 1}'.encode()
    assert {name: response[name] for name in put} == put
    assert s3.head_object(Bucket="raw", Key="a")["ContentType"] == "application/json"


@pytest.mark.parametrize("body", [b"a", "a", bytearray(b"a"), io.BytesIO(b"a")])
def test_object_has_any_kind_of_body(body: Any) -> None:
    s3 = bare_context().s3
    s3.put_object(Bucket="raw", Key="a", Body=body)
    assert s3.get_object(Bucket="raw", Key="a")["Body"].read() == b"a"


def test_if_none_match_keeps_existing_object() -> None:
    s3 = bare_context().s3
    s3.put_object(Bucket="raw", Key="a", Body=b"1", IfNoneMatch="*")
    with pytest.raises(s3.exceptions.ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket="raw", Key="a", Body=b"2", IfNoneMatch="*")


def test_unknown_argument_is_an_error() -> None:
    with pytest.raises(ParamValidationError, match="Contenttype"):
        bare_context().s3.put_object(Bucket="raw", Key="a", Body=b"", Contenttype="x")


def test_positional_argument_is_an_error() -> None:
    with pytest.raises(TypeError, match="keyword"):
        bare_context().s3.get_object("raw", "a")


def test_object_of_another_state_is_refused() -> None:
    s3 = bare_context().s3
    etags = [s3.put_object(Bucket="raw", Key="a", Body=body)["ETag"] for body in "ab"]
    found = s3.get_object(Bucket="raw", Key="a", IfMatch=etags[1])
    assert found["Body"].read() == b"b"
    with pytest.raises(s3.exceptions.ClientError, match="PreconditionFailed"):
        s3.get_object(Bucket="raw", Key="a", IfMatch=etags[0])


def test_deletion_hides_versions() -> None:
    s3 = bare_context().s3
    version = s3.put_object(Bucket="raw", Key="a", Body=b"1")["VersionId"]
    s3.delete_object(Bucket="raw", Key="a")
    assert "Contents" not in s3.list_objects_v2(Bucket="raw")
    found = s3.get_object(Bucket="raw", Key="a", VersionId=version)
    assert found["Body"].read() == b"1"
    with pytest.raises(s3.exceptions.ClientError, match="NoSuchVersion"):
        s3.get_object(Bucket="raw", Key="a", VersionId="other")


def test_bucket_without_versions_names_none() -> None:
    s3 = bare_context().s3
    s3.is_versioned = False
    for body in (b"1", b"2"):
        assert "VersionId" not in s3.put_object(Bucket="raw", Key="a", Body=body)
    found = s3.get_object(Bucket="raw", Key="a")
    assert (found["Body"].read(), "VersionId" in found) == (b"2", False)


def test_objects_are_listed_in_pages() -> None:
    s3 = bare_context().s3
    for key in ("b/2", "a/1", "b/1", "b/3"):
        s3.put_object(Bucket="raw", Key=key, Body=b"12")
    s3.put_object(Bucket="other", Key="b/0", Body=b"")
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket="raw", Prefix="b/", PaginationConfig={"PageSize": 2}
    )
    found = [[each["Key"] for each in page["Contents"]] for page in pages]
    assert found == [["b/1", "b/2"], ["b/3"]]
    assert "Contents" not in s3.list_objects_v2(Bucket="raw", Prefix="c/")


def test_deleted_object_is_not_found() -> None:
    s3 = bare_context().s3
    s3.put_object(Bucket="raw", Key="a", Body=b"")
    s3.delete_object(Bucket="raw", Key="a")
    with pytest.raises(s3.exceptions.NoSuchKey) as raised:
        s3.get_object(Bucket="raw", Key="a")
    assert raised.value.response["Error"]["Code"] == "NoSuchKey"


def test_queues_are_told_apart() -> None:
    sqs = bare_context().sqs
    for queue in ("a", "b"):
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody=f"to {queue}")
    assert dict(sqs.sent) == {"a": ["to a"], "b": ["to b"]}


def test_request_above_limits_of_sqs_is_refused() -> None:
    sqs = bare_context().sqs
    entries = [{"Id": str(number), "MessageBody": "x"} for number in range(11)]
    with pytest.raises(RefusedError, match="TooManyEntries"):
        sqs.send_message_batch(QueueUrl="q", Entries=entries)
    long = [{"Id": "1", "MessageBody": "ä" * 600_000}]
    with pytest.raises(RefusedError, match="TooLong"):
        sqs.send_message_batch(QueueUrl="q", Entries=long)


@pytest.mark.parametrize(
    ("queue", "entry"),
    [
        ("a.fifo", {}),
        ("a.fifo", {"MessageGroupId": "g"}),
        (
            "a.fifo",
            {"MessageGroupId": "g", "MessageDeduplicationId": "1", "DelaySeconds": 1},
        ),
        ("a", {"MessageDeduplicationId": "1"}),
        ("a", {"DelaySeconds": 901}),
        ("a", {"MessageBody": ""}),
    ],
)
def test_message_that_sqs_refuses_is_refused(queue: str, entry: dict[str, Any]) -> None:
    sqs = bare_context().sqs
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    with pytest.raises(RefusedError, match=r"MissingParameter|InvalidParameterValue"):
        sqs.send_message(**{"QueueUrl": url, "MessageBody": "x", **entry})
    assert not sqs.sent


def test_only_requested_attributes_are_received() -> None:
    sqs = bare_context().sqs
    sqs.send("a", SentTimestamp="1")
    [message] = sqs.receive_message(QueueUrl="q")["Messages"]
    assert "Attributes" not in message
    sqs.redeliver()
    names = ["ApproximateReceiveCount"]
    response = sqs.receive_message(QueueUrl="q", MessageSystemAttributeNames=names)
    assert response["Messages"][0]["Attributes"] == {names[0]: "2"}
    found = sqs.get_queue_attributes(QueueUrl="q", AttributeNames=["VisibilityTimeout"])
    assert found["Attributes"] == {"VisibilityTimeout": "30"}


def test_group_is_received_in_order() -> None:
    sqs = bare_context().sqs
    for body, group in ("a1", "a"), ("a2", "a"), ("b1", "b"):
        sqs.send(body, MessageGroupId=group)

    def receive() -> list[dict[str, Any]]:
        return list(sqs.receive_message(QueueUrl="q.fifo").get("Messages", []))

    first, other = receive() + receive()
    assert [first["Body"], other["Body"], receive()] == ["a1", "b1", []]
    back = {"Id": "1", "ReceiptHandle": first["ReceiptHandle"], "VisibilityTimeout": 0}
    sqs.change_message_visibility_batch(QueueUrl="q.fifo", Entries=[back])
    assert receive()[0]["Body"] == "a1"


def test_entry_of_message_not_in_flight_fails() -> None:
    sqs = bare_context().sqs
    sqs.send("a")
    [message] = sqs.receive_message(QueueUrl="q")["Messages"]
    entry = {"Id": "1", "ReceiptHandle": message["ReceiptHandle"]}
    sqs.delete_message_batch(QueueUrl="q", Entries=[entry])
    for changed, code in (
        (entry, "MessageNotInflight"),
        (entry | {"ReceiptHandle": "other"}, "ReceiptHandleIsInvalid"),
    ):
        response = sqs.change_message_visibility_batch(
            QueueUrl="q", Entries=[changed | {"VisibilityTimeout": 0}]
        )
        assert [each["Code"] for each in response["Failed"]] == [code]


def test_statements_count_once_committed() -> None:
    rds = bare_context().rds
    rds.results["SELECT id"] = [(1,), (2,)]
    with rds.transaction() as cursor:
        cursor.execute("SELECT id FROM orders WHERE day < %s", ("2026-01-01",))
        assert cursor.rowcount == 2
        assert [cursor.fetchone(), cursor.fetchall()] == [(1,), [(2,)]]
        cursor.executemany("DELETE FROM orders WHERE id = %s", [(1,), (2,)])
    assert rds.query("SELECT id FROM orders") == [(1,), (2,)]
    assert [statement.split()[0] for statement, _ in rds.statements] == [
        *("SELECT", "DELETE", "DELETE", "SELECT")
    ]


def test_failed_transaction_has_no_statements() -> None:
    rds = bare_context().rds

    def fail() -> None:
        with rds.transaction() as cursor:
            cursor.execute("DELETE FROM orders")
            raise ValueError("oops")

    with pytest.raises(ValueError, match="oops"):
        fail()
    assert not rds.statements
