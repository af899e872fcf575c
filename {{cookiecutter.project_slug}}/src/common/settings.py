"""Every setting of every entry point, declared once.

A value comes from the command line, else from the environment, else from the
configuration file, else from the default below. `--help` of any entry point
prints this page.
"""

import os
from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from box import Box
from configargparse import (
    ArgumentDefaultsHelpFormatter,
    ArgumentParser,
    YAMLConfigFileParser,
)

CONFIG_FILE = Path(__file__).with_name("config.yml")


class SettingsError(ValueError):
    """A setting that cannot be used; the message is for the person who set it."""


class Setting(NamedTuple):
    """One setting; the environment knows it by its name in capitals, or by `env`."""

    name: str
    kind: Callable[[str], Any]
    default: Any
    help: str
    env: str = ""
    words: dict[str, Any] = {}  # noqa: RUF012 - never changed, handed on to argparse


def number_between(low: int, high: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from `low` to `high`, both included."""

    def read_number(text: str) -> int:
        if text.isdecimal() and low <= int(text) <= high:
            return int(text)
        raise ArgumentTypeError(f"{text!r} is no whole number from {low} to {high}")

    return read_number


def unescape(text: str) -> str:
    r"""Return `text` with its backslash escapes read, so that a shell can say `\t`."""
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape")


SETTINGS: dict[str, list[Setting]] = {
    "queue": [
        Setting("read_queue", str, None, "name or URL of the queue to poll"),
        Setting(
            "poll_batch_size", number_between(1, 10), 10, "messages to ask for at once"
        ),
        Setting(
            "poll_interval",
            number_between(0, 20),
            5,
            "seconds that a request waits for messages (long polling)",
        ),
        Setting(
            "drain",
            bool,
            False,
            "end when the queue is empty",
            words={"action": "store_true"},
        ),
        Setting("event", str, None, "run once, on the event in this file, then end"),
    ],
    "AWS": [
        Setting("region", str, None, "AWS region", "AWS_REGION"),
        Setting(
            "s3_endpoint",
            str,
            None,
            "URL of S3, where it is not AWS's own",
            "AWS_ENDPOINT_URL_S3",
        ),
        Setting(
            "sqs_endpoint",
            str,
            None,
            "URL of SQS, where it is not AWS's own",
            "AWS_ENDPOINT_URL_SQS",
        ),
    ],
    "database": [
        Setting("db_host", str, "127.0.0.1", "host of the database"),
        Setting(
            "db_port", number_between(1, 65535), None, "port, if not the usual one"
        ),
        Setting("db_name", str, "main", "name of the database"),
        Setting("db_user", str, "worker", "user of the database"),
        Setting("db_pass", str, None, "password; rather in the environment than here"),
        Setting(
            "db_tls",
            str,
            "verify",
            "encrypt and verify the server, or encrypt if it can (for the shim)",
            words={"choices": ["verify", "prefer"]},
        ),
        Setting("db_ca", str, None, "file of CA certificates, if not the system's"),
    ],
    "rows": [
        Setting("delimiter", unescape, ",", "character between two fields of a line"),
        Setting("newline", unescape, r"\n", "what ends a line"),
        Setting("table", str, None, "table that takes the rows", "DB_TABLE"),
        Setting(
            "columns",
            str,
            None,
            "columns of the table, in the order of the fields",
            "DB_COLUMNS",
            words={"nargs": "+"},
        ),
        Setting(
            "insert_statement",
            str,
            "INSERT INTO {table} ({columns}) VALUES ({values})",
            "statement that takes a row; the names in braces are filled in",
        ),
    ],
}


class _Parser(ArgumentParser):  # type: ignore[misc] # it has no types
    def error(self, message: str) -> Any:
        raise SettingsError(f"{message}; --help lists every setting")


def parser() -> ArgumentParser:
    """Return the parser of all settings."""
    result = _Parser(
        description="Runs the function on the messages of a queue, or on one event.",
        formatter_class=ArgumentDefaultsHelpFormatter,
        config_file_parser_class=YAMLConfigFileParser,
        default_config_files=[str(CONFIG_FILE)],
        allow_abbrev=False,
        add_config_file_help=False,
        add_env_var_help=True,
    )
    result.add_argument(
        "--const_path",
        is_config_file_arg=True,
        env_var="CONST_PATH",
        help=f"configuration file (default: {CONFIG_FILE.name} of the build)",
    )
    for title, settings in SETTINGS.items():
        group = result.add_argument_group(title)
        for name, kind, default, text, env, words in settings:
            group.add_argument(
                f"--{name}",
                env_var=env or name.upper(),
                default=default,
                help=text,
                **({"type": kind} | words if kind is not bool else words),
            )
    return result


def read(args: Sequence[str] = ()) -> Box:
    """Return the settings: configuration file < environment < `args`.

    A variable that is empty counts as absent.

    Raises:
        SettingsError: a setting is unknown, of the wrong type or out of range.
    """
    environment = {name: value for name, value in os.environ.items() if value}
    found = parser().parse_args(list(args), env_vars=environment)
    return Box(vars(found), frozen_box=True)
