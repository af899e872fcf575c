"""Each shell block in the docs runs as it stands, or says what it needs to run."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from baking import ROOT, Project, Running, bake, clean_environment, free_port
from make_menu import read_targets
from test_docs import pages

BLOCK = re.compile(r"^ *```(?:sh|bash|shell|console)\n(.*?)^ *```", re.M | re.S)
NEEDS = re.compile(r"\s*# needs (.+)")
# What a block may need that this machine need not have. Other tests run the same
# commands with a stub, an emulator, or the tool where it is installed.
KNOWN_NEEDS = {
    *("AWS", "Docker", "tmux", "Terraform", "CDK", "Terraform or CDK"),
    *("Terraform and network access", "a linked project", "the template's URL"),
    *("the published template", "push access"),
}


class Block(NamedTuple):
    """A shell block of a page."""

    page: str
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


def blocks(folder: Path) -> Iterator[Block]:
    """Yield the shell blocks of all pages of a directory."""
    for path in sorted(pages(folder)):
        for script in BLOCK.findall(path.read_text(encoding="utf-8")):
            yield Block(path.name, script)


@pytest.mark.long
def test_shell_blocks_of_a_project_run(tmp_path: Path) -> None:
    project = bake(tmp_path / "with-shim").share_installs().share_layer()
    without_shim = bake(tmp_path / "without-shim").share_installs()
    count = 0
    with project.shim():
        for block in blocks(project.path):
            if block.needs:
                assert block.needs in KNOWN_NEEDS, block
            else:
                run_block(block, project, without_shim)
                count += 1
    assert count > 15


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
    for block in blocks(ROOT):
        if block.needs:
            assert block.needs in KNOWN_NEEDS, block
            continue
        for command in block.commands:
            assert command[0] == "make", block
            if "shim" in command:
                run_shim(command, without_shim)
            else:
                assert command[1] in known, block
                Project(ROOT).run("make", "--dry-run", *command[1:])
