"""The context: secrets, clients of AWS, and clients of the project."""

import io
import json
import sys
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, InvalidRegionError

import errors
import log
from context import CustomContext
from lib.database_errors import RetryReason
from message import Message
from own_clients import Client
from settings import SettingsError
from tests.context import bare_context
from tests.mock.aws import MockBoto3
from tests.mock.rds import MockDriver

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


def test_credentials_from_secret_are_not_logged() -> None:
    text = io.StringIO()
    log.configure(False, stream=text)
    context = with_secret(username="bob", password="pa$$word")
    assert context.rds.credentials() == ("bob", "pa$$word")
    log.logger.warning("access denied for bob, with pa$$word")
    assert text.getvalue().endswith("access denied for bob, with ***\n")


def test_unreadable_secret_is_named() -> None:
    with pytest.raises(ConnectionError, match=f"cannot read the secret {ARN}"):
        with_secret().rds.credentials()


def test_denied_secret_names_line_to_add() -> None:
    def deny(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetSecretValue")

    context = with_secret()
    context._boto3.clients["secretsmanager"].get_secret_value = deny
    with pytest.raises(ConnectionError, match="write `secrets: "):
        context.rds.credentials()


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


@pytest.fixture
def created(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replace the library boto3; return the arguments of each client it creates."""
    clients: list[dict[str, Any]] = []

    def client(service: str, **arguments: Any) -> str:
        clients.append(arguments)
        return f"client of {service}"

    monkeypatch.setitem(sys.modules, "boto3", SimpleNamespace(client=client))
    return clients


def test_clients_of_aws_have_the_settings(created: list[dict[str, Any]]) -> None:
    args = ["--region=eu-west-1", "--s3_endpoint=http://s3", "--sqs_endpoint=http://q"]
    context = CustomContext(args=args)
    found = [context.s3, context.sqs, context.client("dynamodb")]
    assert found == ["client of s3", "client of sqs", "client of dynamodb"]
    assert [each["endpoint_url"] for each in created] == ["http://s3", "http://q", None]
    for each in created:
        assert each["region_name"] == "eu-west-1"
        assert 0 < each["config"].connect_timeout < each["config"].read_timeout < 60


def test_polling_client_outlasts_a_long_poll(created: list[dict[str, Any]]) -> None:
    """It never retries on its own, so that a poller can stop."""
    args = ["--poll_interval=20", "--region=eu-west-1", "--sqs_endpoint=http://q"]
    assert CustomContext(args=args).polling_sqs == "client of sqs"
    [client] = created
    assert (client["region_name"], client["endpoint_url"]) == ("eu-west-1", "http://q")
    assert 20 < client["config"].read_timeout < 30
    assert client["config"].connect_timeout < 20
    assert client["config"].retries == {"total_max_attempts": 1}


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (ValueError("Invalid endpoint: x"), SettingsError, r"of s3 \(Invalid endpoint"),
        (InvalidRegionError(region_name="x"), InvalidRegionError, "region_name 'x'"),
    ],
)
def test_refused_client_is_explained(
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    expected: type[Exception],
    message: str,
) -> None:
    def client(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setitem(sys.modules, "boto3", SimpleNamespace(client=client))
    with pytest.raises(expected, match=message):
        _ = CustomContext().s3


def test_only_used_services_are_checked() -> None:
    context = bare_context()
    context.check()
    assert context.used_services == set()
    assert context.rds
    assert context.s3
    assert context.sqs
    assert context.used_services == {"rds", "s3"}
    context.check()
    lost = MockDriver.OperationalError(RetryReason.CONNECTION_LOST)
    context.rds.failures = [lost] * 3
    with pytest.raises(errors.UnreachableError):
        context.check()


@pytest.mark.parametrize(
    ("error", "is_reachable"),
    [
        (ClientError({"Error": {"Code": "AccessDenied"}}, "ListBuckets"), True),
        (EndpointConnectionError(endpoint_url="http://s3"), False),
    ],
)
def test_s3_that_denies_access_is_reachable(
    error: Exception, is_reachable: bool
) -> None:
    def list_buckets(**_: object) -> None:
        raise error

    context = bare_context()
    context.s3.list_buckets = list_buckets
    if is_reachable:
        context.check()
    else:
        with pytest.raises(EndpointConnectionError):
            context.check()


def test_database_is_closed_if_used() -> None:
    with bare_context() as context:
        rds = context.rds
    assert rds.is_closed
    with bare_context(rds=SimpleNamespace()):  # no client of it can be created
        pass


def test_parent_is_the_context_of_aws() -> None:
    parent = SimpleNamespace(get_remaining_time_in_millis=lambda: 1500)
    context = bare_context(parent=parent)
    assert context.aws_context is parent
    assert context.time_remaining() == 1.5
    assert bare_context().time_remaining() == float("inf")


@pytest.mark.parametrize(("milliseconds", "has_time"), [(1000, True), (999, False)])
def test_function_needs_a_second_by_default(milliseconds: int, has_time: bool) -> None:
    parent = SimpleNamespace(get_remaining_time_in_millis=lambda: milliseconds)
    context = bare_context(parent=parent)
    if has_time:
        context.require_time()
    else:
        with pytest.raises(errors.NoTimeLeftError, match="less than 1 s left"):
            context.require_time()


@pytest.mark.parametrize(("seconds", "has_time"), [(1.5, True), (1.6, False)])
def test_require_time_raises_without_time(seconds: float, has_time: bool) -> None:
    parent = SimpleNamespace(get_remaining_time_in_millis=lambda: 1500)
    context = bare_context(parent=parent)
    if has_time:
        context.require_time(seconds)
    else:
        with pytest.raises(errors.NoTimeLeftError, match=r"less than 1\.6 s left"):
            context.require_time(seconds)


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


def test_broken_client_is_created_again(
    context: CustomContext, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "function")
    first = context.api
    first.is_broken = True
    context.message = Message("m2")
    assert context.api is not first
    assert Connection.log == ["create", "check", "close", "create"]
    [line] = caplog.messages
    assert line.startswith("the client api is created again: UnreachableApiError: conn")


def test_errors_of_create_are_those_of_the_client(
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
    replaced = bare_context(clients={"api": double})
    assert replaced.api is double
    assert replaced.copy().api is double
    assert not Connection.log


def test_copy_is_of_the_same_function() -> None:
    def run(event: str, context: CustomContext) -> None:
        """Do nothing."""

    run.__module__ = "func.enrich"
    context = bare_context(function=SimpleNamespace(run=run))
    assert context.function_name == "enrich"
    assert context.copy().function_name == "enrich"
    assert context.copy().s3 is context.s3  # both are of the double


def test_unknown_client_is_an_error(context: CustomContext) -> None:
    with pytest.raises(AttributeError, match="no client apo: did you mean api"):
        _ = context.apo
    with pytest.raises(AttributeError, match="has no client http: declare it there"):
        _ = context.http


def test_error_of_a_property_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace()
    with pytest.raises(AttributeError, match="no attribute 'Rds'"):
        _ = bare_context(rds=module).rds
