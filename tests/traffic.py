"""Files that flow while the consumer of their queue is switched, and switched back."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from baking import DEADLINE, Project, wait_until
from shim_helpers import clicks, client, count_clicks, worker

FILES = 500
ROWS = 10
FIRST = 70_000_000
WAITING = 20  # files; more than the consumers keep up with are dropped later
LOADED = '"outcome": "loaded"'


class Traffic:
    """A thread that drops files into a bucket, one after the other.

    Args:
        project: whose shim runs.
        bucket: its name; its notifications go to `queue`.
        queue: URL of a queue.
    """

    def __init__(self, project: Project, bucket: str, queue: str) -> None:
        self._s3 = client(project, "s3")
        self._sqs = client(project, "sqs")
        self._bucket = bucket
        self._queue = queue
        self._end = threading.Event()
        self.thread = threading.Thread(target=self._flow)
        self.dropped = 0
        self.waiting_before = self.waiting()

    def stop(self) -> None:
        """Drop the rest of the files, and end."""
        self._end.set()
        self.thread.join()

    def count_messages(self) -> int:
        """Return how many messages SQS has not seen deleted."""
        names = [f"ApproximateNumberOfMessages{part}" for part in ("", "NotVisible")]
        found = self._sqs.get_queue_attributes(
            QueueUrl=self._queue, AttributeNames=names
        )
        return sum(map(int, found["Attributes"].values()))

    def _flow(self) -> None:
        while not self._end.is_set() or self.dropped < FILES:
            body = clicks(ROWS, first=FIRST + self.dropped * ROWS).encode()
            key = f"worker/switch-{self.dropped}.csv"
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=body)
            self.dropped += 1
            wait_until(lambda: self.waiting() < WAITING, "the consumers of the queue")


@contextmanager
def visibility_timeout(project: Project, queue: str, seconds: int) -> Iterator[None]:
    """Let what a consumer leaves behind come back soon."""
    sqs, names = client(project, "sqs"), ["VisibilityTimeout"]
    before = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)
    now = {"VisibilityTimeout": str(seconds)}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes=now)
    yield
    sqs.set_queue_attributes(QueueUrl=queue, Attributes=before["Attributes"])


def flows_through_a_switch(
    project: Project, bucket: str, queue: str, switch: Callable[[str], None]
) -> dict[str, int]:
    """Switch a queue's consumer from Lambda to poller and back, while files flow.

    Args:
        project: whose shim runs; the Lambda is the consumer.
        bucket: where files are dropped.
        queue: URL of the queue that tells of them.
        switch: deploys with the runtime that it is given, lambda or container.

    Returns:
        Numbers of files: dropped, and loaded by the poller.

    Raises:
        AssertionError: a file's rows are not there exactly once.
    """
    traffic = Traffic(project, bucket, queue)
    with visibility_timeout(project, queue, 20):
        traffic.thread.start()
        try:
            wait_until(lambda: loaded(project) > 0, "the Lambda's first files")
            with start_worker(project, READ_QUEUE=queue) as poller:
                poller.wait_until(lambda: "polling" in poller.output)
                switch("container")
                alone_from = poller.output.count(LOADED)
                poller.wait_until(lambda: poller.output.count(LOADED) > alone_from + 50)
                switch("lambda")
                poller.process.terminate()
                assert poller.process.wait(DEADLINE) == 0
            before = loaded(project)
            wait_until(lambda: loaded(project) > before + 50, "the Lambda alone")
        finally:
            traffic.stop()
        wait_until(lambda: traffic.waiting() <= traffic.waiting_before, "the queue")
    count = traffic.dropped
    assert loaded(project) == count
    assert count_clicks(project, FIRST, count * ROWS) == count * ROWS
    distinct = f"SELECT count(DISTINCT click_id) FROM clicks WHERE click_id >= {FIRST}"
    assert project.query(distinct) == [[count * ROWS]]
    return {"dropped": count, "loaded by the poller": poller.output.count(LOADED)}


def loaded(project: Project) -> int:
    """Return how many of the files are in the ledger."""
    statement = "SELECT count(*) FROM loads WHERE object_key LIKE 'worker/switch-%'"
    return int(project.query(statement)[0][0])
