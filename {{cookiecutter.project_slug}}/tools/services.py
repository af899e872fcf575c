"""Releases of a container: task definitions, and the service that runs them."""

from tools.environment import Environment
from tools.errors import UserError


def roll_back(environment: Environment, name: str, version: str) -> str:
    """Run an earlier task definition again; return what runs, for a user.

    Raises:
        UserError: always, until this is built.
    """
    del environment, version
    raise UserError(f"{name} runs in a container, which cannot be rolled back yet")
