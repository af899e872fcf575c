"""Fixtures for all unit tests."""

from collections.abc import Iterator

import pytest

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
