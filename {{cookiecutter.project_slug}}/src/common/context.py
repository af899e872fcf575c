"""Everything a function gets from outside: settings, clients, and the time left.

Clients are created on first use. Importing this module is cheap, and a function pays
only for the clients that it uses.
"""

import json
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

import log
from errors import UnreachableError

if TYPE_CHECKING:
    from box import Box

CHECKABLE = {"rds", "s3"}
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
        needs: names of the settings that the function requires.

    Raises:
        SettingsError: a setting is unknown, invalid or missing.
    """

    def __init__(
        self,
        parent: Any = None,
        args: Sequence[str] | None = None,
        boto3: Any = None,
        rds: Any = None,
        needs: Sequence[str] = (),
    ) -> None:
        import settings  # takes longer to import than everything else here

        self.parent = parent
        self.var: Box = settings.read(args or (), needs)
        # the log masks them
        self.secrets = [v for v in self.var.values() if isinstance(v, settings.Secret)]
        self._boto3 = boto3
        self._rds = rds

    @property
    def aws_context(self) -> Any:
        """The parent, under the name that Lambda users know."""
        return self.parent

    @cached_property
    def s3(self) -> Any:
        """Boto3 client for S3."""
        return self._make_client("s3", self.var.s3_endpoint)

    @cached_property
    def sqs(self) -> Any:
        """Boto3 client for SQS."""
        return self._make_client("sqs", self.var.sqs_endpoint)

    @cached_property
    def polling_sqs(self) -> Any:
        """Boto3 client for SQS that fits long polling, for the poller.

        It stops waiting soon after a long poll should have been answered, and it does
        not retry: the poller does.
        """
        return self._make_client(
            "sqs",
            self.var.sqs_endpoint,
            read_timeout=self.var.poll_interval + CONNECT_TIMEOUT,
            retries={"total_max_attempts": 1},
        )

    @cached_property
    def rds(self) -> Any:
        """Database client, see `lib.database.Database`."""
        module = self._rds or import_module("lib.rds")
        return module.Rds(self.var, credentials=self._read_credentials)

    def time_remaining(self) -> float:
        """Return the seconds left for the current message, or infinity."""
        if self.parent is None:
            return float("inf")
        return float(self.parent.get_remaining_time_in_millis()) / 1000

    def require_time(self, seconds: float = 1) -> None:
        """Raise if there are fewer than `seconds` left for the current message.

        Raises:
            TimeoutError: too little time is left. The message returns to the queue.
        """
        if self.time_remaining() < seconds:
            raise TimeoutError(f"less than {seconds:g} s left for the current message")

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
        """Close the database connection, if there is one."""
        if "rds" in vars(self):
            self.rds.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _read_credentials(self) -> tuple[str, str]:
        """Return the database's current user and password.

        Raises:
            UnreachableError: the secret cannot be read.
        """
        secret = self.var.db_secret
        if not secret:
            return self.var.db_user, self.var.db_pass or ""
        try:
            response = self._secrets.get_secret_value(SecretId=secret)
        except Exception as error:
            raise UnreachableError(
                f"cannot read the secret {secret}: {error}"
            ) from error
        credentials = json.loads(response["SecretString"])
        log.hide(credentials["password"])
        return credentials["username"], credentials["password"]

    @cached_property
    def _secrets(self) -> Any:
        return self._make_client("secretsmanager", None)

    def _make_client(self, service: str, endpoint: str | None, **options: Any) -> Any:
        """Return a new client.

        Raises:
            SettingsError: boto3 refuses the endpoint.
        """
        arguments = {"region_name": self.var.region, "endpoint_url": endpoint}
        if self._boto3:  # a test double
            return self._boto3.client(service, **arguments)
        timeouts = {"connect_timeout": CONNECT_TIMEOUT, "read_timeout": READ_TIMEOUT}
        config = import_module("botocore.config").Config(**(timeouts | options))
        try:
            return import_module("boto3").client(service, config=config, **arguments)
        except ValueError as error:
            if type(error) is not ValueError:  # botocore's own errors are subclasses
                raise
            from settings import SettingsError

            raise SettingsError(
                f"boto3 refuses the endpoint of {service} ({error}): correct "
                "AWS_ENDPOINT_URL or the setting for this service"
            ) from None
