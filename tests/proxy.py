"""Stands between a worker and the shim's servers, and gets in their way."""

import math
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Self

from baking import free_port, wait_until


class Call(NamedTuple):
    """A request on its way: what it asks for, as in `GetObject` or `ReceiveMessage`."""

    operation: str
    path: str


class Answer(NamedTuple):
    """What the proxy answers itself, such as an error of SQS."""

    status: int
    code: str


class Cut(NamedTuple):
    """Pass on so many bytes of the real answer, then close the socket."""

    after: int


class Pause(NamedTuple):
    """Pass on so many bytes of the real answer, and the rest when the proxy lets go."""

    after: int


OF_THE_CONNECTION = ("transfer-encoding", "connection", "content-length")
HOLD = "hold"  # neither pass it on nor answer, until the proxy lets go
Deed = Answer | Cut | Pause | str | None
Rule = Callable[[Call], Deed]


def at_first(operation: str, *deeds: Deed) -> Rule:
    """Return a rule for the first calls of an operation, a deed for each."""
    left = iter(deeds)
    return lambda call: next(left, None) if call.operation == operation else None


def always(operation: str, deed: Deed) -> Rule:
    """Return a rule for all calls of an operation."""
    return lambda call: deed if call.operation == operation else None


def hold(operation: str) -> Callable[[Call], Deed]:
    """Return a rule that lets one operation wait."""
    return lambda call: HOLD if call.operation == operation else None


class Proxy:
    """An HTTP proxy on a port of its own; `rule` says what becomes of a call.

    A rule returns None for what shall pass. `calls` has what came, and `hindered` what
    did not pass untouched: the proof that a fault happened.
    """

    def __init__(self, upstream: str, rule: Rule = lambda call: None) -> None:
        self.upstream = upstream.removeprefix("http://")
        self.rule = rule
        self.calls: list[Call] = []
        self.hindered: list[Call] = []
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.freed = threading.Event()
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(self, *exception: object) -> None:
        self.let_go()
        self.refuse()

    def listen(self) -> None:
        """Take connections."""
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = _Server(("127.0.0.1", self.port), handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,)).start()

    def refuse(self) -> None:
        """Refuse connections, as a service that is down does."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
        self._server = None

    def let_go(self) -> None:
        """Pass on what is held, and hold nothing more."""
        self.rule = lambda call: None
        self.freed.set()

    def wait_for(self, operation: str) -> None:
        """Wait until an operation has been hindered."""
        wait_until(
            lambda: operation in [call.operation for call in list(self.hindered)],
            f"a hindered {operation}; there were {self.calls}",
        )


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: workers that are killed leave without a word."""


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        target = self.headers.get("X-Amz-Target", "")
        name = target.partition(".")[2] or f"{self.command.title()}Object"
        call = Call(name, self.path)
        self.proxy.calls.append(call)
        deed = self.proxy.rule(call)
        if deed is not None:
            self.proxy.hindered.append(call)
        if deed == HOLD:
            self.proxy.freed.wait()
        if isinstance(deed, Answer):
            text = (
                f'{{"__type": "com.amazonaws.sqs#{deed.code}", "message": "injected"}}'
            )
            self.send_response(deed.status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())
        else:
            connection = HTTPConnection(self.proxy.upstream)
            connection.request(self.command, self.path, body, dict(self.headers))
            self._pass_on(connection.getresponse(), deed)
            connection.close()

    do_POST = do_PUT = do_HEAD = do_GET  # noqa: N815 - as http.server wants them

    def _pass_on(self, answer: HTTPResponse, deed: Deed) -> None:
        body = answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in OF_THE_CONNECTION:
                self.send_header(name, value)
        length = answer.getheader("Content-Length", str(len(body)))
        self.send_header("Content-Length", length)
        self.end_headers()
        if isinstance(deed, Cut):
            body, self.close_connection = body[: deed.after], True
        if isinstance(deed, Pause):
            self.wfile.write(body[: deed.after])
            self.proxy.freed.wait()
            body = body[deed.after :]
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Say nothing."""


class Wire:
    """A TCP port that leads to another, and ends the first connection in the middle.

    Args:
        port: the other, of this machine.
        limit: bytes that may be sent by the first connection.
    """

    def __init__(self, port: int, limit: int) -> None:
        self._far = ("127.0.0.1", port)
        self._limit = limit
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.connections = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):  # until the end
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(self._far)
                self.connections += 1
                limit = self._limit if self.connections == 1 else math.inf
                for words in ((near, far, limit), (far, near, math.inf)):
                    threading.Thread(target=_pass_on, args=words).start()


def _pass_on(source: socket.socket, sink: socket.socket, limit: float) -> None:
    """Pass bytes on up to a limit, or to their end; then end both directions."""
    with suppress(OSError):
        while limit > 0 and (some := source.recv(64 * 1024)):
            sink.sendall(some)
            limit -= len(some)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
