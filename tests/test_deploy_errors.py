"""Wrong targets, environments and settings are reported, whichever tool deploys."""

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
    ("environment", "right", "wrong", "message"),
    [
        (
            "local",
            "worker: {}",
            "worker: {memroy: 9}",
            "Unknown setting memroy for function worker in config/deploy.yml: choose",
        ),
        (
            "local",
            "worker: {}",
            "wroker: {}",
            "Function wroker in config/deploy.yml does not exist: there is no src/func",
        ),
        (
            "local",
            "runtime: lambda",
            "runtime: moon",
            "The runtime is 'moon' for the defaults in config/deploy.yml: use lambda",
        ),
        (
            "local",
            "min_tasks: 1 ",
            "min_tasks: 0 ",
            "The setting min_tasks is 0 for the defaults in config/deploy.yml: use 1",
        ),
        (
            "local",
            "defaults:",
            "defaults: [",
            "Invalid YAML in config/deploy.yml at line ",
        ),
        (
            "local",
            "architecture: x86_64",
            "architecture: vax",
            "The architecture in config/deploy.yml is 'vax': use x86_64 or arm64",
        ),
        (
            "local",
            "functions:",
            "fnctions:",
            "The key functions is missing in config/deploy.yml: add a mapping of",
        ),
        (
            "local",
            "worker: {}",
            "worker: large",
            "Function worker in config/deploy.yml is 'large': use a mapping of",
        ),
        (
            "dev",
            "zones: 2",
            "zoens: 2",
            "Environment dev in config/deploy.yml lacks zones: add it",
        ),
        (
            "Dev1",
            "dev:",
            "Dev1:",
            "ENV=Dev1 is not a valid name for an environment: use 1 to 8 of",
        ),
    ],
)
def test_wrong_setting_gets_a_remedy(
    deployable: Project, environment: str, right: str, wrong: str, message: str
) -> None:
    config = deployable.path / "config" / "deploy.yml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace(right, wrong, 1), encoding="utf-8")
    assert message in fail_to_deploy(deployable, f"ENV={environment}")


def test_invalid_config_stops_only_its_readers(baked: Project) -> None:
    (baked.path / "config" / "deploy.yml").write_text("functions: [", encoding="utf-8")
    baked.make("build", "TARGET=ecs")
    assert (baked.path / ".build" / "local" / "worker" / "local_wrapper.py").exists()
    for arguments in (("new", "FUNC=tally"), ("build", "TARGET=lambda", "ENV=prod")):
        result = baked.make(*arguments, check=False)
        assert result.returncode != 0
        assert "Invalid YAML in config/deploy.yml at line 1: " in result.stdout
        assert "Traceback" not in result.stdout


def test_protected_environment_is_not_destroyed(deployable: Project) -> None:
    result = deployable.make("destroy", "ENV=prod", check=False)
    assert result.returncode != 0
    assert "ENV=prod is protected: set is_protected: false for it" in result.stdout
    assert "Traceback" not in result.stdout
