"""The context: credentials of the database."""

import io
import json
import logging

import pytest

import log
from context import CustomContext
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
