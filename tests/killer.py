"""Run commands of a project, and kill them after some of their requests of AWS.

The project's virtual environment runs this program in its directory. It answers each
line of JSON with another one. A command runs in a process of its own, as with
`python -m tools`, so SIGKILL ends it like a machine that is lost.
"""

import json
import os
import re
import signal
import sys
import tempfile
import time
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

import boto3

sys.path.insert(0, os.getcwd())

from tools import __main__ as command_line
from tools import releases, services

for module in ("jsonschema", "tools.deploy"):
    import_module(module)  # once for all commands, since that takes a second
for service in ("codedeploy", "ecs", "lambda"):
    boto3.client(service, region_name="eu-west-1")
sleep = time.sleep
time.sleep = lambda _: sleep(0.05)  # the emulator is faster than AWS
releases.KEPT = services.KEPT = 2


def run(words: list[str], operations: str, number: int) -> int:
    """Run a command; return its exit code.

    Args:
        words: the command and its options.
        operations: pattern of the names of those that are counted.
        number: of the request after which it is killed; 0 is before the first.
    """
    numbers = count(1)

    def kill(model: Any, **_: Any) -> None:
        if re.match(operations, model.name) and next(numbers) == max(number, 1):
            os.kill(os.getpid(), signal.SIGKILL)

    event = "after-call" if number else "before-call"
    boto3.DEFAULT_SESSION.events.register(event, kill)
    return int(command_line.main(words))


def start(request: dict[str, Any], output: int) -> int:
    """Run a command in a new process; return its exit code, or minus the signal."""
    pid = os.fork()
    if not pid:
        code = 70
        for stream in (1, 2):
            os.dup2(output, stream)
        try:
            code = run(**request)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


for line in sys.stdin:
    with tempfile.NamedTemporaryFile() as file:
        status = start(json.loads(line), file.fileno())
        output = Path(file.name).read_text(encoding="utf-8")
    print(json.dumps({"status": status, "output": output}), flush=True)
