"""What becomes of messages while S3, SQS or other messages are bad, on real servers."""

from baking import Project
from playground import (
    clicks,
    client,
    dead_letters,
    drain,
    drop,
    fault,
    queue,
    rows_of,
)


@fault(
    "a poison message among good ones",
    "it ends in the dead-letter queue; its siblings are loaded once",
)
def test_poison_message_among_good_ones_does_not_hold_them_up(
    shimmed: Project,
) -> None:
    poison = "no JSON: s3cret"
    client(shimmed, "sqs").send_message(QueueUrl=queue(shimmed), MessageBody=poison)
    key = drop(shimmed, "good.csv", clicks(5, first=70_001))
    said = drain(shimmed, "--retry_delay=0")
    assert rows_of(shimmed, key) == 5
    assert said.count('"outcome": "failed"') == 3
    assert "EventError" in said
    assert "s3cret" not in said
    assert dead_letters(shimmed) == [poison]
