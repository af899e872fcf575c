"""Runs the function in AWS Lambda, behind an SQS event source mapping."""

import os
import sys
from collections import deque
from functools import cache
from time import monotonic
from typing import Any

import log
from context import CustomContext
from func import NEEDS, __version__, run

# A message is not started with less time left than this.
RESERVE_SECONDS = 5

# Messages done recently, as (message ID, receipt handle): Lambda may repeat an
# invocation that succeeded.
_done: deque[tuple[str, str]] = deque(maxlen=1000)


@cache
def warm_context() -> CustomContext:
    """Return the context that all invocations of this process share."""
    context = CustomContext(needs=NEEDS)
    secrets = [context.var.db_pass]
    log.configure(True, context.var.log_level, secrets, stream=sys.stdout)
    return context


def handler(event: dict[str, Any], aws_context: Any) -> dict[str, Any]:
    """Run the function on each message of a batch.

    Messages that cannot be started in time return to the queue. In a FIFO queue, a
    failed message also returns the later messages of its group.

    Args:
        event: `{"Records": [{"messageId": …, "body": …}, …]}`.
        aws_context: AWS's context object, which knows the time left.

    Returns:
        The batch item failures: `{"batchItemFailures": [{"itemIdentifier": …}, …]}`.
        Only the messages listed return to the queue. See
        https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html

    Raises:
        SettingsError: a setting is unknown, invalid or missing. The whole batch
            returns to the queue.
    """
    context = warm_context()
    context.parent = aws_context
    failures = []
    failed_groups: set[str] = set()
    for record in event["Records"]:
        group = record.get("attributes", {}).get("MessageGroupId", "")
        if group in failed_groups or not _process(record, context):
            failures.append({"itemIdentifier": record["messageId"]})
            if group:
                failed_groups.add(group)
    return {"batchItemFailures": failures}


def _process(record: dict[str, Any], context: CustomContext) -> bool:
    """Run the function on one message, and return whether the message is done."""
    message_id = record["messageId"]
    receipt = record.get("receiptHandle", "")  # new with each delivery
    if (message_id, receipt) in _done:
        return True
    if context.time_remaining() < RESERVE_SECONDS:
        log.logger.warning("message %s not started: too little time left", message_id)
        return False
    function = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
    started = monotonic()
    try:
        report = run(record["body"], context)
    except Exception as error:
        log.outcome(message_id, function, __version__, started, error=error)
        return False
    if receipt:
        _done.append((message_id, receipt))
    log.outcome(message_id, function, __version__, started, report)
    return True
