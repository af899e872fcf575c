"""Alarms and whom they notify, dashboard and budget; see tools/monitoring.py."""

from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.deployment import Deployment, add_output


def add_resources(stack: Stack, deployment: Deployment) -> None:
    """Add the topic for alarms, if any, and what notifies it; and the dashboard."""
    monitoring = deployment.spec["monitoring"]
    topics = [add_topic(stack, topic) for topic in monitoring["topics"]]
    scope = Construct(stack, "alarm")
    actions = monitoring["actions"]
    notifiers = [
        *(add_alarm(scope, alarm, actions) for alarm in monitoring["alarms"]),
        *(add_budget(stack, budget, actions) for budget in monitoring["budgets"]),
    ]
    for notifier in notifiers:
        for topic in topics:
            notifier.add_resource_dependency(topic)
    cloudwatch.CfnDashboard(
        stack,
        "dashboard",
        dashboard_name=deployment.prefix,
        dashboard_body=monitoring["dashboard"],
    )
    names = [alarm["name"] for alarm in monitoring["alarms"]]
    add_output(stack, "Alarms", "Names of the alarms", names)


def add_topic(stack: Stack, topic: dict[str, Any]) -> sns.CfnTopicPolicy:
    """Add the project's own topic, which sends e-mail; return its policy."""
    own = sns.CfnTopic(stack, "topic", topic_name=topic["name"])
    policy = sns.CfnTopicPolicy(
        stack,
        "policy",
        topics=[own.ref],
        policy_document={"Version": "2012-10-17", "Statement": topic["statements"]},
    )
    sns.CfnSubscription(
        stack, "email", topic_arn=own.ref, protocol="email", endpoint=topic["email"]
    )
    return policy


def add_alarm(
    scope: Construct, alarm: dict[str, Any], topics: list[str]
) -> cloudwatch.CfnAlarm:
    """Add an alarm that notifies topics, also when all is well again."""
    return cloudwatch.CfnAlarm(
        scope,
        alarm["name"],
        alarm_name=alarm["name"],
        alarm_description=alarm["description"],
        namespace=alarm["namespace"],
        metric_name=alarm["metric"],
        dimensions=[
            cloudwatch.CfnAlarm.DimensionProperty(name=name, value=value)
            for name, value in alarm["dimensions"].items()
        ],
        statistic=alarm["statistic"],
        period=alarm["period"],
        evaluation_periods=alarm["periods"],
        datapoints_to_alarm=alarm["datapoints"],
        comparison_operator=alarm["operator"],
        threshold=alarm["threshold"],
        treat_missing_data=alarm["missing"],
        alarm_actions=topics,
        ok_actions=topics,
    )


def add_budget(
    stack: Stack, budget: dict[str, Any], topics: list[str]
) -> budgets.CfnBudget:
    """Add a monthly budget that notifies topics."""
    own = budgets.CfnBudget
    subscribers = [
        own.SubscriberProperty(subscription_type="SNS", address=topic)
        for topic in topics
    ]
    return own(
        stack,
        "budget",
        budget=own.BudgetDataProperty(
            budget_name=budget["name"],
            budget_type="COST",
            time_unit="MONTHLY",
            budget_limit=own.SpendProperty(amount=float(budget["limit"]), unit="USD"),
            cost_filters={"TagKeyValue": [budget["tag"]]},
        ),
        notifications_with_subscribers=[
            own.NotificationWithSubscribersProperty(
                notification=own.NotificationProperty(
                    notification_type=each["type"],
                    comparison_operator="GREATER_THAN",
                    threshold=each["threshold"],
                    threshold_type="PERCENTAGE",
                ),
                subscribers=subscribers,
            )
            for each in budget["notifications"]
        ],
    )
