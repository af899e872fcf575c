"""Runs a function as an AWS Lambda, behind an SQS event source mapping."""

import sys
from contextlib import suppress
from functools import cache
from itertools import count
from time import monotonic
from typing import Any

import func
import log
from context import CustomContext
from denials import explain
from errors import describe
from func import __version__, run
from message import Message, is_s3_test

# A message is not started with less time left than this.
RESERVE_SECONDS = 5
MAX_REMEMBERED = 10_000  # messages that are done

# IDs of the messages that this process has done, the oldest first. Lambda may repeat an
# invocation that succeeded, and SQS delivers a message again if its delete failed.
_done: dict[str, None] = {}
_invocations = count()


class InvocationError(ValueError):
    """Something other than an SQS queue invoked the function."""


@cache
def warm_context() -> CustomContext:
    """Return the context that all invocations of this process share."""
    log.configure(True, stream=sys.stdout)
    try:
        context = CustomContext(function=func)
    except Exception as error:
        log.logger.error("the function cannot start: %s", describe(error))
        raise
    log.configure(True, context.var.log_level, context.secrets, stream=sys.stdout)
    return context


def handler(event: dict[str, Any], aws_context: Any) -> dict[str, Any]:
    """Run the function on each message of a batch.

    Messages that cannot be started in time return to the queue. In a FIFO queue, a
    failed message also returns the later messages of its group: each of them has spent
    a receive. The default of `batch_size` is 1 for both reasons.

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
        group = _ordered_group(record)
        with log.about_message(
            record["messageId"],
            record.get("attributes", {}),
            requestId=getattr(aws_context, "aws_request_id", None),
            coldStart=is_cold_start,
        ):
            if group in failed_groups:
                _log_not_started(record, "an earlier message of its group failed")
                is_done = False
            else:
                is_done = _process(record, context)
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


def _ordered_group(record: dict[str, Any]) -> str:
    """Return the group whose messages must stay in order: only FIFO queues have one.

    In standard queues, a group is a tenant of a fair queue.
    """
    if not record.get("eventSourceARN", "").endswith(".fifo"):
        return ""
    return str(record.get("attributes", {}).get("MessageGroupId", ""))


def _process(record: dict[str, Any], context: CustomContext) -> bool:
    """Run the function on one message, and return whether the message is done.

    Whatever the function raises, the batch gets its response: also `SystemExit`,
    `asyncio.CancelledError` or a panic in an extension module.
    """
    message_id = record["messageId"]
    if message_id in _done:
        log.logger.info("message %s was done before: deleted", message_id)
        return True
    if context.time_remaining() < RESERVE_SECONDS:
        _log_not_started(record, "too little time left")
        return False
    started = monotonic()
    try:
        if is_s3_test(record["body"]):
            log.logger.info("message %s is a test of S3: deleted", message_id)
            return True
        context.message = _read_message(record)
        report = run(record["body"], context)
    except BaseException as error:
        explain(error, context.function_name, context.var.bucket or "")
        _log_outcome(message_id, started, error=error)
        return False
    _remember(record)
    _log_outcome(message_id, started, report)
    return True


def _read_message(record: dict[str, Any]) -> Message:
    return Message.from_sqs(
        record["messageId"],
        record["body"],
        record.get("attributes", {}),
        record.get("messageAttributes", {}),
    )


def _remember(record: dict[str, Any]) -> None:
    if "receiptHandle" in record:  # it is from SQS, which never uses an ID twice
        _done[record["messageId"]] = None
    if len(_done) > MAX_REMEMBERED:
        del _done[next(iter(_done))]


def _function_name() -> str:
    return log.name_function("")


def _log_not_started(record: dict[str, Any], reason: str) -> None:
    """Log a message that returns untried, and count it in the metric `notStarted`."""
    fields = {
        "messageId": record["messageId"],
        "outcome": "not started",
        "function": _function_name(),
        "version": __version__,
    }
    log.outcomes.warning(
        "message %s not started: %s",
        record["messageId"],
        reason,
        extra={"fields": fields, "metrics": {"notStarted": 1}},
    )


def _log_outcome(
    message_id: str,
    started: float,
    report: Any = None,
    error: BaseException | None = None,
) -> None:
    """Log the outcome, which a report that cannot be logged does not change."""
    function = _function_name()
    try:
        log.outcome(message_id, function, __version__, started, report, error)
    except Exception:
        log.logger.exception("the outcome of message %s cannot be logged", message_id)
