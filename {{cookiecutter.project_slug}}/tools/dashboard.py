"""The CloudWatch dashboard of an environment, the same for Terraform and CDK.

For its structure, see
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tools import grants
from tools.alarms import METRICS, Alarm

Widget = dict[str, Any]
Functions = Mapping[str, Mapping[str, Any]]

COLUMNS, WIDTH, HEIGHT = 24, 8, 6  # of the grid, and of a graph
ALARMS_IN_A_WIDGET = 100  # the most that CloudWatch shows
DAY = 86400  # seconds; S3 measures buckets once a day


def make_body(
    functions: Functions,
    prefix: str,
    bucket: str,
    size: Mapping[str, Any],
    alarms: Iterable[Alarm],
) -> str:
    """Return the dashboard as JSON, with the placeholders of `grants`.

    Args:
        functions: settings of each function, see `function_specs.resolve`.
        prefix: of all names.
        bucket: name of the bucket.
        size: the environment's setting `database`; empty if it has no cluster.
        alarms: see `alarms.list_alarms`.
    """
    arns = [grants.make_arn("cloudwatch", f"alarm:{each['name']}") for each in alarms]
    chunks = range(0, len(arns), ALARMS_IN_A_WIDGET)
    states: list[Widget] = [
        {
            "type": "alarm",
            "width": COLUMNS,
            "properties": {
                "title": "Alarms",
                "alarms": arns[start : start + ALARMS_IN_A_WIDGET],
            },
        }
        for start in chunks
    ]
    sections = {
        "Messages": [*states, *_show_messages(functions, prefix)],
        "Functions": [*_show_functions(functions, prefix)],
        "Rows": [*_show_rows(functions, prefix)],
        "Cost drivers": [*_show_cost_drivers(functions, prefix, bucket, size)],
    }
    return json.dumps({"widgets": _lay_out(sections)})


def _show_messages(functions: Functions, prefix: str) -> Iterator[Widget]:
    for title, metric, key in (
        ("Waiting messages", "ApproximateNumberOfMessagesVisible", "queue"),
        ("Seconds the oldest message waits", "ApproximateAgeOfOldestMessage", "queue"),
        ("Dead letters", "ApproximateNumberOfMessagesVisible", "dead_letter"),
    ):
        yield _graph(
            title,
            [
                _line(name, "AWS/SQS", metric, QueueName=each[key])
                for name, each in functions.items()
            ],
            stat="Maximum",
        )
    for title, metric in (
        ("Messages", "messages"),
        ("Failures", "failures"),
        ("Messages that were not started", "notStarted"),
    ):
        yield _graph(title, _own(functions, prefix, metric))


def _show_functions(functions: Functions, prefix: str) -> Iterator[Widget]:
    slowest = _own(functions, prefix, "duration")
    yield _graph("Milliseconds for a message, p95", slowest, stat="p95")
    lambdas = _names(functions, "lambda")
    if lambdas:
        for metric in ("Errors", "Throttles"):
            lines = [
                _line(name, "AWS/Lambda", metric, FunctionName=f"{prefix}{name}")
                for name in lambdas
            ]
            yield _graph(f"{metric} of Lambda", lines)


def _show_rows(functions: Functions, prefix: str) -> Iterator[Widget]:
    """Yield what reports of `lib.loads` count. Other functions have no such lines."""
    yield _graph("Rows loaded", _own(functions, prefix, "loaded"))
    yield _graph("Lines rejected", _own(functions, prefix, "rejected"))


def _show_cost_drivers(
    functions: Functions, prefix: str, bucket: str, size: Mapping[str, Any]
) -> Iterator[Widget]:
    if size:
        for title, metric in (
            ("ACU of the database", "ServerlessDatabaseCapacity"),
            ("Connections of the database", "DatabaseConnections"),
        ):
            lines = [
                _line(
                    role.lower(),
                    "AWS/RDS",
                    metric,
                    DBClusterIdentifier=prefix[:-1],
                    Role=role,
                )
                for role in ("WRITER", "READER")
            ]
            yield _graph(title, lines, stat="Average")
    if lambdas := _names(functions, "lambda"):
        yield _graph("GB-seconds of Lambda", _gigabyte_seconds(lambdas, prefix))
    if containers := _names(functions, "container"):
        lines = [
            _line(
                name,
                "ECS/ContainerInsights",
                "RunningTaskCount",
                ClusterName=prefix[:-1],
                ServiceName=name,
            )
            for name in containers
        ]
        yield _graph("Running tasks", lines, stat="Average")
    groups = {"lambda": "/aws/lambda/", "container": "/ecs/"}
    lines = [
        _line(
            name,
            "AWS/Logs",
            "IncomingBytes",
            LogGroupName=f"{groups[each['runtime']]}{prefix}{name}",
        )
        for name, each in functions.items()
    ]
    yield _graph("Bytes of logs", lines)
    lines = [
        _line(
            kind,
            "AWS/S3",
            "BucketSizeBytes",
            BucketName=bucket,
            StorageType=f"{kind}Storage",
        )
        for kind in ("Standard", "StandardIA")
    ]
    yield _graph("Bytes in the bucket", lines, stat="Average", period=DAY)


def _gigabyte_seconds(lambdas: Functions, prefix: str) -> list[list[Any]]:
    """Return lines of the durations of Lambdas, times their memory."""
    lines: list[list[Any]] = []
    for number, (name, each) in enumerate(lambdas.items()):
        gigabytes = each["memory"] / 1024
        expression = f"m{number} / 1000 * {gigabytes:g}"
        lines.append([{"expression": expression, "label": name, "id": f"e{number}"}])
        metric = ["AWS/Lambda", "Duration", "FunctionName", f"{prefix}{name}"]
        lines.append([*metric, {"id": f"m{number}", "visible": False}])
    return lines


def _names(functions: Functions, runtime: str) -> Functions:
    found = functions.items()
    return {name: each for name, each in found if each["runtime"] == runtime}


def _own(functions: Functions, prefix: str, metric: str) -> list[list[Any]]:
    """Return a line of each function for a metric of its log, see `src/common/log`."""
    return [
        _line(name, METRICS, metric, function=f"{prefix}{name}") for name in functions
    ]


def _line(label: str, namespace: str, metric: str, **dimensions: str) -> list[Any]:
    flat = [text for pair in dimensions.items() for text in pair]
    return [namespace, metric, *flat, {"label": label}]


def _graph(
    title: str, metrics: list[list[Any]], stat: str = "Sum", period: int = 300
) -> Widget:
    return {
        "type": "metric",
        "width": WIDTH,
        "properties": {
            "title": title,
            "region": grants.REGION,
            "view": "timeSeries",
            "stat": stat,
            "period": period,
            "metrics": metrics,
        },
    }


def _lay_out(sections: Mapping[str, list[Widget]]) -> list[Widget]:
    """Return all widgets with their places: rows from left to right, under headings."""
    placed: list[Widget] = []
    y = 0
    for heading, widgets in sections.items():
        properties = {"markdown": f"## {heading}"}
        title = {"type": "text", "width": COLUMNS, "height": 1}
        placed.append({**title, "x": 0, "y": y, "properties": properties})
        x, y = 0, y + 1
        for widget in widgets:
            if x + widget["width"] > COLUMNS:
                x, y = 0, y + HEIGHT
            placed.append({**widget, "height": HEIGHT, "x": x, "y": y})
            x += widget["width"]
        y += HEIGHT
    return placed
