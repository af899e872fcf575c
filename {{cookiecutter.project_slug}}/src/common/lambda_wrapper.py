"""The function as an AWS Lambda behind an SQS event source mapping."""

import os
import sys
from collections import deque
from functools import cache
from time import monotonic
from typing import Any

import log
from context import CustomContext
from func import NEEDS, __version__, run

# What a message needs, at least, to be begun.
RESERVE_SECONDS = 5

# Which receipts of messages are done: Lambda may repeat an invocation that was.
_done: deque[tuple[str, str]] = deque(maxlen=1000)


@cache
def warm_context() -> CustomContext:
    """Return the context that all invocations of this process share."""
    context = CustomContext(needs=NEEDS)
    secrets = [context.var.db_pass]
    log.start(True, context.var.log_level, secrets, stream=sys.stdout)
    return context


def handler(event: dict[str, Any], aws_context: Any) -> dict[str, Any]:
    """Run the function on each message of a batch.

    Where the time is short, messages that were not begun come back. In a FIFO queue, a
    message that fails brings back those behind it in its group, too.

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
    stopped: set[str] = set()
    for record in event["Records"]:
        group = record.get("attributes", {}).get("MessageGroupId", "")
        if group in stopped or not _is_done(record, context):
            failed.append({"itemIdentifier": record["messageId"]})
            if group:
                stopped.add(group)
    return {"batchItemFailures": failed}


def _is_done(record: dict[str, Any], context: CustomContext) -> bool:
    # a message that is delivered again has another receipt
    receipt = (record["messageId"], record.get("receiptHandle", ""))
    if receipt in _done:
        return True
    if context.time_remaining() < RESERVE_SECONDS:
        log.logger.warning("message %s not begun: the time is short", receipt[0])
        return False
    about = (receipt[0], os.environ.get("AWS_LAMBDA_FUNCTION_NAME", ""), __version__)
    began = monotonic()
    try:
        report = run(record["body"], context)
    except Exception:
        log.outcome(*about, began)
        return False
    if receipt[1]:
        _done.append(receipt)
    log.outcome(*about, began, report)
    return True
