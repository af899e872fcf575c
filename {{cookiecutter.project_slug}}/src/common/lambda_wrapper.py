"""Runs the function in AWS Lambda, behind an SQS event source mapping."""

import os
import sys
from collections import deque
from contextlib import suppress
from functools import cache
from itertools import count
from time import monotonic
from typing import Any

import log
from context import CustomContext
from errors import describe
from func import NEEDS, __version__, run

# A message is not started with less time left than this.
RESERVE_SECONDS = 5

# Messages done recently, as (message ID, receipt handle): Lambda may repeat an
# invocation that succeeded.
_done: deque[tuple[str, str]] = deque(maxlen=1000)
_invocations = count()


class InvocationError(ValueError):
    """Something other than an SQS queue invoked the function."""


@cache
def warm_context() -> CustomContext:
    """Return the context that all invocations of this process share."""
    log.configure(True, stream=sys.stdout)
    try:
        context = CustomContext(needs=NEEDS)
    except Exception as error:
        log.logger.error("the function cannot start: %s", describe(error))
        raise
    log.configure(True, context.var.log_level, context.secrets, stream=sys.stdout)
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
        InvocationError: the event is not one of SQS.
        SettingsError: a setting is unknown, invalid or missing. The whole batch
            returns to the queue.
    """
    is_cold_start = next(_invocations) == 0
    context = warm_context()
    context.parent = aws_context
    failures = []
    failed_groups: set[str] = set()
    for record in _records_of(event):
        group = record.get("attributes", {}).get("MessageGroupId", "")
        with log.about_message(
            record["messageId"],
            record.get("attributes", {}),
            requestId=getattr(aws_context, "aws_request_id", None),
            coldStart=is_cold_start,
        ):
            is_done = group not in failed_groups and _process(record, context)
        if not is_done:
            failures.append({"itemIdentifier": record["messageId"]})
            if group:
                failed_groups.add(group)
    return {"batchItemFailures": failures}


def _records_of(event: Any) -> list[dict[str, Any]]:
    """Return the messages in an event of SQS."""
    with suppress(AttributeError, KeyError, TypeError):
        if all(each["messageId"] for each in event["Records"]):
            return list(event["Records"])
    error = InvocationError(
        "this function processes messages of its SQS queue only, and was invoked with "
        "something else: send a message to the queue instead"
    )
    log.logger.error("%s", error)
    raise error


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
