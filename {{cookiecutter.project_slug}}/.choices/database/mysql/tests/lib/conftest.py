"""Fixtures for the tests of the database's client."""

import sys
from collections.abc import Iterator

import pytest

from lib import error_codes
from tests.mock.driver import NAMES


@pytest.fixture(autouse=True)
def error_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Replace the driver's names of errors, so that it is not imported."""
    error_codes._names.cache_clear()
    monkeypatch.setitem(sys.modules, "pymysql.constants.ER", NAMES)
    yield
    error_codes._names.cache_clear()
