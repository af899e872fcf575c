"""The settings of all wrappers and functions, each declared once in `SETTINGS`.

The command line overrides the environment, which overrides the configuration file,
which overrides the defaults. `--help` lists all settings.
"""

import codecs
import os
import re
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
# Host names that botocore accepts (`botocore.utils.is_valid_endpoint_url`), or IPv6.
LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
HOST = re.compile(rf"{LABEL}(\.{LABEL})*\.?|[0-9a-f:.%]+", re.IGNORECASE)


class SettingsError(ValueError):
    """A setting is unknown, invalid or missing. The message is for the user."""


class Setting(NamedTuple):
    """One setting: `--name` on the command line, `name` in the configuration file.

    `parse` converts its text and raises `ArgumentTypeError`. The environment variable
    is the name in capitals, unless `env` names another. `options` are further arguments
    of argparse's `add_argument`.
    """

    name: str
    parse: Callable[[str], Any]
    default: Any
    help: str
    env: str = ""
    options: dict[str, Any] = {}  # noqa: RUF012 - never changed


def number_between(low: int, high: int) -> Callable[[str], int]:
    """Return a parser of whole numbers from `low` to `high`, both included."""

    def parse_number(text: str) -> int:
        if text.isdecimal() and low <= int(text) <= high:
            return int(text)
        raise ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")

    return parse_number


def unescape(text: str) -> str:
    r"""Return `text` with its backslash escapes replaced: `\t` becomes a tab."""
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape")


def one_character(text: str) -> str:
    """Parse a single character, which may be written as a backslash escape."""
    character = unescape(text)
    if len(character) != 1:
        raise ArgumentTypeError(f"{text!r} is not a single character")
    return character


def encoding(text: str) -> str:
    """Parse the name of an encoding."""
    try:
        codecs.lookup(text)
    except LookupError:
        raise ArgumentTypeError(f"Python does not know the encoding {text!r}") from None
    return text


def url(text: str) -> str:
    """Parse the URL of a service."""
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port  # raises if it is no port
    except ValueError:
        is_url = False
    if not is_url:
        raise ArgumentTypeError(f"{text!r} is not a URL such as http://127.0.0.1:4566")
    if not HOST.fullmatch(parts.hostname or ""):
        raise ArgumentTypeError(
            f"{text!r} has a host name that boto3 refuses: use only letters, digits, "
            "hyphens and dots"
        )
    return text


def share(text: str) -> float:
    """Parse a share, a number from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number <= 1:
        raise ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return number


class Secret(str):
    """A string whose `repr` is masked, so that printed settings do not show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


FLAG = {"action": "store_true"}

SETTINGS: dict[str, list[Setting]] = {
    "queue": [
        Setting("read_queue", str, None, "name or URL of the queue to poll"),
        Setting(
            "poll_batch_size",
            number_between(1, 10),
            10,
            "most messages to receive in one request, once messages are done quickly; "
            "always 1 for a FIFO queue",
        ),
        Setting(
            "poll_interval",
            number_between(0, 20),
            5,
            "seconds that a request waits for messages (long polling)",
        ),
        Setting(
            "workers",
            number_between(1, 64),
            1,
            "messages to process at the same time; always 1 for a FIFO queue",
        ),
        Setting(
            "grace",
            number_between(0, 3600),
            20,
            "grace period: seconds that running messages have to finish after SIGTERM",
        ),
        Setting(
            "retry_delay",
            number_between(0, 900),
            10,
            "seconds before a failed message is visible again; doubles with each "
            "receive, up to 900",
        ),
        Setting(
            "heartbeat",
            str,
            None,
            "file to touch every 5 seconds while nothing is stuck, for health checks; "
            "what is stuck is logged without it, too",
        ),
        Setting(
            "stuck_after",
            number_between(1, 43200),
            900,
            "seconds after which a function counts as stuck if it has not called "
            "`time_remaining` or `require_time`",
        ),
        Setting("once", bool, False, "stop after one batch of messages", options=FLAG),
        Setting("drain", bool, False, "stop when the queue is empty", options=FLAG),
        Setting(
            "event",
            str,
            None,
            "file with one event: run the function on it instead of polling",
            "EVENT_FILE",
        ),
    ],
    "log": [
        Setting(
            "log_format",
            str,
            "auto",
            "format of the log; auto is text on a terminal and JSON elsewhere",
            options={"choices": ["auto", "text", "json"]},
        ),
        Setting(
            "log_level",
            str,
            "INFO",
            "lowest level to log; DEBUG includes the logs of libraries",
            options={"choices": ["DEBUG", "INFO", "WARNING", "ERROR"]},
        ),
    ],
    "AWS": [
        Setting("region", str, None, "AWS region", "AWS_REGION"),
        Setting(
            "s3_endpoint",
            url,
            None,
            "URL of S3, if not the one of AWS",
            "AWS_ENDPOINT_URL_S3",
        ),
        Setting(
            "sqs_endpoint",
            url,
            None,
            "URL of SQS, if not the one of AWS",
            "AWS_ENDPOINT_URL_SQS",
        ),
    ],
    "database": [
        Setting("db_host", str, "127.0.0.1", "host of the database"),
        Setting(
            "db_port",
            number_between(1, 65535),
            None,
            "port of the database, if not the usual one",
        ),
        Setting("db_name", str, "main", "name of the database"),
        Setting("db_user", str, "worker", "user of the database"),
        Setting(
            "db_pass",
            Secret,
            None,
            "password of the user; prefer the environment variable",
        ),
        Setting(
            "db_secret",
            str,
            None,
            "ARN of a secret in AWS Secrets Manager, to use instead of db_user and "
            "db_pass",
        ),
        Setting(
            "db_tls",
            str,
            "verify",
            "verify: require TLS and check the server's certificate; prefer: use TLS "
            "if the server offers it, for the shim only",
            options={"choices": ["verify", "prefer"]},
        ),
        Setting("db_ca", str, None, "CA bundle file, if not the system's"),
        Setting(
            "db_statement_timeout",
            number_between(1, 3600),
            60,
            "seconds that a statement may take; rows are sent and deleted in many "
            "statements",
        ),
    ],
    "rows": [
        Setting("delimiter", one_character, ",", "character between two fields"),
        Setting("newline", unescape, r"\n", "characters that end a line"),
        Setting("encoding", encoding, "utf-8", "encoding of the file", "FILE_ENCODING"),
        Setting("header", bool, False, "skip the first row", options=FLAG),
        Setting("null", unescape, r"\\N", "field that stands for NULL", "NULL_FIELD"),
        Setting("table", str, None, "table to load the rows into", "DB_TABLE"),
        Setting(
            "columns",
            str,
            None,
            "columns of the table, in the order of the fields",
            "DB_COLUMNS",
            options={"nargs": "+"},
        ),
        Setting(
            "insert_statement",
            str,
            "",
            "statement that inserts one row, to use instead of a bulk load; "
            "{table}, {columns} and {values} are replaced",
        ),
        Setting("load_column", str, "", "column that receives the number of the load"),
        Setting(
            "on_new_version",
            str,
            "append",
            "append: keep the rows of an object's earlier versions; replace: delete "
            "them, for which load_column must be set",
            options={"choices": ["append", "replace"]},
        ),
        Setting(
            "max_reject_share",
            share,
            0.5,
            "share of rejected lines, from 0 to 1, above which no line of a file is "
            "loaded",
        ),
    ],
}


class _Parser(ArgumentParser):  # type: ignore[misc] # configargparse has no types
    def error(self, message: str) -> Any:
        one_line = " ".join(message.split())  # YAML's messages have several lines
        raise SettingsError(f"{one_line}; --help lists all settings")


@cache
def parser() -> ArgumentParser:
    """Return the parser of all settings."""
    result = _Parser(
        description="Runs the function on the messages of a queue or on one event.",
        formatter_class=ArgumentDefaultsHelpFormatter,
        config_file_parser_class=YAMLConfigFileParser,
        default_config_files=[str(CONFIG_FILE)],
        allow_abbrev=False,
        add_config_file_help=False,
        add_env_var_help=False,
        epilog="The command line overrides the environment, which overrides the "
        "configuration file, which overrides the defaults.",
    )
    result.add_argument(
        "--const_path",
        is_config_file_arg=True,
        env_var="CONST_PATH",
        default=SUPPRESS,
        help="configuration file (default: config.yml of the build) "
        "[env var: CONST_PATH]",
    )
    for title, settings in SETTINGS.items():
        group = result.add_argument_group(title)
        for name, parse, default, text, env, options in settings:
            variable = env or name.upper()
            is_flag = parse is bool
            group.add_argument(
                f"--{name}",
                env_var=variable,
                default=default,
                help=f"{text} [env var: {variable}]",
                **(options if is_flag else {"type": parse, **options}),
            )
    return result


def read(args: Sequence[str] = (), needs: Sequence[str] = ()) -> Box:
    """Read the settings: configuration file < environment < `args`.

    An empty environment variable counts as absent.

    Args:
        args: command-line arguments.
        needs: names of settings that must not be empty.

    Returns:
        A read-only box: `var.poll_batch_size`.

    Raises:
        SettingsError: a setting is unknown or invalid, or one of `needs` is missing.
    """
    environment = {name: value for name, value in os.environ.items() if value}
    values = vars(parser().parse_args(list(args), env_vars=environment))
    if values["on_new_version"] == "replace" and not values["load_column"]:
        raise SettingsError(
            "on_new_version is 'replace', but load_column is not set: set it to the "
            "column of the table that receives the number of the load"
        )
    missing = [name for name in needs if not values[name]]
    if missing:
        raise SettingsError(
            f"{' and '.join(missing)} must be set: in the configuration file, in the "
            "environment or on the command line; --help lists all settings"
        )
    return Box(values, frozen_box=True)
