"""Proxies between a worker and the shim's servers that inject faults."""

import json
import math
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from baking import free_port, wait_until


class Call(NamedTuple):
    """A request; `operation` is such as `GetObject` or `ReceiveMessage`."""

    operation: str
    path: str


class Answer(NamedTuple):
    """Answer instead of the server, such as with an error of SQS."""

    status: int
    code: str
    message: str = "injected"


class Cut(NamedTuple):
    """Pass `after` bytes of the server's answer, then close the connection."""

    after: int


class Pause(NamedTuple):
    """Pass `after` bytes of the server's answer, the rest after `release`."""

    after: int


class RefuseFirst(NamedTuple):
    """Pass a batch request without its first entry, which the answer says failed."""


class RefuseMessage(NamedTuple):
    """Answer that a batch request failed for the message whose body contains a text.

    The request itself is passed, so that the message stays hidden.
    """

    text: str


CONNECTION_HEADERS = ("transfer-encoding", "connection", "content-length")
HOLD = "hold"  # pass the request only after `release`
SILENCE = "silence"  # never pass the request, and never answer
Fault = Answer | Cut | Pause | RefuseFirst | RefuseMessage | str | None
Rule = Callable[[Call], Fault]


def at_first(operation: str, *faults: Fault) -> Rule:
    """Return a rule for the first calls of an operation, with a fault for each."""
    left = iter(faults)
    return lambda call: next(left, None) if call.operation == operation else None


def always(operation: str, fault: Fault) -> Rule:
    """Return a rule for all calls of an operation."""
    return lambda call: fault if call.operation == operation else None


def hold(operation: str) -> Callable[[Call], Fault]:
    """Return a rule that holds all calls of an operation."""
    return lambda call: HOLD if call.operation == operation else None


class Proxy:
    """An HTTP proxy on a free port of the loopback interface.

    `calls` lists all calls, `faulted` those with a fault: the proof that it happened.

    Args:
        upstream: URL of the server.
        rule: returns the fault of a call, or None to pass it.
    """

    def __init__(self, upstream: str, rule: Rule = lambda call: None) -> None:
        self.upstream = upstream.removeprefix("http://")
        self.rule = rule
        self.calls: list[Call] = []
        self.faulted: list[Call] = []
        self.bodies: dict[str, str] = {}  # of messages received, by receipt handle
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.released = threading.Event()
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()
        self.refuse()

    def listen(self) -> None:
        """Accept connections."""
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = _Server(("127.0.0.1", self.port), handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,)).start()

    def refuse(self) -> None:
        """Refuse connections, like a service that is down."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
        self._server = None

    def release(self) -> None:
        """Pass everything that is held, and inject no more faults."""
        self.rule = lambda call: None
        self.released.set()

    def wait_for(self, operation: str) -> None:
        """Wait until an operation has had a fault."""
        wait_until(
            lambda: operation in [call.operation for call in list(self.faulted)],
            f"a fault in {operation}; there were {self.calls}",
        )


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Log nothing: killed workers close connections early."""


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        target = self.headers.get("X-Amz-Target", "")
        name = target.partition(".")[2] or f"{self.command.title()}Object"
        call = Call(name, self.path)
        self.proxy.calls.append(call)
        fault = self.proxy.rule(call)
        if fault is not None:
            self.proxy.faulted.append(call)
        if fault == HOLD:
            self.proxy.released.wait()
        if fault == SILENCE:
            self.proxy.released.wait()
            self.close_connection = True
            return
        if isinstance(fault, Answer):
            error = {"__type": f"com.amazonaws.sqs#{fault.code}"}
            text = json.dumps(error | {"message": fault.message})
            self.send_response(fault.status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())
        elif isinstance(fault, RefuseFirst | RefuseMessage):
            self._refuse_entry(json.loads(body), fault)
        else:
            connection = HTTPConnection(self.proxy.upstream)
            connection.request(self.command, self.path, body, dict(self.headers))
            self._pass_on(connection.getresponse(), fault, name)
            connection.close()

    do_POST = do_PUT = do_HEAD = do_GET  # noqa: N815 - http.server looks for these names

    def _pass_on(self, answer: HTTPResponse, fault: Fault, operation: str) -> None:
        body = answer.read()
        if operation == "ReceiveMessage" and answer.status == 200:
            for each in json.loads(body).get("Messages") or ():
                self.proxy.bodies[each["ReceiptHandle"]] = each["Body"]
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in CONNECTION_HEADERS:
                self.send_header(name, value)
        length = answer.getheader("Content-Length", str(len(body)))
        self.send_header("Content-Length", length)
        self.end_headers()
        if isinstance(fault, Cut):
            body, self.close_connection = body[: fault.after], True
        if isinstance(fault, Pause):
            self.wfile.write(body[: fault.after])
            self.proxy.released.wait()
            body = body[fault.after :]
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse_entry(
        self, request: dict[str, Any], fault: RefuseFirst | RefuseMessage
    ) -> None:
        entries = request["Entries"]
        refused = entries[:1]
        if isinstance(fault, RefuseMessage):
            bodies = self.proxy.bodies
            refused = [
                each
                for each in entries
                if fault.text in bodies.get(each["ReceiptHandle"], "")
            ]
        sent = entries[1:] if isinstance(fault, RefuseFirst) else entries
        answer: dict[str, Any] = {"Successful": []}
        if sent:
            connection = HTTPConnection(self.proxy.upstream)
            body = json.dumps(request | {"Entries": sent})
            headers = dict(self.headers) | {"Content-Length": str(len(body))}
            connection.request(self.command, self.path, body, headers)
            answer = json.loads(connection.getresponse().read())
            connection.close()
        ids = [each["Id"] for each in refused]
        answer["Successful"] = [
            each for each in answer.get("Successful", []) if each["Id"] not in ids
        ]
        failed = {"SenderFault": False, "Code": "InternalError"}
        failures = [{"Id": each, **failed} for each in ids]
        text = json.dumps(answer | {"Failed": failures})
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *words: object) -> None:
        """Log nothing."""


class TcpProxy:
    """A TCP proxy that ends the first connection in mid-transfer.

    Args:
        port: port of the server on this machine.
        limit: bytes that the first connection may send.
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
        with suppress(OSError):  # the listener is closed
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(self._far)
                self.connections += 1
                limit = self._limit if self.connections == 1 else math.inf
                for words in ((near, far, limit), (far, near, math.inf)):
                    threading.Thread(target=_pass_on, args=words).start()


def _pass_on(source: socket.socket, sink: socket.socket, limit: float) -> None:
    """Pass up to `limit` bytes, then close both directions."""
    with suppress(OSError):
        while limit > 0 and (data := source.recv(64 * 1024)):
            sink.sendall(data)
            limit -= len(data)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
