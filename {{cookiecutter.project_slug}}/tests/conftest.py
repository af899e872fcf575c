"""What holds for every unit test."""

import pytest

import settings


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the settings out of the environment of whoever runs the tests."""
    monkeypatch.delenv("CONST_PATH", raising=False)
    for group in settings.SETTINGS.values():
        for setting in group:
            monkeypatch.delenv(setting.env or setting.name.upper(), raising=False)
