"""Write the table of costs in the project's docs/deploying.md."""

import copy
import re
import sys
from typing import Any
from unittest.mock import patch

from baking import TEMPLATE

sys.path.insert(0, str(TEMPLATE))

from tools import cost, deploy_config, function_specs, project

PAGE = TEMPLATE / "docs" / "deploying.md"
TABLE = re.compile(r"(?<=<!-- costs -->\n).*?(?=\n<!-- end of costs -->)", re.S)
# A new project's environments, and one whose function is a container on the internet.
COLUMNS = {
    "dev": ("dev", {}),
    "prod": ("prod", {}),
    "dev, with `runtime: container` and `internet: true`": (
        "dev",
        {"runtime": "container", "internet": True},
    ),
}


def estimate(
    env: str, defaults: dict[str, Any], database: dict[str, Any] | None = None
) -> list[cost.Item]:
    """Return the costs of a new project's environment with other settings."""
    answers = project.Answers("shop", "eu-west-1", "terraform", "postgres")
    with (
        patch.object(project, "answers", lambda: answers),
        patch.object(function_specs, "answers", lambda: answers),
    ):
        config = copy.deepcopy(deploy_config.load())
        config["defaults"] |= defaults
        config["environments"][env]["database"] |= database or {}
        with patch.object(deploy_config, "load", lambda _: config):
            items: list[cost.Item] = cost.estimate(function_specs.resolve(env))
            return items


def write(item: cost.Item | None) -> str:
    """Return the cell of a column that has an item, or lacks it."""
    if item is None:
        return ""
    return f"${item.usd:,.2f}" + (f" ({item.size})" if item.size else "")


def make_table() -> str:
    """Return the table as Markdown, with a sentence on its prices."""
    columns = [{each.what: each for each in estimate(*one)} for one in COLUMNS.values()]
    items = list(dict.fromkeys(name for column in columns for name in column))
    rows = [["item", *COLUMNS], ["---"] * (1 + len(columns))]
    rows += [[item, *(write(each.get(item)) for each in columns)] for item in items]
    sums = [sum(each.usd for each in column.values()) for column in columns]
    rows.append(["**together**", *(f"**${each:,.2f}**" for each in sums)])
    lines = [f"US dollars a month, {cost.describe_prices()}:", ""]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def replace(text: str) -> str:
    """Return the page with the current table."""
    return TABLE.sub(lambda _: make_table(), text)


if __name__ == "__main__":
    PAGE.write_text(replace(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
