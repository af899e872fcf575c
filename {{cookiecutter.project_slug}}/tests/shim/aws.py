"""Runs ministack, the shim's S3 and SQS, but for two things that it does otherwise.

It hands out large objects in pieces. Before Python 3.12, asyncio copies what a socket
does not take at once, and meanwhile sends nothing: for 100 MB that is 0.1 s, in which a
load has no rows.

It does once what a client asks for twice, which AWS does not. Go's client loses answers
on a busy machine, and repeats the request: what Terraform makes would be there already,
or twice. A request and its repetitions are known by a header. SQS is left out: that a
message is sent or received twice is what workers must bear.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from ministack import app as emulator

PIECE = 1024 * 1024
NAME = b"amz-sdk-invocation-id"
KEPT = 1000  # answers

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

serve = emulator.app
answers: OrderedDict[bytes, list[Message]] = OrderedDict()


async def serve_in_pieces(scope: Message, receive: Receive, send: Send) -> None:
    """Serve as ASGI says: https://asgi.readthedocs.io/en/latest/specs/www.html."""

    async def send_in_pieces(message: Message) -> None:
        body, sent = message.get("body", b""), 0
        while len(body) - sent > PIECE:
            piece = body[sent : sent + PIECE]
            await send(message | {"body": piece, "more_body": True})
            sent += PIECE
        await send(message | {"body": body[sent:]} if sent else message)

    await serve_once(scope, receive, send_in_pieces)


async def serve_once(scope: Message, receive: Receive, send: Send) -> None:
    """Serve; answer a request that is repeated as it was answered at first."""
    headers = dict(scope.get("headers", ()))
    is_safe = scope.get("method") in ("GET", "HEAD")
    if NAME not in headers or is_safe or b"/sqs/" in headers.get(b"authorization", b""):
        await serve(scope, receive, send)
        return
    name = headers[NAME]
    if name in answers:
        while (await receive()).get("more_body"):
            pass
        for message in answers[name]:
            await send(message)
        return
    said: list[Message] = []

    async def send_and_note(message: Message) -> None:
        said.append(message)
        await send(message)

    await serve(scope, receive, send_and_note)
    if said and said[0]["status"] < 300:  # else to ask again may help
        answers[name] = said
    if len(answers) > KEPT:
        answers.popitem(last=False)


if __name__ == "__main__":
    emulator.app = serve_in_pieces
    emulator.main()
