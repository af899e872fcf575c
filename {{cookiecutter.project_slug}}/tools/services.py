"""Revisions of task definitions: what the services of containers run, and have run.

ECS runs active revisions only, so neither IaC tool deregisters earlier ones, and
`make rollback` can return to it within seconds. What was rolled back has a tag. So the
next deploy knows about it, on whichever machine it runs.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple

from tools import build, managed_policies
from tools.counts import count
from tools.deploy_config import Config
from tools.environment import Environment, client
from tools.errors import UserError

KEPT = 10  # revisions of a function, and the one that runs
TAG = "rolled_back"  # Terraform's provider ignores it, see infra/provider.tf
ROLLED_BACK = "make rollback"
UNUSED = "not in use"  # when something else was deployed, or after a failed start
# What `register_task_definition` accepts of what `describe_task_definition` returns.
TASK_FIELDS = (
    *("family", "taskRoleArn", "executionRoleArn", "networkMode", "cpu", "memory"),
    *("containerDefinitions", "volumes", "placementConstraints", "runtimePlatform"),
    *("requiresCompatibilities", "ephemeralStorage", "pidMode", "ipcMode"),
)
# Variables that a task has besides those that `config/deploy.yml` leads to.
OWN_VARIABLES = {
    *("READ_QUEUE", "FUNCTION_NAME", "AWS_REGION", "GRACE"),
    *("DB_HOST", "DB_PORT", "DB_CA"),
}
BATCH = 10  # services that `describe_services` accepts
SECONDS, POLL_SECONDS = 900, 5  # of waiting for new tasks


class Revision(NamedTuple):
    """An active revision of a task definition.

    Attributes:
        arn: of the revision.
        fields: what would register it again.
        tags: its tags, without `TAG`.
        mark: value of `TAG`, or empty.
    """

    arn: str
    fields: Config
    tags: list[dict[str, str]]
    mark: str

    @property
    def number(self) -> int:
        """The last part of the ARN."""
        return read_number(self.arn)


def roll_back(environment: Environment, name: str, version: str) -> str:
    """Let a function's service run an earlier revision; return what ran and what runs.

    The tags come first: whenever this is killed, the next deploy knows about it.

    Without a version, this undoes the last release. Doing that again changes nothing,
    so a rollback that was killed, or that two people begin, goes back only once.

    Args:
        environment: an environment on AWS, which has been entered.
        name: the function.
        version: number of a revision, also of a later one; empty for the last one
            that ran and differs from the one that runs.

    Raises:
        UserError: there is no such service or revision, or its tasks do not start.
    """
    old = find_service(environment, name)["taskDefinition"]
    arns = list_revisions(environment, name)
    undone = None if version else _find_undone(arns, old)
    new = describe(old) if undone else _find(environment, name, arns, version, old)
    if new.number < read_number(old):
        _mark(old, ROLLED_BACK)
    if new.mark:
        _unmark(new.arn)
    if new.arn != old:
        _update(environment, name, new.arn)
        print(
            f"{name}: ECS starts tasks of revision {new.number}, and then stops those "
            f"of revision {read_number(old)}. Ctrl-C ends the waiting only.",
            flush=True,
        )
    try:
        _wait(environment, name, new.arn)
    except UserError:
        current = find_service(environment, name)["taskDefinition"]
        if current != new.arn:  # else it still starts
            _unmark(current)
            _mark(new.arn, UNUSED)
        raise
    if undone:
        return (
            f"{name} runs revision {new.number} already, since revision "
            f"{undone.number} was rolled back: to go back further, name a "
            "revision with VERSION="
        )
    if new.arn == old:
        return f"{name} runs revision {new.number} already"
    return (
        f"{name} ran revision {read_number(old)}, and runs revision {new.number} now. "
        "Deployments keep it until the code or settings change"
    )


def find_kept(environment: Environment) -> dict[str, str]:
    """Return the revisions that services keep, by function, and say why.

    A deploy would release the same code and settings that were rolled back.

    Args:
        environment: an environment on AWS, which has been entered and built for.
    """
    kept = {}
    for name, running in find_running(environment, _containers(environment)).items():
        for held in _list_rolled_back(environment, name):
            if not is_declared(environment, name, held):
                continue
            is_newer = held.number > read_number(running)
            if is_newer or not is_declared(environment, name, describe(running)):
                print(f"{explain(environment, name, running, held)}.", flush=True)
                kept[name] = running
                break
    return kept


def find_same(environment: Environment, name: str, fields: Config) -> Revision | None:
    """Return the revision with certain fields that was rolled back, if there is one."""
    held = _list_rolled_back(environment, name)
    return next((each for each in held if each.fields == fields), None)


def explain(environment: Environment, name: str, running: str, held: Revision) -> str:
    """Return why a service keeps its revision, and what to do about it."""
    return (
        f"{name} keeps revision {read_number(running)}, because revision "
        f"{held.number}, which was rolled back, has this code and these settings: "
        "change the code, or run it anyway with 'make rollback "
        f"FUNC={name} ENV={environment.name} VERSION={held.number}'"
    )


def mark_unused(environment: Environment) -> None:
    """Mark revisions newer than the one that runs, so that none is rolled back to.

    Their tasks did not start, and ECS went back by itself, or a deploy was stopped, or
    `make rollback VERSION=` has left them out. The one that runs has no mark: a
    rollback that was killed may have left one.
    """
    for name, running in find_running(environment, _containers(environment)).items():
        if describe(running).mark:
            _unmark(running)
        for arn in list_revisions(environment, name)[:KEPT]:
            if read_number(arn) > read_number(running) and not describe(arn).mark:
                _mark(arn, UNUSED)


def run_declared(environment: Environment, kept: Iterable[str]) -> None:
    """Let services run what was deployed, after `make sync`.

    CloudFormation does not notice that a service runs another revision, if the
    template is the same as at the last deployment.

    Args:
        environment: an environment on AWS, which has been deployed.
        kept: functions whose service keeps its revision, see `find_kept`.

    Raises:
        UserError: the tasks of a service do not start.
    """
    names = [each for each in _containers(environment) if each not in kept]
    for name, running in find_running(environment, names).items():
        current = describe(running)
        if current.mark:
            _unmark(running)  # a deploy ran it again
        if is_declared(environment, name, current):
            continue
        for arn in list_revisions(environment, name)[:KEPT]:
            found = describe(arn)
            # somebody may have rolled back meanwhile
            is_allowed = found.mark != ROLLED_BACK
            if is_allowed and is_declared(environment, name, found):
                if found.mark:
                    _unmark(arn)
                _update(environment, name, arn)
                _wait(environment, name, arn)
                print(f"{name} runs the image that was built again", flush=True)
                break


def deregister_old(environment: Environment) -> None:
    """Deregister old revisions, and all of functions without a service; print how many.

    The newest ones stay for `make rollback`.

    Args:
        environment: an environment on AWS, which has been deployed or destroyed.
    """
    ecs, prefix = client("ecs"), f"{environment.prefix}-"
    pages = ecs.get_paginator("list_task_definition_families").paginate(
        familyPrefix=prefix, status="ACTIVE"
    )
    found = [each.removeprefix(prefix) for page in pages for each in page["families"]]
    names = [name for name in found if "-" not in name]  # others are of other projects
    running = find_running(environment, names)
    for name in names:
        arns = list_revisions(environment, name)
        if not any(map(_is_of_a_function, arns[:1])):
            continue
        old = [arn for arn in arns[KEPT:] if arn != running.get(name)]
        if name not in running:
            old = arns
        for arn in old:
            ecs.deregister_task_definition(taskDefinition=arn)
        if old:
            done = count(len(old), "old task definition")
            print(f"deregistered {done} of {name}", flush=True)


def is_declared(environment: Environment, name: str, revision: Revision) -> bool:
    """Return whether a revision has the code that was built and the declared settings.

    What AWS adds, such as the database's host, does not count.
    """
    function, spec = environment.functions[name], environment.spec
    [container] = revision.fields["containerDefinitions"]
    tag = build.read_tag(name, spec["architecture"])
    declared = {**function["variables"], "READ_QUEUE": function["queue"]}
    if function["database"]:
        declared |= spec["database"]
    variables = {each["name"]: each["value"] for each in container["environment"]}
    names = variables.keys() - OWN_VARIABLES
    return (
        container["image"].rpartition(":")[2] == tag
        and revision.fields["cpu"] == str(function["cpu"])
        and revision.fields["memory"] == str(function["memory"])
        and names <= declared.keys()
        and _fill(environment, declared).items() <= variables.items()
    )


def find_service(environment: Environment, name: str) -> Config:
    """Return the description of a function's service.

    Raises:
        UserError: there is none.
    """
    found = _describe_services(environment, [name])
    if name not in found:
        cluster = environment.resource_name()
        raise environment.explain_missing(f"service {name} in the cluster {cluster}")
    return found[name]


def find_running(environment: Environment, names: Sequence[str]) -> dict[str, str]:
    """Return the ARN of the revision that each service runs, by function.

    Functions without a service are left out.
    """
    found = _describe_services(environment, names)
    return {name: each["taskDefinition"] for name, each in found.items()}


def list_revisions(environment: Environment, name: str) -> list[str]:
    """Return the ARNs of a function's active revisions, newest first."""
    pages = (
        client("ecs")
        .get_paginator("list_task_definitions")
        .paginate(familyPrefix=environment.resource_name(name), sort="DESC")
    )
    return [arn for page in pages for arn in page["taskDefinitionArns"]]


def describe(arn: str) -> Revision:
    """Return a revision."""
    found = client("ecs").describe_task_definition(taskDefinition=arn, include=["TAGS"])
    task = found["taskDefinition"]
    tags = {each["key"]: each["value"] for each in found.get("tags", [])}
    mark = tags.pop(TAG, "")
    return Revision(
        arn=arn,
        fields={field: task[field] for field in TASK_FIELDS if field in task},
        tags=[{"key": key, "value": value} for key, value in tags.items()],
        mark=mark,
    )


def read_number(arn: str) -> int:
    """Return the number of a revision."""
    return int(arn.rpartition(":")[2])


def _containers(environment: Environment) -> list[str]:
    functions = environment.functions.items()
    return [name for name, each in functions if each["runtime"] == "container"]


def _describe_services(
    environment: Environment, names: Sequence[str]
) -> dict[str, Config]:
    ecs, cluster = client("ecs"), environment.resource_name()
    found: dict[str, Config] = {}
    for first in range(0, len(names), BATCH):
        batch = list(names[first : first + BATCH])
        try:
            services = ecs.describe_services(cluster=cluster, services=batch)
        except ecs.exceptions.ClusterNotFoundException:
            return {}
        for each in services["services"]:
            if each["status"] == "ACTIVE":  # deleted ones are described, too
                found[each["serviceName"]] = each
    return found


def _is_of_a_function(arn: str) -> bool:
    """Return whether the stacks registered a revision, and not your own resources."""
    return any(
        variable["name"] == "READ_QUEUE"
        for container in describe(arn).fields["containerDefinitions"]
        for variable in container.get("environment", [])
    )


def _list_rolled_back(environment: Environment, name: str) -> Iterator[Revision]:
    """Yield the revisions that `make rollback` has replaced, newest first."""
    found = map(describe, list_revisions(environment, name)[:KEPT])
    return (each for each in found if each.mark == ROLLED_BACK)


def _find_undone(arns: Iterable[str], running: str) -> Revision | None:
    """Return a revision that was rolled back to an earlier one, which runs now."""
    newer = takewhile(lambda arn: read_number(arn) > read_number(running), arns)
    found = map(describe, newer)
    return next((each for each in found if each.mark == ROLLED_BACK), None)


def _find(
    environment: Environment, name: str, arns: Sequence[str], version: str, old: str
) -> Revision:
    """Return the revision that is to run.

    Raises:
        UserError: there is none.
    """
    numbers = [str(read_number(arn)) for arn in arns]
    if version in numbers:
        return describe(arns[numbers.index(version)])
    if version:
        raise UserError(
            f"there is no active revision {version} of {name}: choose one of "
            f"{', '.join(numbers) or 'none'}"
        )
    refused = [describe(old).fields]
    for found in map(describe, arns):
        if found.mark == ROLLED_BACK:
            refused.append(found.fields)
        is_earlier = found.number < read_number(old)
        if is_earlier and not found.mark and found.fields not in refused:
            return found
    raise UserError(
        f"there is no earlier revision of {name}: check out the commit to go back to, "
        f"and run 'make deploy ENV={environment.name}'"
    )


def _fill(environment: Environment, declared: Mapping[str, str]) -> Config:
    """Return variables with the placeholders replaced, as the IaC tools do."""
    text = json.dumps(declared)
    values = managed_policies.find_values(environment.spec, environment.name)
    for key in ("partition", "region", "account"):
        text = text.replace("{" + key + "}", values[key])
    filled: Config = json.loads(text)
    return filled


def _mark(arn: str, why: str) -> None:
    tags = [{"key": TAG, "value": why}]
    client("ecs").tag_resource(resourceArn=arn, tags=tags)


def _unmark(arn: str) -> None:
    client("ecs").untag_resource(resourceArn=arn, tagKeys=[TAG])


def _update(environment: Environment, name: str, arn: str) -> None:
    client("ecs").update_service(
        cluster=environment.resource_name(), service=name, taskDefinition=arn
    )


def _wait(environment: Environment, name: str, arn: str) -> None:
    """Wait until a service runs the tasks of a revision only.

    Raises:
        UserError: they do not start.
    """
    hint = (
        f"see the events of the service and 'make logs FUNC={name} "
        f"ENV={environment.name}'"
    )
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        service = find_service(environment, name)
        current = service["taskDefinition"]
        states = {
            each["taskDefinition"]: each.get("rolloutState")
            for each in service["deployments"]
            if each["status"] == "PRIMARY"
        }
        if states.get(arn) == "COMPLETED":
            return
        if current != arn:
            raise UserError(
                f"the tasks of revision {read_number(arn)} of {name} did not start, "
                f"and ECS went back to revision {read_number(current)}: {hint}, and "
                "choose another one with VERSION="
            )
        time.sleep(POLL_SECONDS)
    raise UserError(
        f"revision {read_number(arn)} of {name} still starts after "
        f"{SECONDS // 60} minutes: {hint}"
    )
