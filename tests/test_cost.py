"""`make cost` adds up the declarations, and the docs have its current numbers."""

import sys

import pytest

from baking import TEMPLATE, Project

sys.path.insert(0, str(TEMPLATE))

from tools import cost

from cost_table import PAGE, estimate, replace
from deploy_helpers import change_config


def costs(env: str, **defaults: object) -> dict[str, float]:
    """Return the costs of a new project's environment, in cents a month."""
    return {each.what: round(each.usd * 100) for each in estimate(env, defaults)}


def test_table_in_the_docs_is_current() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert replace(text) == text, "run python tests/cost_table.py"


def test_lambda_and_paused_database_cost_little_at_rest() -> None:
    assert costs("dev") == {
        "interface endpoints": 1460,  # one service in two zones
        "Aurora at its smallest size": 0,
        "the secrets of the database": 80,
        "alarms": 70,
        "a dashboard": 300,
    }


def test_each_declaration_has_its_price() -> None:
    container = costs("dev", runtime="container", internet=True, min_tasks=2)
    more = {
        name: cents for name, cents in container.items() if name not in costs("dev")
    }
    assert more == {
        "a NAT gateway with its address": 3650,
        "tasks of worker": 1802,  # 2 of 0.25 vCPU and 0.5 GiB
        "Container Insights": 750,
    }
    # the database, images, logs and queues
    assert container["interface endpoints"] == 5 * 1460
    assert costs("prod")["Aurora at its smallest size"] == 8760  # 2 of 0.5 ACU


@pytest.mark.parametrize(("capacity", "acus"), [(0.5, 8), (8, 16)])
def test_proxy_costs_eight_acus_or_its_cluster(capacity: float, acus: int) -> None:
    """The cluster of prod has two instances."""
    size = {"proxy": True, "min_capacity": capacity}
    [proxy] = [each for each in estimate("prod", {}, size) if each.what == "RDS Proxy"]
    assert proxy.usd == pytest.approx(730 * acus * 0.015)


def test_prices_have_region_and_date() -> None:
    found = cost.read_prices()
    assert found["region"] == "us-east-1"
    assert found["date"] in PAGE.read_text(encoding="utf-8")
    assert all(price > 0 for price in found["prices"].values())


@pytest.mark.parametrize(
    ("region", "note"), [("us-east-1", ""), ("eu-west-1", "Prices in eu-west-1 may")]
)
def test_target_prints_the_sum(baked: Project, region: str, note: str) -> None:
    if note:
        pollers = {"provisioned_pollers": {"min": 2, "max": 3}}
        change_config(baked, lambda config: config["functions"].update(worker=pollers))
    output = baked.make("cost", "ENV=dev", env={"AWS_REGION": region}).stdout
    assert ("Without the provisioned pollers of worker" in output) is bool(note)
    assert "     19.10  together\n" in output
    assert note in output
    assert ("may differ" in output) is bool(note)


def test_shim_costs_nothing(baked: Project) -> None:
    assert "The shim costs nothing" in baked.make("cost").stdout
