"""What holds for every unit test."""

from collections.abc import Iterator

import pytest

import settings


@pytest.fixture(scope="session", autouse=True)
def bare_environment() -> Iterator[None]:
    """Take the settings out of the environment of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.delenv("CONST_PATH", raising=False)
        for group in settings.SETTINGS.values():
            for setting in group:
                monkeypatch.delenv(setting.env or setting.name.upper(), raising=False)
        yield
