"""What every tool that deploys says of words and sizes that are wrong."""

from pathlib import Path

import pytest

from baking import Project, bake
from deployed import refused


@pytest.fixture(params=["terraform", "cdk"])
def deployable(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """A project that each tool deploys."""
    return bake(tmp_path, iac=request.param).share_installs()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["TARGET=moon"], "TARGET=moon is unknown: choose one of role queue bucket"),
        (
            ["TARGET=aurora"],
            "TARGET=aurora is nothing that the shim can hold: it holds",
        ),
        (
            ["ENV=moon"],
            "ENV=moon is not in config/deploy.yml: choose of local dev prod",
        ),
    ],
)
def test_word_used_wrongly_says_what_to_do(
    deployable: Project, words: list[str], told: str
) -> None:
    assert told in refused(deployable, *words)


@pytest.mark.parametrize(
    ("environment", "right", "wrong", "told"),
    [
        (
            "local",
            "worker: {}",
            "worker: {memroy: 9}",
            "memroy, which config/deploy.yml says of",
        ),
        (
            "local",
            "worker: {}",
            "wroker: {}",
            "wroker of config/deploy.yml is no function: there",
        ),
        (
            "local",
            "runtime: lambda",
            "runtime: moon",
            "the runtime of the defaults is 'moon' in",
        ),
        (
            "local",
            "min_tasks: 1 ",
            "min_tasks: 0 ",
            "min_tasks of the defaults is 0 in config/deploy.yml: say 1 or more",
        ),
        ("local", "defaults:", "defaults: [", "config/deploy.yml is no YAML at line "),
        (
            "local",
            "architecture: x86_64",
            "architecture: vax",
            "architecture of config/deploy.yml is 'vax': say x86_64 or arm64",
        ),
        (
            "local",
            "functions:",
            "fnctions:",
            "functions of config/deploy.yml is missing: say names and the settings",
        ),
        (
            "local",
            "worker: {}",
            "worker: large",
            "worker of config/deploy.yml is 'large': say settings and their values",
        ),
        ("dev", "zones: 2", "zoens: 2", "dev of config/deploy.yml does not say its z"),
        ("Dev1", "dev:", "Dev1:", "Dev1 is no name for an environment: use 1 to 8 of"),
    ],
)
def test_wrong_size_is_named(
    deployable: Project, environment: str, right: str, wrong: str, told: str
) -> None:
    config = deployable.path / "config" / "deploy.yml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace(right, wrong, 1), encoding="utf-8")
    assert told in refused(deployable, f"ENV={environment}")


def test_sizes_that_are_no_yaml_stop_only_what_needs_them(baked: Project) -> None:
    (baked.path / "config" / "deploy.yml").write_text("functions: [", encoding="utf-8")
    assert "built" in baked.make("build", "TARGET=local").stdout
    for words in (("new", "FUNC=tally"), ("build", "TARGET=lambda", "ENV=prod")):
        result = baked.make(*words, check=False)
        assert result.returncode != 0
        assert "config/deploy.yml is no YAML at line 1: " in result.stdout
        assert "Traceback" not in result.stdout


def test_protected_environment_is_not_destroyed(deployable: Project) -> None:
    result = deployable.make("destroy", "ENV=prod", "NEEDS_=", check=False)
    assert result.returncode != 0
    assert "prod is protected: say is_protected: false of it" in result.stdout
    assert "Traceback" not in result.stdout
