"""What a function gets from outside: settings, S3, SQS, the database, the time left.

Everything is made on first use, so that a function pays for what it touches and
importing this module costs next to nothing.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from box import Box


class CustomContext:
    """The context of one worker: `with CustomContext(...) as context:`.

    It holds one database connection, so each thread needs a context of its own.

    Args:
        parent: what the environment itself knows of the message in hand: AWS's
            context object in Lambda, the message's lease in the poller. A wrapper
            changes it with each message.
        args: command line, as a list of words.
        boto3: library that makes the AWS clients; by default boto3 itself.
        rds: library that makes the database client; by default `lib.rds`.
        needs: names of the settings without which the function cannot begin.

    Raises:
        SettingsError: a setting is unknown, of the wrong type, out of range or missing.
    """

    def __init__(
        self,
        parent: Any = None,
        args: Sequence[str] | None = None,
        boto3: Any = None,
        rds: Any = None,
        needs: Sequence[str] = (),
    ) -> None:
        import settings

        self.parent = parent
        self.var: Box = settings.read(args or (), needs)
        self._boto3 = boto3
        self._rds = rds

    @property
    def aws_context(self) -> Any:
        """The parent, by the name that it has in Lambda."""
        return self.parent

    @cached_property
    def s3(self) -> Any:
        """Client of S3, as boto3 makes it."""
        return self._client("s3", self.var.s3_endpoint)

    @cached_property
    def sqs(self) -> Any:
        """Client of SQS, as boto3 makes it."""
        return self._client("sqs", self.var.sqs_endpoint)

    @cached_property
    def rds(self) -> Any:
        """Client of the database, see `lib.rds`."""
        library = self._rds or import_module("lib.rds")
        return library.Rds(self.var, credentials=self._credentials)

    def time_remaining(self) -> float:
        """Return the seconds left for the message in hand; infinite where none end."""
        if self.parent is None:
            return float("inf")
        return float(self.parent.get_remaining_time_in_millis()) / 1000

    def require_time(self, seconds: float = 1) -> None:
        """Go on only if there is time left to finish or to give up in order.

        Raises:
            TimeoutError: there is not; the message comes back.
        """
        if self.time_remaining() < seconds:
            raise TimeoutError(f"less than {seconds:g} s left for the message in hand")

    def check(self) -> None:
        """Do nothing, if what the function has used so far can be reached.

        Raises:
            ConnectionError: the database is away.
            HTTPClientError: S3 is (botocore's error).
        """
        if "rds" in self.__dict__:
            self.rds.check()
        if "s3" in self.__dict__:
            with suppress(
                self.s3.exceptions.ClientError
            ):  # even a refusal is an answer
                self.s3.list_buckets(MaxBuckets=1)

    def close(self) -> None:
        """Close the database connection, if one was made."""
        if "rds" in self.__dict__:
            self.rds.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _credentials(self) -> tuple[str, str]:
        """Return user and password of the database, as they are now.

        Raises:
            ConnectionError: the secret cannot be read.
        """
        name = self.var.db_secret
        if not name:
            return self.var.db_user, self.var.db_pass or ""
        try:
            answer = self._secrets.get_secret_value(SecretId=name)
        except Exception as error:
            raise ConnectionError(
                f"the secret {name} cannot be read: {error}"
            ) from error
        found = json.loads(answer["SecretString"])
        import_module("log").hide(found["password"])
        return found["username"], found["password"]

    @cached_property
    def _secrets(self) -> Any:
        return self._client("secretsmanager", None)

    def _client(self, service: str, endpoint: str | None) -> Any:
        library = self._boto3 or import_module("boto3")
        return library.client(
            service, region_name=self.var.region, endpoint_url=endpoint
        )


def is_outage(error: BaseException) -> bool:
    """Tell whether an error says that a service cannot be reached."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return not kinds.isdisjoint(("ConnectionError", "HTTPClientError"))
