"""Deploys, rollbacks and canaries are killed at each of their changes of AWS."""

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from aws_stubs import answering
from baking import Project, wait_until
from deploy_helpers import change_config
from kill_helpers import CHANGES, CodeDeploy, Killable, prepare
from shim_helpers import client

pytestmark = pytest.mark.parametrize("shimmed", ["postgres"], indirect=True)
DEPLOY = ("deploy", "--target=lambda")
PLAN = ("plan", "--target=lambda")
# Changes of a deploy until the code is published, and until it is live. The first one
# updates it, and those after these delete old versions.
PUBLISHED, LIVE = 2, 3

on_each_tool = pytest.mark.parametrize(
    ("iac", "database"), [("terraform", "postgres"), ("cdk", "mysql")]
)


@on_each_tool
def test_killed_deploy_and_rollback_can_be_repeated(
    shimmed: Project, tmp_path: Path, iac: str, database: str
) -> None:
    """Messages are processed meanwhile, by a version that exists."""
    slug = f"killed-{iac}"
    project = prepare(tmp_path, shimmed, slug, iac=iac, database=database)
    with Killable(project, shimmed) as killable:
        killable.succeed(*DEPLOY)
        deploy_is_completed(killable)
        rollback_is_completed(killable)
        wait_until(killable.are_all_stored, "the objects of all messages")


def deploy_is_completed(killable: Killable) -> None:
    """Kill deploys, and deploy again: that releases the same code as one version."""
    before, is_released = killable.live, []
    killable.write("code 0")
    for number in killable.kill_at_each_change(*DEPLOY):
        assert killable.live in (before, before + 1)
        is_released.append(killable.is_code_live())
        killable.send()
        if number <= LIVE:
            planned = killable.run(*PLAN)
            says = f"stores still runs version {before}, and a deploy releases what "
            assert (says in planned.output) is not is_released[-1], planned.output
            assert planned.status == (0 if is_released[-1] else 2)
        killable.succeed(*DEPLOY)
        before += 1
        assert killable.live == before == killable.versions[-1]
        assert killable.is_code_live()
        assert killable.description == ""
        killable.write(f"code {number + 1}")
    assert is_released[: LIVE + 1] == [True, False, False, True]
    assert all(is_released[LIVE:])


def rollback_is_completed(killable: Killable) -> None:
    """Kill rollbacks, and roll back again: that goes back by one version."""
    killable.succeed(*DEPLOY)
    before, moved = killable.live, []
    for _ in killable.kill_at_each_change("rollback", "--func=stores"):
        moved.append(before - killable.live)
        killable.send()
        killable.succeed("rollback", "--func=stores")
        assert killable.live == before - 1
        assert f"rolled back: {before}" in killable.description
        assert "keeps version" in killable.succeed(*DEPLOY)
        killable.succeed("rollback", "--func=stores", f"--version={before}")
        assert killable.description == ""
    assert moved == [0, 1, 1]


@on_each_tool
def test_killed_canary_goes_on(
    shimmed: Project, tmp_path: Path, iac: str, database: str
) -> None:
    """Whatever its end is, the commands after it know that."""
    slug = f"canary-{iac}"
    project = prepare(tmp_path, shimmed, slug, iac=iac, database=database)
    release = {"release": {"canary": 10, "minutes": 10}}
    change_config(project, lambda config: config["functions"]["stores"].update(release))
    codedeploy = CodeDeploy(client(shimmed, "lambda"), f"{slug}-dev-stores")
    with (
        answering(codedeploy.answer) as url,
        Killable(project, shimmed, AWS_ENDPOINT_URL_CODEDEPLOY=url) as killable,
    ):
        killable.succeed(*DEPLOY)
        start_is_repeated(killable, codedeploy)
        success_is_known(killable, codedeploy)
        alarm_is_known(killable, codedeploy)
        stop_is_repeated(killable, codedeploy)
        service_is_rolled_back(killable)


def start_is_repeated(killable: Killable, codedeploy: CodeDeploy) -> None:
    """Kill deploys until the canary, and deploy again: there is only one canary."""
    before = first = killable.live
    killable.write("code 0")
    for number in killable.kill_at_each_change(*DEPLOY, first=PUBLISHED):
        assert killable.live in (before, before + 1)
        codedeploy.ends_at = 3
        killable.succeed(*DEPLOY)
        before += 1
        assert killable.live == before
        assert killable.is_code_live()
        killable.write(f"code {number + 1}")
    expected = [f"version {each} to {each + 1}" for each in range(first, before)]
    assert codedeploy.canaries == expected


def kill_canary(killable: Killable, codedeploy: CodeDeploy, code: object) -> list[int]:
    """Kill a deploy that waits for its canary; return the old and the new version."""
    killable.write(code)
    codedeploy.ends_at = 0
    killable.kill(*DEPLOY, operations="GetDeployment$", number=5)
    versions = [int(each) for each in codedeploy.canaries[-1].split()[1::2]]
    assert versions == [killable.live, killable.versions[-1]]
    return versions


def success_is_known(killable: Killable, codedeploy: CodeDeploy) -> None:
    """A canary whose deploy was killed ends well, and other code waits for that."""
    old, new = kill_canary(killable, codedeploy, "good")
    killable.write("other")
    assert f"already (version {old} to {new}): wait" in killable.fail(*DEPLOY)
    codedeploy.shift()
    assert f"canary shifts stores to version {new}: wait" in killable.fail(*DEPLOY)
    killable.write("good")
    codedeploy.succeed()
    assert f"stores runs version {new} already" in killable.succeed(*DEPLOY)
    assert killable.run(*PLAN).status == 0


def alarm_is_known(killable: Killable, codedeploy: CodeDeploy) -> None:
    """The canary goes back after its deploy was killed."""
    for last in ("deploy", "rollback"):
        old, new = kill_canary(killable, codedeploy, f"bad for {last}")
        codedeploy.shift()
        planned = killable.run(*PLAN)
        assert planned.status == 2
        assert f"a canary shifts stores to version {new}, and a" in planned.output
        codedeploy.go_back("ALARM_ACTIVE")
        kept = f"stores keeps version {old}, because version {new}, which was rolled"
        assert kept in killable.succeed(*PLAN)
        if last == "deploy":
            reason = f"ersion {new} was rolled back and version {old} gets all batches"
            assert f"{reason} of stores, because an alarm" in killable.fail(*DEPLOY)
        else:
            killable.succeed("rollback", "--func=stores")
        assert killable.live == old
        assert f"{new}; not in use: " in killable.description
        assert kept in killable.succeed(*DEPLOY)


def stop_is_repeated(killable: Killable, codedeploy: CodeDeploy) -> None:
    """Kill rollbacks during a canary, in its first seconds or later."""
    for number in count():
        old, new = kill_canary(killable, codedeploy, f"stopped {number}")
        if number % 2 == 0:
            codedeploy.shift()
        rollback = ("rollback", "--func=stores")
        result = killable.run(*rollback, operations=CHANGES, number=number)
        output = killable.succeed(*rollback)
        assert killable.live == old
        assert f", {new}; not in use: " in killable.description
        if result.status == 0:
            break
    assert number == 3
    assert f"stores goes on with version {old}, and without the canary" in result.output
    assert f"stores runs version {old} already, since version {new} was" in output


def service_is_rolled_back(killable: Killable) -> None:
    """Kill rollbacks of a container, and repeat them."""
    ecs = client(killable.shim, "ecs")
    ecs.create_cluster(clusterName=killable.prefix)
    family = f"{killable.prefix}-part"
    for image in ("one", "two", "bad"):
        container: Any = {"name": "part", "image": image, "environment": []}
        found = ecs.register_task_definition(
            family=family, containerDefinitions=[container]
        )
    last = found["taskDefinition"]["taskDefinitionArn"]
    where: Any = {"cluster": killable.prefix, "services": ["part"]}
    ecs.create_service(
        cluster=killable.prefix,
        serviceName="part",
        taskDefinition=last,
        desiredCount=0,
    )

    def state() -> tuple[str, bool]:
        """Return the revision that runs, and whether the last one has a tag."""
        runs = ecs.describe_services(**where)["services"][0]["taskDefinition"]
        tags = ecs.list_tags_for_resource(resourceArn=last)["tags"]
        return runs.removeprefix(f"{last.rpartition(':')[0]}:"), bool(tags)

    rollback = ("rollback", "--func=part")
    states = []
    for _ in killable.kill_at_each_change(*rollback):
        states.append(state())
        killable.succeed(*rollback)
        assert state() == ("2", True)
        killable.succeed(*rollback, "--version=3")
        assert state() == ("3", False)
    assert states == [("3", False), ("3", True), ("2", True), ("2", True)]
    states.clear()
    killable.succeed(*rollback)
    for _ in killable.kill_at_each_change(*rollback, "--version=3"):
        states.append(state())
        killable.succeed(*rollback, "--version=3")
        assert state() == ("3", False)
        killable.succeed(*rollback)
        assert state() == ("2", True)
    assert states == [("2", True), ("2", False), ("3", False), ("3", False)]
    ecs.delete_service(cluster=killable.prefix, service="part", force=True)
