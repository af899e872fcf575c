"""Log lines: outcomes, metrics, masked secrets."""

import io
import json
import logging
import sys
import threading
import time
from datetime import date
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

import log
import settings_reader
from errors import UnreachableError
from lib.file_types import FileFormatError
from tests.context import bare_context
from tests.tables import for_each

SECRET = 'correct "horse" battery'
REPORT = [{"loaded": 3, "rejected": 1}, {"loaded": 4, "rejected": 0}]


@pytest.fixture
def stream() -> io.StringIO:
    """Log to a stream as JSON."""
    text = io.StringIO()
    log.configure(True, "DEBUG", [SECRET], text)
    return text


def test_done_message_is_json_line_with_metrics(stream: io.StringIO) -> None:
    log.outcome("m1", "worker", "abc", monotonic() - 0.25, REPORT)
    line = json.loads(stream.getvalue())
    assert (line["messageId"], line["outcome"]) == ("m1", "done")
    assert (line["function"], line["version"]) == ("worker", "abc")
    assert (line["loaded"], line["rejected"], line["failures"]) == (7, 1, 0)
    assert (line["level"], line["messages"]) == ("INFO", 1)
    assert 250 <= line["duration"] < 60_000
    assert abs(line["_aws"]["Timestamp"] / 1000 - time.time()) < 60
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["function"]]
    assert {each["Name"]: each["Unit"] for each in directive["Metrics"]} == {
        "duration": "Milliseconds",
        **dict.fromkeys(("messages", "failures", "loaded", "rejected"), "Count"),
    }


def test_duration_is_in_milliseconds(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("log.time.monotonic", lambda: 12.3456789)
    log.outcome("m1", "worker", "abc", started=12)
    assert json.loads(stream.getvalue())["duration"] == 345.679


@pytest.mark.parametrize("name", ["AWS_LAMBDA_FUNCTION_NAME", "FUNCTION_NAME"])
def test_metrics_have_the_deployed_name(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert log.name_function("worker") == "worker"
    monkeypatch.setenv(name, "shop-dev-worker")
    assert log.name_function("worker") == "shop-dev-worker"


def test_time_of_json_line_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        record = log.logger.makeRecord("f", logging.INFO, "", 0, "text", (), None)
        record.created = 1767600000.5
        line = json.loads(log.JsonFormatter().format(record))
        assert line["time"] == "2026-01-05T08:00:00Z"
    finally:
        monkeypatch.undo()
        time.tzset()


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
    assert line["level"] == "ERROR"


def test_failed_message_names_its_object(stream: io.StringIO) -> None:
    error = KeyError("price")
    error.add_note("s3://raw/worker/a.csv")
    log.outcome("m1", "worker", "abc", monotonic(), error=error)
    assert json.loads(stream.getvalue())["objects"] == ["s3://raw/worker/a.csv"]


def test_outage_is_logged_without_traceback(stream: io.StringIO) -> None:
    log.outcome("m1", "worker", "abc", monotonic(), error=UnreachableError("away"))
    line = json.loads(stream.getvalue())
    assert (line["error"], "traceback" in line) == ("UnreachableError", False)


def test_bad_input_is_logged_without_traceback(stream: io.StringIO) -> None:
    error = ExceptionGroup("2 of 2 objects failed", [FileFormatError("a PDF")] * 2)
    log.outcome("m1", "worker", "abc", monotonic(), error=error)
    line = json.loads(stream.getvalue())
    assert "FileFormatError: a PDF" in line["message"]
    assert "traceback" not in line


@pytest.mark.parametrize(
    ("error", "level", "is_shown"),
    [
        (ValueError("a bug"), "INFO", True),
        (FileFormatError("a PDF"), "INFO", False),
        (UnreachableError("away"), "INFO", False),
        (FileFormatError("a PDF"), "DEBUG", True),
    ],
)
def test_failure_has_traceback_if_it_is_a_bug(
    stream: io.StringIO, error: Exception, level: str, is_shown: bool
) -> None:
    log.configure(False, level, stream=stream)
    try:
        raise error
    except Exception as raised:
        log.failure(raised)
    assert f"{type(error).__name__}: {error}" in stream.getvalue()
    assert ("Traceback (most recent call last)" in stream.getvalue()) is is_shown


def test_traceback_of_a_wrapper_is_complete(stream: io.StringIO) -> None:
    """Where the function has not been called, there is nothing to leave out."""
    try:
        exec(compile("1 / 0", log.__file__, "exec"))
    except ZeroDivisionError as error:
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        log.failure(error)
    traceback = json.loads(stream.getvalue())["traceback"]
    assert f'File "{log.__file__}", line 1' in traceback


def test_error_without_a_traceback_is_logged() -> None:
    no_traceback: Any = "a text"
    exc_info = (ValueError, ValueError(), no_traceback)
    record = log.logger.makeRecord("f", logging.ERROR, "", 0, "odd", (), exc_info)
    line = json.loads(log.JsonFormatter().format(record))
    assert line["traceback"] == "no traceback: AttributeError"


def test_error_that_counts_as_false_fails(stream: io.StringIO) -> None:
    class EmptyError(Exception):
        def __len__(self) -> int:
            return 0

    log.outcome("m1", "worker", "abc", monotonic(), error=EmptyError())
    assert json.loads(stream.getvalue())["outcome"] == "failed"


class Mute:
    """An object that cannot be printed."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")


class Broken(dict[str, int]):
    """A dictionary that cannot be read."""

    def items(self) -> Any:
        raise RuntimeError("no items")


def circle() -> list[Any]:
    """Return a list that contains itself."""
    result: list[Any] = []
    result.append(result)
    return result


@pytest.mark.parametrize(
    "report",
    [
        {date(2026, 1, 5): 3},
        {"at": date(2026, 1, 5), "seen": {1, 2}},
        {"mean": float("nan"), "most": float("inf"), "huge": 10**5000},
        circle(),
        Broken(loaded=1),
        [{"rows": Mute()}, Mute()],
        {"text": "x" * 10**6},
        dict.fromkeys(map(str, range(1000)), 1),
        {"é": 1, "a\tb": 1, " ": 1, "": 1, "x" * 256: 1},
    ],
)
def test_any_report_is_logged(stream: io.StringIO, report: Any) -> None:
    log.outcome("m1", "worker", "abc", monotonic(), report)
    line = json.loads(stream.getvalue(), parse_constant=pytest.fail)
    assert (line["messageId"], line["outcome"], line["failures"]) == ("m1", "done", 0)
    [directive] = line["_aws"]["CloudWatchMetrics"]
    names = [metric["Name"] for metric in directive["Metrics"]]
    assert len(names) <= 100
    for name in names:
        assert isinstance(line[name], int | float)
        assert name.strip()
        assert name.isascii()
        assert name.isprintable()
        assert len(name) <= 255
    assert stream.getvalue().count("\n") == 1


def test_numbers_of_a_report_become_metrics(stream: io.StringIO) -> None:
    report = [{"a": 1, "is_new": True, "x" * 255: 2}, "text", {"a": 0.5, 7: 7}]
    log.outcome("m1", "worker", "abc", monotonic(), report)
    line = json.loads(stream.getvalue())
    [directive] = line["_aws"]["CloudWatchMetrics"]
    own = [each["Name"] for each in directive["Metrics"][3:]]
    assert {name: line[name] for name in own} == {"a": 1.5, "x" * 255: 2}


@pytest.mark.parametrize(
    ("report", "summary"),
    [(None, "nothing to do"), ([], "nothing to do"), ({"a": 1}, '{"a": 1}')],
)
def test_text_line_shows_the_report(
    stream: io.StringIO, report: Any, summary: str
) -> None:
    log.configure(False, stream=stream)
    log.outcome("m1", "worker", "abc", monotonic(), report)
    assert stream.getvalue().endswith(f" message m1 done: {summary}\n")


def test_report_does_not_replace_fields(stream: io.StringIO) -> None:
    report = {"failures": 9, "version": 9, "function": 9, "level": 9, "loaded": 9}
    log.outcome("m1", "worker", "abc", monotonic(), report)
    line = json.loads(stream.getvalue())
    assert (line["failures"], line["version"], line["loaded"]) == (0, "abc", 9)
    assert (line["function"], line["level"]) == ("worker", "INFO")


@pytest.mark.parametrize("character", ["x", "é", "😀", "\0"])
def test_line_fits_into_cloudwatch(stream: io.StringIO, character: str) -> None:
    try:
        raise ValueError(character * 300_000)
    except ValueError as error:
        report = [character * 20] * 10**5
        log.outcome("m1", "worker", "abc", monotonic(), report, error)
    text = stream.getvalue()
    assert len(text.encode()) <= 256 * 1024
    line = json.loads(text)
    assert (line["truncated"], line["messageId"]) == (True, "m1")
    for value in (line["message"], line["traceback"]):
        assert "characters cut" in value
        assert value.count(character) > 1000
    assert line["report"]


def test_text_line_fits_into_cloudwatch(stream: io.StringIO) -> None:
    log.configure(False, stream=stream)
    log.logger.info("😀" * 10**6)
    assert 200 * 1024 < len(stream.getvalue().encode()) <= 256 * 1024
    assert "characters cut" in stream.getvalue()


def test_lines_about_message_have_its_fields(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("_X_AMZN_TRACE_ID", raising=False)
    attributes = {
        "ApproximateReceiveCount": "2",
        "SentTimestamp": str(int((time.time() - 60) * 1000)),
        "AWSTraceHeader": "Root=1-5759e988-bd862e3f;Parent=53995c3f42cd8ad8;Sampled=1",
    }
    log.logger.info("before")
    with log.about_message("m1", attributes, requestId="r1", coldStart=None):
        logging.getLogger("library").warning("trying again")
        log.outcome("m1", "worker", "abc", monotonic())
    log.logger.info("after")
    before, *lines, after = map(json.loads, stream.getvalue().splitlines())
    for line in lines:
        assert 60 <= line["timeInQueue"] < 120
        assert line["timeInQueue"] == round(line.pop("timeInQueue"), 3)
        assert (line["messageId"], line["receiveCount"]) == ("m1", 2)
        assert (line["requestId"], line["traceId"]) == ("r1", "1-5759e988-bd862e3f")
        assert "coldStart" not in line
    assert "messageId" not in before | after


@pytest.mark.parametrize("value", ["", "soon", None, "-1"])
def test_odd_attributes_are_left_out(stream: io.StringIO, value: Any) -> None:
    names = ("ApproximateReceiveCount", "SentTimestamp", "AWSTraceHeader")
    with log.about_message("m1", dict.fromkeys(names, value)):
        log.logger.info("fine")
    fields = {"time", "level", "message", "messageId"}
    assert json.loads(stream.getvalue()).keys() == fields


def test_trace_of_lambda_overrides_that_of_message(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-lambda;Sampled=1")
    with log.about_message("m1", {"AWSTraceHeader": "Root=1-message"}):
        log.logger.info("fine")
    assert json.loads(stream.getvalue())["traceId"] == "1-lambda"


def test_text_line_has_id_of_message(stream: io.StringIO) -> None:
    log.configure(False, stream=stream)
    with log.about_message("m1", {}):
        log.logger.info("trying again")
        log.logger.info("message m1 done")
    first, second = stream.getvalue().splitlines()
    assert first.endswith("trying again (message m1)")
    assert second.endswith("message m1 done")


def test_copy_is_json_without_secrets(
    stream: io.StringIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_COPY", str(tmp_path / "copy"))
    log.configure(False, secrets=[SECRET], stream=stream)
    log.logger.info("it is %s", SECRET)
    assert stream.getvalue().endswith(" it is ***\n")
    [line] = (tmp_path / "copy").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["message"] == "it is ***"


@pytest.mark.parametrize(("as_json", "lines"), [(True, 1), (False, 0)])
def test_level_keeps_metrics(stream: io.StringIO, as_json: bool, lines: int) -> None:
    log.configure(as_json, "WARNING", stream=stream)
    log.logger.info("polling")
    log.outcome("m1", "worker", "abc", monotonic(), REPORT)
    assert len(stream.getvalue().splitlines()) == lines


@pytest.mark.parametrize(
    ("level", "lines"),
    [
        ("DEBUG", ["own debug", "own info", "library info", "library warning"]),
        ("INFO", ["own info", "library warning"]),
        ("ERROR", ["library warning"]),
    ],
)
def test_libraries_log_warnings_unless_debugging(
    stream: io.StringIO, level: str, lines: list[str]
) -> None:
    log.configure(False, level, stream=stream)
    log.logger.debug("own debug")
    log.logger.info("own info")
    logging.getLogger("library").info("library info")
    logging.getLogger("library").warning("library warning")
    found = [line.split(maxsplit=2)[2] for line in stream.getvalue().splitlines()]
    assert found == lines


@for_each(
    ("log_format", "variable", "is_terminal", "expected"),
    [
        ("", "", True, False),
        ("", "", False, True),
        ("auto", "text", False, True),
        ("", "auto", True, False),
        ("", "json", True, True),
        ("", "text", False, False),
        ("json", "text", True, True),
        ("text", "json", False, False),
    ],
)
def test_log_is_json_except_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
    log_format: str,
    variable: str,
    is_terminal: bool,
    expected: bool,
) -> None:
    monkeypatch.setenv("LOG_FORMAT", variable)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    assert log.prefers_json(log_format) is expected


def test_log_goes_to_standard_error(
    stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure(False)
    log.logger.info("polling")
    assert capsys.readouterr().err.endswith(" polling\n")
    assert not stream.getvalue()


@for_each(("message", "argument"), [("%d rows", "many"), ("%s", Mute()), ("100 %", 1)])
def test_arguments_that_do_not_fit_are_logged(message: str, argument: Any) -> None:
    record = log.logger.makeRecord("f", logging.INFO, "", 0, message, (argument,), None)
    assert json.loads(log.JsonFormatter().format(record))["message"] == message


def test_uncaught_error_is_json_line(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    log.log_uncaught_errors()
    error = ModuleNotFoundError("No module named 'pandas'")
    sys.excepthook(type(error), error, None)
    line = json.loads(stream.getvalue())
    assert line["message"] == "ModuleNotFoundError: No module named 'pandas'"
    assert (line["level"], "traceback" in line) == ("CRITICAL", True)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert stream.getvalue().count("\n") == 1
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    assert "ZeroDivisionError" in stream.getvalue().splitlines()[1]


@pytest.mark.parametrize("as_json", [True, False])
def test_mistake_fits_the_format(
    stream: io.StringIO, as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure(as_json, stream=stream)
    log.mistake(ValueError("'http://me:s3cret@sqs/' is no queue"))
    masked = "'http://me:***@sqs/' is no queue"
    if as_json:
        assert json.loads(stream.getvalue())["message"] == masked
    else:
        assert capsys.readouterr().err == f"error: {masked}\n"


@pytest.mark.parametrize("password", ["function", "messageId", "e", "1"])
def test_common_word_as_password_keeps_json(stream: io.StringIO, password: str) -> None:
    log.configure(True, secrets=[password], stream=stream)
    log.outcome("m-2", "worker", "abc", monotonic(), {"loaded": 1})
    line = json.loads(stream.getvalue())
    assert line["loaded"] == 1
    assert "_aws" in line


@for_each(
    ("text", "masked"),
    [
        ("mysql://worker:pa55@db:3306/main", "mysql://worker:***@db:3306/main"),
        ("https://me:pa55@api.example.com/", "https://me:***@api.example.com/"),
        ("http://db:80/?mail=a@b", "http://db:80/?mail=a@b"),
        ("pa%2F55%40 in a URL", "*** in a URL"),
        ("pa/55@ in clear", "*** in clear"),
    ],
)
def test_password_in_url_is_masked(text: str, masked: str) -> None:
    assert log.TextFormatter(["pa/55@"]).mask(text) == masked


def test_secret_is_masked_in_json_as_well() -> None:
    mask = log.TextFormatter([SECRET]).mask
    in_json = json.dumps(SECRET)
    assert mask(f"{SECRET} {in_json}") == '*** "***"'
    assert json.loads(json.loads(mask(json.dumps(in_json)))) == "***"


def test_secret_that_contains_another_is_masked() -> None:
    formatter = log.TextFormatter(["horse", "horseradish"])
    formatter.hide("horse race")
    assert formatter.mask("horse, horseradish, horse race") == "***, ***, ***"
    formatter.hide("race")
    assert formatter.mask("horse race") == "***"


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
        settings_reader.read(["--help"])
    assert SECRET not in capsys.readouterr().out
