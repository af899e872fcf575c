"""Check what this machine has of what the project needs, and how to get the rest.

It needs nothing but Python itself, so that it works before anything is installed.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
from typing import NamedTuple

from tools import install
from tools.project import ROOT, answers

SHIM_FILE = ROOT / ".shim" / "shim.env"
VENV_PYTHON = ROOT / ".venv" / "bin" / "python"
VERSION = r"(\d+(?:\.\d+)+)"
# Arguments of `find_program`. Only the first one is required.
EVERYDAY = (
    (
        "make",
        ["make", "--version"],
        "3.81",
        "all targets",
        "Debian, Ubuntu, WSL: apt-get install make; macOS: xcode-select --install",
    ),
    (
        "git",
        ["git", "--version"],
        "",
        "checks before each commit",
        "Debian, Ubuntu, WSL: apt-get install git; macOS: xcode-select --install",
    ),
    (
        "tmux",
        ["tmux", "-V"],
        "",
        "make cockpit",
        "Debian, Ubuntu, WSL: apt-get install tmux; macOS: brew install tmux",
    ),
    (
        "AWS CLI",
        ["aws", "--version"],
        "",
        "only to log in with SSO",
        "https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html",
    ),
)
COLOURS = {
    **{"ok": 32, "absent": 33, "too old": 33, "unsafe": 33, "unknown": 33},
    **{"MISSING": 31, "UNSAFE": 31},
}


class Finding(NamedTuple):
    """One thing that the project needs: what was found, and how to get it.

    `problem` names the state if the need is not met, other than by absence.
    """

    name: str
    is_met: bool
    found: str
    needed: str
    purpose: str
    remedy: str
    is_required: bool = False
    problem: str = ""

    @property
    def status(self) -> str:
        """Its state in a word or two: a key of `COLOURS`."""
        if self.problem and not self.is_met:
            return self.problem.upper() if self.is_required else self.problem
        if self.is_met or self.is_required:
            return "ok" if self.is_met else "MISSING"
        return "too old" if self.found[0].isdecimal() else "absent"


def check(env: str) -> int:
    """Print all findings; return 1 if something required is missing, else 0.

    Args:
        env: an environment to deploy to, whose needs count as required; or empty.
    """
    findings = [find_python(), find_ensurepip(), *find_everyday(env), *find_deploy(env)]
    for each in findings:
        print(
            f"{colour(each.status)} {each.name:14} {each.found[:24]:24} "
            f"{each.needed:16} {each.purpose}"
        )
        if not each.is_met:
            print(f"        {each.remedy}")
    return int(any(each.is_required and not each.is_met for each in findings))


def colour(status: str) -> str:
    """Return a status, coloured if a terminal shows it, see https://no-color.org."""
    text = f"{status:7}"
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if is_plain or not sys.stdout.isatty():
        return text
    return f"\033[{COLOURS[status]}m{text}\033[0m"


def find_python() -> Finding:
    """Check the Python that runs this."""
    found = sys.version.split()[0]
    return Finding(
        "Python",
        is_at_least(found, "3.11"),
        found,
        "3.11 or later",
        "everything",
        "name a later one, as in: make install PYTHON=python3.13 (Debian, Ubuntu, WSL: "
        "apt-get install python3.13; macOS: brew install python@3.13)",
        is_required=True,
    )


def find_ensurepip() -> Finding:
    """Check for the part of Python that Debian packages separately."""
    is_met = install.can_create_environments()
    return Finding(
        "venv",
        is_met,
        "part of Python" if is_met else "not found",
        "any",
        "make install",
        "Debian, Ubuntu, WSL: apt-get install python3-venv; macOS: use the Python of "
        "Homebrew or python.org",
        is_required=True,
    )


def find_everyday(env: str) -> list[Finding]:
    """Check what unit tests, shim and poller need, and what is useful besides."""
    engine, compose = find_docker(env)
    server = find_database_server(is_required=not (engine.is_met and compose.is_met))
    make, *others = (find_program(*program) for program in EVERYDAY)
    return [make._replace(is_required=True), server, engine, compose, *others]


def find_docker(env: str) -> tuple[Finding, Finding]:
    """Check for Docker's engine and for Compose."""
    engine = find_program(
        "Docker engine",
        ["docker", "version"],
        "25",  # the first that knows start_interval
        "images, and the shim if you like",
        "Debian, Ubuntu: https://docs.docker.com/engine/install/; macOS, WSL: "
        "https://docs.docker.com/desktop/; then start it",
        is_required=env not in ("", "local") and deploys_containers(),
        pattern=r"Server:.*?Version:\s+(\S+)",
    )
    compose = find_program(
        "Docker Compose",
        ["docker", "compose", "version"],
        "2.20.2",
        "the shim in Docker",
        "Debian, Ubuntu: apt-get install docker-compose-plugin from Docker's own "
        "repository; macOS, WSL: part of Docker Desktop",
    )
    return engine, compose


def find_deploy(env: str) -> list[Finding]:
    """Check what deploys; required if an environment is named."""
    findings = []
    if answers().iac == "terraform":
        findings.append(
            find_program(
                "Terraform",
                ["terraform", "version"],
                "1.11",
                "deploying",
                "https://developer.hashicorp.com/terraform/install (Debian, Ubuntu, "
                "WSL: its apt repository; macOS: brew install "
                "hashicorp/tap/terraform)",
                is_required=bool(env),
            )
        )
    else:
        findings.append(
            find_program(
                "Node",
                [str(ROOT / ".venv-infra" / "bin" / "node"), "--version"],
                "22",
                "CDK: deploying and its checks",
                "part of .venv-infra, which the first of these targets installs",
            )
        )
    if env == "local":
        findings.append(find_shim())
    elif env:
        findings.append(find_credentials(env))
    if env and findings[-1].is_met:
        findings.append(find_server_settings(env))
    return findings


def deploys_containers() -> bool:
    """Return whether some environment runs a function as a container."""
    file = ROOT / "config" / "deploy.yml"
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return re.search(r"(?m)^[^#\n]*runtime: *container", text) is not None


def find_database_server(is_required: bool) -> Finding:
    """Check for the server of the shim's database."""
    answers()  # without them, the module of the chosen database is missing
    from tests.shim import database

    found = database.server()
    return Finding(
        "database",
        found is not None,
        found or "not found",
        "any",
        "the shim without Docker",
        database.MISSING,
        is_required,
    )


def find_program(
    name: str,
    command: list[str],
    needed: str,
    purpose: str,
    remedy: str,
    is_required: bool = False,
    pattern: str = VERSION,
) -> Finding:
    """Ask a program for its version.

    Args:
        name: of the program.
        command: prints the version.
        needed: the oldest version that works, empty if any does.
        purpose: what it is needed for.
        remedy: how to get it.
        is_required: whether its absence is an error.
        pattern: regular expression whose first group is the version.
    """
    found, is_met = "not found", False
    if shutil.which(command[0]):
        answer = subprocess.run(command, capture_output=True, text=True)
        version = re.search(pattern, answer.stdout or answer.stderr, re.DOTALL)
        found = version[1] if version else "does not answer"
        is_met = (
            answer.returncode == 0
            and version is not None
            and is_at_least(found, needed)
        )
    least = f"{needed} or later" if needed else "any"
    return Finding(name, is_met, found, least, purpose, remedy, is_required)


def is_at_least(found: str, needed: str) -> bool:
    """Return whether a version is not older than another one."""
    have, want = (
        [int(part) for part in re.findall(r"\d+", version)]
        for version in (found, needed)
    )
    return have >= want


def find_shim() -> Finding:
    """Check that the shim runs and listens on its ports."""
    text = SHIM_FILE.read_text(encoding="utf-8") if SHIM_FILE.exists() else ""
    ports = re.findall(r"(?:127\.0\.0\.1:|DB_PORT=)(\d+)", text)
    is_met = bool(ports) and all(map(is_listening, ports))
    return Finding(
        "shim",
        is_met,
        f"ports {' and '.join(ports)}" if is_met else "not running",
        "any",
        "everything with ENV=local",
        "in another terminal: make shim",
        is_required=True,
    )


def is_listening(port: str) -> bool:
    """Return whether a port of the loopback interface accepts connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


def find_credentials(env: str) -> Finding:
    """Ask AWS whose credentials an environment uses."""
    found, remedy, is_met = "not asked", "make install, then try again", False
    if VENV_PYTHON.exists():
        command = [str(VENV_PYTHON), "-m", "tools", "whoami", f"--env={env}"]
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        is_met = answer.returncode == 0
        found = answer.stdout.strip() if is_met else "none that AWS accepts"
        remedy = answer.stderr.strip()
    return Finding(
        "credentials",
        is_met,
        found,
        "for AWS",
        f"everything with ENV={env}",
        remedy,
        is_required=True,
    )


def find_server_settings(env: str) -> Finding:
    """Ask an environment's database for settings that no session can change.

    The shim's are unsafe on purpose: it need not survive a crash of the machine.
    """
    command = [str(VENV_PYTHON), "-m", "tools", "server_settings", f"--env={env}"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    problems = answer.stdout.strip().splitlines()
    found = "safe" if answer.returncode == 0 else "could not be asked"
    if problems:
        found = f"{len(problems)} to change"
        if env == "local":
            problems.append("this is the shim, for tests: leave it as it is")
    return Finding(
        "durability",
        answer.returncode == 0,
        found,
        "safe",
        "settings of the database server",
        "\n        ".join(problems) or answer.stderr.strip(),
        is_required=bool(problems) and env != "local",
        problem="unsafe" if problems else "unknown",
    )
