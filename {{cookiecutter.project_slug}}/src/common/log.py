"""What the wrappers log: a line for each message, for people or for CloudWatch.

For people it is plain text. For Lambda and containers it is JSON, with the numbers as
CloudWatch reads them out of logs, see
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
import logging
import sys
import time
from collections.abc import Iterable
from typing import Any, TextIO

from context import is_outage

logger = logging.getLogger("function")

NAMESPACE = "PortableFunctions"
UNITS = {"duration": "Milliseconds", "messages": "Count", "failures": "Count"}


class TextFormatter(logging.Formatter):
    """A line for people, without secrets."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__("%(asctime)s %(message)s")
        self._secrets: set[str] = set()
        for secret in secrets:
            self.hide(secret)

    def hide(self, secret: str) -> None:
        """Show a text in no line from now on."""
        written = json.dumps(secret)[1:-1]
        twice = json.dumps(written)[1:-1]  # JSON in a JSON line
        self._secrets |= {secret, written, twice}

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = self.compose(record)
        for secret in self._secrets:
            line = line.replace(secret, "***")
        return line

    def compose(self, record: logging.LogRecord) -> str:
        """Return the line as it would be, were there no secrets."""
        return super().format(record)


class JsonFormatter(TextFormatter):
    """One JSON object a line, without secrets."""

    converter = staticmethod(time.gmtime)

    def compose(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
            "level": record.levelname,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        metrics = getattr(record, "metrics", {})
        if metrics:
            line["_aws"] = _metadata(record.created, metrics)
        fields = getattr(record, "fields", {})
        return json.dumps(line | fields | metrics, default=str)


def start(
    as_json: bool,
    level: str = "INFO",
    secrets: Iterable[str | None] = (),
    stream: TextIO | None = None,
) -> None:
    """Log what the project says; libraries speak from warnings on, or at DEBUG.

    Args:
        as_json: for machines instead of people.
        level: from which level on.
        secrets: texts that no line shows.
        stream: where to; by default the standard error.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    formatter = JsonFormatter if as_json else TextFormatter
    handler.setFormatter(formatter([secret for secret in secrets if secret]))
    logging.root.handlers[:] = [handler]
    logging.root.setLevel("DEBUG" if level == "DEBUG" else "WARNING")
    logger.setLevel(level)


def hide(secret: str) -> None:
    """Show a text, such as a password that was read late, in no line from now on."""
    for handler in logging.root.handlers:
        if isinstance(handler.formatter, TextFormatter):
            handler.formatter.hide(secret)


def outcome(
    message: str, function: str, version: str, began: float, report: Any = None
) -> None:
    """Log that a message is done, or, while an exception is handled, that it failed.

    Args:
        message: its id.
        function: name of the function.
        version: what was built.
        began: when, by `time.monotonic`.
        report: what the function returned; numbers in it become metrics.
    """
    error = sys.exc_info()[1]
    numbers = _numbers(report)
    fields = {
        "messageId": message,
        "outcome": "failed" if error else "done",
        "function": function,
        "version": version,
        "report": report,
    }
    if error:
        fields["error"] = type(error).__name__
    metrics = {
        "duration": round((time.monotonic() - began) * 1000, 3),
        "messages": 1,
        "failures": int(bool(error)),
    } | numbers
    logger.log(
        logging.ERROR if error else logging.INFO,
        "message %s failed: %s" if error else "message %s done: %s",
        message,
        described(error) if error else _told(report),
        exc_info=error and not is_outage(error),
        extra={"fields": fields, "metrics": metrics},
    )


def described(error: BaseException) -> str:
    """Return an error's name, its message, and the notes that it was given."""
    notes = getattr(error, "__notes__", ())
    return ": ".join([type(error).__name__, str(error), *notes])


def _told(report: Any) -> str:
    return json.dumps(report, default=str) if report else "nothing to do"


def _numbers(report: Any) -> dict[str, float]:
    """Add up the numbers of a report that is a dictionary or a list of them."""
    sums: dict[str, float] = {}
    for each in report if isinstance(report, list) else [report]:
        for name, value in each.items() if isinstance(each, dict) else ():
            if isinstance(value, int | float) and not isinstance(value, bool):
                sums[name] = sums.get(name, 0) + value
    return sums


def _metadata(created: float, metrics: dict[str, float]) -> dict[str, Any]:
    units = [{"Name": name, "Unit": UNITS.get(name, "Count")} for name in metrics]
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [["function"]],
        "Metrics": units,
    }
    return {"Timestamp": int(created * 1000), "CloudWatchMetrics": [directive]}
