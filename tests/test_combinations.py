"""Both IaC tools accept all combinations of settings, with the longest names.

Checkov and cdk-nag check the same files and resources in `test_fresh_stacks_…`.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from baking import Project, bake
from deploy_helpers import change_config
from test_hooks import load_hook

SLUG = "twenty-four-characters-x"
TRIGGERS: dict[str, dict[str, Any]] = {
    "bucket": {"sends_to": ["queue_xxxxxxxxxxxxxx"], "suffix": ".csv"},
    "queue": {"fifo": True, "internet": True, "secrets": {"KEY": "partner/key"}},
    "schedule": {"schedule": "rate(1 hour)", "database": False},
    "topic": {"topic": "t" * 20, "reads": ["in/"], "writes": ["out/"]},
}
DATABASE = {
    "instances": 2,
    "min_capacity": 0,
    "max_capacity": 1,
    "backup_days": 7,
    "is_protected": True,
}
# The environments of the project have both runtimes, in two and in three zones.
RUNTIMES = {"lambdaz": "lambda", "fargate": "container"}
ENVIRONMENTS = [f"{name}{zones}" for name in RUNTIMES for zones in (2, 3)]
PAIRS = [("postgres", "arm64"), ("mysql", "x86_64")]


def bake_longest(directory: Path, iac: str) -> Project:
    """Bake a project with the longest names, and an environment for each combination.

    It has a function for each trigger, on containers and on Lambda, and environments in
    two and in three zones.
    """
    assert len(SLUG) == load_hook("pre_gen_project").SLUG_LIMIT
    assert set(map(len, ENVIRONMENTS)) == {8}
    project = bake(directory, iac=iac, project_slug=SLUG).share_installs()
    functions = {f"{name}_".ljust(20, "x"): name for name in TRIGGERS}
    source = (project.path / "src/func/worker.py").read_bytes()
    for name in functions:
        (project.path / f"src/func/{name}.py").write_bytes(source)
        (project.path / f"config/{name}.yml").write_text("{}\n", encoding="utf-8")
    environments: dict[str, Any] = {"local": {}}
    for env in ENVIRONMENTS:
        environments[env] = {
            "cidr": "10.0.0.0/24",
            "zones": int(env[-1]),
            "database": DATABASE,
            "defaults": {"runtime": RUNTIMES[env[:-1]]},
        }
    declared = {
        name: {"trigger": trigger, **TRIGGERS[trigger]}
        for name, trigger in functions.items()
    }
    change_config(
        project,
        lambda config: config.update(
            functions={"worker": {}, **declared}, environments=environments
        ),
    )
    return project


def choose(project: Project, database: str, architecture: str) -> None:
    """Set the database and the processor of a project."""
    record = project.path / ".portable.json"
    answers = json.loads(record.read_text(encoding="utf-8")) | {"database": database}
    record.write_text(json.dumps(answers), encoding="utf-8")
    change_config(project, lambda config: config.update(architecture=architecture))


@pytest.mark.long(2)
@pytest.mark.parametrize("provider", ["mirror", "newest"])
def test_terraform_plans_all_combinations(
    provider: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Plan with the oldest AWS provider that the stacks accept, and the newest."""
    variables = request.getfixturevalue(provider)
    project = bake_longest(tmp_path, "terraform")
    common = project.path / "infra" / "common.tf"
    text = common.read_text(encoding="utf-8")
    [oldest, above] = re.findall(r'version = ">= ([0-9.]+), < ([0-9.]+)"', text)[0]
    if provider == "mirror":
        text = text.replace(f">= {oldest}, < {above}", f"~> {oldest}.0")
        common.write_text(text, encoding="utf-8")
    plan = "from tools import iac; iac.validate_together()"
    for pair in PAIRS:
        choose(project, *pair)
        output = project.run(".venv/bin/python", "-c", plan, env=variables).stdout
        assert "not validated" not in output
    work = project.path / ".build/terraform/.validate"
    lock = (work / "planned/.terraform.lock.hcl").read_text(encoding="utf-8")
    [version] = re.findall(r'^ +version += "(.*)"', lock, re.M)
    if provider == "mirror":
        assert version.startswith(f"{oldest}.")
    else:
        assert version.startswith(f"{int(above[0]) - 1}.")
    for env in ENVIRONMENTS:
        spec = json.loads((work / f"{env}.json").read_text(encoding="utf-8"))
        assert spec["project"] == SLUG  # the project's own name, not one for tests


@pytest.mark.long(2)
def test_cdk_synthesises_all_combinations(tmp_path: Path) -> None:
    """Check the templates with cfn-lint for each accepted region."""
    project = bake_longest(tmp_path, "cdk")
    regions = load_hook("pre_gen_project").REGIONS
    for pair in PAIRS:
        choose(project, *pair)
        project.make("lint-infra")
        work = project.path / ".build/cdk/.validate"
        templates = [
            path
            for path in sorted(work.glob("*.template.json"))
            if "Resources" in json.loads(path.read_bytes())
        ]
        text = "".join(path.read_text(encoding="utf-8") for path in templates)
        assert f'"{SLUG}-fargate3-' in text
        lint = [".venv-infra/bin/cfn-lint", "--regions", *regions, "--template"]
        project.run(*lint, *templates)
