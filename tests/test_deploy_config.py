"""config/deploy.yml of a project is valid, and the targets that read it check it."""

import subprocess
import sys
from pathlib import Path

import yaml

from baking import TEMPLATE, Project, bake

sys.path.insert(0, str(TEMPLATE))

from tools import deploy_rules, setting_layers
from tools.tests import deploy_files

DEPLOY = TEMPLATE / "config" / "deploy.yml"
SCHEMA = TEMPLATE / "config" / "deploy.schema.json"


def test_tests_of_a_project_use_its_first_file() -> None:
    """They ship with the project, and the file in `config/` is the user's."""
    text = DEPLOY.read_text(encoding="utf-8")
    assert deploy_files.DEPLOY.splitlines()[1:] == text.splitlines()[1:]


def test_schema_validates_in_editor(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("check-jsonschema")
    example = tmp_path / "deploy.yml"
    example.write_text(
        deploy_files.replace_functions(deploy_files.EVERYTHING), encoding="utf-8"
    )
    files = (DEPLOY, TEMPLATE / "infra" / "tests" / "deploy.yml", example)
    subprocess.run([program, "--check-metaschema", SCHEMA], check=True)
    subprocess.run([program, "--schemafile", SCHEMA, *files], check=True)
    first = DEPLOY.read_text(encoding="utf-8").splitlines()[0]
    assert first == f"# yaml-language-server: $schema={SCHEMA.name}"


def test_written_defaults_are_those_of_schema() -> None:
    written = yaml.safe_load(DEPLOY.read_text(encoding="utf-8"))["defaults"]
    defaults = setting_layers.read_defaults()
    assert written == {key: defaults[key] for key in written}


def test_stacks_of_existing_resources_are_skipped(baked: Project) -> None:
    (baked.path / "config" / "deploy.yml").write_text(
        deploy_files.with_environment(), "utf-8"
    )
    program = (
        "from tools.deploy_config import choose_stacks as c; print(*c('test', ''))"
    )
    output = baked.run(".venv/bin/python", "-c", program).stdout
    assert output.splitlines() == [
        "Skipped, because config/deploy.yml names existing resources: network, aurora.",
        "role queue bucket extra layer lambda ecr ecs monitoring",
    ]
    for action in ("plan", "deploy", "destroy"):
        result = baked.make(action, "TARGET=aurora", "ENV=test", check=False)
        assert result.returncode != 0
        assert (
            "test has no TARGET=aurora, because config/deploy.yml names an existing "
            "one: choose one of role, queue, " in result.stdout.replace("Test", "test")
        )


def test_project_fits_zones_of_its_region(tmp_path: Path) -> None:
    fewest = min(deploy_rules.ZONES, key=deploy_rules.ZONES.__getitem__)
    project = bake(tmp_path, aws_region=fewest)
    text = (project.path / "config" / "deploy.yml").read_text(encoding="utf-8")
    deploy_files.check(text, fewest)


def test_targets_that_read_the_file_check_it(baked: Project) -> None:
    config = baked.path / "config" / "deploy.yml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("max_capacity: 16", "max_capacity: 16.2"))
    problem = "config/deploy.yml:48: environments.prod.database.max_capacity is 16.2: "
    for words in ("lint-code", "new FUNC=tally", "build ENV=dev", "plan ENV=dev"):
        result = baked.make(*words.split(), check=False)
        assert result.returncode != 0
        assert problem in result.stdout
        assert "Traceback" not in result.stdout


def test_missing_schema_is_explained(baked: Project) -> None:
    (baked.path / "config" / "deploy.schema.json").unlink()
    result = baked.make("build", "ENV=prod", check=False)
    assert result.returncode != 0
    assert "config/deploy.schema.json is missing: restore it from git." in result.stdout
    assert "Traceback" not in result.stdout
