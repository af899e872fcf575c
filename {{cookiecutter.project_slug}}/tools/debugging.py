"""Let an editor attach to what a target runs: `DEBUG=1`, or `DEBUG=<port>`.

All environments then run your files in `src/`, so breakpoints need no path mappings.
"""

from argparse import ArgumentTypeError

DEFAULT_PORT = 5678
# Seconds that a message may stay at a breakpoint before SQS delivers it again. The
# debugger stops all threads, also the one that extends leases.
VISIBILITY_SECONDS = 3600
# The module that the shim's Lambda runs.
LAMBDA = """\
import os
import sys
from importlib.util import module_from_spec, spec_from_file_location

sys.path[:0] = {paths!r}
sys.path += {packages!r}
os.environ["CONST_PATH"] = {const_path!r}
# a warning about frozen modules, which none of yours are
os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
import debugpy

try:
    debugpy.listen(("127.0.0.1", {port}))
except (OSError, RuntimeError) as error:
    print("not debugged, port {port} is taken:", error)
spec = spec_from_file_location("wrapper", {wrapper!r})
wrapper = module_from_spec(spec)
spec.loader.exec_module(wrapper)


def handler(event, context):
    debugpy.wait_for_client()
    return wrapper.handler(event, context)
"""


def parse_port(text: str) -> int:
    """Return the port of the debugger, or 0 for none.

    Raises:
        ArgumentTypeError: it is none.
    """
    if text in ("", "0"):
        return 0
    if text == "1":
        return DEFAULT_PORT
    if not (text.isascii() and text.isdecimal() and 1024 <= int(text) < 2**16):
        raise ArgumentTypeError(f"{text!r} is neither 1 nor a port, such as 5678")
    return int(text)


def wrap(command: list[str], port: int) -> list[str]:
    """Return a command of Python that waits for an editor, if there is a port."""
    if not port:
        return command
    print(f"Waiting for your editor to attach to port {port}.", flush=True)
    python, *arguments = command
    return [python, *options(f"127.0.0.1:{port}"), *arguments]


def options(address: str) -> list[str]:
    """Return the options of Python that start the debugger."""
    # without frozen modules, whose frames it cannot see
    listen = ["-m", "debugpy", "--listen", address, "--wait-for-client"]
    return ["-Xfrozen_modules=off", *listen]
