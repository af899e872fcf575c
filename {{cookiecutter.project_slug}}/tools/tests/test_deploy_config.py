"""config/deploy.yml is read for an environment, and decides which stacks it has."""

from pathlib import Path

import pytest

from tools import deploy_config, testing
from tools.errors import UserError
from tools.tests.deploy_files import (
    DEPLOY,
    FUNCTIONS,
    change,
    with_environment,
    with_function,
)

CONTAINER = "trigger: queue, runtime: container"


def write(root: Path, text: str) -> None:
    """Write the file of a project."""
    (root / "config" / "deploy.yml").write_text(text, encoding="utf-8")


def test_missing_file_gets_a_remedy(root: Path) -> None:
    with pytest.raises(UserError) as caught:
        deploy_config.load()
    problem = "the file config/deploy.yml is missing: restore it from git"
    assert str(caught.value) == problem


def test_file_is_checked_for_functions_and_region(root: Path) -> None:
    write(root, change("  worker: {}", "  tally: {}"))
    with pytest.raises(UserError, match=r"there is no src/func/tally\.py"):
        deploy_config.load()
    write(root, change("zones: 2", "zones: 4"))
    with pytest.raises(UserError, match="because eu-west-1 has 3 that"):
        deploy_config.load()


def test_file_can_name_function_that_is_being_created(root: Path) -> None:
    write(root, change("  worker: {}", "  tally: {trigger: queue}"))
    config = deploy_config.load(new="tally")
    assert config["functions"] == {"tally": {"trigger": "queue"}}


def test_file_that_is_no_mapping_gets_one_sentence(root: Path) -> None:
    for file in ("config/deploy.yml", "infra/deploy.yml"):
        (root / file).parent.mkdir(exist_ok=True)
        (root / file).write_text("- worker\n", encoding="utf-8")
        with pytest.raises(UserError, match="the file is a list: use a mapping"):
            deploy_config.load(file)


def test_unknown_environment_names_the_known_ones(root: Path) -> None:
    write(root, DEPLOY)
    with pytest.raises(UserError) as caught:
        deploy_config.read("moon")
    problem = "ENV=moon is not in config/deploy.yml: choose one of local, dev, prod"
    assert str(caught.value) == problem


def test_each_function_has_its_settings_in_environment(root: Path) -> None:
    write(root, DEPLOY)
    dev, prod = map(deploy_config.read_functions, ("dev", "prod"))
    assert [*dev] == [*prod] == FUNCTIONS
    assert {name: each["memory"] for name, each in prod.items()} == {
        **dict.fromkeys(FUNCTIONS, 512),
        "worker": 1024,
    }
    assert {each["memory"] for each in dev.values()} == {512}


def test_tests_of_stacks_have_their_own_functions(root: Path) -> None:
    (root / "infra").mkdir()
    text = change("  worker: {}", "  other: {}").replace(
        "      worker:", "      other:"
    )
    (root / "infra" / "deploy.yml").write_text(text, encoding="utf-8")
    functions = deploy_config.read_functions("prod", "infra/deploy.yml")
    assert [*functions] == ["other"]
    empty = change("functions:\n  worker: {}\n", "functions:\n")
    empty = empty[: empty.index("    functions:\n")]
    (root / "infra" / "deploy.yml").write_text(empty, encoding="utf-8")
    assert deploy_config.read_functions("prod", "infra/deploy.yml") == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DEPLOY, False),
        (with_function("part", CONTAINER), True),
        (with_function("part", CONTAINER, "local"), False),  # the shim has no tasks
        (change("runtime: lambda ", "runtime: container "), True),
    ],
)
def test_containers_of_environments_on_aws_count(
    text: str, expected: bool, root: Path
) -> None:
    write(root, text)
    assert deploy_config.uses_containers() is expected


def test_environment_is_protected_if_it_says_so(root: Path) -> None:
    write(root, change("local: {}", "local:"))
    found = {env: deploy_config.is_protected(env) for env in ("local", "dev", "prod")}
    assert found == {"local": False, "dev": False, "prod": True}
    write(root, with_environment("shop/db}", "shop/db, is_protected: true}"))
    assert deploy_config.is_protected("test") is True
    write(root, with_environment())
    assert deploy_config.is_protected("test") is False


def test_stacks_come_after_those_that_they_need() -> None:
    for stack, needed in deploy_config.NEEDS.items():
        for each in needed:
            order = [deploy_config.STACKS.index(name) for name in (each, stack)]
            assert order == sorted(order), (each, stack)


def test_environment_on_aws_has_all_stacks(root: Path) -> None:
    write(root, DEPLOY)
    assert deploy_config.list_stacks("dev") == deploy_config.STACKS
    assert testing.TOOLS not in deploy_config.STACKS  # `make test` tells them apart


def test_shim_has_only_stacks_that_it_emulates(root: Path) -> None:
    write(root, DEPLOY)
    assert deploy_config.list_stacks("local") == deploy_config.EMULATED
    assert {*deploy_config.EMULATED} < {*deploy_config.STACKS}


@pytest.mark.parametrize(
    ("right", "wrong", "missing"),
    [
        ("", "", {"network", "aurora"}),
        (
            "    database: {host: db.example.internal, port: 5432, name: shop, "
            "secret: shop/db}",
            "    database: {instances: 1, min_capacity: 0, max_capacity: 2, "
            "backup_days: 1, is_protected: false}",
            {"network"},
        ),
    ],
)
def test_existing_resources_have_no_stack(
    right: str, wrong: str, missing: set[str], root: Path
) -> None:
    write(root, with_environment(right, wrong))
    stacks = deploy_config.list_stacks("test")
    assert {*deploy_config.STACKS} - {*stacks} == missing


def test_all_stacks_are_chosen_without_target(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root, with_environment())
    assert deploy_config.choose_stacks("dev", "") == deploy_config.STACKS
    assert capsys.readouterr().out == ""
    chosen = deploy_config.choose_stacks("test", "")
    assert chosen == deploy_config.list_stacks("test")
    assert capsys.readouterr().out == (
        "Skipped, because config/deploy.yml names existing resources: network, "
        "aurora.\n"
    )
    assert deploy_config.choose_stacks("local", "") == deploy_config.EMULATED
    assert capsys.readouterr().out == (
        "Skipped, because the shim does not emulate them: network, aurora, ecr, ecs, "
        "monitoring.\n"
    )


def test_target_is_the_only_stack(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root, DEPLOY)
    for env in ("dev", "local"):
        assert deploy_config.choose_stacks(env, "queue") == ("queue",)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("env", "target", "problem"),
    [
        ("dev", "moon", "TARGET=moon is unknown: choose one of role, network, queue, "),
        ("local", "moon", "TARGET=moon is unknown: choose one of role, queue, bucket"),
        (
            "local",
            "aurora",
            "the shim does not emulate TARGET=aurora: choose one of role, queue, "
            "bucket, extra, layer, lambda, or deploy to AWS with ENV=",
        ),
        (
            "test",
            "network",
            "test has no TARGET=network, because config/deploy.yml names an existing "
            "one: choose one of role, queue, bucket, extra, layer, lambda, ecr, ecs, "
            "monitoring",
        ),
    ],
)
def test_wrong_target_gets_a_remedy(
    env: str, target: str, problem: str, root: Path
) -> None:
    write(root, with_environment())
    with pytest.raises(UserError) as caught:
        deploy_config.choose_stacks(env, target)
    assert str(caught.value).startswith(problem)
    assert target == "moon" or str(caught.value) == problem


def test_stack_is_required_by_its_name() -> None:
    deploy_config.require_stack("aurora")
    with pytest.raises(UserError, match="TARGET=moon is unknown"):
        deploy_config.require_stack("moon")
    with pytest.raises(UserError, match=r"choose one of queue, tools\Z"):
        deploy_config.require_stack("aurora", ("queue", "tools"))
