"""Empty a queue with a plain loop of boto3, in a project's environment."""

import sys
from typing import Any

import boto3


def original(url: str) -> bool:
    """Receive and delete a message with a new client; return whether there was one."""
    return one_by_one(boto3.client("sqs"), url)


def one_by_one(client: Any, url: str) -> bool:
    """Receive and delete one message; return whether there was one."""
    found = client.receive_message(QueueUrl=url).get("Messages", [])
    for message in found:
        client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return bool(found)


def by_ten(client: Any, url: str) -> bool:
    """Receive and delete up to ten messages; return whether there were any."""
    answer = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    entries = [
        {"Id": message["MessageId"], "ReceiptHandle": message["ReceiptHandle"]}
        for message in answer.get("Messages", [])
    ]
    if entries:
        client.delete_message_batch(QueueUrl=url, Entries=entries)
    return bool(entries)


def main(way: str, name: str) -> None:
    """Empty a queue in the way "original", "one_by_one" or "by_ten"."""
    client = boto3.client("sqs")
    url = client.get_queue_url(QueueName=name)["QueueUrl"]
    if way == "original":
        while original(url):
            pass
    else:
        act = {"one_by_one": one_by_one, "by_ten": by_ten}[way]
        while act(client, url):
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])
