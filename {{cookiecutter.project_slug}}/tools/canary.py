"""Shift a Lambda's alias to a new version step by step."""

from tools.deploy_config import Config
from tools.environment import Environment
from tools.errors import UserError


def shift(
    environment: Environment, name: str, function: Config, old: str, new: str
) -> None:
    """Shift to a new version.

    Raises:
        UserError: always, until this is built.
    """
    del environment, function, old
    raise UserError(f"{name} cannot shift to version {new} yet")


def stop(environment: Environment, name: str) -> bool:
    """Stop a canary that is under way; return whether there was one."""
    del environment, name
    return False
