"""Run the unit tests, once or after each change, and tests of a stack or of tools."""

import os
import sys
from importlib.util import find_spec

from tools import debugging
from tools.errors import UserError
from tools.project import ROOT, split_arguments

WATCHED = (".py", ".yml", ".json", ".csv", ".sql")
LONGEST = 60  # seconds for a unit test
TOOLS = "tools"  # what TARGET names besides the stacks


def test(target: str, test_args: str, debug: int) -> int:
    """Run all unit tests, or the tests of a stack or of `tools/`; return the exit code.

    Args:
        target: a stack of `infra/`, "tools", or empty for the unit tests.
        test_args: arguments of pytest.
        debug: port for the debugger, or 0.

    Raises:
        UserError: there is no such stack, or no pytest.
    """
    if target not in ("", TOOLS):
        from tools import deploy_config, iac  # boto3 takes longer than the unit tests

        deploy_config.require_stack(target, (*deploy_config.STACKS, TOOLS))
        if test_args:
            raise UserError(
                f"TEST_ARGS cannot be used with TARGET={target}: leave one of them out"
            )
        return iac.test(target)
    arguments = split_arguments("TEST_ARGS", test_args)
    if not find_spec("pytest"):
        raise UserError(".venv is damaged, pytest is gone: run 'make install'")
    # pytest starts in half the time from compiled modules
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    limit = [] if debug else stop_after(LONGEST)
    place = ["--override-ini=testpaths=tools/tests"] if target else []
    command = [sys.executable, "-m", "pytest", *limit, *place, *arguments]
    command = debugging.wrap(command, debug)
    os.execv(sys.executable, command)  # noqa: S606 - no shell


def stop_after(seconds: int) -> list[str]:
    """Return pytest's options that end the run if a test takes too long.

    The stack that they print names the test. They are not in `pyproject.toml`, because
    your editor's debugger would have to finish in time, too.
    """
    options = {"timeout": str(seconds), "exit_on_timeout": "true"}
    return [
        f"--override-ini=faulthandler_{key}={value}" for key, value in options.items()
    ]


def watch() -> int:
    """Run the unit tests again whenever you save code, settings or data; return 0."""
    from pytest_watch.watcher import watch as watch_files

    directories = [str(ROOT / name) for name in ("src", "tests", "config")]
    runner = "make --no-print-directory test"
    watch_files(directories, extensions=WATCHED, runner=runner)
    return 0
