"""Errors: what counts as an outage, and how they are described."""

import sys
from types import SimpleNamespace

import pytest

import errors
from lib.database_errors import DatabaseUnreachableError
from tests.tables import for_each


class ConnectionError(Exception):  # noqa: A001 - like that of an HTTP client
    """The error of a client that the project does not know."""


class HTTPClientError(Exception):
    """The error of botocore, which unit tests do not import."""


class ReadTimeoutError(HTTPClientError):
    """One of its kinds."""


def refusal(code: str, message: str) -> Exception:
    """Return AWS's answer to a request that it refuses, as botocore raises it."""
    return RuntimeError(f"An error occurred ({code}) when calling GetObject: {message}")


@pytest.fixture
def botocore(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Pretend that botocore has been imported."""
    kinds = {"ConnectionError": type("ConnectionError", (Exception,), {})}
    module = SimpleNamespace(HTTPClientError=HTTPClientError, **kinds)
    monkeypatch.setitem(sys.modules, "botocore.exceptions", module)
    return module


@for_each(
    "error",
    [
        errors.UnreachableError("the secret cannot be read"),
        DatabaseUnreachableError("server closed the connection"),
        ExceptionGroup("2 of 3", [ValueError(), DatabaseUnreachableError("")]),
    ],
)
def test_unreachable_service_is_outage(error: Exception) -> None:
    assert errors.is_outage(error)


def test_failed_connection_to_aws_is_outage(botocore: SimpleNamespace) -> None:
    assert errors.is_outage(botocore.ConnectionError("could not connect"))
    assert errors.is_outage(ReadTimeoutError("read timeout"))
    assert not errors.is_outage(ConnectionError("refused by api.example.com"))


@for_each(
    "error",
    [
        ConnectionError("refused by api.example.com"),
        ConnectionResetError("raised by the function"),
        TimeoutError("too little time left"),
        refusal("SlowDown", "Please reduce your request rate."),
        ExceptionGroup("2 of 3", [ValueError(), ConnectionError("refused")]),
    ],
)
def test_other_error_is_no_outage(error: Exception) -> None:
    assert not errors.is_outage(error)


@pytest.fixture
def _http(monkeypatch: pytest.MonkeyPatch) -> None:
    """Declare the errors of an HTTP client."""
    monkeypatch.setattr(errors, "_client_errors", {})
    errors.declare_client("http", (ConnectionError, TimeoutError, OSError))


@pytest.mark.usefixtures("_http")
@pytest.mark.parametrize(
    "error", [ConnectionError("refused by api.example.com"), TimeoutError("30 s")]
)
def test_declared_error_is_outage_of_client_only(error: Exception) -> None:
    for each in (error, ExceptionGroup("1 of 2", [error])):
        assert errors.is_outage(each)
        assert errors.find_client(each) == "http"
        assert not errors.is_service_outage(each)
    assert errors.describe(error).endswith(": the client http is unreachable")


@pytest.mark.usefixtures("_http")
def test_outage_of_database_is_not_of_client() -> None:
    error = DatabaseUnreachableError("server closed the connection")
    assert errors.is_service_outage(error)
    assert errors.find_client(error) == ""


@pytest.mark.usefixtures("_http")
def test_end_of_time_is_not_of_client() -> None:
    assert not errors.is_outage(errors.NoTimeLeftError("less than 1 s left"))


def test_clients_may_share_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "_client_errors", {})
    for name in ("http", "sftp"):
        errors.declare_client(name, (TimeoutError,))
    assert errors.find_client(TimeoutError()) == "http or sftp"


@for_each(
    "error",
    [
        refusal("RequestTimeTooSkewed", "The difference is too large."),
        refusal("InvalidSignatureException", "Signature expired: 2026… is now earlier"),
        refusal("SignatureDoesNotMatch", "Signature not yet current: 2026… is later"),
    ],
)
def test_clock_skew_is_described_as_such(error: Exception) -> None:
    assert errors.describe(error).endswith(
        f"{error}: this machine's clock is wrong: synchronize it"
    )


def test_wrong_secret_key_is_no_clock_skew() -> None:
    error = refusal("InvalidSignatureException", "The request signature we calculated")
    assert "clock" not in errors.describe(error)


def test_group_is_described_with_its_errors() -> None:
    missing = KeyError("price")
    missing.add_note("s3://raw/b")
    group = ExceptionGroup("1 of 3 objects failed", [missing])
    assert "1 of 3 objects failed" in errors.describe(group)
    assert "KeyError: 'price': s3://raw/b" in errors.describe(group)
    assert errors.name_objects(group) == ["s3://raw/b"]


def test_error_without_text_is_described() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

    assert errors.describe(MuteError()) == "MuteError: <MuteError>"


def test_only_bad_input_counts_as_such() -> None:
    bad, bug = errors.BadInputError("a PDF"), ValueError("a bug")
    assert errors.is_bad_input(bad)
    assert errors.is_bad_input(ExceptionGroup("", [bad, ExceptionGroup("", [bad])]))
    assert not errors.is_bad_input(ExceptionGroup("", [bad, bug]))
    assert not errors.is_bad_input(bug)
