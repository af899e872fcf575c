"""Log lines: outcomes, metrics, masked secrets."""

import io
import json
import logging
from time import monotonic

import pytest

import log
import settings
from tests.context import bare_context

SECRET = 'correct "horse" battery'
REPORT = [{"loaded": 3, "rejected": 1}, {"loaded": 4, "rejected": 0}]


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Log to a stream as JSON; restore logging afterwards."""
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    text = io.StringIO()
    log.configure(True, "DEBUG", [SECRET], text)
    return text


def test_done_message_is_json_line_with_metrics(stream: io.StringIO) -> None:
    log.outcome("m1", "worker", "abc", monotonic() - 0.25, REPORT)
    line = json.loads(stream.getvalue())
    assert (line["messageId"], line["outcome"]) == ("m1", "done")
    assert (line["function"], line["version"]) == ("worker", "abc")
    assert (line["loaded"], line["rejected"], line["failures"]) == (7, 1, 0)
    assert line["duration"] >= 250
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["function"]]
    for metric in directive["Metrics"]:
        assert isinstance(line[metric["Name"]], int | float)


def test_failed_message_is_json_line_with_cause(stream: io.StringIO) -> None:
    try:
        raise ValueError("no such column")
    except ValueError as error:
        log.outcome("m1", "worker", "abc", monotonic(), error=error)
    line = json.loads(stream.getvalue())
    assert (line["outcome"], line["error"], line["failures"]) == (
        "failed",
        "ValueError",
        1,
    )
    assert "no such column" in line["traceback"]


def test_password_is_never_logged(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASS", SECRET)
    with bare_context() as context:
        assert context.var.db_pass == SECRET
        log.logger.debug("settings: %s, %r", context.var, dict(context.var))
        log.logger.debug("%s %r", vars(context), context.var.to_dict())
        try:
            raise RuntimeError(context.var)
        except RuntimeError as error:
            log.outcome("m1", "worker", "abc", monotonic(), context.var, error)
        report = {"url": f"mysql://worker:{context.var.db_pass}@localhost"}
        log.outcome("m1", "worker", "abc", monotonic(), report)
    assert "settings:" in stream.getvalue()
    assert "battery" not in stream.getvalue()


def test_help_does_not_print_password(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASS", SECRET)
    with pytest.raises(SystemExit):
        settings.read(["--help"])
    assert SECRET not in capsys.readouterr().out
