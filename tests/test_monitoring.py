"""Alarms watch what the wrappers and AWS measure, and the dashboard is valid."""

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from baking import TEMPLATE

sys.path.insert(0, str(TEMPLATE))

from tools import (
    alarms,
    connections,
    function_specs,
    monitoring,
    project,
    setting_layers,
)
from tools.deploy_config import read

CONFIG = "infra/tests/deploy.yml"
ENVIRONMENTS = ("small", "large", "lean")
# Metrics of AWS that the alarms and the dashboard use, and their dimensions, see
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/aws-services-cloudwatch-metrics.html
KNOWN = {
    "AWS/SQS": (
        {"ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"},
        {"QueueName"},
    ),
    "AWS/Lambda": ({"Errors", "Throttles", "Duration"}, {"FunctionName"}),
    "AWS/RDS": (
        {"ServerlessDatabaseCapacity", "DatabaseConnections"},
        {"DBClusterIdentifier", "Role"},
    ),
    "AWS/Logs": ({"IncomingBytes"}, {"LogGroupName"}),
    "AWS/S3": ({"BucketSizeBytes"}, {"BucketName", "StorageType"}),
    "ECS/ContainerInsights": ({"RunningTaskCount"}, {"ClusterName", "ServiceName"}),
    "PortableFunctions": (
        {"messages", "failures", "notStarted", "duration", "loaded", "rejected"},
        {"function"},
    ),
}
STATISTICS = re.compile("Average|Maximum|Minimum|Sum|SampleCount|p[0-9]{1,2}")
WIDGETS = {
    "text": {"markdown"},
    "alarm": {"title", "alarms"},
    "metric": {"title", "region", "view", "stat", "period", "metrics"},
}
ARN = re.compile(r"arn:\{partition\}:cloudwatch:\{region\}:\{account\}:alarm:.+")


@pytest.fixture(autouse=True)
def answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the template's own tools the answers of a project."""
    found = project.Answers("test", "eu-west-1", "terraform", "postgres")
    monkeypatch.setattr(project, "answers", lambda: found)
    monkeypatch.setattr(function_specs, "answers", lambda: found)


def describe(env: str) -> dict[str, Any]:
    """Return what watches an environment of `infra/tests/deploy.yml`."""
    found: dict[str, Any] = function_specs.resolve(env, CONFIG, "test")["monitoring"]
    return found


def find_faults(body: str) -> Iterator[str]:
    """Yield what CloudWatch would refuse in a dashboard, or not show.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
    """
    widgets = json.loads(body)["widgets"]
    if len(widgets) > 500:
        yield "more than 500 widgets"
    taken: set[tuple[int, int]] = set()
    for widget in widgets:
        place = {key: widget[key] for key in ("x", "y", "width", "height")}
        if not all(type(each) is int and each >= 0 for each in place.values()):
            yield f"no whole numbers: {place}"
            continue
        if not 1 <= widget["width"] <= 24 - widget["x"] or widget["height"] < 1:
            yield f"not within 24 columns: {place}"
        cells = {
            (widget["x"] + x, widget["y"] + y)
            for x in range(widget["width"])
            for y in range(widget["height"])
        }
        if cells & taken:
            yield f"over another widget: {place}"
        taken |= cells
        if WIDGETS.get(widget["type"]) != widget["properties"].keys():
            yield f"unknown type or properties: {widget}"
        elif widget["type"] == "alarm":
            names = widget["properties"]["alarms"]
            if not 1 <= len(names) <= 100 or not all(map(ARN.fullmatch, names)):
                yield f"not 1 to 100 ARNs of alarms: {names}"
        elif widget["type"] == "metric":
            yield from find_faults_in_graph(widget["properties"])


def find_faults_in_graph(graph: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the properties of a metric widget."""
    if graph["region"] != "{region}" or graph["view"] != "timeSeries":
        yield f"another region or view: {graph}"
    if not STATISTICS.fullmatch(graph["stat"]) or graph["period"] % 60:
        yield f"another statistic or period: {graph}"
    if not 1 <= len(graph["metrics"]) <= 500:
        yield f"not 1 to 500 metrics: {graph}"
    known = {each[-1].get("id") for each in graph["metrics"]}
    for line in graph["metrics"]:
        if len(line) == 1:  # an expression
            if not set(re.findall(r"\bm\d+", line[0]["expression"])) <= known:
                yield f"unknown ID in {line}"
            continue
        namespace, metric, *pairs, options = line
        metrics, dimensions = KNOWN.get(namespace, (set(), set()))
        if metric not in metrics or set(pairs[::2]) != dimensions:
            yield f"unknown metric: {line}"
        if not {"label", "id"} & options.keys():
            yield f"neither label nor ID: {line}"


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_dashboard_is_valid(env: str) -> None:
    assert [*find_faults(describe(env)["dashboard"])] == []


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        ('"x": 16', '"x": 17', "not within 24 columns"),
        ('"x": 8', '"x": 7', "over another widget"),
        ('"type": "metric"', '"type": "metrics"', "unknown type or properties"),
        ("{region}", "eu-west-1", "another region"),
        ('"Sum"', '"Total"', "another statistic"),
        ('"notStarted"', '"not_started"', "unknown metric"),
        ('"QueueName"', '"Queue"', "unknown metric"),
        ('"id": "m0"', '"id": "m99"', "unknown ID"),
        ("alarm:test-small-worker-errors", "topic:test", "not 1 to 100 ARNs of alarms"),
    ],
)
def test_invalid_dashboard_is_noticed(right: str, wrong: str, fault: str) -> None:
    body = describe("small")["dashboard"]
    assert right in body
    assert any(fault in each for each in find_faults(body.replace(right, wrong)))


def test_dashboard_shows_what_operators_need() -> None:
    for env, more in (("small", ["GB-seconds of Lambda"]), ("large", ["Running"])):
        body = describe(env)["dashboard"]
        for title in (
            *("Waiting messages", "oldest message", "Dead letters", "Failures"),
            *("not started", "for a message, p95", "Rows loaded", "Lines rejected"),
            *("ACU of the database", "Connections", "Bytes of logs", "in the bucket"),
            *more,
        ):
            assert title in body


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_alarms_fit_cloudwatch(env: str) -> None:
    found = describe(env)["alarms"]
    names = [each["name"] for each in found]
    assert len(names) == len(set(names))
    for each in found:
        metrics, dimensions = KNOWN[each["namespace"]]
        assert each["metric"] in metrics
        assert set(each["dimensions"]) == dimensions
        assert STATISTICS.fullmatch(each["statistic"])
        assert 1 <= each["datapoints"] <= each["periods"]
        assert each["period"] * each["periods"] <= 86400  # CloudWatch's limit
        assert len(each["name"]) <= 255
        assert len(each["description"]) <= 1024


def test_failures_alarm_during_a_canary() -> None:
    """Of messages, and of code that cannot start: in less than five minutes."""
    for env, names in (("small", {"part"}), ("large", set())):
        fast: dict[str, set[str]] = {"failures": set(), "Errors": set()}
        for each in describe(env)["alarms"]:
            is_fast = each["period"] * each["periods"] < 300
            assert is_fast or each["metric"] != "failures"
            if is_fast and each["metric"] in fast:
                fast[each["metric"]].update(each["dimensions"].values())
        functions = {f"test-{env}-{name}" for name in names}
        assert fast == {"failures": functions, "Errors": functions}


def test_missing_data_alarms_for_tasks_only() -> None:
    """A queue or Lambda that is idle sends no data, but a service always does."""
    meaning: dict[str, set[str]] = {}
    for env in ENVIRONMENTS:
        for each in describe(env)["alarms"]:
            meaning.setdefault(each["missing"], set()).add(each["namespace"])
    assert meaning == {
        "notBreaching": {"AWS/SQS", "AWS/Lambda", "PortableFunctions"},
        "breaching": {"ECS/ContainerInsights"},
        "missing": {"AWS/RDS"},
    }


def test_names_of_longest_project_fit() -> None:
    functions = {"x" * 20: setting_layers.read_defaults()}
    prefix = f"{'p' * 24}-{'e' * 8}-"
    queues = {"queue": f"{prefix}q", "dead_letter": f"{prefix}d"}
    functions["x" * 20] |= queues
    for each in alarms.list_alarms(functions, prefix, {}, "postgres"):
        assert len(each["name"]) <= 255


def test_operators_find_each_alarm_in_the_docs() -> None:
    page = (TEMPLATE / "docs" / "operating.md").read_text(encoding="utf-8")
    kinds = {
        each["name"].replace(f"test-{env}-part-", "…-").removeprefix(f"test-{env}-")
        for env in ENVIRONMENTS
        for each in describe(env)["alarms"]
        if "-part-" in each["name"] or "-database-" in each["name"]
    }
    assert len(kinds) == 9
    for kind in kinds:
        assert f"| `{kind}` |" in page


def test_metrics_are_those_of_the_wrappers() -> None:
    log, wrapper, poller = (
        (TEMPLATE / "src" / "common" / f"{name}.py").read_text(encoding="utf-8")
        for name in ("log", "lambda_wrapper", "poller")
    )
    assert f'NAMESPACE = "{alarms.METRICS}"' in log
    assert '"failures": int(is_failed)' in log
    for text in (wrapper, poller):
        assert '"metrics": {"notStarted": 1}' in text


@pytest.mark.parametrize(
    ("engine", "low", "high", "expected"),
    [
        ("postgres", 0, 1, 189),
        ("postgres", 0.5, 2, 400),
        ("postgres", 0.5, 16, 2000),
        ("postgres", 1, 16, 3360),
        ("postgres", 2, 256, 5000),
        ("mysql", 0, 1, 90),
        ("mysql", 0, 6, 135),
        ("mysql", 0.5, 16, 2000),
        ("mysql", 8, 256, 6000),
    ],
)
def test_connections_follow_the_capacity(
    engine: str, low: float, high: float, expected: int
) -> None:
    size = {"min_capacity": low, "max_capacity": high}
    assert connections.count_accepted(size, engine) == expected


def test_shim_is_not_watched() -> None:
    assert describe("local") == monitoring.NOTHING


def test_silent_environment_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    for env in ("local", "small", "large"):
        monitoring.warn_if_silent(env, describe(env))
    assert capsys.readouterr().err == ""
    monitoring.warn_if_silent("lean", describe("lean"))
    assert capsys.readouterr().err == (
        "No one gets the alarms of lean: add alarms: {email: team@example.com} to "
        "environments.lean in config/deploy.yml.\n"
    )


def test_budget_has_the_default_of_the_schema() -> None:
    schema = setting_layers.read_schema()["$defs"]["environment"]["properties"]
    default = schema["budget"]["properties"]["alert_at"]["default"]
    assert default == monitoring.ALERT_AT
    assert read("small", CONFIG)["environments"]["small"]["budget"]["alert_at"] == 75
    [budget] = describe("small")["budgets"]
    assert [each["threshold"] for each in budget["notifications"]] == [75, 100]
