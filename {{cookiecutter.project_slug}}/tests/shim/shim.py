"""Run S3, SQS and the database, private to this checkout: the program of `make shim`.

It needs nothing but Python. The servers run in Docker if an engine answers, otherwise
as local processes on the loopback interface.
"""

import signal
import sys
from pathlib import Path


def main() -> int:
    """Run the shim until a signal arrives; return the exit code."""
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # as for `python -m tools`
    from tests.shim.stop import Stop

    stop = Stop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    # Imported only now: Ctrl-C during an import would print a traceback.
    from tools.errors import UserError
    from tools.project import answers

    try:
        answers()  # without them, modules of the chosen database are missing
    except UserError as error:
        sys.exit(f"shim: {error}")
    from tests.shim.supervisor import run

    return run(sys.argv[1:], stop)


if __name__ == "__main__":
    sys.exit(main())
