"""Alarms watch all functions and the database, and notify the declared recipient."""

from collections.abc import Callable
from typing import Any

from aws_cdk.assertions import Match

from infra.conftest import FUNCTIONS

Synthesise = Callable[..., Any]
ALARM = "AWS::CloudWatch::Alarm"


def test_alarms_watch_each_lambda(synthesise: Synthesise) -> None:
    template = synthesise()
    for metric, threshold in (
        ("ApproximateNumberOfMessagesVisible", 0),
        ("ApproximateAgeOfOldestMessage", 3600),
        ("Errors", 0),
        ("Throttles", 0),
        ("notStarted", 0),
    ):
        alarm = {"MetricName": metric, "Threshold": threshold}
        template.resource_properties_count_is(ALARM, alarm, len(FUNCTIONS))


def test_alarms_watch_the_tasks_of_containers(synthesise: Synthesise) -> None:
    alarm = {
        "MetricName": "RunningTaskCount",
        "ComparisonOperator": "LessThanThreshold",
        "Threshold": 1,
        "TreatMissingData": "breaching",
    }
    template = synthesise("large")
    template.resource_properties_count_is(ALARM, alarm, len(FUNCTIONS))
    template.resource_properties_count_is(ALARM, {"MetricName": "Errors"}, 0)


def test_alarms_watch_the_database(synthesise: Synthesise) -> None:
    template = synthesise()
    for metric, threshold in (
        ("ServerlessDatabaseCapacity", 1.8),
        ("DatabaseConnections", 320),
    ):
        alarm = {"MetricName": metric, "Threshold": threshold}
        template.resource_properties_count_is(ALARM, alarm, 1)


def test_email_gets_the_alarms(synthesise: Synthesise) -> None:
    template = synthesise("small")
    topic = Match.string_like_regexp(":test-small-alarms$")
    actions = [{"Fn::Join": ["", Match.array_with([topic])]}]
    template.all_resources_properties(
        ALARM, {"AlarmActions": actions, "OKActions": actions}
    )
    subscription = {"Protocol": "email", "Endpoint": "alarms@example.com"}
    template.has_resource_properties("AWS::SNS::Subscription", subscription)
    [policy] = template.find_resources("AWS::SNS::TopicPolicy").values()
    statements = policy["Properties"]["PolicyDocument"]["Statement"]
    allowed = [each for each in statements if each["Effect"] == "Allow"]
    assert [each["Principal"] for each in allowed] == [
        {"Service": "cloudwatch.amazonaws.com"},
        {"Service": "budgets.amazonaws.com"},
    ]


def test_given_topic_gets_the_alarms(synthesise: Synthesise) -> None:
    template = synthesise("large")
    topic = Match.array_with([":alarms"])
    actions = [{"Fn::Join": ["", topic]}]
    template.all_resources_properties(ALARM, {"AlarmActions": actions})
    template.resource_count_is("AWS::SNS::Topic", 0)


def test_alarms_exist_without_recipients(synthesise: Synthesise) -> None:
    synthesise("lean").all_resources_properties(ALARM, {"AlarmActions": []})


def test_dashboard_is_named_after_the_environment(synthesise: Synthesise) -> None:
    dashboard = {"DashboardName": "test-small"}
    synthesise().has_resource_properties("AWS::CloudWatch::Dashboard", dashboard)


def test_budget_counts_the_costs_of_the_environment(synthesise: Synthesise) -> None:
    [budget] = synthesise().find_resources("AWS::Budgets::Budget").values()
    declared = budget["Properties"]["Budget"]
    assert declared["BudgetLimit"] == {"Amount": 100, "Unit": "USD"}
    assert declared["CostFilters"] == {"TagKeyValue": ["user:deployment$test-small"]}
    notifications = [
        each["Notification"]
        for each in budget["Properties"]["NotificationsWithSubscribers"]
    ]
    assert [each["Threshold"] for each in notifications] == [75, 100]


def test_undeclared_budget_does_not_exist(synthesise: Synthesise) -> None:
    synthesise("lean").resource_count_is("AWS::Budgets::Budget", 0)
