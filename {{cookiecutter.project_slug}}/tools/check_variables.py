"""Find names below `environment` and `secrets` that do not fit a function's settings.

Libraries read variables of their own, so an unknown name below `environment` is wrong
only if it is close to one that a setting reads.
"""

import ast
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

import settings
from tools.setting_layers import list_places
from tools.yaml_document import Document, Path, join

SHARED = {
    each.variable: each.parse is settings.Secret
    for group in settings.SETTINGS.values()
    for each in group
}
ALIKE = 0.75  # from 0 to 1, as difflib measures it
ORDER = ("name", "parse", "default", "help", "env")  # arguments of Setting

Variables = dict[str, bool]  # names of variables, and whether they are secret


def find_faults(
    document: Document, trees: Mapping[str, ast.Module]
) -> Iterator[tuple[int, str]]:
    """Yield the line of each wrong name in `config/deploy.yml`, and what to do.

    Args:
        document: the file, which is valid.
        trees: the source code of each function.
    """
    own = {name: read_variables(tree) for name, tree in trees.items()}
    every = {key: value for each in own.values() for key, value in each.items()}
    for path, place in list_places(document.content):
        entries = [((*path, "defaults"), place.get("defaults"), every, "a function")]
        entries += [
            ((*path, "functions", name), entry, own[name], name)
            for name, entry in (place.get("functions") or {}).items()
        ]
        for where, entry, variables, function in entries:
            for key in ("environment", "secrets"):
                for name in (entry or {}).get(key, {}):
                    at: Path = (*where, key, name)
                    if problem := _find_problem(key, name, variables, function):
                        yield document.find_line(at), f"{join(at)}: {problem}"


def read_variables(tree: ast.Module) -> Variables:
    """Return the variables of a function's settings, as far as they are written out."""
    found = dict(SHARED)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) == "Setting":
            given = dict(zip(ORDER, node.args, strict=False))
            given |= {each.arg: each.value for each in node.keywords if each.arg}
            name = _text(given.get("env")) or _text(given.get("name")).upper()
            found[name] = _name(given.get("parse")) == "Secret"
    return found


def _find_problem(key: str, name: str, variables: Variables, function: str) -> str:
    secrets = [each for each, is_secret in variables.items() if is_secret]
    if key == "secrets":
        if name in secrets:
            return ""
        if name in variables:
            return (
                "its setting is not secret: give it the type Secret, or write its "
                "value below environment"
            )
        remedy = _closest(name, secrets) or (
            f'declare one, such as Setting("{name.lower()}", Secret)'
        )
        return f"no secret setting of {function} has this variable: {remedy}"
    if name in secrets:
        return "its setting is secret: write the name of a secret below secrets"
    sources = [f"{each}{suffix}" for each in secrets for suffix in ("_FILE", "_SECRET")]
    closest = _closest(name, [*variables, *sources])
    if name in (*variables, *sources) or not closest:
        return ""
    return f"no setting of {function} has this variable: {closest}"


def _closest(name: str, known: list[str]) -> str:
    found = get_close_matches(name, known, 1, ALIKE)
    return f"the closest one is {found[0]}" if found else ""


def _name(node: ast.expr | None) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.expr | None) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ""
