"""The settings of the wrappers and of `src/lib`, each declared once in `SETTINGS`.

A function declares settings of its own in a list of that name. `read_settings.read`
reads both.
"""

import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from row_settings import (
    delimiter,
    encoding,
    header,
    marker,
    newline,
    one_character,
    value_format,
)

# Host names that botocore accepts (`botocore.utils.is_valid_endpoint_url`), or IPv6.
LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
IPV6 = "[0-9a-f.%]*:[0-9a-f:.%]*"
HOST = re.compile(rf"(?!{256 * '.'}){LABEL}(\.{LABEL})*\.?|{IPV6}", re.IGNORECASE)
# Spaces and control characters: `urlsplit` drops some of them, botocore refuses them.
BLANK = re.compile(r"[\0-\x20\x7f]")


class SettingsError(ValueError):
    """A setting is unknown, invalid or missing. The message is for the user."""


class Setting(NamedTuple):
    """One setting: `--name` on the command line, `name` in the configuration file.

    Attributes:
        name: its name, which must be one of Python's.
        parse: its type: `str`, `int`, `float`, `bool`, `Secret`, or a function that
            converts a text and raises `ValueError` or `ArgumentTypeError`.
        default: the value if it is set nowhere.
        help: its meaning, for `--help` and docs/settings.md.
        env: its environment variable. Defaults to the name in capitals.
        choices: the only values that it may have, if there are any.
        is_list: it has several values, each of the type `parse`.
        is_map: it has several values, each with a name: `day=%d/%m/%Y`.
        allows_empty: an empty text is one of the values of the list.
        flag: its value if the option is given without one.
        required: the function cannot run without it.
    """

    name: str
    parse: Callable[[str], Any] = str
    default: Any = None
    help: str = ""
    env: str = ""
    choices: tuple[str, ...] = ()
    is_list: bool = False
    is_map: bool = False
    allows_empty: bool = False
    flag: str = ""
    required: bool = False

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return self.env or self.name.upper()


def number_between(low: int, high: int) -> Callable[[str], int]:
    """Return a parser of whole numbers from `low` to `high`, both included."""

    def parse_number(text: str) -> int:
        if text.isdecimal() and low <= int(text) <= high:
            return int(text)
        raise ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")

    return parse_number


def url(text: str) -> str:
    """Parse the URL of a service."""
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_url = is_url and not BLANK.search(text)
        _ = parts.port  # raises if it is no port
    except ValueError:
        is_url = False
    shown = repr(hide_credentials(text))
    if not is_url:
        raise ArgumentTypeError(f"{shown} is not a URL such as http://127.0.0.1:4566")
    if not HOST.fullmatch(parts.hostname or ""):
        raise ArgumentTypeError(
            f"{shown} has a host name that boto3 refuses: use only letters, digits, "
            "hyphens and dots"
        )
    return text


def hide_credentials(text: str) -> str:
    """Mask user and password of the URLs in a text."""
    return re.sub(r"//(?s:.*)@", "//***@", text)


def share(text: str) -> float:
    """Parse a share, a number from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number <= 1:
        raise ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return number


def queues(text: str) -> dict[str, str]:
    """Parse names of functions and their queues: `part=part-pending,other=…`."""
    pairs = [each.strip().partition("=") for each in text.split(",") if each.strip()]
    if not all(name and queue for name, _, queue in pairs):
        raise ArgumentTypeError(f"{text!r} is not a list such as part=part-pending")
    return {name: queue for name, _, queue in pairs}


class Secret(str):
    """A string whose `repr` is masked, so that printed settings do not show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


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
        Setting("once", bool, False, "stop after one batch of messages"),
        Setting(
            "drain",
            bool,
            False,
            "stop when the queue is empty; stop with exit code 1 if a function is "
            "stuck (stuck_after), or if only messages are left that failed after 3 "
            "receives or more in a queue without a dead-letter queue",
        ),
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
            choices=("auto", "text", "json"),
        ),
        Setting(
            "log_level",
            str,
            "INFO",
            "lowest level to log; DEBUG includes the logs of libraries",
            choices=("DEBUG", "INFO", "WARNING", "ERROR"),
        ),
    ],
    "AWS": [
        Setting("region", str, None, "AWS region", "AWS_REGION"),
        Setting("bucket", str, None, "the project's bucket"),
        Setting(
            "send_queues",
            queues,
            {},
            "queues that `context.send` may send to, as in part=shop-dev-part-pending; "
            "they follow from `sends_to` in config/deploy.yml",
        ),
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
            "password of the user; prefer DB_PASS or DB_PASS_FILE to the command line",
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
            choices=("verify", "prefer"),
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
        Setting(
            "format",
            str,
            "csv",
            "format of the file; jsonl is JSON Lines, fixed is records of fixed width",
            "FILE_FORMAT",
            choices=("csv", "jsonl", "fixed"),
        ),
        Setting("delimiter", delimiter, ",", "characters between two fields"),
        Setting(
            "newline",
            newline,
            r"\n",
            "characters that end a line; none: records of fixed width have no lines",
        ),
        Setting(
            "quote",
            one_character,
            '"',
            "character around fields, doubled inside of them; or none",
            "FILE_QUOTE",
        ),
        Setting(
            "escape",
            one_character,
            "none",
            "character that makes the next one part of a value, such as a backslash; "
            "or none",
            "FILE_ESCAPE",
        ),
        Setting("encoding", encoding, "utf-8", "encoding of the file", "FILE_ENCODING"),
        Setting(
            "header",
            header,
            "false",
            "true: the first row names the columns; skip: it is ignored; false: there "
            "is none",
            flag="true",
        ),
        Setting(
            "extra_columns",
            str,
            "reject",
            "columns or keys of the file that are not in columns; reject: the file, or "
            "the line in JSON Lines, is not loaded",
            choices=("reject", "ignore"),
        ),
        Setting(
            "missing_fields",
            str,
            "reject",
            "fields or keys that a line does not have; reject: the line is a reject; "
            "null: they are NULL",
            choices=("reject", "null"),
        ),
        Setting(
            "null_field",
            marker,
            [r"\N"],
            "fields that stand for NULL, as they are in the file, with their quotes",
            is_list=True,
            allows_empty=True,
        ),
        Setting(
            "column_nulls",
            marker,
            [],
            "the same for single columns, instead of null_field, as in amount=NA",
            is_map=True,
        ),
        Setting(
            "formats",
            value_format,
            [],
            "how values of single columns are written, as in day=%d/%m/%Y, "
            "paid=yes/no, sent=iso, or price=comma",
            is_map=True,
        ),
        Setting(
            "widths",
            number_between(1, 1_000_000),
            [],
            "characters of each field, for format: fixed",
            is_list=True,
        ),
        Setting(
            "comment", str, "", "lines that start with this are skipped", "FILE_COMMENT"
        ),
        Setting(
            "skip_lines",
            number_between(0, 1_000_000),
            0,
            "lines to skip at the start of the file, before the header",
        ),
        Setting(
            "trailer_lines",
            number_between(0, 1000),
            0,
            "lines to skip at the end of the file",
        ),
        Setting(
            "max_uncompressed_mb",
            number_between(1, 100_000_000),
            10_000,
            "MB that a compressed file may expand to",
        ),
        Setting("table", str, None, "table to load the rows into", "DB_TABLE"),
        Setting(
            "columns",
            str,
            None,
            "columns of the table, in the order of the fields; - skips a field",
            "DB_COLUMNS",
            is_list=True,
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
            choices=("append", "replace"),
        ),
        Setting(
            "on_duplicate",
            str,
            "reject",
            "of rows whose key is in the table: reject them, ignore them, or update "
            "the table's rows",
            choices=("reject", "ignore", "update"),
        ),
        Setting(
            "key",
            str,
            None,
            "columns that name a row, for on_duplicate: those of a unique key",
            "DB_KEY",
            is_list=True,
        ),
        Setting(
            "order_by",
            str,
            "",
            "column that says which of two rows with a key is newer, for "
            "on_duplicate: update; without it, the row that is loaded last",
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
