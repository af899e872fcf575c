"""Logging of the wrappers: one line per message, as text or as JSON.

JSON lines carry metrics in CloudWatch's embedded metric format, see
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
import logging
import sys
import time
from collections.abc import Iterable
from typing import Any, TextIO

from errors import describe, is_outage

logger = logging.getLogger("function")

NAMESPACE = "PortableFunctions"
UNITS = {"duration": "Milliseconds"}  # all others are counts


class TextFormatter(logging.Formatter):
    """Formats a record as one line of text, with secrets masked."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__("%(asctime)s %(message)s")
        self._secrets: set[str] = set()
        for secret in secrets:
            self.hide(secret)

    def hide(self, secret: str) -> None:
        """Mask a text in all further lines."""
        in_json = json.dumps(secret)[1:-1]
        in_nested_json = json.dumps(in_json)[1:-1]
        self._secrets |= {secret, in_json, in_nested_json}

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with secrets masked."""
        line = self.render(record)
        for secret in self._secrets:
            line = line.replace(secret, "***")
        return line

    def render(self, record: logging.LogRecord) -> str:
        """Return the line before secrets are masked."""
        return super().format(record)


class JsonFormatter(TextFormatter):
    """Formats a record as one line of JSON, with secrets masked."""

    converter = staticmethod(time.gmtime)

    def render(self, record: logging.LogRecord) -> str:
        """Return the line before secrets are masked."""
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
            "level": record.levelname,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        metrics = getattr(record, "metrics", {})
        if metrics:
            line["_aws"] = _describe_metrics(record.created, metrics)
        fields = getattr(record, "fields", {})
        return json.dumps(line | fields | metrics, default=str)


def configure(
    as_json: bool,
    level: str = "INFO",
    secrets: Iterable[str | None] = (),
    stream: TextIO | None = None,
) -> None:
    """Set up logging for the process.

    Libraries log warnings and errors only, unless the level is DEBUG.

    Args:
        as_json: write JSON instead of text.
        level: name of the lowest level that is logged.
        secrets: texts to mask in every line.
        stream: where lines are written. Defaults to standard error.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    formatter = JsonFormatter if as_json else TextFormatter
    handler.setFormatter(formatter([secret for secret in secrets if secret]))
    logging.root.handlers[:] = [handler]
    logging.root.setLevel("DEBUG" if level == "DEBUG" else "WARNING")
    logger.setLevel(level)


def hide(secret: str) -> None:
    """Mask a text, such as a password read at run time, in all further lines."""
    for handler in logging.root.handlers:
        if isinstance(handler.formatter, TextFormatter):
            handler.formatter.hide(secret)


def outcome(
    message_id: str,
    function: str,
    version: str,
    started: float,
    report: Any = None,
    error: BaseException | None = None,
) -> None:
    """Log that a message is done or, given an error, that it failed.

    An outage is logged without a traceback: it is no bug of the function.

    Args:
        message_id: the message's ID in SQS.
        function: name of the function.
        version: version of the build.
        started: when the function was called, by `time.monotonic`.
        report: the return value of the function. Numbers in it become metrics.
        error: the exception that the function raised.
    """
    status = "failed" if error else "done"
    fields = {
        "messageId": message_id,
        "outcome": status,
        "function": function,
        "version": version,
        "report": report,
    }
    if error:
        fields["error"] = type(error).__name__
    metrics = {
        "duration": round((time.monotonic() - started) * 1000, 3),
        "messages": 1,
        "failures": int(bool(error)),
    }
    logger.log(
        logging.ERROR if error else logging.INFO,
        "message %s %s: %s",
        message_id,
        status,
        describe(error) if error else _summarize(report),
        exc_info=error if error and not is_outage(error) else None,
        extra={"fields": fields, "metrics": metrics | _sum_numbers(report)},
    )


def _summarize(report: Any) -> str:
    return json.dumps(report, default=str) if report else "nothing to do"


def _sum_numbers(report: Any) -> dict[str, float]:
    """Sum up the numbers in a dictionary, or in a list of dictionaries, by key."""
    sums: dict[str, float] = {}
    for part in report if isinstance(report, list) else [report]:
        for name, value in part.items() if isinstance(part, dict) else ():
            if isinstance(value, int | float) and not isinstance(value, bool):
                sums[name] = sums.get(name, 0) + value
    return sums


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
