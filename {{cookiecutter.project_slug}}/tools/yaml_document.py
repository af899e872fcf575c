"""Read a YAML file whose keys are text, and find the line of each of its values."""

import json
from typing import Any, NamedTuple

import yaml

from tools.errors import UserError

Path = tuple[str | int, ...]  # the keys and indexes that lead to a value

TAG = "tag:yaml.org,2002:"
# What YAML makes of a key that is not in quotes, by the last part of its tag.
KINDS = {
    "bool": "true or false",
    "null": "null",
    "int": "a number",
    "float": "a number",
    "timestamp": "a date",
}


class Document(NamedTuple):
    """A YAML file: its name for messages, its content, and the nodes of that."""

    file: str
    content: Any
    root: yaml.Node | None

    def error(self, path: Path, problem: str) -> UserError:
        """Return an error about a value, or about the nearest one that exists."""
        return UserError(f"{self.file}:{self._find(path)[0]}: {problem}")

    def find_line(self, path: Path) -> int:
        """Return the line of a value, or of the nearest one that exists."""
        return self._find(path)[0]

    def find_source(self, path: Path) -> str:
        """Return how a scalar is written, without quotes; empty if there is none."""
        node = self._find(path)[1]
        return str(node.value) if isinstance(node, yaml.ScalarNode) else ""

    def _find(self, path: Path) -> tuple[int, yaml.Node | None]:
        line, node = 1, self.root
        for step in path:
            found = [each for each in _list_children(node) if each[0] == step]
            if not found:
                return line, None
            _, line, node = found[0]
        return line, node


def parse(text: bytes, file: str) -> Document:
    """Return the content of a YAML file.

    Args:
        text: the content of the file.
        file: its name, for messages.

    Raises:
        UserError: it is not valid YAML, or has a key twice or one that is not text.
            PyYAML would take the last of two equal keys.
    """
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        _check_keys(root, file, set())
        content = None if root is None else loader.construct_document(root)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise UserError(f"{file}{line}: invalid YAML: {problem}") from None
    except (ValueError, OverflowError) as error:  # such as a thirteenth month
        raise UserError(f"{file}: invalid YAML: {error}") from None
    return Document(file, content, root)


def _check_keys(node: yaml.Node | None, file: str, seen: set[int]) -> None:
    if id(node) in seen:  # an alias
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        known: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            _check_key(key, f"{file}:{line}")
            if key.value in known:
                raise UserError(
                    f"{file}:{line}: the key {key.value} is also in line "
                    f"{known[key.value]}: remove one of them"
                )
            known[key.value] = line
    for _, _, child in _list_children(node):
        _check_keys(child, file, seen)


def _check_key(key: yaml.Node, place: str) -> None:
    if not isinstance(key, yaml.ScalarNode):
        raise UserError(f"{place}: a key is a list or a mapping: use text")
    kind = KINDS.get(key.tag.removeprefix(TAG))
    if kind:
        raise UserError(
            f"{place}: the key {key.value} is {kind} in YAML, not text: write "
            f'"{key.value}" in quotes'
        )


def _list_children(node: yaml.Node | None) -> list[tuple[str | int, int, yaml.Node]]:
    """Return name, line and node of each value in a mapping or list."""
    if isinstance(node, yaml.MappingNode):
        # the last of equal keys counts: those before it come from a merge key
        return [
            (key.value, key.start_mark.line + 1, value)
            for key, value in reversed(node.value)
        ]
    if isinstance(node, yaml.SequenceNode):
        return [
            (index, each.start_mark.line + 1, each)
            for index, each in enumerate(node.value)
        ]
    return []


def join(path: Path) -> str:
    """Return a path as text, such as `functions.enrich.allow[0].actions`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


def show(value: Any) -> str:
    """Return a value for a message, as YAML has it."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return "empty" if value is None else json.dumps(value, default=str)
