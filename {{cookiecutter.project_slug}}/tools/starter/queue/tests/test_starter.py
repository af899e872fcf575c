"""The function `starter`, on messages."""

from pathlib import Path

import pytest

from func.starter import run
from tests.context import void_context

DATA = Path(__file__).parent / "data"
EVENT = (DATA / "event-starter.json").read_text(encoding="utf-8")


def test_rows_are_counted() -> None:
    with void_context(function="starter") as context:
        assert run(EVENT, context) == {"rows": 2}


@pytest.mark.parametrize("body", ["[]", '{"rows": 2}'])
def test_message_without_rows_fails(body: str) -> None:
    with (
        void_context(function="starter") as context,
        pytest.raises(ValueError, match='no "rows"'),
    ):
        run(body, context)
