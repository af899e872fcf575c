"""Runs S3, SQS and the database, private to this checkout, until Ctrl-C.

Or for as long as other make words take: it ends with them, and with their exit code.
Docker Compose runs them where an engine answers, else they are local processes on
loopback. `.shim/shim.env` then tells the other make words where they are.
"""

import argparse
import signal
import subprocess
import sys
import threading
from time import monotonic

import bootstrap
import database
from servers import (
    STATE,
    ShimError,
    containers,
    end_leftovers,
    engine_answers,
    is_free,
    processes,
)

ENV_FILE = STATE / "shim.env"
MADE = STATE / "made"  # a file for each function that has its queue; see the Makefile
ENVIRONMENT = """\
# Where the shim is; it has no secrets. The command line goes before these.
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_ENDPOINT_URL_S3 AWS_ENDPOINT_URL_SQS
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
export AWS_ACCESS_KEY_ID=shim AWS_SECRET_ACCESS_KEY=shim
export AWS_REGION={region} AWS_DEFAULT_REGION={region}
export AWS_ENDPOINT_URL=http://127.0.0.1:{aws_port}
export DB_HOST=127.0.0.1 DB_PORT={db_port} DB_NAME=main DB_USER=worker
export DB_PASS=shim DB_TLS=prefer
export BUCKET={bucket}
"""


def main() -> int:
    """Run the shim until a signal; return the exit code."""
    options = parse_options()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    began = monotonic()
    try:
        STATE.mkdir(exist_ok=True)
        by_docker = options.mode == "docker" or (
            options.mode == "auto" and engine_answers()
        )
        end_leftovers((options.aws_port, options.db_port))
        ENV_FILE.unlink(missing_ok=True)
        check_free("AWS_PORT", options.aws_port)
        check_free("DB_PORT", options.db_port)
        functions = bootstrap.names()  # others may come before there are queues
        with (containers if by_docker else processes)(options, stop) as check:
            write_environment(options)
            note_made(functions)
            print(
                f"Ready after {monotonic() - began:.1f} s; Ctrl-C ends the shim.\n"
                f"  S3 and SQS  http://127.0.0.1:{options.aws_port}  "
                f"bucket {bootstrap.BUCKET}\n"
                f"  database    127.0.0.1:{options.db_port}  main, as worker",
                flush=True,
            )
            try:
                if options.words:
                    words = ["make", "--no-print-directory", *options.words]
                    return subprocess.run(words).returncode
                print("Next, in another terminal: make run FUNC=worker", flush=True)
                while not stop.wait(0.2):
                    check()
            finally:
                ENV_FILE.unlink()
    except (ShimError, FileNotFoundError) as error:
        if stop.is_set():
            return 0
        print(f"shim: {error}", file=sys.stderr)
        return 1
    return 0


def parse_options() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    ports = range(1, 65536)
    parser.add_argument(
        "--aws_port", type=int, choices=ports, default=4566, metavar="PORT"
    )
    parser.add_argument(
        "--db_port", type=int, choices=ports, default=database.PORT, metavar="PORT"
    )
    parser.add_argument("--region", default="eu-west-1")
    parser.add_argument("--mode", choices=["auto", "docker", "process"], default="auto")
    parser.add_argument("words", nargs="*", help="make words that it runs for")
    options = parser.parse_args()
    if options.aws_port == options.db_port:
        parser.error(
            f"AWS_PORT and DB_PORT are both {options.db_port}: they must differ"
        )
    return options


def check_free(name: str, port: int) -> None:
    """Raise ShimError where somebody listens on the port."""
    if not is_free(port):
        raise ShimError(
            f"port {port} of 127.0.0.1 is in use; end what uses it, or choose "
            f"another: make shim {name}={port + 1}"
        )


def write_environment(options: argparse.Namespace) -> None:
    """Write `.shim/shim.env`, at once and whole."""
    text = ENVIRONMENT.replace("{bucket}", bootstrap.BUCKET)
    for name in ("region", "aws_port", "db_port"):
        text = text.replace("{" + name + "}", str(getattr(options, name)))
    new = ENV_FILE.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(ENV_FILE)


def note_made(functions: list[str]) -> None:
    """Note that functions lack nothing, so that no make word looks again."""
    MADE.mkdir(exist_ok=True)
    for name in functions:
        (MADE / name).touch()


if __name__ == "__main__":
    sys.exit(main())
