"""Run functions on this machine: the poller, one invocation, the terminals in tmux."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools import build, shim_resources
from tools.environment import enter
from tools.errors import UserError
from tools.project import ROOT, require_file, require_function, split_arguments

EXAMPLE = ROOT / "tests" / "data" / "event.json"
COCKPIT = ROOT / "tools" / "cockpit.yml"
PANE_VARIABLES = ("AWS_PORT", "DB_PORT", "SHIM")
# What make sets for its children would change the output of make in the panes.
MAKE_VARIABLES = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS")


def poll(func: str, run_args: str) -> int:
    """Poll a function's queue in the shim as the container does, until Ctrl-C.

    Args:
        func: the function.
        run_args: its settings, as in `--poll_interval=10`; `--help` lists them.

    Raises:
        UserError: there is no such function, or the shim is not running.
    """
    require_function(func)
    settings = split_arguments("RUN_ARGS", run_args)
    if "--help" not in settings:
        enter("")
        function = shim_resources.enter_function(func)
        os.environ.setdefault("READ_QUEUE", function["queue"])
    return start_wrapper(func, settings)


def invoke(func: str, event: Path, run_args: str) -> int:
    """Run a function once on an event, against the shim.

    Args:
        func: the function.
        event: a file with the body of a message; by default the function's own in
            `tests/data/`, or the example's.
        run_args: the function's settings.

    Raises:
        UserError: there is no such function or file, or the shim is not running.
    """
    require_function(func)
    if event == Path():
        own = ROOT / "tests" / "data" / f"event-{func}.json"
        event = own if own.is_file() else EXAMPLE
    require_file("EVENT", event, "tests/data/event.json")
    settings = split_arguments("RUN_ARGS", run_args)
    enter("")
    shim_resources.enter_function(func)
    return start_wrapper(func, [f"--event={event}", *settings])


def start_wrapper(func: str, settings: list[str]) -> int:
    """Replace this process by a function's local wrapper."""
    wrapper = build.build_local(func) / "local_wrapper.py"
    # your own file rather than its copy in the build, so that errors name it
    const_path = f"--const_path={ROOT / 'config' / func}.yml"
    command = [sys.executable, str(wrapper), const_path, *settings]
    os.execv(sys.executable, command)  # noqa: S606 - no shell


def cockpit(func: str) -> int:
    """Open shim, poller, watch and a free terminal in tmux; return tmuxp's exit code.

    Raises:
        UserError: there is no such function, or no tmux.
    """
    require_function(func)
    if not shutil.which("tmux"):
        raise UserError(
            "tmux is missing, see 'make doctor'; or open terminals yourself for "
            f"make shim, make run FUNC={func}, make watch and make event FILE=…"
        )
    session = str(ROOT).replace(".", "_").replace(":", "_")
    variables = {name: os.environ.get(name, "") for name in PANE_VARIABLES}
    variables |= {"SESSION": session, "FUNC": func, "PROJECT": str(ROOT)}
    for name in MAKE_VARIABLES:
        os.environ.pop(name, None)
    tmuxp = str(Path(sys.executable).with_name("tmuxp"))
    command = [tmuxp, "load", "--yes", str(COCKPIT)]
    if not sys.stdout.isatty():
        print(f"The session runs in the background: tmux attach -t {session}")
        command.append("-d")
    return subprocess.run(command, env=os.environ | variables).returncode
