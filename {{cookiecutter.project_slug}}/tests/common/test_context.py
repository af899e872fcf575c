"""What a context gets from AWS by itself."""

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
    """Return a context whose database has its password in a secret."""
    boto3 = MockBoto3()
    if secrets:
        boto3.clients["secretsmanager"].secrets[ARN] = json.dumps(secrets)
    return bare_context(f"--db_secret={ARN}", boto3=boto3)


def test_user_and_password_are_the_settings_where_there_is_no_secret() -> None:
    context = bare_context("--db_user=anna", "--db_pass=in the clear")
    assert context.rds.credentials() == ("anna", "in the clear")


def test_user_and_password_come_from_the_secret_and_no_log_shows_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    text = io.StringIO()
    log.start(False, stream=text)
    context = with_secret(username="bob", password="pa$$word")
    assert context.rds.credentials() == ("bob", "pa$$word")
    log.logger.warning("access denied for bob, with pa$$word")
    assert text.getvalue().endswith("access denied for bob, with ***\n")


def test_secret_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ConnectionError, match=f"the secret {ARN} cannot be read"):
        with_secret().rds.credentials()
