"""Runs ministack, the shim's S3 and SQS, but for two things that it does otherwise.

It hands out large objects in pieces. Before Python 3.12, asyncio copies what a socket
does not take at once, and meanwhile sends nothing: for 100 MB that is 0.1 s, in which a
load has no rows.

It keeps connections for longer than clients do. Who closes one that a client is about
to use may take the request and never answer; the client repeats it, and what it was to
make is there already.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import hypercorn.asyncio
from ministack import app as emulator

PIECE = 1024 * 1024
HOUR = 3600  # seconds

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]

serve = emulator.app
listen = hypercorn.asyncio.serve


async def serve_in_pieces(scope: Message, receive: Any, send: Send) -> None:
    """Serve as ASGI says: https://asgi.readthedocs.io/en/latest/specs/www.html."""

    async def send_in_pieces(message: Message) -> None:
        body, sent = message.get("body", b""), 0
        while len(body) - sent > PIECE:
            piece = body[sent : sent + PIECE]
            await send(message | {"body": piece, "more_body": True})
            sent += PIECE
        await send(message | {"body": body[sent:]} if sent else message)

    await serve(scope, receive, send_in_pieces)


async def listen_for_long(app: Any, config: Any) -> None:
    """Listen; close no connection that a client keeps."""
    config.keep_alive_timeout = HOUR
    await listen(app, config)


if __name__ == "__main__":
    emulator.app = serve_in_pieces
    hypercorn.asyncio.serve = listen_for_long
    emulator.main()
