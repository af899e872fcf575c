"""The function `starter`, on messages of its schedule."""

from pathlib import Path

import pytest

from func.starter import run
from tests.context import void_context

DATA = Path(__file__).parent / "data"
EVENT = (DATA / "event-starter.json").read_text(encoding="utf-8")


def test_day_before_schedule_is_reported() -> None:
    with void_context(function="starter") as context:
        assert run(EVENT, context) == {"day": "2026-01-04"}


def test_message_without_time_fails() -> None:
    with void_context(function="starter") as context, pytest.raises(KeyError):
        run('{"schedule": "starter"}', context)
