"""A canary ends with all batches at one version, on stubs of CodeDeploy's API."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.stub import ANY, Stubber

from baking import TEMPLATE

sys.path.insert(0, str(TEMPLATE))

from tools import canary
from tools.errors import UserError

FUNCTION = {
    "runtime": "lambda",
    "queue": "shop-dev-worker-pending",
    "dead_letter": "shop-dev-worker-dead-letter",
    "oldest_message": 3600,
    "timeout": 60,
    "memory": 512,
    "release": {"canary": 10, "minutes": 10},
}
PREFIX = "shop-dev-worker-"
ALARMS = [
    f"{PREFIX}{kind}"
    for kind in (
        *("dead-letter-messages", "pending-age", "errors", "throttles"),
        *("not-started", "failures"),
    )
]
GROUP = {"applicationName": "shop-dev", "deploymentGroupName": "worker"}
FIRED = {"code": "ALARM_ACTIVE", "message": f"Activated alarms: {PREFIX}failures"}
DENIED = {"code": "IAM_ROLE_PERMISSIONS", "message": "the role may not"}

Stubs = dict[str, Stubber]


class FakeEnvironment(NamedTuple):
    """What a canary asks an environment on AWS."""

    name: str = "dev"
    prefix: str = "shop-dev"

    def resource_name(self, *parts: str) -> str:
        """Return the name of a resource."""
        return "-".join((self.prefix, *parts))


DEV: Any = FakeEnvironment()


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubs]:
    """Stubs by service, which must all have been called in the end."""
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    clients = {
        service: boto3.client(service, region_name="eu-west-1", **keys)
        for service in ("codedeploy", "cloudwatch", "lambda")
    }
    monkeypatch.setattr(canary, "client", clients.__getitem__)
    monkeypatch.setattr(canary, "PAUSE", 0)
    found = {service: Stubber(client) for service, client in clients.items()}
    for stub in found.values():
        stub.activate()
    yield found
    for stub in found.values():
        stub.assert_no_pending_responses()


def expect_last(stubs: Stubs, deployment: str = "", **more: Any) -> None:
    """Let a deployment be the last one of the group; none without an ID."""
    last = {"lastAttemptedDeployment": {"deploymentId": deployment}}
    answer = {"deploymentGroupInfo": last if deployment else {}}
    stubs["codedeploy"].add_response("get_deployment_group", answer, GROUP)
    if deployment:
        expect_look(stubs, deployment, **more)


def expect_look(stubs: Stubs, deployment: str, status: str, **more: Any) -> None:
    """Let a deployment have a status when it is looked at next."""
    started = datetime.now(UTC) - timedelta(minutes=more.pop("minutes", 0))
    answer = {"deploymentId": deployment, "status": status, "createTime": started}
    stubs["codedeploy"].add_response(
        "get_deployment",
        {"deploymentInfo": answer | more},
        {"deploymentId": deployment},
    )


def expect_alarms(stubs: Stubs, **states: str) -> None:
    """Let alarms be OK, or in other states; `gone` are those that do not exist."""
    found = [
        {"AlarmName": name, "StateValue": states.get(name.removeprefix(PREFIX), "OK")}
        for name in ALARMS
    ]
    stubs["cloudwatch"].add_response(
        "describe_alarms",
        {"MetricAlarms": [each for each in found if each["StateValue"] != "gone"]},
        {"AlarmNames": ALARMS, "AlarmTypes": ["MetricAlarm"]},
    )


def expect_start(stubs: Stubs, watched: list[str]) -> None:
    """Let a deployment d-1 from version 6 to 7 start that watches alarms."""
    more = {}
    if watched:
        names = [{"name": each} for each in watched]
        more["overrideAlarmConfiguration"] = {"enabled": True, "alarms": names}
    stubs["codedeploy"].add_response(
        "create_deployment",
        {"deploymentId": "d-1"},
        {
            **GROUP,
            "description": "version 6 to 7",
            "revision": {"revisionType": "AppSpecContent", "appSpecContent": ANY},
            **more,
        },
    )


def expect_alias(stubs: Stubs, version: str, weights: dict[str, float]) -> None:
    """Let the alias point to a version, and partly to others."""
    stubs["lambda"].add_response(
        "get_alias",
        {
            "FunctionVersion": version,
            "RoutingConfig": {"AdditionalVersionWeights": weights},
        },
        {"FunctionName": "shop-dev-worker", "Name": "live"},
    )


def shift() -> None:
    """Release version 7 of a function that runs version 6."""
    canary.shift(DEV, "worker", FUNCTION, "6", "7")


def test_canary_ends_with_all_batches(
    stubs: Stubs, capsys: pytest.CaptureFixture[str]
) -> None:
    expect_last(stubs)
    expect_alarms(stubs)
    expect_start(stubs, ALARMS)
    for minutes in (0, 3, 3):
        expect_look(stubs, "d-1", "InProgress", minutes=minutes)
    expect_look(stubs, "d-1", "Succeeded")
    shift()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("worker: version 7 gets 10 % of the batches for 10 min")
    assert "'make rollback FUNC=worker ENV=dev'" in lines[0]
    assert lines[1:] == [
        "worker: 3 of 10 min passed.",
        "worker: version 7 gets all batches.",
    ]


def test_deployment_names_alias_and_versions(
    stubs: Stubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    codedeploy: Any = canary.client("codedeploy")
    start = codedeploy.create_deployment

    def record(**request: Any) -> Any:
        sent.append(request["revision"]["appSpecContent"]["content"])
        return start(**request)

    monkeypatch.setattr(codedeploy, "create_deployment", record)
    expect_last(stubs)
    expect_alarms(stubs)
    expect_start(stubs, ALARMS)
    expect_look(stubs, "d-1", "Succeeded")
    shift()
    [resource] = json.loads(sent[0])["Resources"]
    assert resource["worker"]["Properties"] == {
        "Name": "shop-dev-worker",
        "Alias": "live",
        "CurrentVersion": "6",
        "TargetVersion": "7",
    }


def test_alarm_rolls_back_to_the_old_version(stubs: Stubs) -> None:
    """If CodeDeploy leaves a part of the batches to the new version, this ends it."""
    expect_last(stubs)
    expect_alarms(stubs)
    expect_start(stubs, ALARMS)
    expect_look(stubs, "d-1", "Stopped", errorInformation=FIRED)
    rollback = {"rollbackInfo": {"rollbackDeploymentId": "d-2"}}
    expect_look(stubs, "d-1", "Stopped", **rollback)
    expect_look(stubs, "d-2", "InProgress")
    expect_look(stubs, "d-1", "Stopped", **rollback)
    expect_look(stubs, "d-2", "Succeeded")
    expect_alias(stubs, "6", {"7": 0.1})
    stubs["lambda"].add_response(
        "update_alias",
        {},
        {
            "FunctionName": "shop-dev-worker",
            "Name": "live",
            "FunctionVersion": "6",
            "RoutingConfig": {"AdditionalVersionWeights": {}},
        },
    )
    with pytest.raises(canary.RolledBackError) as caught:
        shift()
    assert str(caught.value) == (
        "version 7 was rolled back and version 6 gets all batches of worker, because "
        f"an alarm fired: {FIRED['message']}"
    )


@pytest.mark.parametrize(
    ("states", "sentence"),
    [
        (
            {"failures": "ALARM", "errors": "gone"},
            f"not watched, because they fire already: {PREFIX}failures.\nworker: "
            f"not watched, because they are not deployed yet: {PREFIX}errors.\n",
        ),
        (
            {each.removeprefix(PREFIX): "ALARM" for each in ALARMS},
            "worker: no alarm watches this release.\n",
        ),
    ],
)
def test_firing_alarm_does_not_stop_a_release(
    stubs: Stubs,
    capsys: pytest.CaptureFixture[str],
    states: dict[str, str],
    sentence: str,
) -> None:
    expect_last(stubs)
    expect_alarms(stubs, **states)
    watched = [each for each in ALARMS if each.removeprefix(PREFIX) not in states]
    expect_start(stubs, watched)
    expect_look(stubs, "d-1", "Succeeded")
    shift()
    assert sentence in capsys.readouterr().out


def test_release_of_a_lost_machine_is_awaited(stubs: Stubs) -> None:
    expect_last(stubs, "d-1", status="InProgress", description="version 6 to 7")
    expect_look(stubs, "d-1", "Succeeded")
    shift()


def test_release_that_went_back_is_not_repeated(stubs: Stubs) -> None:
    """The machine that started it did not see that; its rollback came last."""
    trigger = {"rollbackTriggeringDeploymentId": "d-1"}
    stopped = {
        "description": "version 6 to 7",
        "errorInformation": FIRED,
        "rollbackInfo": {"rollbackDeploymentId": "d-2"},
    }
    expect_last(stubs, "d-2", status="Succeeded", rollbackInfo=trigger)
    for _ in range(3):
        expect_look(stubs, "d-1", "Stopped", **stopped)
    expect_look(stubs, "d-2", "Succeeded")
    expect_alias(stubs, "6", {})
    with pytest.raises(canary.RolledBackError, match="version 7 was rolled back"):
        shift()


def test_rollback_to_another_version_is_left_alone(stubs: Stubs) -> None:
    """Whoever stopped the release has chosen version 5 meanwhile."""
    stopped = {"code": "MANUAL_STOP", "message": "stopped"}
    expect_last(stubs, "d-1", status="InProgress", description="version 6 to 7")
    expect_look(stubs, "d-1", "Stopped", errorInformation=stopped)
    expect_look(stubs, "d-1", "Stopped", rollbackInfo={"rollbackDeploymentId": "d-2"})
    expect_look(stubs, "d-2", "Succeeded")
    expect_alias(stubs, "5", {})
    with pytest.raises(canary.RolledBackError, match="d-1 was stopped"):
        shift()


def test_other_release_under_way_is_named(stubs: Stubs) -> None:
    expect_last(stubs, "d-0", status="InProgress", description="version 6 to 5")
    with pytest.raises(UserError, match=r"already \(version 6 to 5\): wait, or"):
        shift()


def test_failed_release_is_no_rollback(
    stubs: Stubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the next deployment tries it again, once its cause is fixed."""
    monkeypatch.setattr(canary, "LOOKS", 1)
    expect_last(stubs, "d-0", status="Failed", description="version 6 to 7")
    expect_alarms(stubs)
    expect_start(stubs, ALARMS)
    for _ in range(2):
        expect_look(stubs, "d-1", "Failed", errorInformation=DENIED)
    expect_alias(stubs, "6", {})
    with pytest.raises(UserError, match=r"d-1 failed \(the role may not") as caught:
        shift()
    assert not isinstance(caught.value, canary.RolledBackError)


def test_stop_waits_until_codedeploy_is_done(stubs: Stubs) -> None:
    """Its rollback would otherwise replace the version that is chosen next."""
    expect_last(stubs, "d-1", status="InProgress")
    stubs["codedeploy"].add_response(
        "stop_deployment",
        {"status": "Pending"},
        {"deploymentId": "d-1", "autoRollbackEnabled": True},
    )
    expect_look(stubs, "d-1", "InProgress")
    expect_look(stubs, "d-1", "Stopped", rollbackInfo={"rollbackDeploymentId": "d-2"})
    expect_look(stubs, "d-2", "Succeeded")
    assert canary.stop(DEV, "worker")


def test_stop_waits_for_a_rollback_under_way(stubs: Stubs) -> None:
    """Whoever stopped the canary was killed, or an alarm did it."""
    rollback = {"rollbackInfo": {"rollbackDeploymentId": "d-2"}}
    expect_last(stubs, "d-1", status="Stopped", **rollback)
    expect_look(stubs, "d-2", "InProgress")
    expect_look(stubs, "d-1", "Stopped", **rollback)
    expect_look(stubs, "d-2", "InProgress")
    expect_look(stubs, "d-1", "Stopped", **rollback)
    expect_look(stubs, "d-2", "Succeeded")
    assert not canary.stop(DEV, "worker")


@pytest.mark.parametrize(
    ("live", "code", "undone"),
    [(6, "ALARM_ACTIVE", 7), (6, "MANUAL_STOP", 7), (6, "FAILED", 0), (7, "", 0)],
)
def test_version_that_went_back_is_found(
    stubs: Stubs, live: int, code: str, undone: int
) -> None:
    """The deploy that waited for its canary has not seen that."""
    error = {"errorInformation": {"code": code, "message": "why"}} if code else {}
    more = {"status": "Stopped", "description": "version 6 to 7", **error}
    expect_last(stubs, "d-1", **more)
    assert canary.find_undone(DEV, "worker", live) == undone


@pytest.mark.parametrize("error", ["", "ApplicationDoesNotExistException"])
def test_stop_finds_nothing_to_stop(stubs: Stubs, error: str) -> None:
    if error:
        stubs["codedeploy"].add_client_error("get_deployment_group", error)
    else:
        expect_last(stubs, "d-1", status="Succeeded")
    assert not canary.stop(DEV, "worker")
