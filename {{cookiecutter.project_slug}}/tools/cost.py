"""Estimate what an environment costs at rest, from its declarations."""

import os
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import yaml

from tools import function_specs
from tools.project import ROOT, answers

PRICES = ROOT / "tools" / "prices.yml"
HOURS = 730  # in a month
# Metrics of Container Insights, about: of a cluster, and of each of its services.
CLUSTER_METRICS, SERVICE_METRICS = 10, 15
PROXY_ACUS = 8  # that a proxy costs at least


class Item(NamedTuple):
    """What costs money each month, and how much of it there is, if that differs."""

    what: str
    usd: float
    size: str = ""


def show(env: str) -> int:
    """Print what an environment costs in a month without traffic; return 0.

    Args:
        env: an environment of `config/deploy.yml`.

    Raises:
        UserError: there is no such environment, or the file is wrong.
    """
    if env == "local":
        print("The shim costs nothing: choose an environment on AWS, as in ENV=dev.")
        return 0
    spec = function_specs.resolve(env)
    items = estimate(spec)
    items.append(Item("together", sum(each.usd for each in items)))
    for each in items:
        detail = f" ({each.size})" if each.size else ""
        print(f"{each.usd:10,.2f}  {each.what}{detail}")
    print(f"\nUS dollars a month of {HOURS} hours, {describe_prices()}.")
    if provisioned := find_provisioned(spec):
        print(
            f"Without the provisioned pollers of {', '.join(provisioned)}, which cost "
            "money by the hour: see https://aws.amazon.com/lambda/pricing/."
        )
    region = os.environ.get("AWS_REGION") or answers().aws_region
    if region != read_prices()["region"]:
        print(f"Prices in {region} may differ, so this is only an estimate.")
    return 0


def find_provisioned(spec: Mapping[str, Any]) -> list[str]:
    """Return the names of the Lambdas with provisioned pollers."""
    return [
        name
        for name, each in spec["functions"].items()
        if each["runtime"] == "lambda" and each.get("provisioned_pollers")
    ]


def estimate(spec: Mapping[str, Any]) -> list[Item]:
    """Return what an environment on AWS costs in a month without traffic.

    Lambda, SQS, S3, ECR and logs cost something with traffic only.

    Args:
        spec: see `function_specs.resolve`.
    """
    prices: dict[str, float] = read_prices()["prices"]
    return [
        *_price_network(spec, prices),
        *_price_database(spec["settings"].get("database") or {}, prices),
        *_price_containers(spec, prices),
        *_price_monitoring(spec["monitoring"], prices),
    ]


@cache
def read_prices() -> dict[str, Any]:
    """Return the content of `tools/prices.yml`: `region`, `date` and `prices`."""
    found: dict[str, Any] = yaml.safe_load(PRICES.read_text(encoding="utf-8"))
    return found


def describe_prices() -> str:
    """Return where and when the prices are from."""
    found = read_prices()
    return (
        f"without traffic and tax, at list prices of {found['region']} in "
        f"{found['date']} (tools/prices.yml)"
    )


def _price_network(
    spec: Mapping[str, Any], prices: Mapping[str, float]
) -> Iterator[Item]:
    if spec["network"]:  # it is there anyway
        return
    zones, services = spec["settings"].get("zones", 0), spec["endpoints"]
    if zones and services:
        usd = HOURS * zones * len(services) * prices["interface_endpoint"]
        yield Item("interface endpoints", usd, f"{zones} zones: {', '.join(services)}")
    if zones and spec["uses_internet"]:
        hourly = prices["nat_gateway"] + prices["public_address"]
        yield Item("a NAT gateway with its address", HOURS * hourly)


def _price_database(
    size: Mapping[str, Any], prices: Mapping[str, float]
) -> Iterator[Item]:
    if "instances" not in size:  # the environment has no cluster of its own
        return
    instances, smallest = size["instances"], size["min_capacity"]
    usd = HOURS * instances * smallest * prices["acu"]
    of_size = f"{smallest:g} ACU" if smallest else "0 ACU, paused"
    yield Item("Aurora at its smallest size", usd, f"{instances} of {of_size}")
    yield Item("the secrets of the database", 2 * prices["secret"])
    if size.get("proxy"):
        acus = max(PROXY_ACUS, instances * smallest)
        yield Item("RDS Proxy", HOURS * acus * prices["proxy_acu"], f"{acus:g} ACU")


def _price_containers(
    spec: Mapping[str, Any], prices: Mapping[str, float]
) -> Iterator[Item]:
    architecture = spec["architecture"]
    vcpu, memory = (prices[f"{each}_{architecture}"] for each in ("vcpu", "memory"))
    services = 0
    for name, each in spec["functions"].items():
        if each["runtime"] == "container":
            services += 1
            cpus, gigabytes = each["cpu"] / 1024, each["memory"] / 1024
            hourly = each["min_tasks"] * (cpus * vcpu + gigabytes * memory)
            size = f"{each['min_tasks']} of {cpus:g} vCPU and {gigabytes:g} GiB"
            yield Item(f"tasks of {name}", HOURS * hourly, size)
    if services:
        metrics = CLUSTER_METRICS + SERVICE_METRICS * services
        usd = metrics * prices["metric"]
        yield Item("Container Insights", usd, f"about {metrics} metrics")


def _price_monitoring(
    monitoring: Mapping[str, Any], prices: Mapping[str, float]
) -> Iterator[Item]:
    number = len(monitoring["alarms"])
    yield Item("alarms", number * prices["alarm"], str(number))
    yield Item("a dashboard", prices["dashboard"])
