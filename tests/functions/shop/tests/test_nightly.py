"""The function `nightly`, on the message of its schedule."""

from pathlib import Path

from func.nightly import DELETE, run
from tests.context import void_context

DATA = Path(__file__).parent / "data"
EVENT = (DATA / "event-nightly.json").read_text(encoding="utf-8")


def test_old_clicks_are_deleted() -> None:
    with void_context("--keep_days=1", function="nightly") as context:
        report = run(EVENT, context)
        assert context.rds.statements == [(DELETE, ("2026-01-04 01:00:00",))]
    assert report == {"before": "2026-01-04 01:00:00", "deleted": 0}
