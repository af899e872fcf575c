"""`make send`: messages for every trigger, and what it refuses."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from baking import Project, bake, wait_until
from shim_helpers import client, queue_url


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose shim runs, with a function for each trigger."""
    project = bake(tmp_path_factory.mktemp("shop")).share_installs()
    for trigger in ("queue", "schedule", "topic"):
        project.make("new", f"FUNC=by_{trigger}", f"TRIGGER={trigger}")
    config = project.path / "config/deploy.yml"
    text = config.read_text(encoding="utf-8")
    fifo = text.replace(
        "by_queue: {trigger: queue}", "by_queue: {trigger: queue, fifo: true}"
    )
    config.write_text(fifo, encoding="utf-8")
    with project.shim():
        yield project


def receive(project: Project, queue: str) -> list[dict[str, Any]]:
    """Receive and delete the messages of a queue."""
    sqs, url = client(project, "sqs"), queue_url(project, queue)
    found = sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
    ).get("Messages", [])
    for each in found:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
    return list(found)


def test_body_is_sent_as_typed(shop: Project) -> None:
    body = """{"text": "it's $HOME \\"quoted\\""}"""
    output = shop.make("send", "FUNC=by_topic", f"BODY={body}").stdout
    assert output.endswith(" to by_topic-pending\n")
    assert [each["Body"] for each in receive(shop, "by_topic-pending")] == [body]


def test_file_is_sent_with_a_tenant(shop: Project) -> None:
    file = shop.path / "tests/data/event-by_topic.json"
    words = (f"FILE={file}", "GROUP=tenant-7")
    shop.make("send", "FUNC=by_topic", *words)
    [message] = receive(shop, "by_topic-pending")
    assert message["Body"] == file.read_text(encoding="utf-8")
    assert message["Attributes"]["MessageGroupId"] == "tenant-7"


def test_fifo_queue_takes_a_message_again(shop: Project) -> None:
    for _ in "ab":
        shop.make("send", "FUNC=by_queue", "BODY={}")
    first, second = receive(shop, "by_queue-pending.fifo")
    assert first["Body"] == second["Body"] == "{}"


def test_group_keeps_its_order_in_the_poller(shop: Project) -> None:
    numbers = range(1, 6)
    for number in numbers:
        body = json.dumps({"rows": [[number]] * number})
        shop.make("send", "FUNC=by_queue", f"BODY={body}", "GROUP=a")
    output = shop.make("run", "FUNC=by_queue", "RUN_ARGS=--drain --workers=4").stdout
    found = re.findall(r'"report": {"rows": (\d+)}', output)
    assert found == [str(number) for number in numbers]


def test_fifo_function_can_be_checked_again(shop: Project) -> None:
    for _ in "ab":
        output = shop.make("sanity_check", "FUNC=by_queue").stdout
        assert '"report": {"rows": 2}' in output


def test_dead_letter_returns_to_its_group(shop: Project) -> None:
    dead = queue_url(shop, "by_queue-dead-letter.fifo")
    client(shop, "sqs").send_message(
        QueueUrl=dead, MessageBody="{}", MessageGroupId="a", MessageDeduplicationId="1"
    )
    assert "moved 1 of 1" in shop.make("redrive", "FUNC=by_queue").stdout
    [message] = receive(shop, "by_queue-pending.fifo")
    assert message["Attributes"]["MessageGroupId"] == "a"


def test_schedule_needs_no_body(shop: Project) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    shop.make("send", "FUNC=by_schedule")
    [message] = receive(shop, "by_schedule-pending")
    body = json.loads(message["Body"])
    assert body.keys() == {"schedule", "time"}
    assert body["schedule"] == "by_schedule"
    assert before <= datetime.fromisoformat(body["time"]) <= datetime.now(UTC)


def test_published_message_arrives_raw(shop: Project) -> None:
    [topic] = client(shop, "sns").list_topics()["Topics"]
    client(shop, "sns").publish(TopicArn=topic["TopicArn"], Message='{"order": 7}')
    [message] = wait_until(lambda: receive(shop, "by_topic-pending"), "the message")
    assert message["Body"] == '{"order": 7}'


def test_secret_has_the_value_that_you_set(shop: Project) -> None:
    config = shop.path / "config/deploy.yml"
    text = config.read_text(encoding="utf-8")
    declared = "secrets: {API_KEY: partner/key, OTHER_KEY: '{prefix}-other'}"
    changed = text.replace("topic: by_topic}", f"topic: by_topic, {declared}}}")
    config.write_text(changed, encoding="utf-8")
    value = "it's #1 $HOME"
    file = shop.path / "config/secrets-local.env"
    file.write_text(f'API_KEY="{value}"\n', encoding="utf-8")
    shop.make("queue", "FUNC=by_topic")
    secrets = client(shop, "secretsmanager")
    expected = {
        "partner/key": value,
        "other": "shim",
        "click-loader-local-other": "shim",
    }
    for name, secret in expected.items():
        assert secrets.get_secret_value(SecretId=name)["SecretString"] == secret
    config.write_text(text, encoding="utf-8")
    file.unlink()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "FUNC= is missing: choose one of "),
        (["FUNC=moon"], "FUNC=moon is not a function: choose one of "),
        (["FUNC=by_queue"], "BODY= and FILE= are missing: try FILE="),
        (["FUNC=worker", "BODY=a", "FILE=Makefile"], "BODY= and FILE= are both set: "),
        (["FUNC=worker", "FILE=moon"], "FILE=moon is not a file: try FILE="),
        (["FUNC=worker", "FILE=empty"], "FILE=empty is empty, and SQS takes no empty"),
        (["FUNC=worker", "FILE=latin"], "FILE=latin is not UTF-8, and a message is"),
        (["FUNC=worker", "BODY=a", "ENV=moon"], "ENV=moon is not in config/deploy.yml"),
    ],
)
def test_missing_message_gets_one_sentence(
    shop: Project, words: list[str], sentence: str
) -> None:
    (shop.path / "empty").write_text("\n", encoding="utf-8")
    (shop.path / "latin").write_bytes("Zoë".encode("latin-1"))
    refused = shop.make("send", *words, check=False)
    assert refused.returncode != 0
    assert refused.stdout.startswith(sentence)
    assert len(refused.stdout.splitlines()) == 2  # the second one is from make


def test_reload_needs_the_loads_own_bucket_function(shop: Project) -> None:
    values = "'clicks', 'raw', 'worker/{0}.csv', '', 'func.{0}'"
    for func in ("worker", "by_queue"):
        shop.query(
            "INSERT INTO loads (object_id, target, bucket, object_key, version, "
            f"function) VALUES ('{func}', {values.format(func)})"
        )
    for words, sentence in (
        (["worker/by_queue.csv"], "FUNC=by_queue has the trigger queue, so no objects"),
        (
            ["worker/worker.csv", "FUNC=by_queue"],
            "s3://raw/worker/worker.csv was loaded by worker, not by FUNC=by_queue.",
        ),
        (["worker/worker.csv"], "s3://raw/worker/worker.csv is not in the bucket any "),
    ):
        refused = shop.make("reload", f"OBJECT={words[0]}", *words[1:], check=False)
        assert refused.returncode != 0
        assert refused.stdout.startswith(sentence)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["FUNC=by_queue"], "FUNC=by_queue has the trigger queue, so a file in the "),
        (["FUNC=by_topic"], "FUNC=by_topic has the trigger topic, so a file in the "),
    ],
)
def test_file_for_other_trigger_is_refused(
    shop: Project, words: list[str], sentence: str
) -> None:
    file = "FILE=tests/data/sanity.csv"
    refused = shop.make("event", *words, file, check=False)
    assert refused.returncode != 0
    assert refused.stdout.startswith(sentence)
