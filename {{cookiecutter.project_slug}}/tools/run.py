"""Run functions on this machine: the poller, one invocation, the terminals in tmux."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools import (
    build,
    dead_letters,
    debugging,
    local_logs,
    shim_resources,
    source_package,
)
from tools.environment import client, enter
from tools.errors import UserError
from tools.project import BUILD, ROOT, require_file, require_function, split_arguments

# A request waits no longer than this, since the old poller may still receive a message
# while it does; and messages in flight always have the time to finish.
RELOAD_SETTINGS = {"POLL_INTERVAL": "1", "GRACE": "3600"}
EXAMPLE = ROOT / "tests" / "data" / "event.json"
COCKPIT = ROOT / "tools" / "cockpit.yml"
PANE_VARIABLES = ("AWS_PORT", "DB_PORT", "SHIM")
# What make sets for its children would change the output of make in the panes.
MAKE_VARIABLES = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS")


def poll(func: str, run_args: str, reload: bool, debug: int) -> int:
    """Poll a function's queue in the shim as the container does, until Ctrl-C.

    Args:
        func: the function.
        run_args: its settings, as in `--poll_interval=10`; `--help` lists them.
        reload: whether to restart the poller when you save code or settings.
        debug: port for the debugger, or 0.

    Raises:
        UserError: there is no such function, or the shim is not running.
    """
    require_function(func)
    if reload and debug:
        raise UserError("RELOAD=1 cannot be used with DEBUG: leave one of them out")
    settings = split_arguments("RUN_ARGS", run_args)
    if "--help" in settings:
        return replace_process(wrapper_command(func, settings))
    shell = dict(os.environ)

    def prepare() -> list[str]:
        os.environ.clear()
        os.environ.update(shell)
        enter("")
        shim_resources.update.cache_clear()
        function = shim_resources.enter_function(func)
        os.environ.setdefault("READ_QUEUE", function["queue"])
        shim_resources.set_visibility(function["queue"], bool(debug))
        return wrapper_command(func, settings)

    if not reload:
        return replace_process(debugging.wrap(prepare(), debug))
    for name, value in RELOAD_SETTINGS.items():
        shell.setdefault(name, value)
    from tools import hot_reload  # its package is for development only

    return hot_reload.poll(prepare, func)


def invoke(
    func: str, event: Path, message: str, env: str, run_args: str, debug: int
) -> int:
    """Run a function once on an event, against the shim.

    Args:
        func: the function.
        event: a file with the body of a message; by default the function's own in
            `tests/data/`, or the example's.
        message: instead, the ID of a message in the dead-letter queue.
        env: the environment of that queue; empty for the shim.
        run_args: the function's settings.
        debug: port for the debugger, or 0.

    Raises:
        UserError: there is no such function or file, or the shim is not running.
    """
    require_function(func)
    if message and event != Path():
        raise UserError("EVENT= and MESSAGE= are both set: use one of them")
    if env and not message:
        raise UserError(
            f"ENV={env} is the environment of a dead letter, and the function runs "
            "against the shim: add MESSAGE=, or leave out ENV"
        )
    if message:
        event = save_dead_letter(func, env, message)
    if event == Path():
        own = ROOT / "tests" / "data" / f"event-{func}.json"
        event = own if own.is_file() else EXAMPLE
    require_file("EVENT", event, "tests/data/event.json")
    settings = split_arguments("RUN_ARGS", run_args)
    enter("")
    shim_resources.enter_function(func)
    command = wrapper_command(func, [f"--event={event}", *settings])
    return replace_process(debugging.wrap(command, debug))


def save_dead_letter(func: str, env: str, message: str) -> Path:
    """Write the body of a dead letter to a file; return that.

    Raises:
        UserError: there is no such message.
    """
    shell = dict(os.environ)
    body = dead_letters.read_body(enter(env), func, message)
    os.environ.clear()
    os.environ.update(shell)
    client.cache_clear()  # the function runs against the shim
    file = BUILD / "run" / func / "dead-letter.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)  # before anybody else can read the body
    file.write_text(body, encoding="utf-8")
    return file


def replace_process(command: list[str]) -> int:
    """Replace this process by another one."""
    os.execv(command[0], command)  # noqa: S606 - no shell


def wrapper_command(func: str, settings: list[str]) -> list[str]:
    """Return the command of a function's local wrapper, and set its variables.

    Everything runs from `src/` and `config/`, so tracebacks, breakpoints and errors in
    settings name your files.
    """
    const_path = f"--const_path={build.require_settings(func)}"
    paths = source_package.write(func)
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    local_logs.copy_to_file(func)
    return [sys.executable, str(source_package.WRAPPER), const_path, *settings]


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
