"""Reads a function's configuration file: YAML of keys and texts, each with its line.

All scalars stay text, because YAML would read `no`, `010` or `12:34:56` as something
else. A setting converts its text itself.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from settings import SettingsError

STANDARD_TAG = "tag:yaml.org,2002:"
# A value in an error of YAML, which may be a secret. Tokens are shorter, or in <>.
QUOTED_VALUE = re.compile(r"'(?!<)[^']{2,}'")


class Entry(NamedTuple):
    """A key of the file, its value, and the number of its line."""

    key: str
    value: str | list[str]
    line: int


def read_entries(path: Path) -> Iterator[Entry]:
    """Yield the entries of a configuration file. A key without a value is absent.

    Raises:
        SettingsError: the file is missing, or is not a mapping of keys to texts and
            lists of texts.
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


def _compose(path: Path) -> Any:
    try:
        return yaml.compose(path.read_bytes(), Loader=yaml.SafeLoader)
    except OSError as error:
        raise SettingsError(
            f"the configuration file {path} cannot be read: {error.strerror}"
        ) from None
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None)
        reason = QUOTED_VALUE.sub("***", problem or "nested too deeply")
        raise SettingsError(f"{path}{place}: not valid YAML: {reason}") from None


def _read_value(node: Any, place: str) -> str | list[str] | None:
    if isinstance(node, yaml.ScalarNode):
        if not node.tag.startswith(STANDARD_TAG):
            raise SettingsError(f"{place} begins with !: put quotes around the value")
        is_empty = not node.value and node.style is None
        return None if is_empty else str(node.value)
    if isinstance(node, yaml.MappingNode):
        raise SettingsError(f"{place} is a mapping: use a text or a list of texts")
    for item in node.value:
        if not isinstance(item, yaml.ScalarNode):
            raise SettingsError(f"{place} has {_kind(item)} in its list: use texts")
    return [str(item.value) for item in node.value]


def _kind(node: Any) -> str:
    return "a mapping" if isinstance(node, yaml.MappingNode) else "a list"
