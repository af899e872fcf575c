"""Install git's pre-commit hook, which runs what `.pre-commit-config.yaml` lists."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from tools.project import ROOT

HEADER = "#!/bin/sh\n# Written by `make install`: one line for each project below.\n"


def install_hook() -> None:
    """Have git run `tools/pre-commit.sh` before each commit.

    The hook may belong to a repository above the project, and to all of its worktrees.
    Without git, and where git ignores the project, there is nothing to do. If the hook
    is the user's own or cannot be written, print a line that says so.
    """
    found = git("rev-parse", "--git-path", "hooks/pre-commit", "--show-prefix")
    if found is None or git("check-ignore", "--quiet", ".") is not None:
        return
    path, prefix = found.split("\n")[:2]
    if directory := git("config", "core.hooksPath"):
        warn(f"core.hooksPath is {directory.strip()}")
        return
    try:
        write_hook(ROOT / path, f"{prefix}tools/pre-commit.sh")
    except OSError as error:
        warn(f"{error.filename}: {error.strerror}")


def write_hook(hook: Path, script: str) -> None:
    """Add a project's script to a hook unless the hook is somebody else's.

    Args:
        hook: the file that git runs.
        script: what it is to run, relative to the repository's root.

    Raises:
        OSError: the hook cannot be written.
    """
    quoted = shlex.quote(script)
    line = f"[ ! -f {quoted} ] || sh {quoted} || exit\n"
    text = hook.read_text(encoding="utf-8") if hook.exists() else HEADER
    if not text.startswith(HEADER):
        warn(f"{hook} exists")
    elif line not in text:
        hook.parent.mkdir(parents=True, exist_ok=True)
        hook.write_text(text + line, encoding="utf-8")
        hook.chmod(0o755)


def git(*arguments: str) -> str | None:
    """Return the output of a git command in the project, or None if it fails.

    Inside a hook, variables lead git to one repository. Here the project's own counts.
    """
    program = shutil.which("git")
    if not program:
        return None
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_")
    }
    done = subprocess.run(
        [program, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return done.stdout if done.returncode == 0 else None


def warn(reason: str) -> None:
    """Print why git's hook is not installed, and how to run the checks without it."""
    print(
        f"Git's pre-commit hook is not installed ({reason}): call "
        f"{shlex.quote(str(ROOT / 'tools' / 'pre-commit.sh'))} from a hook of yours.",
        file=sys.stderr,
    )
