"""Reads the settings: configuration file < environment < command line."""

import os
from argparse import (
    SUPPRESS,
    ArgumentParser,
    ArgumentTypeError,
    RawDescriptionHelpFormatter,
)
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from keyword import iskeyword
from pathlib import Path
from typing import Any

from box import Box

import row_settings
from config_file import Value, read_entries
from settings import SETTINGS, Secret, Setting, SettingsError

CONFIG_FILE = Path(__file__).with_name("config.yml")
# Hidden in `--help`, unless the function needs one of them.
OPTIONAL_GROUP = "rows"
BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}
KINDS: dict[Any, str] = {int: "a whole number", float: "a number"}
RENAMED = {"null": "null_field"}
RESERVED = {"help", "const_path"}  # flags that are no settings
SYSTEM_VARIABLES = {
    *("PATH", "HOME", "USER", "LANG", "TZ", "PWD", "SHELL", "TERM", "HOSTNAME"),
    *("PYTHONPATH", "LD_LIBRARY_PATH", "CONST_PATH", "FUNCTION_NAME"),
}
EPILOG = """\
The command line overrides the environment, which overrides the configuration file,
which overrides the defaults. An empty variable counts as absent. A secret can also
come from a file (DB_PASS_FILE) or from AWS Secrets Manager (DB_PASS_SECRET, its name).
"""

FetchSecret = Callable[[str, str | None], str]


class _Parser(ArgumentParser):
    def error(self, message: str) -> Any:
        raise SettingsError(f"{message}; --help lists all settings")


def read(
    args: Sequence[str] = (),
    needs: Sequence[str] = (),
    own: Sequence[Setting] = (),
    fetch_secret: FetchSecret | None = None,
) -> Box:
    """Read the settings: configuration file < environment < `args`.

    Args:
        args: command-line arguments.
        needs: names of settings that must not be empty.
        own: the settings that the function declares.
        fetch_secret: returns the value of a secret in AWS Secrets Manager, given its
            name and the region.

    Returns:
        A read-only box: `var.poll_batch_size`.

    Raises:
        SettingsError: a setting is unknown, invalid or missing.
    """
    known = list_settings(own)
    environment = {name: value for name, value in os.environ.items() if value}
    given = _read_arguments(args, make_parser(needs, own), known) if args else {}
    const_path = given.pop("const_path", None) or environment.get("CONST_PATH")
    values = {setting.name: _default(setting) for setting in known.values()}
    values |= _read_file(const_path, known)
    for name, setting in known.items():
        if setting.variable in environment:
            text = environment[setting.variable]
            values[name] = _convert(setting, text, setting.variable)
    for name, value in given.items():
        values[name] = _convert(known[name], value, f"--{name}")
    unset = [each for each in known.values() if each.name not in given]
    values |= _read_secrets(unset, environment, values["region"], fetch_secret)
    required = [*needs, *(setting.name for setting in own if setting.required)]
    _check(values, required)
    _check_rows(values, {setting.name for setting in own})
    return Box(values, frozen_box=True)


def list_settings(own: Sequence[Setting] = ()) -> dict[str, Setting]:
    """Return all settings by name. The function's own hide those of `rows`.

    Raises:
        SettingsError: a name or variable of the function's own is taken.
    """
    shared = {each.name: each for group in SETTINGS.values() for each in group}
    rows = {each.name for each in SETTINGS[OPTIONAL_GROUP]}
    variables = {each.variable: each.name for each in shared.values()}
    known = dict(shared)
    for setting in own:
        name = setting.name
        # `context.var.items` would be a method
        is_bad = not name.isidentifier() or iskeyword(name) or name in RESERVED
        if is_bad or hasattr(Box, name):
            raise SettingsError(
                f"a setting of the function cannot have the name {name!r}: choose "
                "another"
            )
        if name in known and name not in rows:
            raise SettingsError(
                f"the name of the function's setting {name} is taken: choose another"
            )
        if setting.variable in SYSTEM_VARIABLES:
            raise SettingsError(
                f"the function's setting {name} has the variable {setting.variable}, "
                "which the system uses: choose another with env="
            )
        taken = variables.get(setting.variable, name)
        if taken != name and taken not in rows:
            raise SettingsError(
                f"the function's setting {name} has the variable {setting.variable} of "
                f"{taken}: choose another with env="
            )
        rows.discard(name)
        variables[setting.variable] = name
        known[name] = setting
    return known


def make_parser(
    needs: Sequence[str] = (), own: Sequence[Setting] = ()
) -> ArgumentParser:
    """Return a parser of all settings. It converts none of the values.

    `--help` shows the function's own settings and the wrapper's. It shows those of
    `rows` if the function needs one of them.
    """
    parser = _Parser(
        description="Runs the function on the messages of a queue or on one event.",
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
        epilog=EPILOG,
    )
    parser.add_argument(
        "--const_path",
        help="configuration file (default: config.yml of the build) "
        "[env var: CONST_PATH]",
    )
    names = {setting.name for setting in own}
    groups = {"function": list(own), **SETTINGS} if own else SETTINGS
    for title, settings in groups.items():
        is_hidden = title == OPTIONAL_GROUP and not any(
            setting.name in needs for setting in settings
        )
        group = parser.add_argument_group(title)
        for setting in settings:
            if title == "function" or setting.name not in names:
                _add_argument(group, setting, is_hidden)
    return parser


def closest(name: str, names: Iterable[str]) -> str:
    """Return a question that names the closest of some names, or no text."""
    found = get_close_matches(name.lower().replace("-", "_"), list(names), 1)
    return f": did you mean {found[0]}?" if found else ""


def _add_argument(group: Any, setting: Setting, is_hidden: bool) -> None:
    options: dict[str, Any] = {}
    if setting.is_list or setting.is_map:
        options["nargs"] = "+"
    elif setting.parse is bool:
        options |= {"nargs": "?", "const": "true", "metavar": "true|false"}
    elif setting.flag:
        options |= {"nargs": "?", "const": setting.flag}
    if setting.choices:
        options["metavar"] = "{" + ",".join(setting.choices) + "}"
    is_shown = isinstance(setting.default, str | int | float)
    default = str(setting.default) if is_shown and setting.parse is not Secret else ""
    details = [f"(default: {default})"] if default not in ("", "False") else []
    details += ["(required)"] if setting.required else []
    details.append(f"[env var: {setting.variable}]")
    text = " ".join([setting.help, *details]).strip().replace("%", "%%")
    group.add_argument(
        f"--{setting.name}",
        default=SUPPRESS,
        help=SUPPRESS if is_hidden else text,
        **options,
    )


def _read_arguments(
    args: Sequence[str], parser: ArgumentParser, names: Iterable[str]
) -> dict[str, Any]:
    """Return the arguments by name, as text."""
    found, unknown = parser.parse_known_args(list(args))
    if unknown:
        parser.error(_describe_unknown(unknown[0], list(args), names))
    # argparse of Python 3.12 and earlier drops the text of `--db_pass=--`
    pairs = (arg[2:].partition("=") for arg in args if arg.startswith("--"))
    texts = {name: text for name, _, text in pairs}
    return {
        name: "--" if texts.get(name) == "--" else value
        for name, value in vars(found).items()
    }


def _describe_unknown(text: str, args: list[str], names: Iterable[str]) -> str:
    """Describe an unknown argument without its value, which may be a secret."""
    if text.startswith("--"):
        name = text.partition("=")[0]
        return f"unknown setting {name}{closest(name[2:], names)}"
    before = args[: args.index(text)]
    name = next((each for each in reversed(before) if each.startswith("--")), "")
    where = f" after {name.partition('=')[0]}" if name else ""
    return f"unexpected text{where}: put quotes around values with spaces"


def _read_file(const_path: str | None, known: Mapping[str, Setting]) -> dict[str, Any]:
    """Return the settings in a file; by default in that of the build, if there is one.

    Raises:
        SettingsError: a key is unknown, or a value is invalid.
    """
    if not const_path and not CONFIG_FILE.exists():
        return {}
    path = Path(const_path or CONFIG_FILE)
    if path.is_relative_to(Path.cwd()):  # shorter in messages
        path = path.relative_to(Path.cwd())
    values = {}
    for key, value, line in read_entries(path):
        place = f"{path}, line {line}"
        if key not in known:
            new = RENAMED.get(key)
            hint = f": it is called {new} now" if new else closest(key, known)
            raise SettingsError(f"{place}: unknown setting {key}{hint}")
        values[key] = _convert(known[key], value, f"{place}: {key}")
    return values


def _default(setting: Setting) -> Any:
    if isinstance(setting.default, str):
        return _convert(setting, setting.default, setting.name)
    return setting.default


def _convert(setting: Setting, value: Value, place: str) -> Any:
    """Convert the text of a setting.

    Args:
        setting: the setting.
        value: its text, a list of texts, or a list for each name. A text for a list has
            commas: `[a, b]`.
        place: where it is set, for the message.

    Raises:
        SettingsError: it is invalid.
    """
    if setting.is_map:
        return list(_convert_pairs(setting._replace(is_map=False), value, place))
    if isinstance(value, dict):
        raise SettingsError(f"{place} is a mapping: use a text or a list of texts")
    if setting.is_list:
        texts = value if isinstance(value, list) else _split(value)
        if setting.allows_empty and not texts:
            texts = [""]
        single = setting._replace(is_list=False)
        return [_convert(single, text, place) for text in texts]
    if isinstance(value, list):
        raise SettingsError(f"{place} is a list: it takes one value")
    if setting.choices and value not in setting.choices:
        raise SettingsError(
            f"{place}: {value!r} is not one of {', '.join(setting.choices)}"
        )
    if setting.parse is bool:
        if value.lower() not in BOOLEANS:
            raise SettingsError(f"{place}: {value!r} is neither true nor false")
        return BOOLEANS[value.lower()]
    try:
        return setting.parse(value)
    except ArgumentTypeError as error:
        raise SettingsError(f"{place}: {error}") from None
    except ValueError as error:
        kind = KINDS.get(setting.parse)
        reason = f"{value!r} is not {kind}" if kind else str(error)
        raise SettingsError(f"{place}: {reason}") from None


def _convert_pairs(
    setting: Setting, value: Value, place: str
) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of a setting."""
    if isinstance(value, dict):
        pairs = [(name, text) for name, texts in value.items() for text in texts]
    else:
        texts = _split(value) if isinstance(value, str) else value
        pairs = []
        for text in texts:
            name, sign, rest = text.partition("=")
            if not sign:
                raise SettingsError(f"{place}: {text!r} is not a pair such as a=b")
            pairs.append((name.strip(), rest))
    for name, text in pairs:
        yield name, _convert(setting, text, f"{place}: {name}")


def _split(text: str) -> list[str]:
    parts = text.removeprefix("[").removesuffix("]").split(",")
    return [part.strip() for part in parts if part.strip()]


def _read_secrets(
    settings: Iterable[Setting],
    environment: Mapping[str, str],
    region: str | None,
    fetch_secret: FetchSecret | None,
) -> dict[str, Secret]:
    """Return the secrets whose values are in files or in Secrets Manager."""
    found = {}
    for setting in settings:
        if setting.parse is not Secret:
            continue
        source = _find_source(setting.variable, environment)
        if source.endswith("_FILE"):
            found[setting.name] = _read_secret_file(source, environment[source])
        elif source and fetch_secret:
            found[setting.name] = Secret(fetch_secret(environment[source], region))
    return found


def _find_source(variable: str, environment: Mapping[str, str]) -> str:
    """Return the variable that says where a secret is, if its value is elsewhere.

    Raises:
        SettingsError: there are several sources.
    """
    found = [
        name
        for name in (variable, f"{variable}_FILE", f"{variable}_SECRET")
        if name in environment
    ]
    if len(found) > 1:
        raise SettingsError(f"{' and '.join(found)} are set: remove all but one")
    return found[0] if found and found[0] != variable else ""


def _read_secret_file(variable: str, path: str) -> Secret:
    """Return the secret in a file, without the newline at its end."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror
    except UnicodeDecodeError:
        reason = "it is not UTF-8"
    else:
        return Secret(text.removesuffix("\n").removesuffix("\r"))
    raise SettingsError(f"{variable} is {path}, which cannot be read: {reason}")


def _check(values: dict[str, Any], required: Sequence[str]) -> None:
    """Check what the settings need from each other, and that none is missing."""
    if values["on_new_version"] == "replace" and not values["load_column"]:
        raise SettingsError(
            "on_new_version is 'replace', but load_column is not set: set it to the "
            "column of the table that receives the number of the load"
        )
    for name in required:
        if name not in values:
            raise SettingsError(
                f"NEEDS names an unknown setting {name}{closest(name, values)}"
            )
    missing = [name for name in required if values[name] in (None, "", [])]
    if missing:
        raise SettingsError(
            f"{' and '.join(missing)} must be set: in the configuration file, in the "
            "environment or on the command line; --help lists all settings"
        )


def _check_rows(values: dict[str, Any], own: set[str]) -> None:
    """Check the settings of rows, unless the function has its own of that name."""
    if own.isdisjoint(setting.name for setting in SETTINGS[OPTIONAL_GROUP]):
        problem = row_settings.check(values)
        if problem:
            raise SettingsError(problem)
        _check_duplicates(values)


def _check_duplicates(values: dict[str, Any]) -> None:
    """Check the settings that say what becomes of rows whose key is in the table."""
    action = values["on_duplicate"]
    columns = [name for name in values["columns"] or () if name != row_settings.SKIPPED]
    if action != "update" and values["order_by"]:
        raise SettingsError(
            f"order_by is {values['order_by']!r}, but on_duplicate is {action!r}: "
            "remove order_by, or set on_duplicate to 'update'"
        )
    if action == "reject":
        return
    if not values["key"]:
        raise SettingsError(
            f"on_duplicate is {action!r}, but key is not set: set it to the columns of "
            "a unique key of the table"
        )
    if values["insert_statement"]:
        raise SettingsError(
            f"on_duplicate is {action!r}, but insert_statement is set, too: remove one "
            "of them"
        )
    for setting in ("key", "order_by"):
        names = values[setting] if setting == "key" else [values[setting]]
        for name in filter(None, names):
            if name not in columns:
                raise SettingsError(
                    f"{setting} names {name!r}, which is not one of the columns"
                    f"{closest(name, columns)}"
                )
