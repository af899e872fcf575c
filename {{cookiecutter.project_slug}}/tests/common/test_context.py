"""The context: secrets, clients of AWS, and clients of the project."""

import io
import json
import logging
from types import SimpleNamespace
from typing import ClassVar

import pytest

import errors
import log
from context import CustomContext
from message import Message
from own_clients import Client
from tests.context import bare_context
from tests.mock.aws import MockBoto3

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:main"


def with_secret(**secrets: str) -> CustomContext:
    """Return a context that reads the database's credentials from a secret."""
    boto3 = MockBoto3()
    if secrets:
        boto3.clients["secretsmanager"].secrets[ARN] = json.dumps(secrets)
    return bare_context(f"--db_secret={ARN}", boto3=boto3)


def test_credentials_default_to_settings() -> None:
    context = bare_context("--db_user=anna", "--db_pass=in the clear")
    assert context.rds.credentials() == ("anna", "in the clear")


def test_credentials_from_secret_are_not_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    text = io.StringIO()
    log.configure(False, stream=text)
    context = with_secret(username="bob", password="pa$$word")
    assert context.rds.credentials() == ("bob", "pa$$word")
    log.logger.warning("access denied for bob, with pa$$word")
    assert text.getvalue().endswith("access denied for bob, with ***\n")


def test_unreadable_secret_is_named() -> None:
    with pytest.raises(ConnectionError, match=f"cannot read the secret {ARN}"):
        with_secret().rds.credentials()


def test_secret_setting_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASS_SECRET", "shop/password")
    boto3 = MockBoto3()
    secrets = boto3.clients["secretsmanager"].secrets
    secrets["shop/password"] = "pa$$word"
    context = bare_context(boto3=boto3)
    secrets.clear()
    assert context.copy().rds.credentials() == ("worker", "pa$$word")
    assert context.secrets == ["pa$$word"]


def test_unreadable_secret_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASS_SECRET", "shop/password")
    with pytest.raises(ConnectionError, match="cannot read the secret shop/password"):
        bare_context()


def test_client_of_aws_is_created_once() -> None:
    boto3 = MockBoto3()
    boto3.clients["dynamodb"] = object()
    context = bare_context(boto3=boto3)
    assert context.client("dynamodb") is context.client("dynamodb")
    assert context.client("s3") is context.s3
    assert boto3.created == ["dynamodb", "s3"]


def test_missing_double_says_how_to_pass_one() -> None:
    with pytest.raises(LookupError, match=r"void_context\(clients=dict\(dynamodb=…\)"):
        bare_context().client("dynamodb")
    table = object()
    assert bare_context(clients={"dynamodb": table}).client("dynamodb") is table


class UnreachableApiError(Exception):
    """The error of a client."""


class Connection:
    """A client that can break. `log` has what has been done with all of them."""

    log: ClassVar[list[str]] = []

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_broken = False
        self.log.append("create")

    def check(self) -> None:
        """Raise if it is broken."""
        self.log.append("check")
        if self.is_broken:
            raise UnreachableApiError("connection closed")

    def close(self) -> None:
        """Note it."""
        self.log.append("close")


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> CustomContext:
    """Return a context with the client `api`."""
    client = Client(
        create=lambda var: Connection(var.db_name),
        close=Connection.close,
        check=Connection.check,
        unreachable=(UnreachableApiError,),
    )
    monkeypatch.setattr("lib.clients.CLIENTS", {"api": client})
    monkeypatch.setattr(errors, "_client_errors", {})
    monkeypatch.setattr(Connection, "log", [])
    return bare_context("--db_name=orders", message=Message("m1"))


def test_own_client_is_created_on_first_use(context: CustomContext) -> None:
    with context:
        assert not Connection.log
        assert context.api.name == "orders"
        assert context.api is context.api
        assert Connection.log == ["create"]
    assert Connection.log == ["create", "close"]


def test_own_client_is_checked_for_each_message(context: CustomContext) -> None:
    first = context.api
    context.message = Message("m2")
    assert context.api is first
    assert context.api is first
    assert Connection.log == ["create", "check"]


def test_broken_client_is_created_again(context: CustomContext) -> None:
    first = context.api
    first.is_broken = True
    context.message = Message("m2")
    assert context.api is not first
    assert Connection.log == ["create", "check", "close", "create"]


def test_errors_of_own_client_are_known_before_it_exists(
    monkeypatch: pytest.MonkeyPatch, context: CustomContext
) -> None:
    def fail(name: str) -> None:
        raise UnreachableApiError("refused")

    monkeypatch.setattr("tests.common.test_context.Connection", fail)
    with pytest.raises(UnreachableApiError) as raised:
        _ = context.api
    assert errors.find_client(raised.value) == "api"


def test_error_of_close_is_logged(
    context: CustomContext, caplog: pytest.LogCaptureFixture
) -> None:
    context.api.close = None
    context._own_clients._clients["api"] = None
    context.close()
    assert "closing the client api" in caplog.text


def test_each_copy_has_its_own_client(context: CustomContext) -> None:
    assert context.copy().api is not context.api
    assert context.copy().var is context.var


def test_own_client_can_be_replaced(context: CustomContext) -> None:
    double = object()
    assert bare_context(clients={"api": double}).api is double
    assert not Connection.log


def test_unknown_client_is_an_error(context: CustomContext) -> None:
    with pytest.raises(AttributeError, match="no client apo: did you mean api"):
        _ = context.apo
    with pytest.raises(AttributeError, match="has no client http: declare it there"):
        _ = context.http


def test_error_of_a_property_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace()
    with pytest.raises(AttributeError, match="no attribute 'Rds'"):
        _ = bare_context(rds=module).rds
