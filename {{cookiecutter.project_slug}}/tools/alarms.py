"""The alarms of an environment, the same for Terraform and CDK.

An alarm's description says what to do, and `docs/operating.md` says more. Metrics and
statistics are those that AWS recommends, as far as it does, see
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html
"""

from collections.abc import Mapping
from typing import Any

from tools import connections

Alarm = dict[str, Any]

METRICS = "PortableFunctions"  # the namespace of src/common/log.py


def list_alarms(
    functions: Mapping[str, Mapping[str, Any]],
    prefix: str,
    size: Mapping[str, Any],
    engine: str,
) -> list[Alarm]:
    """Return the alarms of an environment.

    Args:
        functions: settings of each function, see `function_specs.resolve`.
        prefix: of all names.
        size: the environment's setting `database`; empty if it has no cluster.
        engine: mysql or postgres.

    Returns:
        For each alarm its `name`, `description`, `namespace`, `metric`, `dimensions`,
        `statistic`, `period` in seconds, `periods`, of which `datapoints` must be
        beyond the `threshold`, `operator`, and `missing`: what missing data means.
    """
    found: list[Alarm] = []
    for name, each in functions.items():
        found += watch_function(name, each, prefix)
    return found + (_watch_database(prefix, size, engine) if size else [])


def watch_function(name: str, function: Mapping[str, Any], prefix: str) -> list[Alarm]:
    """Return the alarms of one function, see `list_alarms`."""
    watch = _watch_lambda if function["runtime"] == "lambda" else _watch_tasks
    return [
        *_watch_queues(name, function),
        *watch(name, function, prefix),
        _watch_starts(name, prefix),
        *([_watch_release(name, prefix)] if "release" in function else []),
    ]


def _watch_queues(name: str, function: Mapping[str, Any]) -> list[Alarm]:
    # SQS sends no metrics of a queue that is idle
    by_minute = {"namespace": "AWS/SQS", "statistic": "Maximum", "period": 60}
    return [
        _alarm(
            f"{function['dead_letter']}-messages",
            f"{name} failed to handle a message: read its logs, fix the cause, then "
            "redrive the message",
            metric="ApproximateNumberOfMessagesVisible",
            dimensions={"QueueName": function["dead_letter"]},
            **by_minute,
        ),
        _alarm(
            f"{function['queue']}-age",
            f"{name} does not run, or is too slow for its queue: look at its errors "
            "and at the messages in flight",
            metric="ApproximateAgeOfOldestMessage",
            dimensions={"QueueName": function["queue"]},
            threshold=function["oldest_message"],
            periods=5,
            **by_minute,
        ),
    ]


def _watch_lambda(name: str, function: Mapping[str, Any], prefix: str) -> list[Alarm]:
    # once is no reason to wake anyone: the queue retries
    repeated = {"namespace": "AWS/Lambda", "periods": 3, "datapoints": 2}
    dimensions = {"FunctionName": f"{prefix}{name}"}
    return [
        _alarm(
            f"{prefix}{name}-errors",
            f"{name} cannot start, runs out of time or out of memory: read its logs, "
            f"then raise timeout ({function['timeout']} s) or memory "
            f"({function['memory']} MiB), or fix its settings",
            metric="Errors",
            dimensions=dimensions,
            # a canary of code that cannot start must not end before this fires
            period=60 if "release" in function else 300,
            **repeated,
        ),
        _alarm(
            f"{prefix}{name}-throttles",
            f"{name} gets too little concurrency: raise the account's limit, or set "
            "reserved_concurrency",
            metric="Throttles",
            dimensions=dimensions,
            **repeated,
        ),
    ]


def _watch_tasks(name: str, function: Mapping[str, Any], prefix: str) -> list[Alarm]:
    return [
        _alarm(
            f"{prefix}{name}-tasks",
            f"{name} has fewer than {function['min_tasks']} tasks: look at the events "
            "of its service in the ECS console, and at its logs",
            namespace="ECS/ContainerInsights",  # which autoscaling needs, too
            metric="RunningTaskCount",
            dimensions={"ClusterName": prefix[:-1], "ServiceName": name},
            statistic="Average",
            period=60,
            periods=10,
            operator="LessThanThreshold",
            threshold=function["min_tasks"],
            missing="breaching",  # a service that is gone sends none
        )
    ]


def _watch_starts(name: str, prefix: str) -> Alarm:
    return _alarm(
        f"{prefix}{name}-not-started",
        f"{name} gives messages back without starting them, and each time they lose "
        "one of their max_receives: lower batch_size or raise timeout",
        namespace=METRICS,
        metric="notStarted",
        dimensions={"function": f"{prefix}{name}"},
        periods=3,
        datapoints=2,
    )


def _watch_release(name: str, prefix: str) -> Alarm:
    # A dead letter is too late for a canary. A message becomes one after max_receives
    # visibility timeouts, each six times the function's timeout, and Lambda counts no
    # error for it: the wrapper reports it as a batch item failure.
    return _alarm(
        f"{prefix}{name}-failures",
        f"{name} fails to handle messages: a release that is under way goes back by "
        "itself; otherwise read its logs, and run 'make rollback' if a release did it",
        namespace=METRICS,
        metric="failures",
        dimensions={"function": f"{prefix}{name}"},
        period=60,
        periods=3,
        datapoints=2,
    )


def _watch_database(prefix: str, size: Mapping[str, Any], engine: str) -> list[Alarm]:
    writer = {
        "namespace": "AWS/RDS",
        "dimensions": {"DBClusterIdentifier": prefix[:-1], "Role": "WRITER"},
        "statistic": "Average",
        "periods": 3,
        "missing": "missing",  # the database is stopped or gone: nothing is known
    }
    accepted = connections.count_accepted(size, engine)
    return [
        _alarm(
            f"{prefix}database-capacity",
            f"The database needs all of its {size['max_capacity']} ACU: find the slow "
            "statement, or raise max_capacity",
            metric="ServerlessDatabaseCapacity",
            threshold=round(0.9 * size["max_capacity"], 2),
            **writer,
        ),
        _alarm(
            f"{prefix}database-connections",
            f"The database accepts about {accepted} connections, and most of them are "
            "in use: lower max_concurrency or max_tasks, or raise max_capacity",
            metric="DatabaseConnections",
            threshold=accepted * 4 // 5,
            **writer,
        ),
    ]


def _alarm(name: str, description: str, **more: Any) -> Alarm:
    """Return an alarm on any count in a period of five minutes, or on what differs."""
    alarm = {
        "name": name,
        "description": f"{description}. See docs/operating.md.",
        "statistic": "Sum",
        "period": 300,
        "periods": 1,
        "operator": "GreaterThanThreshold",
        "threshold": 0,
        "missing": "notBreaching",  # nothing happened
        **more,
    }
    return {"datapoints": alarm["periods"], **alarm}
