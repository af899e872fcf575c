"""Release a Lambda's version with AWS CodeDeploy: a canary first, then all batches.

CodeDeploy shifts the alias, so a release ends, or goes back when an alarm fires, also
if the machine that started it is gone. This module starts a deployment and watches it.

The alarms are part of each deployment rather than of its group: the stack `monitoring`,
which creates them, comes after the group, and one that fires already would stop the
release that fixes its cause.
https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_CreateDeployment.html
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from tools import alarms
from tools.environment import Environment, client
from tools.errors import UserError
from tools.grants import LIVE

PAUSE = 5  # seconds between two looks at a deployment
LOOKS = 12  # at a deployment that goes back, which takes some seconds
ACTIVE = ("Created", "Queued", "InProgress", "Baking", "Ready")
# Errors of a deployment that went back as it should; others are faults.
ALARM, STOPPED = "ALARM_ACTIVE", "MANUAL_STOP"

Info = dict[str, Any]  # of a deployment, as CodeDeploy describes it


class RolledBackError(UserError):
    """A release went back to the previous version, because of an alarm or a person."""


def shift(
    environment: Environment, name: str, function: Mapping[str, Any], old: str, new: str
) -> None:
    """Shift a function's batches from one version to another, and wait for the end.

    If the same release is under way already, such as one whose machine was lost, this
    waits for that one. If it has gone back meanwhile, it is not started again.

    Args:
        environment: one on AWS.
        name: of the function.
        function: its specification, with `release`, see `function_specs.resolve`.
        old: version that the alias points to.
        new: version that it shall point to.

    Raises:
        RolledBackError: an alarm fired, or a person stopped the release.
        UserError: it could not be started, or failed, and the old version gets all.
    """
    last = _find_last(environment, name)
    is_same = last.get("description") == _describe(old, new)
    if is_same and (_is_active(last) or _went_back(last)):
        deployment = str(last["deploymentId"])
    elif _is_active(last):
        raise UserError(
            f"{name} is being released already ({last['description']}): wait, or undo "
            f"it with {_undo(environment, name)}"
        )
    else:
        deployment = _start(environment, name, function, old, new)
    info = _watch(deployment, name, function["release"], new)
    if info["status"] == "Succeeded":
        print(f"{name}: version {new} gets all batches.", flush=True)
        return
    _wait_until_back(deployment)
    error = info.get("errorInformation", {})
    was_stopped = error.get("code") == STOPPED
    _take_back(environment.resource_name(name), new, old, was_stopped)
    if was_stopped:
        raise RolledBackError(
            f"version {new} of {name} was rolled back, because CodeDeploy's deployment "
            f"{deployment} was stopped"
        )
    kept = f"version {old} gets all batches of {name}"
    if error.get("code") == ALARM:
        raise RolledBackError(
            f"version {new} was rolled back and {kept}, because an alarm fired: "
            f"{error['message']}"
        )
    raise UserError(
        f"version {new} was not released and {kept}: CodeDeploy's deployment "
        f"{deployment} failed ({error.get('message') or info['status']})"
    )


def stop(environment: Environment, name: str) -> bool:
    """Stop a release of a function that is under way, and wait until it is undone.

    The wait ends after a minute, so that the caller can set the alias in any case. One
    that goes back already is awaited, too: who stopped it may not wait any more.

    Args:
        environment: one on AWS.
        name: of the function.

    Returns:
        Whether there was one.
    """
    last = _find_last(environment, name)
    if not _is_active(last):
        rollback = last.get("rollbackInfo", {}).get("rollbackDeploymentId")
        if rollback and _is_active(_read(rollback)):
            _wait_until_back(str(last["deploymentId"]))
        return False
    codedeploy = client("codedeploy")
    deployment = str(last["deploymentId"])
    try:
        codedeploy.stop_deployment(deploymentId=deployment, autoRollbackEnabled=True)
    except codedeploy.exceptions.DeploymentAlreadyCompletedException:
        return False
    _wait_until_back(deployment)
    return True


def find_undone(environment: Environment, name: str, live: int) -> int:
    """Return the version that the last release went back from to the live one, or 0.

    Args:
        environment: one on AWS.
        name: of the function.
        live: version that the alias points to.
    """
    last = _find_last(environment, name)
    found = re.fullmatch(_describe(str(live), r"(\d+)"), last.get("description", ""))
    return int(found[1]) if found and _went_back(last) else 0


def _find_last(environment: Environment, name: str) -> Info:
    """Return the last deployment of a function; empty if there was none.

    Of one that went back, that is the deployment before its rollback, which CodeDeploy
    counts as a deployment of its own.
    """
    codedeploy = client("codedeploy")
    try:
        found = codedeploy.get_deployment_group(
            applicationName=environment.prefix, deploymentGroupName=name
        )
    except (
        codedeploy.exceptions.ApplicationDoesNotExistException,
        codedeploy.exceptions.DeploymentGroupDoesNotExistException,
    ):
        return {}
    last = found["deploymentGroupInfo"].get("lastAttemptedDeployment")
    if not last:
        return {}
    info = _read(last["deploymentId"])
    trigger = info.get("rollbackInfo", {}).get("rollbackTriggeringDeploymentId")
    return _read(trigger) if trigger else info


def _read(deployment: str) -> Info:
    found = client("codedeploy").get_deployment(deploymentId=deployment)
    info: Info = found["deploymentInfo"]
    return info


def _is_active(info: Info) -> bool:
    return info.get("status") in ACTIVE


def _went_back(info: Info) -> bool:
    return info.get("errorInformation", {}).get("code") in (ALARM, STOPPED)


def _describe(old: str, new: str) -> str:
    """Return a deployment's description, by which `shift` finds it again."""
    return f"version {old} to {new}"


def _undo(environment: Environment, name: str) -> str:
    return f"'make rollback FUNC={name} ENV={environment.name}'"


def _start(
    environment: Environment, name: str, function: Mapping[str, Any], old: str, new: str
) -> str:
    """Start a deployment; return its ID."""
    codedeploy = client("codedeploy")
    properties = {
        "Name": environment.resource_name(name),
        "Alias": LIVE,
        "CurrentVersion": old,
        "TargetVersion": new,
    }
    resource = {"Type": "AWS::Lambda::Function", "Properties": properties}
    content = json.dumps({"version": 0.0, "Resources": [{name: resource}]})
    watched = _choose_alarms(environment, name, function)
    more = {}
    if watched:
        named = [{"name": each} for each in watched]
        more["overrideAlarmConfiguration"] = {"enabled": True, "alarms": named}
    try:
        found = codedeploy.create_deployment(
            applicationName=environment.prefix,
            deploymentGroupName=name,
            description=_describe(old, new),
            revision={
                "revisionType": "AppSpecContent",
                "appSpecContent": {
                    "content": content,
                    "sha256": sha256(content.encode()).hexdigest(),
                },
            },
            **more,
        )
    except (
        codedeploy.exceptions.ApplicationDoesNotExistException,
        codedeploy.exceptions.DeploymentGroupDoesNotExistException,
    ):
        raise UserError(
            f"CodeDeploy does not know {name}: run 'make deploy TARGET=lambda "
            f"ENV={environment.name}'"
        ) from None
    deployment, release = str(found["deploymentId"]), function["release"]
    print(
        f"{name}: version {new} gets {release['canary']} % of the batches for "
        f"{release['minutes']} min, and then all. CodeDeploy goes on with {deployment} "
        f"if you end this command; to undo it, run {_undo(environment, name)}.",
        flush=True,
    )
    return deployment


def _choose_alarms(
    environment: Environment, name: str, function: Mapping[str, Any]
) -> list[str]:
    """Return the alarms of a function that CodeDeploy shall watch; print the others."""
    own = alarms.watch_function(name, function, f"{environment.prefix}-")
    names = [str(each["name"]) for each in own]
    found = client("cloudwatch").describe_alarms(
        AlarmNames=names, AlarmTypes=["MetricAlarm"]
    )
    states = {each["AlarmName"]: each["StateValue"] for each in found["MetricAlarms"]}
    watched = [each for each in names if states.get(each, "ALARM") != "ALARM"]
    for reason, unwatched in (
        ("fire already", [each for each in names if states.get(each) == "ALARM"]),
        ("are not deployed yet", [each for each in names if each not in states]),
    ):
        if unwatched:
            listed = ", ".join(unwatched)
            print(f"{name}: not watched, because they {reason}: {listed}.", flush=True)
    if not watched:
        print(f"{name}: no alarm watches this release.", flush=True)
    return watched


def _watch(deployment: str, name: str, release: Mapping[str, int], new: str) -> Info:
    """Wait for the end of a deployment, and print how it goes on; return it."""
    # CI ends a job that prints nothing for ten minutes
    step = 1 if release["minutes"] <= 10 else 5
    printed = 0
    for info in _look(deployment):
        if not _is_active(info):
            break
        passed = int((datetime.now(UTC) - info["createTime"]).total_seconds() // 60)
        if printed + step <= passed <= release["minutes"]:
            printed = passed
            print(f"{name}: {passed} of {release['minutes']} min passed.", flush=True)
    return info


def _wait_until_back(deployment: str) -> None:
    """Wait until CodeDeploy has undone a deployment, or for a minute."""
    for _, info in zip(range(LOOKS), _look(deployment), strict=False):
        rollback = info.get("rollbackInfo", {}).get("rollbackDeploymentId")
        if not _is_active(info) and rollback and not _is_active(_read(rollback)):
            return


def _look(deployment: str) -> Iterator[Info]:
    """Yield a deployment, again and again."""
    while True:
        yield _read(deployment)
        time.sleep(PAUSE)


def _take_back(full_name: str, new: str, old: str, was_stopped: bool) -> None:
    """Give all batches to the old version, if CodeDeploy left some to the new one.

    Whoever stopped the deployment may have pointed the alias to any version since.
    """
    lambdas = client("lambda")
    alias = lambdas.get_alias(FunctionName=full_name, Name=LIVE)
    shared = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
    if new in shared or (alias["FunctionVersion"] == new and not was_stopped):
        lambdas.update_alias(
            FunctionName=full_name,
            Name=LIVE,
            FunctionVersion=old,
            RoutingConfig={"AdditionalVersionWeights": {}},
        )
