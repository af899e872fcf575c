"""The rules of `config/deploy.yml` that a JSON Schema cannot express.

They compare values with each other, with `src/func/` and with what AWS has. Those of a
function's settings in one environment are in `function_rules`.
"""

import ipaddress
import math
import re
from collections.abc import Iterator
from functools import cache
from zoneinfo import available_timezones

from tools import function_rules, monitoring, schedules
from tools.errors import suggest
from tools.setting_layers import Config, list_layers, list_places, locate, merge
from tools.yaml_document import Document, Path, join, show

Problem = tuple[Path, str]  # the path of a value, and what is wrong with it

# The setting that a key goes with, and its values that it is for.
ONLY_WITH = {
    "prefix": ("trigger", ("bucket",)),
    "suffix": ("trigger", ("bucket",)),
    "schedule": ("trigger", ("schedule",)),
    "timezone": ("trigger", ("schedule",)),
    "topic": ("trigger", ("topic",)),
    "fifo": ("trigger", ("queue", "topic")),
    "release": ("runtime", ("lambda",)),
}
PRIVATE = [
    *map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
]
# Zones that every account and Lambda can use, where it is not three of them. Older
# accounts have another one in us-west-1 and ap-northeast-1. The stacks leave out the
# sixth of us-east-1, use1-az3, because Lambda has no capacity left in it.
# https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html
ZONES = {"us-east-1": 5, "us-west-2": 4, "ap-northeast-2": 4, "us-west-1": 2}
# Numbers that mean to YAML what they mean to you.
PLAIN = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)(e[-+]?[0-9]+)?", re.I)
PLACEHOLDERS = ("partition", "region", "account", "prefix")


def find_problems(
    document: Document, functions: list[str], region: str
) -> Iterator[Problem]:
    """Yield what is wrong in a file that its JSON Schema allows.

    Args:
        document: the file.
        functions: names of the functions in `src/func/`.
        region: where the project is deployed.
    """
    config: Config = document.content
    yield from _check_texts((), config)
    yield from _check_names(config, functions)
    for env, settings in config["environments"].items():
        yield from _check_environment(("environments", env), settings or {}, region)
    for path, settings in _list_entries(config):
        yield from _check_entry(document, path, settings, functions)
    for function in functions:
        yield from _check_only_with(config, function)
    for env in config["environments"]:
        for function in functions:
            yield from function_rules.find_problems(config, env, function)
            yield from _check_pollers(config, env, function)
        yield from _check_topics(config, env, functions)


def find_misread_numbers(document: Document) -> Iterator[Problem]:
    """Yield numbers that are others in YAML, such as 060, 1:30, 0x20 and 1_000.

    Values of environment variables are left to `find_problems`.
    """
    yield from _check_numbers(document, (), document.content, set())


def _check_numbers(
    document: Document, path: Path, value: object, seen: set[int]
) -> Iterator[Problem]:
    if isinstance(value, dict | list) and path[-1:] != ("environment",):
        if id(value) in seen:  # an alias, perhaps of what it is in
            return
        seen.add(id(value))
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in items:
            yield from _check_numbers(document, (*path, key), each, seen)
    if type(value) in (int, float) and math.isfinite(value):  # type: ignore[arg-type]
        source = document.find_source(path)
        if not PLAIN.fullmatch(source):
            yield (
                path,
                f"{join(path)} is {source}, which is {value} in YAML: use decimal "
                "digits without a leading 0, or quotes if it is text",
            )


def _check_texts(path: Path, value: object) -> Iterator[Problem]:
    """Check that texts have one line, except values of environment variables."""
    if isinstance(value, dict | list) and path[-1:] != ("environment",):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in items:
            yield from _check_texts((*path, key), each)
    if isinstance(value, str) and re.search(r"[\x00-\x1f\x7f]", value):
        yield path, f"{join(path)} has a line break or a control character: remove it"


def _check_names(config: Config, functions: list[str]) -> Iterator[Problem]:
    for path, place in list_places(config):
        for name in place.get("functions") or {}:
            if name not in functions:
                yield (
                    (*path, "functions", name),
                    f"there is no src/func/{name}.py: {suggest(name, functions)}",
                )


def _check_environment(path: Path, own: Config, region: str) -> Iterator[Problem]:
    size = own.get("database") or {}
    if path[-1] == "local":
        existing = {"network": own, "bucket": own, "database.host": size}
        for key, place in existing.items():
            if key.rpartition(".")[2] in place:
                yield (
                    (*path, *key.split(".")),
                    f"{join(path)}.{key} is for environments on AWS: remove it, "
                    "because the shim has its own resources",
                )
    if "cidr" in own and (problem := _find_cidr_problem(own["cidr"])):
        yield (*path, "cidr"), f"{join(path)}.cidr is {own['cidr']}: {problem}"
    most = ZONES.get(region, 3)
    if own.get("zones", 0) > most:
        yield (
            (*path, "zones"),
            f"{join(path)}.zones is {own['zones']}: use {most} or less, because "
            f"{region} has {most} that every account and Lambda can use",
        )
    if "host" in size and "network" not in own:
        yield (
            (*path, "database", "host"),
            f"{join(path)}.database.host names an existing database, which a new "
            "network does not reach: add network",
        )
    if "budget" in own and "alarms" not in own:
        yield (
            (*path, "budget"),
            f"{join(path)}.budget notifies no one: add {monitoring.RECIPIENT} to "
            f"{join(path)}",
        )
    if size.get("proxy") and not size.get("min_capacity"):
        yield (
            (*path, "database", "proxy"),
            f"{join(path)}.database.proxy is true: use a min_capacity of 0.5 or more, "
            "because a proxy keeps connections open and the database never pauses",
        )
    if size.get("min_capacity", 0) > size.get("max_capacity", 256):
        yield (
            (*path, "database", "min_capacity"),
            f"{join(path)}.database.min_capacity is {size['min_capacity']}: use "
            f"max_capacity, which is {size['max_capacity']}, or less",
        )


def _find_cidr_problem(text: str) -> str:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return "use four numbers from 0 to 255, such as 10.0.0.0/16"
    if str(network) != text:
        return f"use {network}, where this network begins"
    if not any(network.subnet_of(each) for each in PRIVATE):  # type: ignore[arg-type]
        return "use a private range: in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"
    return ""


def _list_entries(config: Config) -> list[tuple[Path, Config]]:
    """Return path and content of each place that holds settings of functions."""
    found: list[tuple[Path, Config]] = []
    for path, place in list_places(config):
        found.append(((*path, "defaults"), place.get("defaults") or {}))
        for name, settings in (place.get("functions") or {}).items():
            found.append(((*path, "functions", name), settings or {}))
    return found


def _check_entry(
    document: Document, path: Path, settings: Config, functions: list[str]
) -> Iterator[Problem]:
    """Check the values of one place, whichever environments they are for."""
    for key, find_problem in (
        ("schedule", schedules.find_problem),
        ("timezone", _find_timezone_problem),
    ):
        if key in settings and (problem := find_problem(settings[key])):
            place = (*path, key)
            yield place, f"{join(place)} is {show(settings[key])}: {problem}"
    for index, receiver in enumerate(settings.get("sends_to", [])):
        if receiver not in functions:
            yield (
                (*path, "sends_to", index),
                f"{join(path)}.sends_to names {receiver}, but there is no "
                f"src/func/{receiver}.py: {suggest(receiver, functions)}",
            )
    for key in ("prefix", "suffix", "reads", "writes", "allow"):
        yield from _check_characters((*path, key), settings.get(key))
    yield from _check_variables(document, path, settings.get("environment", {}))
    topic = settings.get("topic", "")
    yield from _check_placeholders((*path, "topic"), topic)
    if topic == monitoring.TOPIC:
        yield (
            (*path, "topic"),
            f"{join(path)}.topic is {topic}, which the project's alarms are sent to: "
            "use another name",
        )
    for index, each in enumerate(settings.get("allow", [])):
        for number, resource in enumerate(each["resources"]):
            place = (*path, "allow", index, "resources", number)
            yield from _check_placeholders(place, resource)


def _check_characters(path: Path, value: object) -> Iterator[Problem]:
    """Check that texts have only characters that a policy of IAM may have.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePolicy.html
    """
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in items:
            yield from _check_characters((*path, key), each)
    if isinstance(value, str) and (found := re.search(r"[^\x20-\xff]", value)):
        yield (
            path,
            f"{join(path)} has the character U+{ord(found[0]):04X}: use U+0020 to "
            "U+00FF, because policies of IAM accept no others",
        )


def _find_timezone_problem(zone: str) -> str:
    known = _list_timezones()
    if zone == "UTC" or not known or zone in known:
        return ""
    return suggest(zone, known, "Europe/Vienna")


@cache
def _list_timezones() -> list[str]:
    """Return the names of all time zones, none if this machine does not know them.

    Two files of the machine's time zones are none: its own zone and that of no place.
    """
    return sorted(available_timezones() - {"localtime", "Factory"})


def _check_variables(
    document: Document, path: Path, environment: Config
) -> Iterator[Problem]:
    """Check that no number becomes another text, as 1.10, 0777 and 1_000 would."""
    for variable, value in environment.items():
        place = (*path, "environment", variable)
        source = document.find_source(place)
        if not isinstance(value, str) and str(value) != source:
            yield place, f"{join(place)} is {source}: write it in quotes"


def _check_placeholders(place: Path, text: str) -> Iterator[Problem]:
    for word in re.findall(r"\{(.*?)\}", text):
        if word not in PLACEHOLDERS:
            remedy = suggest(word, PLACEHOLDERS)
            yield place, f"{join(place)}: there is no placeholder {word}: {remedy}"


def _check_only_with(config: Config, function: str) -> Iterator[Problem]:
    """Check that keys go with the trigger and the runtime of the function.

    Those that all environments share need it in one environment only: a function may
    have a schedule in production and none elsewhere.
    """
    own = {env: merge(config, env, function) for env in config["environments"]}
    everywhere = (merge(config, "", function), *own.values())
    for env, settings in own.items():
        for path, layer in list_layers(config, env, function):
            if "functions" not in path:
                continue
            places = [settings] if "environments" in path else everywhere
            for key, (other, allowed) in ONLY_WITH.items():
                if layer.get(key) and not {each[other] for each in places} & {*allowed}:
                    yield (
                        (*path, key),
                        f"{join((*path, key))} is only for {other} "
                        f"{' or '.join(allowed)}, but the {other} is "
                        f"{settings[other]}: remove it, or change the {other}",
                    )


def _check_pollers(config: Config, env: str, function: str) -> Iterator[Problem]:
    """Check that provisioned pollers replace `max_concurrency`, as Lambda demands.

    That of the defaults does not count.
    """
    if "provisioned_pollers" not in merge(config, env, function):
        return
    for path, layer in list_layers(config, env, function):
        if "functions" in path and "max_concurrency" in layer:
            yield (
                (*path, "max_concurrency"),
                f"{join((*path, 'max_concurrency'))} does not go with "
                f"provisioned_pollers ({function} in {env}): remove one of them, and "
                "limit a function with pollers by reserved_concurrency",
            )


def _check_topics(config: Config, env: str, functions: list[str]) -> Iterator[Problem]:
    """Check that a topic of the project is FIFO for all of its functions or none."""
    first: dict[str, tuple[str, bool]] = {}
    for function in functions:
        settings = merge(config, env, function)
        topic = settings.get("topic", "")
        if settings["trigger"] != "topic" or topic.startswith("arn:"):
            continue
        other, fifo = first.setdefault(topic, (function, settings["fifo"]))
        if fifo != settings["fifo"]:
            path = locate(config, env, function, "fifo")
            yield (
                path,
                f"the topic {topic} is FIFO for only one of {other} and {function} in "
                f"{env}: write the same fifo for both",
            )
