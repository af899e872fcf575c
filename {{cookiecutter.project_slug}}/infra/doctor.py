"""Tells what this machine has of what the project needs, and how to get the rest."""

import argparse
import importlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PYTHON = (3, 11)


class Finding(NamedTuple):
    """One need: whether it is met, what was found, what for, and how to get it."""

    name: str
    is_met: bool
    found: str
    purpose: str
    remedy: str
    is_required: bool = False


def main() -> int:
    """Print the findings; the exit code is 1 where something required is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quiet", action="store_true", help="only what is missing")
    options = parser.parse_args()
    findings = [python(), venv()]
    if not options.quiet:
        findings += [server(), *(program(*each) for each in PROGRAMS)]
        if (ROOT / "infra" / "terraform.py").exists():
            findings.append(program(*TERRAFORM))
        if (ROOT / "infra" / "cdk.json").exists():
            findings.append(program(*NODE))
    lacking = [each for each in findings if each.is_required and not each.is_met]
    for each in lacking if options.quiet else findings:
        mark = (
            "ok     " if each.is_met else "MISSING" if each.is_required else "absent "
        )
        print(f"{mark} {each.name:15} {each.found[:42]:42} {each.purpose}")
        if not each.is_met:
            print(f"        {each.remedy}")
    return 1 if lacking else 0


def python() -> Finding:
    """Look at the Python that runs this."""
    return Finding(
        "Python",
        sys.version_info >= PYTHON,
        f"{sys.version.split()[0]}, {sys.executable}",
        "everything (3.11 or later)",
        "name a later one, as in: make install PYTHON=python3.13",
        is_required=True,
    )


def venv() -> Finding:
    """Look for the part of Python that Debian packages apart."""
    is_met = importlib.util.find_spec("ensurepip") is not None
    return Finding(
        "venv",
        is_met,
        "part of Python" if is_met else "not there",
        "make install",
        "Debian, Ubuntu, WSL: apt-get install python3-venv",
        is_required=True,
    )


def server() -> Finding:
    """Look for the server of the shim's database."""
    sys.path.insert(0, str(ROOT / "tests" / "shim"))
    database = importlib.import_module("database")
    found = database.server()
    purpose = "the shim's database without Docker"
    return Finding("database", bool(found), found or "-", purpose, database.MISSING)


def program(name: str, command: list[str], purpose: str, remedy: str) -> Finding:
    """Ask a program for its version."""
    if shutil.which(command[0]) is None:
        return Finding(name, False, "not there", purpose, remedy)
    answer = subprocess.run(command, capture_output=True, text=True)
    lines = (answer.stdout or answer.stderr or "it answers").splitlines()
    return Finding(name, answer.returncode == 0, lines[0], purpose, remedy)


TERRAFORM = (
    "Terraform",
    ["terraform", "version"],
    "deploying (1.11 or later), and checks of what deploys",
    "https://developer.hashicorp.com/terraform/install",
)
NODE = (
    "Node",
    [str(ROOT / ".venv-infra" / "bin" / "node"), "--version"],
    "CDK: deploying, and checks of what deploys",
    "it comes with .venv-infra, which the first of these words installs",
)
PROGRAMS = [
    (
        "git",
        ["git", "--version"],
        "checks before each commit",
        "Debian: apt-get install git; macOS: xcode-select --install",
    ),
    (
        "Docker engine",
        ["docker", "ps", "--quiet", "--filter", "name=^$"],
        "images, and the shim, if you like it so",
        "https://docs.docker.com/engine/install/",
    ),
    (
        "Docker Compose",
        ["docker", "compose", "version"],
        "the shim by Docker",
        "https://docs.docker.com/compose/install/",
    ),
]


if __name__ == "__main__":
    sys.exit(main())
