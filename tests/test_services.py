"""Services return to an earlier task definition, in the emulator's ECS."""

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from baking import TEMPLATE, Project

sys.path.insert(0, str(TEMPLATE))

from tools import function_specs, managed_policies, project, services
from tools.errors import UserError

from shim_helpers import client

ROLLBACK = "'make rollback FUNC=part ENV=large"
PLACE = {"partition": "aws", "region": "eu-west-1", "account": "000000000000"}


class Service:
    """The service of the function `part`, which needs no tasks."""

    def __init__(self, ecs: Any) -> None:
        self.ecs = ecs
        self.built = ""
        spec = function_specs.resolve("large", "infra/tests/deploy.yml", "test")
        self.part = spec["functions"]["part"]
        spec["functions"] = {"part": self.part}
        self.environment: Any = SimpleNamespace(
            name="large",
            prefix="test-large",
            spec=spec,
            functions=spec["functions"],
            resource_name=lambda *parts: "-".join(("test-large", *parts)),
            explain_missing=lambda what: UserError(f"there is no {what}"),
        )
        ecs.create_cluster(clusterName="test-large")
        self.first = self.register("one")
        self.ecs.create_service(
            cluster="test-large",
            serviceName="part",
            taskDefinition=f"test-large-part:{self.first}",
            desiredCount=0,
        )

    def register(self, code: str) -> int:
        """Register a revision as the stacks do; return its number."""
        declared = self.part["variables"] | self.environment.spec["database"]
        variables = {
            **{key: value.format_map(PLACE) for key, value in declared.items()},
            "READ_QUEUE": self.part["queue"],
            "GRACE": "110",
        }
        found = self.ecs.register_task_definition(
            family="test-large-part",
            requiresCompatibilities=["FARGATE"],
            cpu=str(self.part["cpu"]),
            memory=str(self.part["memory"]),
            containerDefinitions=[
                {
                    "name": "part",
                    "image": f"registry/test-large-part:{code}-arm64",
                    "environment": [
                        {"name": name, "value": value}
                        for name, value in variables.items()
                    ],
                }
            ],
        )
        return int(found["taskDefinition"]["revision"])

    def deploy(self, code: str) -> int:
        """Register a revision and run it; return its number."""
        number = self.register(code)
        self.ecs.update_service(
            cluster="test-large",
            service="part",
            taskDefinition=f"test-large-part:{number}",
        )
        return number

    def roll_back(self, version: object = "") -> str:
        """Roll back."""
        return str(services.roll_back(self.environment, "part", str(version)))

    def find_kept(self, code: str) -> list[int]:
        """Return what would be kept if some code was deployed."""
        self.built = code
        found = services.find_kept(self.environment)
        return [services.read_number(arn) for arn in found.values()]

    @property
    def runs(self) -> int:
        """The revision that runs."""
        found = services.find_service(self.environment, "part")
        return int(services.read_number(found["taskDefinition"]))

    @property
    def revisions(self) -> list[int]:
        """The active revisions, newest first."""
        found = services.list_revisions(self.environment, "part")
        return [services.read_number(arn) for arn in found]


@pytest.fixture
def service(shimmed: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    ecs = client(shimmed, "ecs")
    answers = project.Answers("test", "eu-west-1", "terraform", "postgres")
    monkeypatch.setattr(function_specs, "answers", lambda: answers)
    monkeypatch.setattr(project, "answers", lambda: answers)
    monkeypatch.setattr(services, "client", lambda _: ecs)
    monkeypatch.setattr(managed_policies, "find_values", lambda *_: PLACE)
    found = Service(ecs)
    monkeypatch.setattr(
        services.build, "read_tag", lambda _, processor: f"{found.built}-{processor}"
    )
    yield found
    ecs.delete_service(cluster="test-large", service="part", force=True)
    services.deregister_old(found.environment)


pytestmark = pytest.mark.parametrize("shimmed", ["postgres"], indirect=True)


def test_rollback_runs_the_revision_before(service: Service) -> None:
    one, bad, same = service.first, service.deploy("bad"), service.deploy("bad")
    assert service.roll_back() == (
        f"part ran revision {same}, and runs revision {one} now. "
        "Deployments keep it until the code or settings change"
    )
    assert service.runs == one
    assert service.roll_back() == (
        f"part runs revision {one} already, since revision {same} was rolled back: to "
        "go back further, name a revision with VERSION="
    )
    assert service.roll_back(one) == f"part runs revision {one} already"
    fixed = service.deploy("fixed")
    expected = f"part ran revision {fixed}, and runs revision {one} now"
    assert service.roll_back().startswith(expected)  # and not the bad one
    known = f"choose one of {fixed}, {same}, {bad}, {one}$"
    with pytest.raises(UserError, match=known):
        service.roll_back(99)


def test_deploy_keeps_what_was_rolled_back_to(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    one, bad = service.first, service.deploy("bad")
    service.roll_back()
    capsys.readouterr()
    assert service.find_kept("bad") == [one]
    assert capsys.readouterr().out == (
        f"part keeps revision {one}, because revision {bad}, which was rolled back, "
        "has this code and these settings: change the code, or run it anyway with "
        f"{ROLLBACK} VERSION={bad}'.\n"
    )
    assert service.find_kept("fixed") == []
    changed: list[dict[str, Any]] = [
        {"memory": 4096},
        {"variables": {**service.part["variables"], "LIMIT": "7"}},
        {"variables": {}},
        {"queue": "test-large-part-pending.fifo"},
        {"database": not service.part["database"]},
    ]
    for changes in changed:
        before = dict(service.part)
        service.part.update(changes)
        assert service.find_kept("bad") == [], changes
        service.part.update(before)
    service.deploy("fixed")
    assert service.find_kept("bad") == [service.runs]
    service.roll_back(bad)
    assert service.find_kept("bad") == []
    assert service.runs == bad


def test_revision_that_does_not_start_is_skipped(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ECS goes back by itself: after a rollback, and after a deployment."""
    one, broken, current = service.first, service.deploy("two"), service.deploy("three")
    with monkeypatch.context() as patched:
        patched.setattr(services, "_update", lambda *_: None)
        back = f"revision {broken} of part did not start, and ECS went back to "
        with pytest.raises(UserError, match=f"{back}revision {current}: "):
            service.roll_back()
    assert service.find_kept("three") == []
    service.roll_back()
    assert service.runs == one
    service.roll_back(current)
    service.register("four")
    services.mark_unused(service.environment)
    service.deploy("five")
    service.roll_back()
    assert service.runs == current


def test_first_revision_cannot_be_rolled_back(service: Service) -> None:
    service.deploy("one")
    with pytest.raises(UserError, match="no earlier revision of part: check out"):
        service.roll_back()


def test_deploy_clears_the_tag_of_what_runs(service: Service) -> None:
    """A rollback was killed after the tag, or ECS has undone it by itself."""
    running = service.deploy("two")
    arn = services.find_service(service.environment, "part")["taskDefinition"]
    services._mark(arn, services.ROLLED_BACK)
    services.mark_unused(service.environment)
    service.deploy("three")
    service.roll_back()
    assert service.runs == running


def test_rollback_returns_to_what_ran_before(service: Service) -> None:
    """Revisions that a rollback with VERSION left out did not run."""
    service.deploy("two")
    service.deploy("three")
    service.roll_back(service.first)
    services.mark_unused(service.environment)
    service.deploy("four")
    service.roll_back()
    assert service.runs == service.first


def test_deploy_runs_what_it_built_after_sync(service: Service) -> None:
    synced = service.deploy("synced")
    service.built = "one"
    services.run_declared(service.environment, kept=["part"])
    assert service.runs == synced
    services.run_declared(service.environment, kept=[])
    assert service.runs == service.first
    service.deploy("bad")
    service.roll_back()  # during a deployment
    service.built = "bad"
    services.run_declared(service.environment, kept=[])
    assert service.runs == synced


def test_old_revisions_are_deregistered(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    """The newest ten stay, and the one that runs; none without a service.

    Task definitions of others stay, such as one of the stack `extra`.
    """
    others = ("test-large-prod-part", "test-large-report")
    for family in others:
        service.ecs.register_task_definition(
            family=family, containerDefinitions=[{"name": "part", "image": "another"}]
        )
    numbers = [service.register(f"code {number}") for number in range(12)]
    services.deregister_old(service.environment)
    assert capsys.readouterr().out == "deregistered 2 old task definitions of part\n"
    assert service.revisions == [*reversed(numbers[2:]), service.first]
    service.ecs.delete_service(cluster="test-large", service="part", force=True)
    services.deregister_old(service.environment)
    assert service.revisions == []
    for family in others:
        found = service.ecs.list_task_definitions(familyPrefix=family)
        [arn] = found["taskDefinitionArns"]
        service.ecs.deregister_task_definition(taskDefinition=arn)
