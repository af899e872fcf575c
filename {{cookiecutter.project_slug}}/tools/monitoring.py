"""What watches an environment: its alarms and whom they notify, dashboard and budget.

`config/deploy.yml` declares the recipients, so that each deployment sets the same ones,
from CI or from your machine.
"""

import sys
from collections.abc import Mapping
from typing import Any

from tools import alarms, dashboard, grants

Config = dict[str, Any]

TOPIC = "alarms"  # the project's own topic, and so no topic of a function
COST_TAG = "deployment"  # of all resources; its value is project and environment
RECIPIENT = "alarms: {email: team@example.com}"  # an example
ALERT_AT = 80  # percent of a budget
# The shim has no metrics and costs nothing, so there is nothing to watch.
NOTHING: Config = {
    **{"alarms": [], "actions": [], "topics": [], "budgets": []},
    "dashboard": "",
}


def describe(
    settings: Mapping[str, Any],
    functions: Mapping[str, Config],
    prefix: str,
    bucket: str,
    engine: str,
) -> Config:
    """Return what the stack `monitoring` of an environment on AWS has.

    Args:
        settings: of the environment, with `{prefix}` replaced.
        functions: settings of each function, see `function_specs.resolve`.
        prefix: of all names.
        bucket: name of the bucket.
        engine: mysql or postgres.

    Returns:
        `alarms` (see `alarms.list_alarms`), `actions` (ARNs of topics that they
        notify), `topics` (the project's own, if any, with `name`, `arn`, `email` and
        the `statements` of its policy), `dashboard` (its JSON) and `budgets` (the
        declared one, if any, see `_describe_budget`).
    """
    size = settings.get("database") or {}
    if "host" in size:  # another team watches it
        size = {}
    declared = settings.get("alarms") or {}
    topics = []
    if "email" in declared:
        arn = grants.make_arn("sns", f"{prefix}{TOPIC}")
        topics.append(
            {
                "name": f"{prefix}{TOPIC}",
                "arn": arn,
                "email": declared["email"],
                "statements": grants.list_notifiers(arn, prefix),
            }
        )
    actions = [each["arn"] for each in topics]
    if "topic" in declared:
        actions.append(declared["topic"])
    watched = alarms.list_alarms(functions, prefix, size, engine)
    budget = settings.get("budget")
    return {
        "alarms": watched,
        "actions": actions,
        "topics": topics,
        "dashboard": dashboard.make_body(functions, prefix, bucket, size, watched),
        "budgets": [_describe_budget(budget, prefix)] if budget else [],
    }


def warn_if_silent(env: str, described: Mapping[str, Any]) -> None:
    """Print a sentence if the alarms of an environment notify no one."""
    if described["alarms"] and not described["actions"]:
        print(
            f"No one gets the alarms of {env}: add "
            f"{RECIPIENT} to environments.{env} in config/deploy.yml.",
            file=sys.stderr,
            flush=True,
        )


def _describe_budget(budget: Mapping[str, Any], prefix: str) -> Config:
    """Return a budget's name, limit in USD, filter by tag, and notifications.

    A notification has a `type`, of what was or what will have been spent, and a
    `threshold` in percent of the limit.

    See https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_Budget.html
    """
    return {
        "name": prefix[:-1],
        "limit": f"{budget['monthly_usd']:g}",
        "tag": f"user:{COST_TAG}${prefix[:-1]}",
        "notifications": [
            {"type": "ACTUAL", "threshold": budget.get("alert_at", ALERT_AT)},
            {"type": "FORECASTED", "threshold": 100},
        ],
    }
