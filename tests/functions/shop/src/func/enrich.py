"""Asks a partner's API about objects, and writes its answers as objects."""

from typing import Any

from context import CustomContext
from lib import events
from settings import Secret, Setting, url

SETTINGS = [
    Setting("api_url", url, None, "URL of the partner's API", required=True),
    Setting("api_key", Secret, None, "key for the partner's API", required=True),
]


class PartnerError(RuntimeError):
    """The partner's API has refused a request."""


def run(event: str, context: CustomContext) -> list[dict[str, Any]]:
    """Enrich all objects that the event names.

    Args:
        event: body of a message, see `lib.events.objects`.
        context: settings, clients, and the time left.

    Returns:
        A report for each object: `{"object": "s3://raw/incoming/order.json",
        "written": "enriched/order.json"}`.
    """
    return [enrich(each, context) for each in events.objects(event)]


def enrich(s3_object: events.S3Object, context: CustomContext) -> dict[str, Any]:
    """Write the answer about an object, and return the report."""
    order = context.s3.get_object(**s3_object.request)["Body"].read()
    headers = {"Authorization": f"Bearer {context.var.api_key}"}
    response = context.http.request(
        "POST", context.var.api_url, body=order, headers=headers
    )
    if response.status != 200:
        raise PartnerError(f"the partner's API answers {response.status}")
    key = f"enriched/{s3_object.key.rpartition('/')[2]}"
    context.s3.put_object(Bucket=context.var.bucket, Key=key, Body=response.data)
    return {"object": str(s3_object), "written": key}
