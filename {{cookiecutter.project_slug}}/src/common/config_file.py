"""Reads a function's configuration file: YAML of keys and texts, each with its line.

All scalars stay text, because YAML would read `no`, `010` or `12:34:56` as something
else. A setting converts its text itself.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from settings import SettingsError

# A text, a list of texts, or a list of texts for each name.
Value = str | list[str] | dict[str, list[str]]


class Entry(NamedTuple):
    """A key of the file, its value, and the number of its line."""

    key: str
    value: Value
    line: int


def read_entries(path: Path) -> Iterator[Entry]:
    """Yield the entries of a configuration file. A key without a value is absent.

    Raises:
        SettingsError: the file is missing, or is not a mapping of keys to texts, lists
            of texts, and mappings of names to these.
    """
    root = _compose(path)
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        raise SettingsError(f"{path} must have lines such as 'delimiter: \",\"'")
    lines: dict[str, int] = {}
    for key_node, node in root.value:
        line = key_node.start_mark.line + 1
        place = f"{path}, line {line}"
        if not isinstance(key_node, yaml.ScalarNode):
            raise SettingsError(
                f"{place}: the key is {_kind(key_node)} instead of text"
            )
        key = key_node.value
        if key in lines:
            raise SettingsError(f"{place}: {key} is already set in line {lines[key]}")
        lines[key] = line
        value = _read_value(node, f"{place}: {key}")
        if value is not None:
            yield Entry(key, value, line)


class _Loader(yaml.SafeLoader):  # type: ignore[misc] # yaml has no types
    def compose_scalar_node(self, anchor: Any) -> Any:
        """Refuse anchors and tags: they are texts such as `!pass` without quotes."""
        event = self.peek_event()
        if anchor or event.tag:
            raise yaml.MarkedYAMLError(problem_mark=event.start_mark)
        node = super().compose_scalar_node(anchor)
        # JSON writes some characters as two escapes: "\ud83d\ude00"
        node.value = node.value.encode("utf-16", "surrogatepass").decode("utf-16")
        return node


def _compose(path: Path) -> Any:
    """Return the root of a file. Errors show none of its values: they may be secret."""
    try:
        return yaml.compose(path.read_bytes(), Loader=_Loader)
    except OSError as error:
        raise SettingsError(
            f"the configuration file {path} cannot be read: {error.strerror}"
        ) from None
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        marks = [
            getattr(error, f"{name}_mark", None) for name in ("context", "problem")
        ]
        mark = next(filter(None, marks), None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SettingsError(
            f"{path}{place}: not valid YAML: close each bracket and quote, and put "
            "quotes around values with special characters"
        ) from None


def _read_value(node: Any, place: str) -> Value | None:
    if isinstance(node, yaml.ScalarNode):
        is_empty = not node.value and node.style is None
        return None if is_empty else str(node.value)
    if isinstance(node, yaml.MappingNode):
        return _read_mapping(node, place)
    return _read_list(node, place)


def _read_mapping(node: Any, place: str) -> dict[str, list[str]]:
    """Return the texts of each name. Errors show no name, which may be a secret."""
    found: dict[str, list[str]] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.value in found:
            raise SettingsError(f"{place} has a name twice, or one that is no text")
        if isinstance(value, yaml.MappingNode):
            raise SettingsError(f"{place} has a mapping in its mapping: use texts")
        is_text = isinstance(value, yaml.ScalarNode)
        texts = [str(value.value)] if is_text else _read_list(value, place)
        found[str(key.value)] = texts
    return found


def _read_list(node: Any, place: str) -> list[str]:
    for item in node.value:
        if not isinstance(item, yaml.ScalarNode):
            raise SettingsError(f"{place} has {_kind(item)} in its list: use texts")
    return [str(item.value) for item in node.value]


def _kind(node: Any) -> str:
    return "a mapping" if isinstance(node, yaml.MappingNode) else "a list"
