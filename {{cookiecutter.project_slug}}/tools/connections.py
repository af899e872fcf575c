"""Compare the connections that functions may open with what the database accepts.

A function opens one connection for each message that it processes at the same time.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import yaml

from tools.project import ROOT
from tools.setting_layers import Config

# Connections that Aurora Serverless v2 accepts, by `max_capacity`.
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html#aurora-serverless-v2.max-connections
ACCEPTED = {
    "mysql": {
        **{1: 90, 4: 135, 8: 1000, 16: 2000, 32: 3000, 64: 4000, 128: 5000},
        **{192: 6000, 256: 6000},
    },
    "postgres": {1: 189, 4: 823, 8: 1669, 16: 3360, 32: 5000, 256: 5000},
}
# With `min_capacity` below 1, PostgreSQL accepts no more than this.
ACCEPTED_AT_LOW_CAPACITY = 2000
# Batches that an event poller runs at the same time.
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
BATCHES_PER_POLLER = 10


def find_problem(spec: Config, engine: str) -> str:
    """Return a warning if functions may open more connections than there are, else "".

    The limit of an existing database is unknown, and a proxy lets functions wait.

    Args:
        spec: see `function_specs.resolve`.
        engine: mysql or postgres.
    """
    size = spec["settings"].get("database") or {}
    if "max_capacity" not in size or size.get("proxy"):
        return ""
    counts = {
        name: count(name, each)
        for name, each in spec["functions"].items()
        if each["database"]
    }
    total, accepted = sum(counts.values()), count_accepted(size, engine)
    if total <= accepted:
        return ""
    listed = ", ".join(f"{name} {number}" for name, number in counts.items())
    return (
        f"Warning: functions may open {total} connections ({listed}), but the database "
        f"of {spec['prefix'][:-1]} accepts {accepted} with max_capacity "
        f"{size['max_capacity']}: lower max_concurrency, max_tasks or workers, raise "
        "max_capacity, or write proxy: true below database."
    )


def count(name: str, settings: Config) -> int:
    """Return how many connections a function may open.

    Args:
        name: of the function.
        settings: its settings in an environment.
    """
    if settings["runtime"] == "container":
        return int(settings["max_tasks"]) * count_workers(name, settings)
    pollers = settings.get("provisioned_pollers")
    if not pollers:
        return int(settings["max_concurrency"])
    most = int(pollers["max"]) * BATCHES_PER_POLLER
    reserved = settings["reserved_concurrency"]
    return most if reserved < 0 else min(most, reserved)


def count_workers(name: str, settings: Config) -> int:
    """Return how many messages a container of a function processes at the same time."""
    if settings["fifo"]:
        return 1
    if "WORKERS" in settings["environment"]:
        return int(settings["environment"]["WORKERS"])
    path = ROOT / "config" / f"{name}.yml"
    own = yaml.safe_load(path.read_bytes()) if path.exists() else None
    return int((own or {}).get("workers", 1))


def count_accepted(size: Mapping[str, Any], engine: str) -> int:
    """Return how many connections a cluster accepts.

    Between the sizes that AWS lists, MySQL accepts what the next smaller one does.
    PostgreSQL's limit is proportional to its memory.

    Args:
        size: the cluster's settings in `config/deploy.yml`.
        engine: mysql or postgres.
    """
    most, known = size["max_capacity"], ACCEPTED[engine]
    found = max(limit for capacity, limit in known.items() if capacity <= most)
    if engine == "mysql":
        return found
    for (low, few), (high, many) in pairwise(known.items()):
        if low <= most < high:
            found = int(few + (many - few) * (most - low) / (high - low))
    is_small = size["min_capacity"] < 1
    return min(found, ACCEPTED_AT_LOW_CAPACITY) if is_small else found
