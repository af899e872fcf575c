"""Everything a function gets from outside: settings, clients, and the time left.

Clients are created on first use. Importing this module is cheap, and a function pays
only for the clients that it uses.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from importlib import import_module
from threading import Lock
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

import log
from denials import explain
from errors import NoTimeLeftError, UnreachableError, describe
from own_clients import OwnClients

if TYPE_CHECKING:
    from box import Box
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

    from message import Message
    from sender import Sender

CHECKABLE = {"rds", "s3"}
CREATE_CLIENT = Lock()  # boto3 cannot create two clients at once
CONNECT_TIMEOUT = 5  # seconds
READ_TIMEOUT = 30  # seconds without a byte of the response


class CustomContext:
    """The context of one worker: `with CustomContext(...) as context:`.

    It holds one database connection, so each thread needs its own context.

    Args:
        parent: the environment's own context for the current message: AWS's context
            object in Lambda, the message's lease in the poller. Wrappers set it before
            each message.
        args: command-line arguments.
        boto3: module that creates AWS clients. Defaults to boto3.
        rds: module that creates the database client. Defaults to `lib.rds`.
        function: module of the function, or the package `func` of a build. Its `NEEDS`
            and `SETTINGS` add to the settings.
        message: the current message. Wrappers set it before each message.
        clients: replaces clients, by the name of an AWS service or of `lib.clients`.
        var: settings that have been read already.

    Attributes:
        var: the settings, by name.
        message: the current message, or None where there is none.
        function_name: name of the function, or an empty string.

    Raises:
        SettingsError: a setting is unknown, invalid or missing.
        UnreachableError: the value of a secret cannot be read.
    """

    def __init__(
        self,
        parent: Any = None,
        args: Sequence[str] | None = None,
        boto3: Any = None,
        rds: Any = None,
        function: ModuleType | None = None,
        message: "Message | None" = None,
        clients: Mapping[str, Any] | None = None,
        var: "Box | None" = None,
    ) -> None:
        from settings import Secret  # takes longer to import than everything else here

        self.parent = parent
        self.message = message
        self._boto3 = boto3
        self._rds = rds
        self._function = function
        self._overrides = clients or {}
        self._clients: dict[str, Any] = {}
        self._secrets_client: Any = None
        self._own_clients = OwnClients(self)
        run = getattr(function, "run", None)
        self.function_name = run.__module__.rpartition(".")[2] if run else ""
        self.var: Box = self._read_settings(args or ()) if var is None else var
        # the log masks them
        self.secrets = [each for each in self.var.values() if isinstance(each, Secret)]

    def copy(self) -> "CustomContext":
        """Return a context for another thread: it shares the settings only."""
        return CustomContext(
            boto3=self._boto3,
            rds=self._rds,
            function=self._function,
            clients=self._overrides,
            var=self.var,
        )

    @property
    def aws_context(self) -> Any:
        """The parent, under the name that Lambda users know."""
        return self.parent

    @cached_property
    def s3(self) -> "S3Client":
        """Boto3 client for S3."""
        endpoint = self.var.s3_endpoint
        client: S3Client = self._make_client("s3", self.var.region, endpoint)
        return client

    @cached_property
    def sqs(self) -> "SQSClient":
        """Boto3 client for SQS."""
        endpoint = self.var.sqs_endpoint
        client: SQSClient = self._make_client("sqs", self.var.region, endpoint)
        return client

    @cached_property
    def polling_sqs(self) -> Any:
        """Boto3 client for SQS that fits long polling, for the poller.

        It stops waiting soon after a long poll should have been answered, and it does
        not retry: the poller does.
        """
        return self._make_client(
            "sqs",
            self.var.region,
            self.var.sqs_endpoint,
            read_timeout=self.var.poll_interval + CONNECT_TIMEOUT,
            retries={"total_max_attempts": 1},
        )

    @cached_property
    def rds(self) -> Any:
        """Database client, see `lib.database.Database`."""
        module = self._rds or import_module("lib.rds")
        return module.Rds(self.var, credentials=self._read_credentials)

    def client(self, service: str) -> Any:
        """Return a client of any AWS service, such as "dynamodb".

        It is created once, with the region and the timeouts of the project.

        Raises:
            UnknownServiceError: there is no such service (an error of botocore).
        """
        if service in ("s3", "sqs"):
            return getattr(self, service)
        if service not in self._clients:
            self._clients[service] = self._make_client(service, self.var.region)
        return self._clients[service]

    def __getattr__(self, name: str) -> Any:
        """Return the client of this name in `lib.clients`."""
        if name.startswith("_") or hasattr(type(self), name):
            return object.__getattribute__(self, name)  # raises the error again
        if name in self._overrides:
            return self._overrides[name]
        return self._own_clients.find(name)

    def send(
        self, name: str, bodies: Iterable[Any], group: str = "", delay: int = 0
    ) -> int:
        """Send messages to the queue of another function.

        `sends_to` in config/deploy.yml names the functions that this one may send to.
        Requests hold up to 10 messages and 1 MiB. Entries that SQS cannot accept now
        are sent again, with backoff, while there is time. `bodies` can be a generator:
        then those ahead of a bad one may have been sent.

        In a FIFO queue the messages keep their order. A repetition of the current
        message within five minutes sends none of them twice, if it sends the same
        bodies in the same order.

        Args:
            name: the function that receives them.
            bodies: texts, or values that become JSON.
            group: message group of a FIFO queue; in a standard queue a tenant, whose
                messages do not delay those of others (fair queues).
            delay: seconds before they are visible, from 0 to 900.

        Returns:
            The number of messages sent.

        Raises:
            UndeclaredReceiverError: `sends_to` does not name the function.
            SendError: SQS does not accept some of the messages.
            ValueError: a body is empty or larger than 1 MiB, or SQS refuses the delay.
            TimeoutError: too little time is left.
        """
        return self._sender.send(name, bodies, group, delay)

    def time_remaining(self) -> float:
        """Return the seconds left for the current message, or infinity."""
        if self.parent is None:
            return float("inf")
        return float(self.parent.get_remaining_time_in_millis()) / 1000

    def require_time(self, seconds: float = 1) -> None:
        """Raise if there are fewer than `seconds` left for the current message.

        Raises:
            NoTimeLeftError: too little time is left. The message returns to the queue.
        """
        if self.time_remaining() < seconds:
            raise NoTimeLeftError(
                f"less than {seconds:g} s left for the current message"
            )

    @property
    def used_services(self) -> set[str]:
        """The services in use so far that `check` can check."""
        return CHECKABLE & vars(self).keys()

    def check(self, services: Collection[str] | None = None) -> None:
        """Check that services respond.

        Args:
            services: some of "rds" and "s3". Defaults to those in use so far.

        Raises:
            UnreachableError: the database cannot be reached.
            HTTPClientError: S3 cannot be reached (an error of botocore).
        """
        if services is None:
            services = self.used_services
        if "rds" in services:
            self.rds.check()
        if "s3" in services:
            # "access denied" is a response, too
            with suppress(self.s3.exceptions.ClientError):
                self.s3.list_buckets(MaxBuckets=1)

    def close(self) -> None:
        """Close the database connection and your own clients, if there are any."""
        if "rds" in vars(self):
            self.rds.close()
        self._own_clients.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _read_settings(self, args: Sequence[str]) -> "Box":
        import settings_reader

        needs = getattr(self._function, "NEEDS", ())
        own = getattr(self._function, "SETTINGS", ())
        return settings_reader.read(args, needs, own, self._fetch_secret)

    def _read_credentials(self) -> tuple[str, str]:
        """Return the database's current user and password.

        Raises:
            UnreachableError: the secret cannot be read.
        """
        secret = self.var.db_secret
        if not secret:
            return self.var.db_user, self.var.db_pass or ""
        credentials = json.loads(self._fetch_secret(secret, self.var.region))
        log.hide(credentials["password"])
        return credentials["username"], credentials["password"]

    def _fetch_secret(self, name: str, region: str | None) -> str:
        """Return the text of a secret in Secrets Manager.

        Raises:
            UnreachableError: it cannot be read.
        """
        try:
            if not self._secrets_client:
                self._secrets_client = self._make_client("secretsmanager", region)
            return str(
                self._secrets_client.get_secret_value(SecretId=name)["SecretString"]
            )
        except Exception as error:
            explain(error, self.function_name)
            raise UnreachableError(
                f"cannot read the secret {name}: {describe(error)}"
            ) from error

    @cached_property
    def _sender(self) -> "Sender":
        sender: Sender = import_module("sender").Sender(self)
        return sender

    def _make_client(
        self,
        service: str,
        region: str | None,
        endpoint: str | None = None,
        **options: Any,
    ) -> Any:
        """Return a new client.

        Raises:
            SettingsError: boto3 refuses the endpoint.
        """
        if service in self._overrides:
            return self._overrides[service]
        arguments = {"region_name": region, "endpoint_url": endpoint}
        if self._boto3:  # a test double
            return self._boto3.client(service, **arguments)
        timeouts = {"connect_timeout": CONNECT_TIMEOUT, "read_timeout": READ_TIMEOUT}
        config = import_module("botocore.config").Config(**(timeouts | options))
        try:
            with CREATE_CLIENT:
                boto3 = import_module("boto3")
                return boto3.client(service, config=config, **arguments)
        except ValueError as error:
            if type(error) is not ValueError:  # botocore's own errors are subclasses
                raise
            from settings import SettingsError

            raise SettingsError(
                f"boto3 refuses the endpoint of {service} ({error}): correct "
                "AWS_ENDPOINT_URL or the setting for this service"
            ) from None
