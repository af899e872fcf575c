"""Releases and rollbacks of a Lambda's versions, against a fake of AWS's API."""

import sys
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from baking import TEMPLATE

sys.path.insert(0, str(TEMPLATE))

from tools import canary, lambda_code, releases
from tools.errors import UserError

ROLLBACK = "'make rollback FUNC=worker ENV=dev"


class NotFoundError(Exception):
    """What boto3 raises for a missing Lambda or alias."""


class ConflictError(Exception):
    """What boto3 raises for a version that another alias uses."""


class FakeLambda:
    """A Lambda with versions and an alias; its code and memory can change.

    Its methods take their parameters by the names that boto3 has for them.
    """

    exceptions = SimpleNamespace(
        ResourceNotFoundException=NotFoundError, ResourceConflictException=ConflictError
    )

    def __init__(self) -> None:
        self.latest = {"Version": "$LATEST", "CodeSha256": "a", "MemorySize": 512}
        self.versions: dict[str, dict[str, Any]] = {}
        self.alias: dict[str, Any] = {
            "FunctionVersion": "$LATEST",
            "Description": "",
            "RevisionId": "0",
            "RoutingConfig": {},
        }
        self.in_use: set[str] = set()
        self.refusal: Exception | None = None
        self.published = 0

    def get_alias(self, FunctionName: str, Name: str) -> dict[str, Any]:  # noqa: N803
        """Return the alias, without changes to come."""
        if FunctionName != "shop-dev-worker":
            raise NotFoundError
        assert Name == "live"
        return deepcopy(self.alias)

    def get_paginator(self, name: str) -> Any:
        """Page through all versions."""
        assert name == "list_versions_by_function"
        listed = [self.latest, *self.versions.values()]
        pages = [{"Versions": [deepcopy(each)]} for each in listed]
        return SimpleNamespace(paginate=lambda **_: pages)

    def get_waiter(self, name: str) -> Any:
        """Return a waiter that has nothing to wait for."""
        assert name in ("function_updated_v2", "published_version_active")
        return SimpleNamespace(wait=lambda **_: None)

    def publish_version(self, FunctionName: str, CodeSha256: str) -> dict[str, str]:  # noqa: N803
        """Publish what differs from the newest version, as AWS does."""
        assert CodeSha256 == self.latest["CodeSha256"]
        newest = self.versions.get(str(self.published), {})
        if {**newest, "Version": ""} != {**self.latest, "Version": ""}:
            self.published += 1
            number = str(self.published)
            self.versions[number] = {**self.latest, "Version": number}
        return {"Version": str(self.published)}

    def update_alias(self, RevisionId: str = "", **changes: Any) -> None:  # noqa: N803
        """Change the alias, unless somebody else has."""
        if RevisionId not in ("", self.alias["RevisionId"]):
            error = {"Code": "PreconditionFailedException", "Message": "changed"}
            raise ClientError({"Error": error}, "UpdateAlias")
        assert changes.pop("Name") == "live"
        del changes["FunctionName"]
        revision = str(int(self.alias["RevisionId"]) + 1)
        self.alias |= {**changes, "RevisionId": revision}

    def delete_function(self, FunctionName: str, Qualifier: str) -> None:  # noqa: N803
        """Delete a version that no alias uses."""
        if self.refusal:
            raise self.refusal
        if Qualifier in self.in_use:
            raise ConflictError
        del self.versions[Qualifier]


class Worker:
    """The function `worker` in `dev`, whose code and memory are deployed."""

    def __init__(self, aws: FakeLambda, zipped: Path) -> None:
        self.aws = aws
        self.zip = zipped
        self.settings: dict[str, Any] = {"runtime": "lambda"}
        self.environment: Any = SimpleNamespace(
            name="dev",
            is_on_aws=True,
            resource_name=lambda name: f"shop-dev-{name}",
            functions={"worker": self.settings, "absent": self.settings},
            explain_missing=lambda what: UserError(f"there is no {what}"),
        )

    def update(self, code: str, memory: int = 512) -> None:
        """Build and deploy, as a deploy that is killed before the release."""
        self.zip.write_text(code, encoding="utf-8")
        self.aws.latest |= {"CodeSha256": code, "MemorySize": memory}

    def deploy(self, code: str, memory: int = 512) -> str:
        """Deploy and release."""
        self.update(code, memory)
        return str(releases.release(self.environment, "worker", self.settings))

    def roll_back(self, version: str = "") -> str:
        """Roll back."""
        return str(releases.roll_back_lambda(self.environment, "worker", version))

    @property
    def live(self) -> str:
        """The version that runs."""
        return str(self.aws.alias["FunctionVersion"])


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Worker:
    aws = FakeLambda()
    monkeypatch.setattr(releases, "BUILD", tmp_path)
    monkeypatch.setattr(lambda_code, "hash_zip", bytes.decode)
    zipped = tmp_path / "lambda" / "worker.zip"
    zipped.parent.mkdir()
    zipped.write_text("a", encoding="utf-8")
    for module in (releases, lambda_code):
        monkeypatch.setattr(module, "client", lambda _: aws)
    monkeypatch.setattr(canary, "stop", lambda *_: False)
    monkeypatch.setattr(canary, "find_undone", lambda *_: 0)
    return Worker(aws, zipped)


def test_each_change_is_released_as_a_version(worker: Worker) -> None:
    assert worker.deploy("a") == "worker runs the new version 1"
    assert worker.deploy("a") == "worker runs version 1 already"
    assert worker.deploy("b") == "worker runs the new version 2"
    assert worker.deploy("b", memory=1024) == "worker runs the new version 3"
    assert (
        worker.deploy("a") == "worker runs the new version 4"
    )  # "1" is not the newest
    assert worker.live == "4"


def test_interrupted_release_is_completed(worker: Worker) -> None:
    worker.deploy("a")
    worker.aws.latest["CodeSha256"] = "b"
    worker.aws.publish_version("shop-dev-worker", "b")  # and then the deploy was killed
    assert worker.deploy("b") == "worker runs the new version 2"


def test_version_that_only_aws_finds_same_is_kept(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one that AWS describes in other words."""
    monkeypatch.setattr(releases.Versions, "find_same", lambda _: set())
    worker.deploy("a")
    assert worker.deploy("a") == "worker runs version 1 already"
    worker.deploy("bad")
    worker.roll_back()
    assert worker.deploy("bad").startswith("worker keeps version 1")


def test_order_of_subnets_makes_no_version(worker: Worker) -> None:
    """A plan would say for ever that it is not released."""
    worker.aws.latest["VpcConfig"] = {"VpcId": "v", "SubnetIds": ["a", "b"]}
    worker.deploy("a")
    worker.aws.latest["VpcConfig"] = {"VpcId": "v", "SubnetIds": ["b", "a"]}
    assert releases.find_unreleased(worker.environment, ["worker"]) == []
    worker.aws.latest["VpcConfig"] = {"VpcId": "v", "SubnetIds": ["b", "c"]}
    assert releases.find_unreleased(worker.environment, ["worker"]) != []


def test_rolled_back_version_is_not_released_again(worker: Worker) -> None:
    worker.deploy("a")
    worker.deploy("bad")
    undone = worker.roll_back()
    assert undone.startswith("worker ran version 2, and runs version 1 now.")
    assert worker.live == "1"
    assert worker.aws.alias["Description"] == "rolled back: 2"
    kept = worker.deploy("bad")
    assert kept.startswith(
        "worker keeps version 1, because version 2, which was rolled"
    )
    assert f"or run it anyway with {ROLLBACK} VERSION=2'" in kept
    assert worker.deploy("a") == "worker runs version 1 already"
    assert worker.deploy("bad").startswith("worker keeps version 1")
    assert worker.deploy("bad", memory=1024) == "worker runs the new version 3"
    assert worker.deploy("bad").startswith("worker keeps version 3")


def test_plan_names_code_that_was_rolled_back(worker: Worker) -> None:
    """A plan does not know the configuration, which may release it."""
    names = ["absent", "worker"]
    worker.deploy("a")
    worker.deploy("bad")
    assert releases.find_held(worker.environment, names) == []
    worker.roll_back()
    [sentence] = releases.find_held(worker.environment, names)
    assert sentence.startswith(
        "unless its configuration changes, worker keeps version 1, because version 2"
    )
    worker.zip.write_bytes(b"fixed")
    assert releases.find_held(worker.environment, names) == []


def test_rollback_skips_versions_that_were_rolled_back(worker: Worker) -> None:
    for code in ("a", "bad"):
        worker.deploy(code)
    worker.roll_back()
    worker.deploy("worse")
    assert "ran version 3, and runs version 1 now" in worker.roll_back()
    for code in ("bad", "worse"):
        assert worker.deploy(code).startswith("worker keeps version 1")


def test_repeated_rollback_goes_back_once(worker: Worker) -> None:
    """Its first run may have been killed, or two people have begun it."""
    for code in ("a", "b", "bad"):
        worker.deploy(code)
    worker.roll_back()
    assert worker.roll_back() == (
        "worker runs version 2 already, since version 3 was rolled back: to go back "
        f"further, run {ROLLBACK} VERSION=1'"
    )
    assert worker.roll_back("1").startswith("worker ran version 2, and runs version 1")
    assert worker.roll_back() == (
        "worker runs version 1 already, since version 3 was rolled back"
    )
    assert worker.live == "1"


def test_version_that_never_ran_is_not_rolled_back_to(worker: Worker) -> None:
    """Its deploy was killed before it was live; or a rollback has left it out."""
    worker.deploy("a")
    worker.aws.latest["CodeSha256"] = "killed"
    worker.aws.publish_version("shop-dev-worker", "killed")
    worker.deploy("b")
    assert worker.aws.alias["Description"] == "not in use: 2"
    assert "ran version 3, and runs version 1 now" in worker.roll_back()
    assert worker.aws.alias["Description"] == "rolled back: 3; not in use: 2"
    assert worker.deploy("killed") == "worker runs the new version 4"
    worker.deploy("c")
    worker.roll_back("1")
    worker.deploy("d")
    assert worker.aws.alias["Description"] == "rolled back: 3, 5; not in use: 2, 4"
    assert "ran version 6, and runs version 1 now" in worker.roll_back()
    worker.roll_back("4")
    assert worker.aws.alias["Description"] == "rolled back: 3, 5, 6; not in use: 2"


def test_plan_names_what_a_killed_deploy_left(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The IaC tool finds no change, since the stack is deployed."""

    def find() -> list[str]:
        names = ["absent", "worker"]
        return list(releases.find_unreleased(worker.environment, names))

    assert find() == [
        "worker still runs version $LATEST, and a deploy releases what was deployed "
        "after it"
    ]
    worker.deploy("a")
    assert find() == []
    worker.update("b")
    assert "worker still runs version 1, and a deploy releases" in find()[0]
    worker.aws.publish_version("shop-dev-worker", "b")
    assert "worker still runs version 1, and a deploy releases" in find()[0]
    shift(worker, "2")
    assert "a canary shifts worker to version 2, and a deploy of the" in find()[0]
    worker.aws.alias["RoutingConfig"] = {}
    worker.settings["release"] = {"canary": 10, "minutes": 10}
    monkeypatch.setattr(canary, "find_undone", lambda *_: 2)  # no deploy saw that
    assert find() == []


def test_plan_is_about_the_code_that_was_built(worker: Worker) -> None:
    """What a killed deploy has left is not released, if you go back to other code."""
    worker.deploy("a")
    worker.update("killed")
    worker.zip.write_text("a", encoding="utf-8")
    assert releases.find_unreleased(worker.environment, ["worker"]) == []
    assert worker.deploy("a") == "worker runs version 1 already"


def test_plan_leaves_out_lambdas_of_containers(worker: Worker) -> None:
    """Only the shim runs them."""
    worker.deploy("a")
    worker.deploy("bad")
    worker.roll_back()
    worker.settings["runtime"] = "container"
    for code, find in (
        ("bad", releases.find_held),
        ("killed", releases.find_unreleased),
    ):
        worker.update(code)
        worker.environment.is_on_aws = True
        assert find(worker.environment, ["worker"]) == []
        worker.environment.is_on_aws = False
        assert len(find(worker.environment, ["worker"])) == 1


def test_named_version_runs_anyway(worker: Worker) -> None:
    for code in ("a", "b", "c"):
        worker.deploy(code)
    worker.roll_back("1")
    assert worker.roll_back("3").startswith("worker ran version 1, and runs version 3")
    assert worker.deploy("c") == "worker runs version 3 already"
    assert worker.aws.alias["Description"] == ""
    assert worker.roll_back("3") == "worker runs version 3 already"
    with pytest.raises(
        UserError, match="no version 9 of worker: choose one of 1, 2, 3"
    ):
        worker.roll_back("9")


def test_first_release_cannot_be_rolled_back(worker: Worker) -> None:
    with pytest.raises(UserError, match="there is no earlier version of worker"):
        worker.roll_back()
    worker.deploy("a")
    with pytest.raises(UserError, match="there is no earlier version of worker"):
        worker.roll_back()


def test_old_versions_are_deleted(worker: Worker) -> None:
    """The newest ten are kept, the one before, and those of other aliases."""
    worker.aws.in_use = {"2"}
    for number in range(12):
        worker.deploy(str(number))
    assert set(worker.aws.versions) == {"2", *map(str, range(3, 13))}
    worker.aws.in_use = set()
    worker.deploy("12")
    assert min(map(int, worker.aws.versions)) == 4


def test_release_ends_well_if_old_versions_must_stay(
    worker: Worker, capsys: pytest.CaptureFixture[str]
) -> None:
    worker.aws.refusal = ClientError(
        {"Error": {"Code": "AccessDeniedException", "Message": "not authorized"}},
        "DeleteFunction",
    )
    for number in range(12):
        worker.deploy(str(number))
    assert worker.live == "12"
    assert "old versions of shop-dev-worker stay" in capsys.readouterr().out


def test_deployment_before_aliases_gets_one_sentence(worker: Worker) -> None:
    missing = "there is no alias live of the Lambda shop-dev-absent"
    with pytest.raises(UserError, match=missing):
        releases.release(worker.environment, "absent", worker.settings)


def shift(worker: Worker, new: str) -> None:
    """Leave the alias as a canary does while it is under way."""
    worker.aws.alias["RoutingConfig"] = {"AdditionalVersionWeights": {new: 0.1}}


def test_canary_shifts_from_the_version_before(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    shifted: list[tuple[str, str]] = []

    def shift_at_once(*words: Any) -> None:
        shifted.append((words[3], words[4]))
        worker.aws.alias["FunctionVersion"] = words[4]

    monkeypatch.setattr(canary, "shift", shift_at_once)
    worker.settings["release"] = {"canary": 10, "minutes": 10}
    worker.deploy("a")
    assert worker.deploy("b") == "worker runs the new version 2"
    assert shifted == [("1", "2")]
    worker.environment.is_on_aws = False  # the emulator has no canaries
    assert worker.deploy("c") == "worker runs the new version 3"
    assert shifted == [("1", "2")]


@pytest.mark.parametrize(
    ("error", "next_release"),
    [
        (canary.RolledBackError, "worker keeps version 1, because version 2"),
        (UserError, "worker runs the new version 2"),
    ],
)
def test_only_a_rollback_keeps_code_from_release(
    worker: Worker,
    monkeypatch: pytest.MonkeyPatch,
    error: type[UserError],
    next_release: str,
) -> None:
    """A canary that AWS could not finish is tried again."""

    def fail(*_: Any) -> None:
        raise error("it failed")

    monkeypatch.setattr(canary, "shift", fail)
    worker.deploy("a")
    worker.settings["release"] = {"canary": 10, "minutes": 10}
    with pytest.raises(UserError, match="it failed"):
        worker.deploy("bad")
    assert worker.live == "1"
    del worker.settings["release"]
    assert worker.deploy("bad").startswith(next_release)


def test_sync_knows_that_a_canary_went_back(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deploy that waited for it was killed."""
    worker.deploy("a")
    worker.update("bad")
    worker.aws.publish_version("shop-dev-worker", "bad")
    worker.settings["release"] = {"canary": 10, "minutes": 10}
    monkeypatch.setattr(canary, "find_undone", lambda *_: 2)
    synced = {**worker.settings, "release": None}
    kept = releases.release(worker.environment, "worker", synced)
    assert kept.startswith("worker keeps version 1, because version 2")
    assert worker.live == "1"


def test_rollback_during_a_release_is_not_lost(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release waits for its new version, which may take a minute."""
    for code in ("a", "b"):
        worker.deploy(code)
    worker.update("killed")
    worker.aws.publish_version("shop-dev-worker", "killed")
    publish = releases.publish

    def roll_back_meanwhile(*words: str) -> int:
        worker.roll_back()
        return int(publish(*words))

    monkeypatch.setattr(releases, "publish", roll_back_meanwhile)
    worker.settings["release"] = {"canary": 10, "minutes": 10}
    with pytest.raises(ClientError, match="Precondition"):
        worker.deploy("c")
    assert worker.live == "1"
    assert worker.aws.alias["Description"] == "rolled back: 2"


def test_rollback_stops_a_canary(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for code in ("a", "b"):
        worker.deploy(code)
    worker.aws.latest["CodeSha256"] = "bad"
    worker.aws.publish_version("shop-dev-worker", "bad")
    shift(worker, "3")
    under_way = f"a canary shifts worker to version 3: .* stop it with {ROLLBACK}'"
    with pytest.raises(UserError, match=under_way):
        worker.deploy("b")
    stopped: list[str] = []

    def stop(_: Any, name: str) -> bool:
        stopped.append(name)
        worker.aws.alias["RoutingConfig"] = {}
        return True

    monkeypatch.setattr(canary, "stop", stop)
    assert "ran version 2 and 3, and runs version 2 now" in worker.roll_back()
    assert stopped == ["worker"]
    assert worker.deploy("bad").startswith("worker keeps version 2, because version 3")


def test_version_chosen_during_its_canary_is_not_marked(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*words: Any) -> None:
        worker.roll_back(words[4])
        raise canary.RolledBackError("its deployment was stopped")

    monkeypatch.setattr(canary, "shift", stop)
    worker.deploy("a")
    worker.settings["release"] = {"canary": 10, "minutes": 10}
    with pytest.raises(UserError, match="was stopped"):
        worker.deploy("b")
    assert worker.live == "2"
    assert worker.aws.alias["Description"] == ""


def test_canary_of_a_lost_machine_is_awaited(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    awaited: list[tuple[str, str]] = []
    monkeypatch.setattr(canary, "shift", lambda *words: awaited.append(words[3:]))
    worker.deploy("a")
    worker.settings["release"] = {"canary": 10, "minutes": 10}
    worker.deploy("b")
    shift(worker, "2")
    assert worker.deploy("b") == "worker runs the new version 2"
    assert awaited == [("1", "2"), ("1", "2")]
    with pytest.raises(UserError, match="a canary shifts worker to version 2"):
        worker.deploy("c")
    del worker.settings["release"]  # as 'make sync' does
    with pytest.raises(UserError, match="a canary shifts worker to version 2"):
        worker.deploy("b")


def test_rollback_stops_a_canary_that_has_just_started(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its version has no batches yet, and the one that runs keeps them."""
    for code in ("a", "b"):
        worker.deploy(code)
    worker.aws.latest["CodeSha256"] = "bad"
    worker.aws.publish_version("shop-dev-worker", "bad")
    worker.settings["release"] = {"canary": 10, "minutes": 10}
    monkeypatch.setattr(canary, "stop", lambda *_: True)
    monkeypatch.setattr(canary, "find_undone", lambda *_: 3)
    assert worker.roll_back().startswith(
        "worker goes on with version 2, and without the canary. Deployments keep it"
    )
    assert worker.live == "2"
    assert worker.aws.alias["Description"] == "rolled back: 3"


def test_canary_ends_while_it_is_rolled_back(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for code in ("a", "b"):
        worker.deploy(code)
    worker.aws.alias["FunctionVersion"] = "1"
    shift(worker, "2")

    def end(*_: Any) -> bool:
        worker.aws.alias |= {"FunctionVersion": "2", "RoutingConfig": {}}
        return False

    monkeypatch.setattr(canary, "stop", end)
    worker.roll_back()
    assert worker.live == "1"
    assert worker.aws.alias["Description"] == "rolled back: 2"


def test_container_is_not_said_to_run_as_a_lambda(
    worker: Worker, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its Lambda is kept up to date, for the day that it moves there."""
    worker.settings["runtime"] = "container"
    releases.release_all(worker.environment, ["worker"])
    assert worker.live == "1"
    assert capsys.readouterr().out == ""


def test_one_failed_release_stops_no_other(
    worker: Worker, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="alias live of the Lambda shop-dev-absent"):
        releases.release_all(worker.environment, ["absent", "worker"])
    assert capsys.readouterr().out == "worker runs the new version 1\n"
