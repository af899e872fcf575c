"""The function `enrich`, with a partner that answers."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from func.enrich import PartnerError, run
from tests.context import void_context

DATA = Path(__file__).parent / "data"
EVENT = (DATA / "event-enrich.json").read_text(encoding="utf-8")


class Partner:
    """A double of the HTTP client."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.requests: list[dict[str, Any]] = []

    def request(self, method: str, url: str, **options: Any) -> SimpleNamespace:
        """Answer, and note the request."""
        self.requests.append(options)
        return SimpleNamespace(status=self.status, data=b'{"state": "paid"}')


def test_answer_is_written() -> None:
    partner = Partner(200)
    with void_context(function="enrich", clients={"http": partner}) as context:
        context.s3.put_object(Bucket="raw", Key="incoming/order.json", Body=b"{}")
        [report] = run(EVENT, context)
        assert report["written"] == "enriched/order.json"
        found = context.s3.get_object(Bucket="raw", Key="enriched/order.json")
        assert found["Body"].read() == b'{"state": "paid"}'
    assert partner.requests[0]["headers"]["Authorization"].startswith("Bearer ")


def test_refused_request_fails() -> None:
    clients = {"http": Partner(403)}
    with void_context(function="enrich", clients=clients) as context:
        context.s3.put_object(Bucket="raw", Key="incoming/order.json", Body=b"{}")
        with pytest.raises(PartnerError, match="403"):
            run(EVENT, context)
