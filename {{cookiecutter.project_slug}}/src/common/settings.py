"""Every setting of every entry point, declared once.

A value comes from the command line, else from the environment, else from the
configuration file, else from the default below. `--help` of any entry point
prints this page.
"""

import codecs
import os
from argparse import SUPPRESS, ArgumentTypeError
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

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


def one_character(text: str) -> str:
    """Return the character that `text` says, escapes read."""
    found = unescape(text)
    if len(found) != 1:
        raise ArgumentTypeError(f"{text!r} is not one character")
    return found


def encoding(text: str) -> str:
    """Return the name of an encoding."""
    try:
        codecs.lookup(text)
    except LookupError:
        raise ArgumentTypeError(f"{text!r} is no encoding that Python knows") from None
    return text


def url(text: str) -> str:
    """Return the URL of a service."""
    found = urlsplit(text)
    if found.scheme not in ("http", "https") or not found.netloc:
        raise ArgumentTypeError(f"{text!r} is no URL, as in http://127.0.0.1:4566")
    return text


def share(text: str) -> float:
    """Return a share of a whole."""
    try:
        found = float(text)
    except ValueError:
        found = -1
    if not 0 <= found <= 1:
        raise ArgumentTypeError(f"{text!r} is no number from 0 to 1")
    return found


class Secret(str):
    """A text that does not show when settings are printed or logged."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


FLAG = {"action": "store_true"}

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
        Setting("workers", number_between(1, 64), 1, "messages to work on at once"),
        Setting(
            "grace",
            number_between(0, 3600),
            20,
            "seconds that a message in hand has to finish after SIGTERM",
        ),
        Setting(
            "retry_delay",
            number_between(0, 900),
            10,
            "seconds before a message that failed comes back; doubled each time",
        ),
        Setting(
            "heartbeat", str, None, "file to touch while all goes on, for health checks"
        ),
        Setting(
            "stuck_after",
            number_between(1, 43200),
            900,
            "seconds after which a function that has not asked for the time left "
            "counts as stuck",
        ),
        Setting("once", bool, False, "end after one batch of messages", words=FLAG),
        Setting("drain", bool, False, "end when the queue is empty", words=FLAG),
        Setting("event", str, None, "run once, on this file's event", "EVENT_FILE"),
    ],
    "log": [
        Setting(
            "log_format",
            str,
            "auto",
            "auto is text on a terminal, JSON elsewhere",
            words={"choices": ["auto", "text", "json"]},
        ),
        Setting(
            "log_level",
            str,
            "INFO",
            "how much to say",
            words={"choices": ["DEBUG", "INFO", "WARNING", "ERROR"]},
        ),
    ],
    "AWS": [
        Setting("region", str, None, "AWS region", "AWS_REGION"),
        Setting(
            "s3_endpoint",
            url,
            None,
            "URL of S3, where it is not AWS's own",
            "AWS_ENDPOINT_URL_S3",
        ),
        Setting(
            "sqs_endpoint",
            url,
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
        Setting("db_pass", Secret, None, "password; better in the environment"),
        Setting(
            "db_secret",
            str,
            None,
            "ARN of the secret of AWS that holds user and password, instead of both",
        ),
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
        Setting("delimiter", one_character, ",", "character between two fields"),
        Setting("newline", unescape, r"\n", "what ends a line"),
        Setting("encoding", encoding, "utf-8", "encoding of the file", "FILE_ENCODING"),
        Setting("header", bool, False, "leave the first row out", words=FLAG),
        Setting("null", unescape, r"\\N", "a field that is NULL", "NULL_FIELD"),
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
            "",
            "statement that takes a row, instead of the database's bulk statement; "
            "{table}, {columns} and {values} are filled in",
        ),
        Setting("load_column", str, "", "column that takes the number of the load"),
        Setting(
            "on_new_version",
            str,
            "append",
            "what a new version of an object does to the rows of earlier ones; to "
            "replace them, load_column must be set",
            words={"choices": ["append", "replace"]},
        ),
        Setting(
            "max_reject_share",
            share,
            0.5,
            "share of bad lines, from 0 to 1, above which a file fails whole",
        ),
    ],
}


class _Parser(ArgumentParser):  # type: ignore[misc] # it has no types
    def error(self, message: str) -> Any:
        told = " ".join(message.split())  # that of YAML has several lines
        raise SettingsError(f"{told}; --help lists every setting")


@cache
def parser() -> ArgumentParser:
    """Return the parser of all settings."""
    result = _Parser(
        description="Runs the function on the messages of a queue, or on one event.",
        formatter_class=ArgumentDefaultsHelpFormatter,
        config_file_parser_class=YAMLConfigFileParser,
        default_config_files=[str(CONFIG_FILE)],
        allow_abbrev=False,
        add_config_file_help=False,
        add_env_var_help=False,
        epilog="The command line goes before the environment, which goes before the "
        "configuration file, which goes before the defaults.",
    )
    result.add_argument(
        "--const_path",
        is_config_file_arg=True,
        env_var="CONST_PATH",
        default=SUPPRESS,
        help="configuration file; by default that of the build [env var: CONST_PATH]",
    )
    for title, settings in SETTINGS.items():
        group = result.add_argument_group(title)
        for name, kind, default, text, env, words in settings:
            variable = env or name.upper()
            group.add_argument(
                f"--{name}",
                env_var=variable,
                default=default,
                help=f"{text} [env var: {variable}]",
                **({"type": kind} | words if kind is not bool else words),
            )
    return result


def read(args: Sequence[str] = (), needs: Sequence[str] = ()) -> Box:
    """Return the settings: configuration file < environment < `args`.

    A variable that is empty counts as absent.

    Args:
        args: command line, as a list of words.
        needs: names of settings that must not be empty.

    Raises:
        SettingsError: a setting is unknown, of the wrong type or out of range, or one
            of `needs` is missing.
    """
    environment = {name: value for name, value in os.environ.items() if value}
    found = parser().parse_args(list(args), env_vars=environment)
    if found.on_new_version == "replace" and not found.load_column:
        raise SettingsError(
            "on_new_version is 'replace', but load_column is not set: name the column "
            "of the table that takes the number of the load"
        )
    missing = [name for name in needs if not getattr(found, name)]
    if missing:
        raise SettingsError(
            f"{' and '.join(missing)} must be set: in the configuration file, in the "
            "environment or on the command line; --help lists every setting"
        )
    return Box(vars(found), frozen_box=True)
