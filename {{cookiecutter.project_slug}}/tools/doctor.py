"""Tells what this machine has of what the project needs, and how to get the rest.

The exit code is 1 where something is missing that everyday words need: `make test`,
`shim`, `run`. With an environment, what `make deploy` needs there counts, too.
"""

import argparse
import importlib
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SHIM = ROOT / ".shim" / "shim.env"
PYTHON = "3.11"
MAKE = "3.81"
ENGINE = "25"  # knows `start_interval`, as does Compose
COMPOSE = "2.20.2"
TERRAFORM = "1.11"
NODE = "22"
COLOURS = {"ok": 32, "absent": 33, "too old": 33, "MISSING": 31}


class Finding(NamedTuple):
    """One need: what was found of it, what is needed, what for, and how to get it."""

    name: str
    is_met: bool
    found: str
    needed: str
    purpose: str
    remedy: str
    is_required: bool = False

    @property
    def mark(self) -> str:
        """Say in a word how it stands."""
        if self.is_met or self.is_required:
            return "ok" if self.is_met else "MISSING"
        return "too old" if self.found[0].isdecimal() else "absent"


def main() -> int:
    """Print the findings; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quiet", action="store_true", help="only what is missing")
    parser.add_argument("--project", default="")
    parser.add_argument("--environment", default="")
    parser.add_argument("--venv-python", default="")
    options = parser.parse_args()
    findings = [python(), venv()]
    if not options.quiet:
        findings += everyday(options.environment)
        findings += deploying(options.environment, options.project, options.venv_python)
    lacking = [each for each in findings if each.is_required and not each.is_met]
    for each in lacking if options.quiet else findings:
        print(
            f"{coloured(each.mark)} {each.name:14} {each.found[:24]:24} "
            f"{each.needed:14} {each.purpose}"
        )
        if not each.is_met:
            print(f"        {each.remedy}")
    return 1 if lacking else 0


def coloured(mark: str) -> str:
    """Return a mark, in colour where a terminal shows it and nobody objects."""
    text = f"{mark:7}"
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if is_plain or not sys.stdout.isatty():
        return text
    return f"\033[{COLOURS[mark]}m{text}\033[0m"


def everyday(environment: str) -> list[Finding]:
    """Look at what unit tests, the shim and the poller need, and at what is of use."""
    engine = program(
        *(
            "Docker engine",
            ["docker", "version"],
            ENGINE,
            "images, and the shim, if you like",
        ),
        "Debian, Ubuntu: https://docs.docker.com/engine/install/; macOS, WSL: "
        "https://docs.docker.com/desktop/; then start it",
        is_required=environment not in ("", "local") and has_containers(),
        pattern=r"Server:.*?Version:\s+(\S+)",
    )
    compose = program(
        *("Docker Compose", ["docker", "compose", "version"], COMPOSE),
        "the shim by Docker",
        "Debian, Ubuntu: apt-get install docker-compose-plugin, of Docker's own "
        "packages; macOS, WSL: Docker Desktop has it",
    )
    has_docker = engine.is_met and compose.is_met
    return [
        program(
            *("make", ["make", "--version"], MAKE, "all words"),
            "Debian, Ubuntu, WSL: apt-get install make; macOS: xcode-select --install",
            is_required=True,
        ),
        program(
            *("git", ["git", "--version"], "", "checks before each commit"),
            "Debian, Ubuntu, WSL: apt-get install git; macOS: xcode-select --install",
        ),
        server(is_required=not has_docker),
        engine,
        compose,
        program(
            *("tmux", ["tmux", "-V"], "", "make cockpit"),
            "Debian, Ubuntu, WSL: apt-get install tmux; macOS: brew install tmux",
        ),
        program(
            *("AWS CLI", ["aws", "--version"], "", "no word; only to log in by SSO"),
            "https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html",
        ),
    ]


def has_containers() -> bool:
    """Tell whether a function's image is built for some environment."""
    text = (ROOT / "config" / "deploy.yml").read_text(encoding="utf-8")
    return re.search(r"(?m)^[^#\n]*runtime: *container", text) is not None


def deploying(environment: str, project: str, venv_python: str) -> list[Finding]:
    """Look at what deploys; required where an environment is named."""
    is_required = bool(environment)
    findings = []
    if (ROOT / "infra" / "terraform.py").exists():
        remedy = (
            "https://developer.hashicorp.com/terraform/install (Debian, Ubuntu, WSL: "
            "its apt repository; macOS: brew install hashicorp/tap/terraform)"
        )
        words = ("Terraform", ["terraform", "version"], TERRAFORM, "deploying")
        findings.append(program(*words, remedy, is_required=is_required))
    if (ROOT / "infra" / "cdk.json").exists():
        node = str(ROOT / ".venv-infra" / "bin" / "node")
        remedy = "it comes with .venv-infra, which the first of these words installs"
        words = ("Node", [node, "--version"], NODE, "CDK: deploying, and its checks")
        findings.append(program(*words, remedy))
    if environment == "local":
        findings.append(shim())
    elif environment:
        findings.append(credentials(environment, project, venv_python))
    return findings


def python() -> Finding:
    """Look at the Python that runs this."""
    found = sys.version.split()[0]
    return Finding(
        *(
            "Python",
            is_enough(found, PYTHON),
            found,
            f"{PYTHON} or later",
            "everything",
        ),
        "name a later one, as in: make install PYTHON=python3.13 (Debian, Ubuntu, WSL: "
        "apt-get install python3.13; macOS: brew install python@3.13)",
        is_required=True,
    )


def venv() -> Finding:
    """Look for the part of Python that Debian packages apart."""
    is_met = importlib.util.find_spec("ensurepip") is not None
    found = "part of Python" if is_met else "not there"
    return Finding(
        *("venv", is_met, found, "any", "make install"),
        "Debian, Ubuntu, WSL: apt-get install python3-venv; macOS: Python of brew or "
        "of python.org has it",
        is_required=True,
    )


def server(is_required: bool) -> Finding:
    """Look for the server of the shim's database."""
    sys.path.insert(0, str(ROOT / "tests" / "shim"))
    database = importlib.import_module("database")
    found = database.server()
    what = ("the shim without Docker", database.MISSING, is_required)
    if found and Path(found).exists():
        return program("database", [found, "--version"], "", *what)
    return Finding("database", bool(found), found or "not there", "any", *what)


def program(
    name: str,
    command: list[str],
    needed: str,
    purpose: str,
    remedy: str,
    is_required: bool = False,
    pattern: str = r"(\d+(?:\.\d+)+)",
) -> Finding:
    """Ask a program for its version.

    Args:
        name: of the program.
        command: what prints the version.
        needed: the oldest one that will do, empty if any does.
        purpose: what it is for.
        remedy: how to get it.
        is_required: whether its lack is an error.
        pattern: finds the version in what is printed.
    """
    found, is_met = "not there", False
    if shutil.which(command[0]):
        answer = subprocess.run(command, capture_output=True, text=True)
        version = re.search(pattern, answer.stdout or answer.stderr, re.DOTALL)
        is_met = answer.returncode == 0 and version is not None
        found = version[1] if is_met and version else "does not answer"
        is_met = is_met and is_enough(found, needed)
    told = f"{needed} or later" if needed else "any"
    return Finding(name, is_met, found, told, purpose, remedy, is_required)


def is_enough(found: str, needed: str) -> bool:
    """Tell whether a version is not older than another one."""
    have, want = (
        [int(part) for part in re.findall(r"\d+", version)]
        for version in (found, needed)
    )
    return have >= want


def shim() -> Finding:
    """Look whether the shim runs, and answers."""
    text = SHIM.read_text(encoding="utf-8") if SHIM.exists() else ""
    ports = re.findall(r"(?:127\.0\.0\.1:|DB_PORT=)(\d+)", text)
    is_met = bool(ports) and all(map(answers, ports))
    found = f"ports {' and '.join(ports)}" if is_met else "does not run"
    remedy = "in another terminal: make shim"
    purpose = "whatever has ENV=local"
    return Finding("shim", is_met, found, "any", purpose, remedy, is_required=True)


def answers(port: str) -> bool:
    """Tell whether somebody listens on a port of the loopback interface."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


def credentials(environment: str, project: str, venv_python: str) -> Finding:
    """Ask AWS whose credentials an environment has."""
    purpose = f"whatever has ENV={environment}"
    words = ("--project", project, "--environment", environment)
    found, remedy, is_met = "not asked", "make install, then again", False
    if shutil.which(venv_python):
        command = [venv_python, str(ROOT / "infra" / "place.py"), *words]
        answer = subprocess.run(command, capture_output=True, text=True)
        is_met = answer.returncode == 0
        found = answer.stdout.strip() if is_met else "none that AWS accepts"
        remedy = answer.stderr.strip()
    name = "credentials"
    return Finding(name, is_met, found, "of AWS", purpose, remedy, is_required=True)


if __name__ == "__main__":
    sys.exit(main())
