"""Wrong targets, environments and settings are reported, whichever tool deploys."""

import re
from pathlib import Path

import pytest

from baking import Project, bake
from deploy_helpers import fail_to_deploy


@pytest.fixture(params=["terraform", "cdk"])
def deployable(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """A project for each IaC tool."""
    return bake(tmp_path, iac=request.param).share_installs()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["TARGET=moon"], "TARGET=moon is unknown: choose one of role, queue, bucket"),
        (
            ["TARGET=aurora"],
            "The shim does not emulate TARGET=aurora: choose one of role, queue",
        ),
        (
            ["ENV=moon"],
            "ENV=moon is not in config/deploy.yml: choose one of local, dev, prod",
        ),
    ],
)
def test_wrong_argument_gets_a_remedy(
    deployable: Project, arguments: list[str], message: str
) -> None:
    assert message in fail_to_deploy(deployable, *arguments)


@pytest.mark.parametrize(
    ("environment", "right", "wrong"),
    [
        ("local", "max_capacity: 2\n", "max_capacity: 2.1\n"),
        ("dev", "zones: 2\n", "zoens: 2\n"),
    ],
)
def test_wrong_setting_gets_a_remedy(
    deployable: Project, environment: str, right: str, wrong: str
) -> None:
    config = deployable.path / "config" / "deploy.yml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace(right, wrong, 1), encoding="utf-8")
    line = text[: text.index(right)].count("\n") + 1
    key = wrong.partition(":")[0]
    output = fail_to_deploy(deployable, f"ENV={environment}")
    assert re.search(rf"(?m)^config/deploy.yml:{line}: .*{key}", output)


def test_invalid_config_stops_only_its_readers(baked: Project) -> None:
    (baked.path / "config" / "deploy.yml").write_text("functions: [", encoding="utf-8")
    baked.make("build", "TARGET=ecs")
    assert (baked.path / ".build" / "local" / "worker" / "local_wrapper.py").exists()
    for arguments in (("new", "FUNC=tally"), ("build", "TARGET=lambda", "ENV=prod")):
        result = baked.make(*arguments, check=False)
        assert result.returncode != 0
        assert "config/deploy.yml:1: invalid YAML: " in result.stdout
        assert "Traceback" not in result.stdout


def test_protected_environment_is_not_destroyed(deployable: Project) -> None:
    result = deployable.make("destroy", "ENV=prod", check=False)
    assert result.returncode != 0
    assert "ENV=prod is protected: set is_protected: false for it" in result.stdout
    assert "Traceback" not in result.stdout
