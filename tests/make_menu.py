"""What a project's Makefile declares: its targets and the variables that users type."""

import re
from pathlib import Path


def read_menu(project: Path) -> list[str]:
    """Return the targets that `make` prints, in order."""
    text = (project / "Makefile").read_text(encoding="utf-8")
    return re.findall(r"^([a-z_]+):.*## ", text, re.MULTILINE)


def read_targets(project: Path) -> list[str]:
    """Return all targets that are commands, those of CI included."""
    text = (project / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    [names] = re.findall(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    commands = re.findall(r"^COMMANDS := (.+)$", text, re.MULTILINE)
    return f"{names} {' '.join(commands)}".replace("$(COMMANDS)", "").split()


def read_variables(project: Path) -> list[str]:
    """Return the variables that users type after a target."""
    text = (project / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    [names] = re.findall(r"^TYPED := (.+)$", text, re.MULTILINE)
    return str(names).split()


def read_recipes(project: Path) -> list[str]:
    """Return a target for each recipe: all commands of the tools have the same one."""
    text = (project / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    [commands] = re.findall(r"^COMMANDS := (.+)$", text, re.MULTILINE)
    others = [name for name in read_targets(project) if name not in commands.split()]
    return [*others, commands.split()[0]]
