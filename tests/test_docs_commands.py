"""Each shell block in the docs runs as it stands, or says what it needs to run."""

import re
import shlex
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest

from baking import ROOT, TEMPLATE, Project, Running, bake, clean_environment, free_port
from make_menu import read_targets
from shim_helpers import require_server
from test_docs import ANSWERS, pages

FENCED = re.compile(r"^ *(```+|~~~+) *([^\n]*)\n(.*?)^ *\1 *$", re.M | re.S)
SHELL = {"sh", "bash", "shell", "console"}
OTHER = {
    "csv",
    "diff",
    "hcl",
    "ini",
    "json",
    "lua",
    "mermaid",
    "python",
    "sql",
    "text",
    "toml",
    "yaml",
}
NEEDS = re.compile(r"\s*# needs (.+)")
# What a block may need that this machine need not have. Other tests run the same
# commands with a stub, an emulator, or the tool where it is installed.
KNOWN_NEEDS = {
    *("AWS", "Docker", "tmux", "Terraform", "CDK", "Terraform or CDK"),
    *("Terraform and network access", "the template's repository"),
    *("the published template", "push access"),
}


class Block(NamedTuple):
    """A shell block of a page."""

    page: Path
    script: str

    @property
    def needs(self) -> str:
        """What its first line says that it needs, or an empty string."""
        found = NEEDS.match(self.script)
        return found[1] if found else ""

    @property
    def commands(self) -> list[list[str]]:
        """Its commands, one a line, each split into words."""
        lines = self.script.splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]


# The answers that add or change pages, in all combinations.
CHOICES = {name: ANSWERS[name] for name in ("iac", "database", "ci")}
COMBINATIONS = [
    dict(zip(CHOICES, values, strict=True)) for values in product(*CHOICES.values())
]


def blocks(directory: Path) -> Iterator[Block]:
    """Yield the shell blocks of all pages of a directory.

    Raises:
        AssertionError: a block names no known language, or needs something unknown.
    """
    for path in sorted(pages(directory)):
        page = path.relative_to(directory)
        for _, words, text in FENCED.findall(path.read_text(encoding="utf-8")):
            language = words.partition(" ")[0]
            assert language in SHELL | OTHER, f"{page}: {language!r} before {text}"
            if language in SHELL:
                block = Block(page, text)
                assert block.needs in {"", *KNOWN_NEEDS}, block
                yield block


def tree_of(page: Path, answers: dict[str, str]) -> str:
    """Return the answer that brings a page, or an empty string."""
    trees = TEMPLATE / ".choices"
    found = [each for each in answers.items() if trees.joinpath(*each, page).exists()]
    return found[0][1] if found else ""


@pytest.mark.long(3)
def test_shell_blocks_of_a_project_run(tmp_path: Path) -> None:
    """Each block runs in the first combination that has it."""
    seen = set()
    for answers in COMBINATIONS:
        directory = tmp_path / "-".join(answers.values())
        project = bake(directory / "with-shim", **answers)
        new = []
        for block in blocks(project.path):
            key = (block, tree_of(block.page, answers))
            if not block.needs and key not in seen:
                seen.add(key)
                new.append(block)
        if new:
            without_shim = bake(directory / "without-shim", **answers)
            run_blocks(new, project, without_shim)
    assert len(seen) > 15


def run_blocks(some: list[Block], project: Project, without_shim: Project) -> None:
    """Run blocks in a project with a shim, or in one without if they start a shim."""
    require_server(project.database)
    project.share_installs().share_layer()
    without_shim.share_installs()
    with project.shim():
        for block in some:
            run_block(block, project, without_shim)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("```\nmake test\n```", "page.md: ''"),
        ("~~~sh\n# needs a friend\nmake test\n~~~", "a friend"),
        ("   ```console\n   cdk synth\n   ```", "cdk"),
    ],
)
def test_unmarked_block_is_refused(tmp_path: Path, block: str, message: str) -> None:
    (tmp_path / "page.md").write_text(f"# Page\n\n{block}\n", encoding="utf-8")
    nothing = Project(tmp_path)
    with pytest.raises(AssertionError, match=message):
        run_block(next(blocks(tmp_path)), nothing, nothing)


def run_block(block: Block, project: Project, without_shim: Project) -> None:
    """Run a block as it stands, in a project whose shim runs.

    A block that starts a shim runs in another project, on free ports.
    """
    for command in block.commands:
        assert command[0] == "make", block
    first = block.commands[0]
    if is_endless(first):
        assert len(block.commands) == 1, f"{block.page}: {first} never ends"
    if "shim" in first:
        run_shim(first, without_shim)
    elif is_endless(first):
        with project.start(*first[1:]) as running:
            running.wait_for(" passed in " if "watch" in first else "polling")
    else:
        project.run("sh", "-eu", "-c", block.script)


def is_endless(command: list[str]) -> bool:
    """Return whether a command runs until Ctrl-C."""
    target, *variables = command[1:]
    words = " ".join(variables)
    return (
        target == "watch"
        or (target == "shim" and "FOR=" not in words)
        or (target == "run" and "--drain" not in words and "--help" not in words)
    )


def run_shim(command: list[str], project: Project) -> None:
    """Run a command that starts a shim, until it is ready or has ended."""
    ports = {"AWS_PORT": str(free_port()), "DB_PORT": str(free_port())}
    environment = clean_environment(ports | {"SHIM": "process"})
    with Running(project.path, command, environment) as shim:
        if is_endless(command):
            shim.wait_for("Ready after")
        else:
            shim.process.wait(600)
            assert shim.process.returncode == 0, shim.output


def test_shell_blocks_of_the_template_are_valid(tmp_path: Path) -> None:
    """Their targets take too long to run, but make accepts them as they are written."""
    known = {*read_targets(ROOT), "help"}
    without_shim = bake(tmp_path).share_installs()
    for block in (each for each in blocks(ROOT) if not each.needs):
        for command in block.commands:
            assert command[0] == "make", block
            if "shim" in command:
                run_shim(command, without_shim)
            else:
                assert command[1] in known, block
                Project(ROOT).run("make", "--dry-run", *command[1:])
