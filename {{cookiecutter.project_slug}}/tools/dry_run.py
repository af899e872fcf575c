"""Run a function on messages in the shim without changing anything.

Reads are real. A transaction is rolled back instead of committed. The run ends with the
first call of AWS that would change something, and with the first use of a client of
`lib.clients`, about which nothing is known.
"""

from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from typing import Any

from context import CustomContext
from errors import describe
from settings import SettingsError
from tools import build, shim_resources
from tools.errors import UserError

# How the names of AWS's operations begin that change nothing.
READS = ("BatchGet", "Describe", "Get", "Head", "List", "Query", "Scan", "Select")
SUCCESS = "nothing: the function succeeds now"
UNFINISHED = "nothing until the function"  # of a run that ended early


class ChangeError(Exception):
    """The function would change something."""


class Uncommitted:
    """A connection that rolls back instead of committing."""

    def __init__(self, connection: Any) -> None:
        self.cursor = connection.cursor
        self.commit = connection.rollback


class DryContext(CustomContext):
    """A context with which a function changes nothing."""

    @cached_property
    def rds(self) -> Any:
        """Database client whose transactions are rolled back."""
        rds = super().rds
        begin = rds._begin
        rds._begin = lambda: Uncommitted(begin())
        return rds

    def __getattr__(self, name: str) -> Any:
        """Refuse clients of `lib.clients`."""
        if name.startswith("_") or hasattr(type(self), name):
            return object.__getattribute__(self, name)  # raises the error again
        raise ChangeError(f"{UNFINISHED} uses context.{name}")

    def _make_client(self, *words: Any, **options: Any) -> Any:
        client = super()._make_client(*words, **options)
        client.meta.events.register("before-call", refuse_change)
        return client


def refuse_change(model: Any, **_: Any) -> None:
    """Raise an error unless an operation only reads."""
    if not model.name.startswith(READS):
        call = f"{model.service_model.service_name} {model.name}"
        raise ChangeError(f"{UNFINISHED} calls {call}")


def find_causes(func: str, bodies: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the ID of each message, and the error with which the function fails now.

    Args:
        func: the function. The shim's variables have been entered.
        bodies: the messages by their IDs.

    Raises:
        UserError: a setting of the function is wrong, or its file cannot be imported.
    """
    shim_resources.enter_function(func)
    try:
        module = import_module(f"func.{func}")
    except Exception as error:
        raise UserError(f"FUNC={func} cannot be imported: {describe(error)}") from None
    args = [f"--const_path={build.require_settings(func)}"]
    try:
        with DryContext(args=args, function=module) as context:
            for name, body in bodies.items():
                yield name, find_cause(module.run, body, context)
    except SettingsError as error:
        raise UserError(str(error)) from None


def find_cause(run: Any, body: str, context: CustomContext) -> str:
    """Return the error with which a function fails on a message, or `SUCCESS`."""
    try:
        run(body, context)
    except SettingsError:
        raise
    except (Exception, SystemExit) as error:
        return str(error) if isinstance(error, ChangeError) else describe(error)
    return SUCCESS
