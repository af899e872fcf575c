"""Starts the shim's servers, publishes their addresses, and stops them."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from tests.shim.bootstrap import BUCKET
from tests.shim.compose import engine_answers, run_containers
from tests.shim.environment_file import FILE, bypass_proxies, published, variables
from tests.shim.local_servers import run_local_servers
from tests.shim.options import Options, parse_options
from tests.shim.processes import (
    ROOT,
    STATE,
    Processes,
    ShimError,
    check_free,
    run_logged,
)
from tests.shim.stop import Stop
from tools.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run(arguments: Sequence[str], stop: Stop) -> int:
    """Run the shim until `stop` is set or its make targets end; return the exit code.

    Args:
        arguments: the command line, without the program.
        stop: set when the shim is told to stop.
    """
    try:
        return _supervise(parse_options(arguments), stop)
    except (ShimError, UserError) as error:
        message = str(error)
    except OSError as error:
        if error.errno not in FULL:
            raise
        message = f"{error.filename or STATE} cannot be written: {error.strerror}"
    if stop.is_set():
        print("The shim was stopped before it was ready.", file=sys.stderr)
        return 130
    print(f"shim: {message}", file=sys.stderr)
    return 1


def _supervise(options: Options, stop: Stop) -> int:
    began = monotonic()
    bypass_proxies()
    with Processes(stop) as processes:
        FILE.unlink(missing_ok=True)  # of a shim that was killed
        check_free("AWS_PORT", options.aws_port, processes.patience)
        check_free("DB_PORT", options.db_port, processes.patience)
        is_docker = options.mode == "docker" or (
            options.mode == "auto" and engine_answers()
        )
        servers = (
            run_containers(options, stop)
            if is_docker
            else run_local_servers(options, processes)
        )
        with servers, _tables(options), published(options):
            seconds = monotonic() - began
            print(
                f"Ready after {seconds:.1f} s. Ctrl-C stops the shim.\n"
                f"  S3 and SQS  http://127.0.0.1:{options.aws_port}  bucket {BUCKET}\n"
                f"  database    127.0.0.1:{options.db_port}  main, user app",
                flush=True,
            )
            if options.targets:
                return _run_make(options.targets, stop)
            print("Next, in another terminal: make run FUNC=worker", flush=True)
            _wait(processes.check, stop)
    return 0


@contextmanager
def _tables(options: Options) -> Iterator[None]:
    """Create the database's tables, before others learn where the shim is.

    Raises:
        ShimError: a file of `migrations/` is wrong.
    """
    program = Path(__file__).with_name("create_tables.py")
    python = ROOT / ".venv" / "bin" / "python"
    environment = os.environ | variables(options)
    run_logged("migrations", [str(python), str(program)], environment=environment)
    yield


def _wait(check: Callable[[], None], stop: Stop) -> None:
    """Wait until the shim is told to stop, or a server ends."""
    while not stop.wait(0.2):
        check()


def _run_make(targets: list[str], stop: Stop) -> int:
    """Run make; return its exit code.

    On a terminal, make stays in its foreground, where Ctrl-C and prompts reach it.
    Elsewhere it has a process group, so that a signal reaches all that it has started.
    """
    group = None if sys.stdin.isatty() else 0
    command = ["make", "--no-print-directory", *targets]
    process = subprocess.Popen(command, process_group=group)
    while process.poll() is None:
        if stop.wait(0.05):
            if group is None:
                process.terminate()
            else:
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()
    code = process.returncode
    return code if code >= 0 else 128 - code
