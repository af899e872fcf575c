"""The function `starter`, on messages of its topic."""

from pathlib import Path

import pytest

from func.starter import run
from tests.context import void_context

DATA = Path(__file__).parent / "data"
EVENT = (DATA / "event-starter.json").read_text(encoding="utf-8")


def test_order_is_reported() -> None:
    with void_context(function="starter") as context:
        assert run(EVENT, context) == {"order": 1001}


@pytest.mark.parametrize("body", ["[]", '{"state": "paid"}'])
def test_message_without_order_fails(body: str) -> None:
    with (
        void_context(function="starter") as context,
        pytest.raises(ValueError, match='no "order"'),
    ):
        run(body, context)
