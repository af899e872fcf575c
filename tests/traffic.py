"""Drop files continuously while their queue's consumer is switched and back."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from baking import DEADLINE, Project, wait_until
from shim_helpers import clicks, client, count_clicks, start_worker

FILES = 500
ROWS = 10
FIRST = 70_000_000
MOST_WAITING = 20  # files; the next ones are dropped when these are loaded
LOADED = '"outcome": "loaded"'


class Traffic:
    """A thread that drops files into a bucket, one after the other.

    Args:
        project: whose shim runs.
        bucket: name of the bucket.
        queue: URL of the queue that gets the bucket's notifications.
    """

    def __init__(self, project: Project, bucket: str, queue: str) -> None:
        self._s3 = client(project, "s3")
        self._sqs = client(project, "sqs")
        self._bucket = bucket
        self._queue = queue
        self._end = threading.Event()
        self.thread = threading.Thread(target=self._drop_files)
        self.dropped = 0
        self.messages_before = self.count_messages()

    def stop(self) -> None:
        """Drop the rest of the files, and stop."""
        self._end.set()
        self.thread.join()

    def count_messages(self) -> int:
        """Return how many messages the queue holds, those in flight included."""
        names = [f"ApproximateNumberOfMessages{part}" for part in ("", "NotVisible")]
        found = self._sqs.get_queue_attributes(
            QueueUrl=self._queue, AttributeNames=names
        )
        return sum(map(int, found["Attributes"].values()))

    def _drop_files(self) -> None:
        while not self._end.is_set() or self.dropped < FILES:
            body = clicks(ROWS, first=FIRST + self.dropped * ROWS).encode()
            key = f"worker/switch-{self.dropped}.csv"
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=body)
            self.dropped += 1
            wait_until(
                lambda: self.count_messages() < MOST_WAITING,
                "the consumers of the queue",
            )


@contextmanager
def visibility_timeout(project: Project, queue: str, seconds: int) -> Iterator[None]:
    """Shorten the visibility timeout, so that abandoned messages come back soon."""
    sqs, names = client(project, "sqs"), ["VisibilityTimeout"]
    before = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)
    now = {"VisibilityTimeout": str(seconds)}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes=now)
    yield
    sqs.set_queue_attributes(QueueUrl=queue, Attributes=before["Attributes"])


def send_traffic_through_switch(
    project: Project, bucket: str, queue: str, switch: Callable[[str], None]
) -> dict[str, int]:
    """Switch a queue's consumer from Lambda to poller and back under traffic.

    Args:
        project: whose shim runs, with the Lambda as the queue's consumer.
        bucket: name of the bucket that files are dropped into.
        queue: URL of the queue that gets its notifications.
        switch: deploys the runtime that it is given, "lambda" or "container".

    Returns:
        Numbers of files: dropped, and loaded by the poller.

    Raises:
        AssertionError: not each row is in the table exactly once.
    """
    traffic = Traffic(project, bucket, queue)
    with visibility_timeout(project, queue, 20):
        traffic.thread.start()
        try:
            wait_until(lambda: count_files(project) > 0, "the Lambda's first files")
            with start_worker(project, READ_QUEUE=queue) as poller:
                poller.wait_for("polling")
                switch("container")
                before = poller.output.count(LOADED)
                poller.wait_until(lambda: poller.output.count(LOADED) > before + 50)
                switch("lambda")
                poller.process.terminate()
                assert poller.process.wait(DEADLINE) == 0
            before = count_files(project)
            wait_until(lambda: count_files(project) > before + 50, "the Lambda alone")
        finally:
            traffic.stop()
        wait_until(
            lambda: traffic.count_messages() <= traffic.messages_before, "the queue"
        )
    count = traffic.dropped
    assert count_files(project) == count
    assert count_clicks(project, FIRST, count * ROWS) == count * ROWS
    distinct = f"SELECT count(DISTINCT click_id) FROM clicks WHERE click_id >= {FIRST}"
    assert project.query(distinct) == [[count * ROWS]]
    return {"dropped": count, "loaded by the poller": poller.output.count(LOADED)}


def count_files(project: Project) -> int:
    """Return how many of the files the ledger has."""
    statement = "SELECT count(*) FROM loads WHERE object_key LIKE 'worker/switch-%'"
    return int(project.query(statement)[0][0])
