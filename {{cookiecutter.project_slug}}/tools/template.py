"""The template: its versions, its changelog, and a project baked from each version."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tools import install
from tools.errors import UserError
from tools.project import ROOT

VENV = ".venv-update"
RECORD = ".portable.json"
# Variables by which git passes one repository on to the hooks of another.
GIT_VARIABLES = ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_PREFIX")
# A heading, an item of a list with its further lines, or a paragraph.
BLOCK = re.compile(r"^(?:#.*|- .*(?:\n +.*)*|[^\s#-].*(?:\n\S.*)*)", re.MULTILINE)


class Template:
    """A clone of the template in a directory of its own.

    Args:
        source: URL of the template's repository, or the path of a clone.
        directory: an empty directory for the clone and for baked projects.

    Raises:
        UserError: there is no such repository, or it cannot be reached.
    """

    def __init__(self, source: str, directory: Path) -> None:
        self.source = source
        self._directory = directory
        self._clone = directory / "template"
        done = git("clone", "--quiet", "--", source, str(self._clone), check=False)
        if done.returncode != 0:
            raise UserError(
                f"The template cannot be cloned from {source}: name its URL or the "
                f"path of a clone with TEMPLATE=\n{done.stderr.strip()}"
            )
        # hooks record the URL where a clone comes from, rather than the clone's path
        if Path(source).exists():
            url = git("-C", source, "config", "remote.origin.url", check=False).stdout
            self._git("config", "remote.origin.url", url.strip() or source)
        self._baked: dict[str, Path] = {}

    def find(self, *names: str) -> str:
        """Return the commit that the first known of some names has, or nothing."""
        for name in names:
            revision = name + "^{commit}"
            words = ("rev-parse", "--verify", "--quiet", revision)
            if found := self._git(*words, check=False).stdout.strip():
                return found
        return ""

    def find_version(self, version: str) -> str:
        """Return the commit of a version, tag, branch or commit.

        Without one it is the newest release, or the newest commit before the first.

        Raises:
            UserError: there is none.
        """
        releases = self.list_releases()
        if not version:
            return self.find(f"refs/tags/{releases[0]}" if releases else "HEAD")
        tags = (f"refs/tags/v{version}", f"refs/tags/{version}")
        names = [*tags, f"refs/remotes/origin/{version}"]
        names += [version] if re.fullmatch(r"[0-9a-f]{7,40}", version) else []
        if found := self.find(*names):
            return found
        known = f"choose one of {', '.join(releases)}" if releases else "it has none"
        raise UserError(f"VERSION={version} is not a version of the template: {known}")

    def list_releases(self) -> list[str]:
        """Return the tags of releases, the newest first."""
        tags = self._git("tag", "--list", "--sort=-version:refname", "v*").stdout
        return re.findall(r"^v\d+\.\d+\.\d+$", tags, re.MULTILINE)

    def contains(self, commit: str, older: str) -> bool:
        """Return whether a commit is another one or comes after it."""
        words = ("merge-base", "--is-ancestor", older, commit)
        return self._git(*words, check=False).returncode == 0

    def read(self, commit: str, name: str) -> str:
        """Return the text of a file at a commit, nothing where it does not exist."""
        return self._git("show", f"{commit}:{name}", check=False).stdout

    def read_questions(self, commit: str) -> dict[str, Any]:
        """Return the questions of a version, each with its default or its values."""
        questions = json.loads(self.read(commit, "cookiecutter.json"))
        return {name: each for name, each in questions.items() if name[0] != "_"}

    def describe_changes(self, old: str, new: str) -> str:
        """Return the entries of the changelog that came between two commits."""
        before = set(BLOCK.findall(self.read(old, "CHANGELOG.md")))
        lines: list[str] = []
        headings: dict[int, str] = {}
        for block in BLOCK.findall(self.read(new, "CHANGELOG.md")):
            if block.startswith("#"):
                level = len(block) - len(block.lstrip("#"))
                headings = {n: each for n, each in headings.items() if n < level}
                headings[level] = block
            elif block not in before:
                lines += [f"\n{each}" for n, each in headings.items() if n > 1]
                lines.append(block)
                headings.clear()
        return "\n".join(lines).strip()

    def bake(self, commit: str, answers: Mapping[str, str]) -> Path:
        """Return the directory of a project of a version with some answers.

        Answers to questions that the version does not ask are ignored.

        Raises:
            UserError: the version refuses an answer.
        """
        key = json.dumps([commit, answers], sort_keys=True)
        if key in self._baked:
            return self._baked[key]
        self._git("checkout", "--quiet", "--force", "--detach", commit)
        output = self._directory / f"baked-{len(self._baked)}"
        command = [find_python(), "-m", "cookiecutter", "--no-input"]
        command += ["--default-config", f"--output-dir={output}", str(self._clone)]
        command += [f"{name}={quote(answers[name])}" for name in answers]
        # cookiecutter saves answers in the home directory, for its option --replay
        environment = clean_environment() | {"HOME": str(self._directory)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            refusals = re.findall(r"^portable: (.+)\.$", done.stderr, re.MULTILINE)
            raise UserError(
                refusals[0] if refusals else f"cookiecutter failed:\n{done.stderr}"
            )
        [project] = output.iterdir()
        shutil.rmtree(project / ".git", ignore_errors=True)
        self._baked[key] = project
        return project

    def _git(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return git("-C", str(self._clone), *words, check=check)


def find_python() -> str:
    """Return a Python that has cookiecutter: this one, or that of `.venv-update`.

    Raises:
        UserError: cookiecutter cannot be installed.
    """
    if find_spec("cookiecutter"):
        return sys.executable
    install.ensure(VENV)
    return str(ROOT / VENV / "bin" / "python")


def quote(answer: str) -> str:
    """Return an answer as a template that cookiecutter renders to the same answer."""
    if "{" not in answer:
        return answer
    return "{" * 2 + json.dumps(answer, ensure_ascii=False) + "}" * 2


def clean_environment() -> dict[str, str]:
    """Return the environment without variables that lead git to a repository."""
    return {name: os.environ[name] for name in os.environ.keys() - {*GIT_VARIABLES}}


def git(
    *words: str,
    environment: Mapping[str, str] | None = None,
    text: str | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run git, and keep what it prints.

    Args:
        words: its arguments.
        environment: variables to add.
        text: what it reads.
        check: whether a failure is an error.

    Raises:
        UserError: git is missing, or it failed and `check` is true.
    """
    try:
        done = subprocess.run(
            ["git", *words],
            env=clean_environment() | dict(environment or {}),
            input=text,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
        )
    except FileNotFoundError:
        raise UserError("git is missing: install it") from None
    if check and done.returncode != 0:
        raise UserError(f"git failed:\n{(done.stderr or done.stdout).strip()}")
    return done
