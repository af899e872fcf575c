"""Fixtures for all unit tests."""

import logging
from collections.abc import Iterator

import pytest

import log
import settings


@pytest.fixture(scope="session", autouse=True)
def clean_environment() -> Iterator[None]:
    """Remove all settings from the environment, so that tests do not depend on it."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.delenv("CONST_PATH", raising=False)
        for group in settings.SETTINGS.values():
            for setting in group:
                for suffix in ("", "_FILE", "_SECRET"):
                    monkeypatch.delenv(f"{setting.variable}{suffix}", raising=False)
        yield


@pytest.fixture(autouse=True)
def restore_log() -> Iterator[None]:
    """Undo what a test configures of the log."""
    loggers = (logging.root, log.logger, log.outcomes)
    levels = [each.level for each in loggers]
    handlers = logging.root.handlers[:]
    yield
    logging.root.handlers[:] = handlers
    for each, level in zip(loggers, levels, strict=True):
        each.setLevel(level)
