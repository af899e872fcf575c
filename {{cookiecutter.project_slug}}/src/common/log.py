"""Logging of the wrappers: one line per message, as text or as JSON.

JSON lines carry metrics in CloudWatch's embedded metric format, see
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from itertools import islice
from types import TracebackType
from typing import Any, TextIO
from urllib.parse import quote

from errors import as_text, describe, is_bad_input, is_outage, name_objects
from log_values import LogValues, is_number, shorten

logger = logging.getLogger("function")
# Its lines carry the metrics, which no level may suppress.
outcomes = logging.getLogger("function.outcome")

# Bytes of a line. CloudWatch accepts a megabyte, but Docker's log driver for CloudWatch
# splits at 256 KiB, of which CloudWatch counts 26 bytes as its own. See
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_InputLogEvent.html
MAX_LINE = 256 * 1024 - 26
MAX_METRICS = 90  # from a report; the format allows 100 in a line
MAX_METRIC_NAME = 255
NAMESPACE = "PortableFunctions"
UNITS = {"duration": "Milliseconds"}  # all others are counts
# Fields of a line that no metric replaces.
RESERVED = {"time", "level", "message", "traceback", "truncated", "_aws"}

# It may have a slash or an @, but digits before a slash are a port.
PASSWORD_IN_URL = re.compile(r"""(://[^\s/:@]*:)(?!\d+/)[^\s"']+@""")

_message_fields: ContextVar[dict[str, Any] | None] = ContextVar("fields", default=None)


class TextFormatter(logging.Formatter):
    """Formats a record as text, with secrets masked and no line too long."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__("%(asctime)s %(message)s")
        self._secrets: list[str] = []
        for secret in secrets:
            self.hide(secret)

    def hide(self, secret: str) -> None:
        """Mask a text in all further lines."""
        in_json = json.dumps(secret)[1:-1]
        in_nested_json = json.dumps(in_json)[1:-1]
        in_url = quote(secret, safe="")
        forms = {secret, in_json, in_nested_json, in_url, *self._secrets}
        self._secrets = sorted(forms, key=len, reverse=True)

    def mask(self, text: str) -> str:
        """Return a text with secrets masked, and passwords in URLs."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return PASSWORD_IN_URL.sub(r"\1***@", text)

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's time and message, and its traceback if it has one."""
        parts = [f"{self.formatTime(record)} {_message_of(record)}"]
        message_id = _fields_of_message().get("messageId")
        if message_id and message_id not in parts[0]:
            parts[0] += f" (message {message_id})"
        if record.exc_info:
            parts.append(self.formatException(record.exc_info))
        return shorten(self.mask("\n".join(parts)), MAX_LINE // 4 - 100)

    def formatException(self, exc_info: Any) -> str:  # noqa: N802 - logging's name
        """Return the traceback, or why there is none.

        It begins in the function, below the wrapper that has called it.
        """
        kind, error, traceback = exc_info
        try:
            below = _skip_wrappers(traceback)
            return super().formatException((kind, error, below or traceback))
        except Exception as error:
            return f"no traceback: {type(error).__name__}"


class JsonFormatter(TextFormatter):
    """Formats a record as one line of JSON, with secrets masked."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        limit = MAX_LINE * 9 // 10
        line = self._format_within(limit, record)
        while len(line) > MAX_LINE:  # a character takes up to twelve bytes in JSON
            limit //= 2
            line = self._format_within(limit, record)
        return line

    def _format_within(self, limit: int, record: logging.LogRecord) -> str:
        """Return the line with about `limit` characters."""
        values = LogValues(self.mask, limit)
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
            "level": record.levelname,
            "message": values.text(_message_of(record), share=0.3),
        }
        if record.exc_info:
            traceback = self.formatException(record.exc_info)
            line["traceback"] = values.text(traceback, share=0.7)
        fields = _fields_of_message() | getattr(record, "fields", {})
        line |= {name: values.convert(value) for name, value in fields.items()}
        if metrics := getattr(record, "metrics", {}):
            line |= {"_aws": _describe_metrics(record.created, metrics)} | metrics
        if values.is_truncated:
            line["truncated"] = True
        return json.dumps(line)


def configure(
    as_json: bool,
    level: str = "INFO",
    secrets: Iterable[str | None] = (),
    stream: TextIO | None = None,
) -> None:
    """Set up logging for the process.

    Libraries log warnings and errors only, unless the level is DEBUG. As JSON, the
    outcome of each message is logged at any level, because it has the metrics. The file
    LOG_COPY in the environment gets all lines as JSON, too.

    Args:
        as_json: write JSON instead of text.
        level: name of the lowest level that is logged.
        secrets: texts to mask in every line.
        stream: where lines are written. Defaults to standard error.
    """
    masked = [secret for secret in secrets if secret]
    handler: logging.Handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter((JsonFormatter if as_json else TextFormatter)(masked))
    logging.root.handlers[:] = [handler]
    if copy := os.environ.get("LOG_COPY"):
        handler = logging.FileHandler(copy, delay=True)
        handler.setFormatter(JsonFormatter(masked))
        logging.root.addHandler(handler)
    logging.root.setLevel("DEBUG" if level == "DEBUG" else "WARNING")
    logger.setLevel(level)
    outcomes.setLevel("INFO" if as_json else level)


def prefers_json(log_format: str = "") -> bool:
    """Whether to log as JSON: by default everywhere but on a terminal.

    Args:
        log_format: "json", "text" or "auto". Defaults to the environment's LOG_FORMAT.
    """
    log_format = log_format or os.environ.get("LOG_FORMAT") or "auto"
    if log_format == "auto":
        return not sys.stderr.isatty()
    return log_format == "json"


def log_uncaught_errors() -> None:
    """Log errors that end the process or a thread, instead of printing them."""

    def log_uncaught(kind: Any, error: Any, traceback: Any) -> None:
        if issubclass(kind, Exception):
            exc_info = (kind, error, traceback)
            logger.critical("%s", describe(error), exc_info=exc_info)

    sys.excepthook = log_uncaught
    threading.excepthook = lambda uncaught: log_uncaught(*uncaught[:3])


def failure(error: BaseException) -> None:
    """Log the error of a function; with a traceback if that is a bug, as `outcome`."""
    is_shown = _is_bug(error) or logger.isEnabledFor(logging.DEBUG)
    logger.error("%s", describe(error), exc_info=error if is_shown else None)


def hide(secret: str) -> None:
    """Mask a text, such as a password read at run time, in all further lines."""
    for handler in logging.root.handlers:
        if isinstance(handler.formatter, TextFormatter):
            handler.formatter.hide(secret)


def mistake(error: Exception) -> None:
    """Report a user's mistake: as JSON where the log is JSON, else as one sentence."""
    formatter = logging.root.handlers[0].formatter
    if isinstance(formatter, TextFormatter) and not isinstance(
        formatter, JsonFormatter
    ):
        print(f"error: {formatter.mask(str(error))}", file=sys.stderr)
    else:
        logger.error("%s", error)


@contextmanager
def about_message(
    message_id: str, attributes: Mapping[str, Any], **fields: Any
) -> Iterator[None]:
    """Add the fields of a message to all lines that this thread logs meanwhile.

    The fields are `messageId`, `receiveCount`, `timeInQueue` in seconds, and `traceId`
    of X-Ray, as far as they are known.

    Args:
        message_id: the message's ID in SQS.
        attributes: SQS's own attributes of the message.
        fields: further fields. None stands for an unknown value.
    """
    sent = _parse_number(attributes.get("SentTimestamp"))
    trace = os.environ.get("_X_AMZN_TRACE_ID") or attributes.get("AWSTraceHeader")
    trace_id = re.search(r"Root=([^;]+)", str(trace))
    known = {
        "messageId": message_id,
        "receiveCount": _parse_number(attributes.get("ApproximateReceiveCount")),
        "timeInQueue": round(time.time() - sent / 1000, 3) if sent else None,
        "traceId": trace_id[1] if trace_id else None,
        **fields,
    }
    known = {name: value for name, value in known.items() if value is not None}
    token = _message_fields.set(known)
    try:
        yield
    finally:
        _message_fields.reset(token)


def name_function(own: str) -> str:
    """Return the dimension of a function's metrics, given its own name.

    Where it is deployed, that is its full name, so that the metrics of environments in
    one account are apart.
    """
    names = ("AWS_LAMBDA_FUNCTION_NAME", "FUNCTION_NAME")
    return next((os.environ[each] for each in names if os.environ.get(each)), own)


def outcome(
    message_id: str,
    function: str,
    version: str,
    started: float,
    report: Any = None,
    error: BaseException | None = None,
) -> None:
    """Log that a message is done or, given an error, that it failed.

    An outage and bad input are logged without a traceback: they are no bugs of the
    function. Whatever the report is, this raises nothing.

    Args:
        message_id: the message's ID in SQS.
        function: name of the function.
        version: version of the build.
        started: when the function was called, by `time.monotonic`.
        report: the return value of the function. Numbers in it become metrics.
        error: the exception that the function raised.
    """
    is_failed = error is not None
    status = "failed" if is_failed else "done"
    fields = {
        "messageId": message_id,
        "outcome": status,
        "function": function,
        "version": version,
        "report": report,
    }
    if error is not None:
        fields["error"] = type(error).__name__
        fields["objects"] = name_objects(error)
    metrics = {
        "duration": round((time.monotonic() - started) * 1000, 3),
        "messages": 1,
        "failures": int(is_failed),
    }
    taken = fields.keys() | metrics.keys() | _fields_of_message().keys() | RESERVED
    outcomes.log(
        logging.ERROR if is_failed else logging.INFO,
        "message %s %s: %s",
        message_id,
        status,
        _summarize(report) if error is None else describe(error),
        exc_info=error if error is not None and _is_bug(error) else None,
        extra={"fields": fields, "metrics": metrics | _sum_numbers(report, taken)},
    )


def _is_bug(error: BaseException) -> bool:
    return not is_outage(error) and not is_bad_input(error)


def _skip_wrappers(traceback: TracebackType | None) -> TracebackType | None:
    """Return the part of a traceback below the modules beside this one."""
    directory = os.path.dirname(__file__)
    while traceback:
        path = traceback.tb_frame.f_code.co_filename
        if os.path.dirname(path) != directory:
            return traceback
        traceback = traceback.tb_next
    return None


def _message_of(record: logging.LogRecord) -> str:
    """Return a record's message, even if its arguments do not fit."""
    try:
        return record.getMessage()
    except Exception:
        return as_text(record.msg)


def _fields_of_message() -> dict[str, Any]:
    return _message_fields.get() or {}


def _parse_number(text: Any) -> int | None:
    return int(text) if str(text).isdecimal() else None


def _summarize(report: Any) -> str:
    values = LogValues(str, MAX_LINE).convert(report)
    return json.dumps(values) if values else "nothing to do"


def _sum_numbers(report: Any, taken: Collection[str]) -> dict[str, float]:
    """Sum up the numbers in a dictionary, or in a list of dictionaries, by key.

    Keys that are `taken`, or that cannot be names of metrics, are left out.
    """
    sums: dict[str, float] = {}
    with suppress(Exception):  # the methods of a report are a function's code
        for part in report if isinstance(report, list) else [report]:
            for name, value in part.items() if isinstance(part, dict) else ():
                if is_number(value) and _is_metric_name(name) and name not in taken:
                    sums[name] = sums.get(name, 0) + value
    return dict(islice(sums.items(), MAX_METRICS))


def _is_metric_name(name: Any) -> bool:
    is_text = isinstance(name, str) and name.isascii() and name.isprintable()
    return is_text and bool(name.strip()) and len(name) <= MAX_METRIC_NAME


def _describe_metrics(created: float, metrics: dict[str, float]) -> dict[str, Any]:
    """Return the `_aws` object that makes CloudWatch read metrics from a line."""
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [["function"]],
        "Metrics": [
            {"Name": name, "Unit": UNITS.get(name, "Count")} for name in metrics
        ],
    }
    return {"Timestamp": int(created * 1000), "CloudWatchMetrics": [directive]}
