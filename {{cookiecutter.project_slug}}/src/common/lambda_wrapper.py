"""The function as an AWS Lambda behind an SQS event source mapping."""

import json
import logging
from functools import cache
from typing import Any

from context import CustomContext
from func import run

logger = logging.getLogger("function")
logger.setLevel(logging.INFO)


@cache
def warm_context() -> CustomContext:
    """Return the context that all invocations of this process share."""
    return CustomContext()


def handler(event: dict[str, Any], aws_context: Any) -> dict[str, Any]:
    """Run the function on each message of a batch.

    Args:
        event: `{"Records": [{"messageId": …, "body": …}, …]}`.
        aws_context: AWS's context object; it tells the time left.

    Returns:
        The partial batch response: only the messages that it names come back. See
        https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html

    Raises:
        SettingsError: the environment or the configuration file is wrong; then the
            whole batch comes back.
    """
    context = warm_context()
    context.parent = aws_context
    failed = []
    for record in event["Records"]:
        message = record["messageId"]
        try:
            report = run(record["body"], context)
        except Exception:
            logger.exception("message %s failed", message)
            failed.append({"itemIdentifier": message})
        else:
            logger.info("message %s done: %s", message, json.dumps(report))
    return {"batchItemFailures": failed}
