"""A client of the debug protocol, which editors speak with debugpy.

See https://microsoft.github.io/debug-adapter-protocol/specification
"""

import json
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from baking import DEADLINE, Project, wait_until
from shim_helpers import count_loaded

STOP = "    context.require_time()"  # in the function `load_object` of the worker


class DebugClient:
    """An editor that attaches to a port, with breakpoints in one file.

    Args:
        port: where debugpy listens, now or soon.
        path: the file.
        lines: numbers of the lines with a breakpoint.
    """

    def __init__(self, port: int, path: Path, *lines: int) -> None:
        wait_until(lambda: self._attach(port, path, lines), f"debugpy at port {port}")

    def _attach(self, port: int, path: Path, lines: Sequence[int]) -> bool:
        """Return whether a debugger listens, and does not end meanwhile."""
        self._number = 0
        self._events: list[dict[str, Any]] = []
        try:
            self._socket = socket.create_connection(("127.0.0.1", port), DEADLINE)
            self._stream = self._socket.makefile("rb")
            self.request("initialize", adapterID="test", pathFormat="path")
            attached = self._send("attach", {"justMyCode": True})
            self._wait_for_event("initialized")
            breakpoints = [{"line": line} for line in lines]
            source = {"path": str(path)}
            self.request("setBreakpoints", source=source, breakpoints=breakpoints)
            self.request("configurationDone")
            self._wait_for_response(attached)
        except OSError:
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.close()

    def wait_for_stop(self) -> dict[str, Any]:
        """Wait until a thread stops at a breakpoint; return its innermost frame.

        It has the keys `threadId`, `line`, `path` and `variables`, by name, as text.
        """
        thread = self._wait_for_event("stopped")["threadId"]
        [frame, *_] = self.request("stackTrace", threadId=thread)["stackFrames"]
        scopes = self.request("scopes", frameId=frame["id"])["scopes"]
        reference = scopes[0]["variablesReference"]
        found = self.request("variables", variablesReference=reference)["variables"]
        return {
            "threadId": thread,
            "line": frame["line"],
            "path": frame["source"]["path"],
            "variables": {each["name"]: each["value"] for each in found},
        }

    def request(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a request; return the body of its response.

        Raises:
            AssertionError: it failed.
        """
        return self._wait_for_response(self._send(command, arguments))

    def _send(self, command: str, arguments: dict[str, Any]) -> int:
        self._number += 1
        message = {"seq": self._number, "type": "request", "command": command}
        body = json.dumps(message | {"arguments": arguments}).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        return self._number

    def _wait_for_response(self, number: int) -> dict[str, Any]:
        def is_response(message: dict[str, Any]) -> bool:
            return bool(message.get("request_seq") == number)

        response = self._wait_for(is_response)
        assert response["success"], response
        return dict(response.get("body") or {})

    def _wait_for_event(self, name: str) -> dict[str, Any]:
        found = self._wait_for(lambda message: message.get("event") == name)
        return dict(found.get("body") or {})

    def _wait_for(self, is_wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first message that is wanted, of those kept and of new ones."""
        for message in self._events:
            if is_wanted(message):
                self._events.remove(message)
                return message
        while not is_wanted(message := self._receive()):
            self._events.append(message)
        return message

    def _receive(self) -> dict[str, Any]:
        length = 0
        while line := self._stream.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if not length:
            raise ConnectionError("debugpy has closed the connection")
        message: dict[str, Any] = json.loads(self._stream.read(length))
        return message


def find_stop(project: Project) -> tuple[Path, int]:
    """Return the worker's file, and the line with which it begins to load an object."""
    module = project.path / "src" / "func" / "worker.py"
    lines = module.read_text(encoding="utf-8").splitlines()
    return module, lines.index(STOP) + 1


@contextmanager
def stopped_at(project: Project, port: int, key: str) -> Iterator[None]:
    """Attach; after the block, stop where the worker loads an object, and go on.

    Args:
        project: whose shim runs.
        port: of the debugger.
        key: of the object, which has ten rows and which the block may put.
    """
    module, line = find_stop(project)
    with DebugClient(port, module, line) as editor:
        yield
        frame = editor.wait_for_stop()
        assert (frame["line"], Path(frame["path"])) == (line, module)
        assert f"key='{key}'" in frame["variables"]["s3_object"]
        assert count_loaded(project, key) == 0
        editor.request("continue", threadId=frame["threadId"])
        wait_until(lambda: count_loaded(project, key) == 10, "the rows")


def drop_sample(project: Project, name: str, env: str = "") -> str:
    """Put the sample, which has ten rows, below another name; return its key."""
    file = project.path / ".build" / name
    file.parent.mkdir(exist_ok=True)
    sample = project.path / "tests" / "data" / "sanity.csv"
    file.write_bytes(sample.read_bytes())
    project.make("event", f"FILE={file}", "FUNC=worker", f"ENV={env}")
    return f"worker/{name}"
