"""Opens four terminals in tmux: worker, playground, shim, watch."""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WAIT = "sh -c 'until test -f .shim/shim.env; do sleep 1; done'; "
SIZE = ("-x", "200", "-y", "50")  # until a terminal shows it
FROM_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS")


def commands(function: str, given: str) -> dict[str, str]:
    """Return what is typed in each terminal; nothing in the playground.

    Args:
        function: which one the worker runs.
        given: more words for each make word.
    """
    more = f" {given}" if given else ""
    return {
        "worker": f"{WAIT}make run FUNC={function}{more}",
        "playground": "",
        "shim": f"make shim{more}",
        "watch": f"make watch{more}",
    }


def open_session(name: str, typed: dict[str, str]) -> None:
    """Make a session of four panes, without showing it.

    Each is a shell of its own, so Ctrl-C and the arrow keys do as they do anywhere.
    """
    panes = {}
    make = ["new-session", "-d", "-s", name, *SIZE]
    for title, keys in typed.items():
        pane = panes[title] = tmux(*make, "-c", str(ROOT), "-P", "-F", "#{pane_id}")
        make = ["split-window", "-t", name]
        tmux("select-layout", "-t", name, "tiled")
        tmux("select-pane", "-t", pane, "-T", title)
        if keys:
            tmux("send-keys", "-t", pane, keys, "Enter")
    tmux("set-option", "-t", name, "pane-border-status", "top")
    tmux("set-option", "-t", name, "pane-border-format", " #T ")
    tmux("select-pane", "-t", panes["playground"])


def tmux(*words: str) -> str:
    """Run tmux; return what it says. Its errors are its own sentences.

    What make tells its children is not for the make words of other terminals.
    """
    kept = {name: value for name, value in os.environ.items() if name not in FROM_MAKE}
    result = subprocess.run(
        ["tmux", *words], check=True, env=kept, stdout=subprocess.PIPE, text=True
    )
    return result.stdout.strip()


def main() -> int:
    """Open the session, or the one that is open already; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--function", required=True)
    parser.add_argument("--given", default="")
    options = parser.parse_args()
    typed = commands(options.function, options.given)
    if not shutil.which("tmux"):
        print("There is no tmux: see 'make doctor'. Open four terminals yourself:")
        for title, keys in typed.items():
            print(f"  {title:11} {keys.removeprefix(WAIT) or 'make event FILE=…'}")
        return 1
    name = ROOT.name.replace(".", "_").replace(":", "_")
    known = ["tmux", "has-session", "-t", f"={name}"]
    try:
        if subprocess.run(known, capture_output=True).returncode != 0:
            open_session(name, typed)
    except subprocess.CalledProcessError:
        return 1
    if not sys.stdout.isatty():
        print(
            f"It is open: tmux attach -t {name}; tmux kill-session -t {name} ends it."
        )
        return 0
    word = "switch-client" if "TMUX" in os.environ else "attach-session"
    os.execvp("tmux", ["tmux", word, "-t", f"={name}"])  # noqa: S606 - no shell wanted


if __name__ == "__main__":
    sys.exit(main())
