"""A stub of SQS that is faster than the pollers that are measured with it.

It implements the part of SQS's JSON protocol that boto3 needs to poll a queue, see
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/Welcome.html
A queue exists as soon as it is named. A message in flight comes back only when its
visibility timeout is set to 0. `python -m bench.sqs_stub` prints its port, and serves
until a signal.
"""

import asyncio
import json
import time
from collections import Counter, deque
from contextlib import suppress
from functools import partial
from hashlib import md5
from itertools import count
from typing import Any

ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\n"
    b"Content-Length: %d\r\n\r\n"
)


class Queue:
    """A queue; `requests` counts requests by action.

    `first` and `last` are the times of the first receive and the last delete.
    """

    def __init__(self) -> None:
        self.waiting: deque[dict[str, Any]] = deque()
        self.in_flight: dict[str, dict[str, Any]] = {}
        self.waiters: deque[asyncio.Future[None]] = deque()
        self.requests: Counter[str] = Counter()
        self.first = self.last = 0.0
        self._numbers = count(1)

    def add(self, body: str) -> str:
        """Add a message; return its id."""
        number = str(next(self._numbers))
        digest = md5(body.encode(), usedforsecurity=False).hexdigest()
        self.waiting.append({"MessageId": number, "Body": body, "MD5OfBody": digest})
        self.wake()
        return number

    def wake(self) -> None:
        """Wake one waiting request."""
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def receive(self, most: int, wait: float) -> list[dict[str, Any]]:
        """Return messages, at once or as soon as there is one."""
        if not self.waiting and wait:
            waiter = asyncio.get_running_loop().create_future()
            self.waiters.append(waiter)
            try:
                await asyncio.wait_for(waiter, wait)
            except TimeoutError:
                return []
        taken = [self.waiting.popleft() for _ in range(min(most, len(self.waiting)))]
        for message in taken:
            message["ReceiptHandle"] = str(next(self._numbers))
            self.in_flight[message["ReceiptHandle"]] = message
        if taken and not self.first:
            self.first = time.monotonic()
        return taken

    def delete(self, receipt: str) -> None:
        """Delete a message in flight."""
        if self.in_flight.pop(receipt, None):
            self.last = time.monotonic()

    def hide(self, receipt: str, seconds: int) -> None:
        """Return a message to the queue if its visibility timeout is set to 0."""
        if seconds == 0 and receipt in self.in_flight:
            self.waiting.append(self.in_flight.pop(receipt))
            self.wake()


class Stub:
    """The queues by name, and the actions on them."""

    def __init__(self) -> None:
        self._queues: dict[str, Queue] = {}

    async def act(self, action: str, asked: dict[str, Any], host: str) -> Any:
        """Return the answer to a request."""
        name = asked.get("QueueName") or asked["QueueUrl"].rpartition("/")[2]
        queue = self._queues.setdefault(name, Queue())
        if action == "Fill":
            for number in range(asked["Count"]):
                queue.add(str(number))
            return {}
        if action == "Stats":
            left = len(queue.waiting) + len(queue.in_flight)
            times = {"first": queue.first, "last": queue.last}
            return {"left": left, "requests": queue.requests.total(), **times}
        queue.requests[action] += 1
        return await self._act(queue, action, asked, f"http://{host}/queue/{name}")

    async def _act(
        self, queue: Queue, action: str, asked: dict[str, Any], url: str
    ) -> Any:
        entries = asked.get("Entries") or [asked]
        match action:
            case "ReceiveMessage":
                most, wait = asked.get("MaxNumberOfMessages", 1), "WaitTimeSeconds"
                messages = await queue.receive(most, asked.get(wait, 0))
                return {"Messages": messages} if messages else {}
            case "DeleteMessage" | "DeleteMessageBatch":
                for each in entries:
                    queue.delete(each["ReceiptHandle"])
            case "ChangeMessageVisibility" | "ChangeMessageVisibilityBatch":
                for each in entries:
                    queue.hide(each["ReceiptHandle"], each["VisibilityTimeout"])
            case "SendMessage":
                return {"MessageId": queue.add(asked["MessageBody"])}
            case "GetQueueUrl":
                return {"QueueUrl": url}
            case "GetQueueAttributes":
                return {"Attributes": _attributes(queue)}
        successful = [{"Id": each["Id"]} for each in asked.get("Entries", [])]
        return {"Successful": successful, "Failed": []} if successful else {}


def _attributes(queue: Queue) -> dict[str, str]:
    return {
        "VisibilityTimeout": "30",
        "ApproximateNumberOfMessages": str(len(queue.waiting)),
        "ApproximateNumberOfMessagesNotVisible": str(len(queue.in_flight)),
        "ApproximateNumberOfMessagesDelayed": "0",
    }


async def serve(
    stub: Stub, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer the requests of a connection until it is closed."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.decode("latin-1").split("\r\n")[1:-2]
            pairs = (line.partition(":") for line in lines)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            asked = json.loads(await reader.readexactly(int(headers["content-length"])))
            action = headers["x-amz-target"].rpartition(".")[2]
            answer = json.dumps(await stub.act(action, asked, headers["host"])).encode()
            writer.write(ANSWER % len(answer) + answer)
            await writer.drain()
    writer.close()


async def main() -> None:
    """Serve on a free port, and print the port."""
    server = await asyncio.start_server(partial(serve, Stub()), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
