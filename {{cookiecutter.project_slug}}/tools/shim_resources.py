"""Create the queues of functions that were added while the shim was running."""

import os
from functools import cache

from tests.shim import bootstrap
from tools.environment import Environment, client


@cache
def create_missing(func: str) -> None:
    """Create a function's queues and its notification, unless the shim has them.

    The process's variables are those of the shim, see `enter`.
    """
    shim = Environment("")
    sqs = client("sqs")
    try:
        sqs.get_queue_url(QueueName=shim.resource_name(func, "pending"))
    except sqs.exceptions.QueueDoesNotExist:
        bootstrap.create_missing(client("s3"), sqs, os.environ["AWS_REGION"])
