"""Both IaC tools accept all combinations of settings, with the longest names.

Checkov and cdk-nag check the same files and resources in `test_fresh_stacks_…`.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from baking import Project, bake
from deploy_helpers import STACKS, change_config
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
# An environment for each runtime, number of zones and processor, such as `fargat3a`.
RUNTIMES = {"lambda": "lambda", "fargat": "container"}
ARCHITECTURES = {"a": "arm64", "x": "x86_64"}
ENVIRONMENTS = [
    f"{runtime}{zones}{architecture}"
    for runtime in RUNTIMES
    for zones in (2, 3)
    for architecture in ARCHITECTURES
]
# In existing networks. Both runtimes are in new ones, too, with two and three zones.
EXISTING = ["lambda2x", "fargat2a"]
NETWORK = {
    "vpc": "vpc-0123456789abcdef0",
    "subnets": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
    "security_group": "sg-0123456789abcdef0",
}
# So that each combination of three of the four settings is planned, in half the time.
DATABASES = [
    ("postgres", "mysql")[(env[0] == "l") ^ (env[-2] == "2") ^ (env[-1] == "a")]
    for env in ENVIRONMENTS
]
MOCKS = 'source = "../../../../infra/tests"'


def bake_longest(directory: Path, iac: str, database: str = "postgres") -> Project:
    """Bake a project with the longest names, and an environment for each combination.

    It has a function for each trigger.
    """
    assert len(SLUG) == load_hook("pre_gen_project").SLUG_LIMIT
    assert set(map(len, ENVIRONMENTS)) == {8}
    answers = {"iac": iac, "database": database, "project_slug": SLUG}
    project = bake(directory, **answers).share_installs()
    functions = {f"{name}_".ljust(20, "x"): name for name in TRIGGERS}
    source = (project.path / "src/func/worker.py").read_bytes()
    for name in functions:
        (project.path / f"src/func/{name}.py").write_bytes(source)
        (project.path / f"config/{name}.yml").write_text("{}\n", encoding="utf-8")
    environments: dict[str, Any] = {"local": {}}
    for env in ENVIRONMENTS:
        new = {"cidr": "10.0.0.0/24", "zones": int(env[-2])}
        environments[env] = {
            **({"network": NETWORK} if env in EXISTING else new),
            "database": DATABASE,
            "defaults": {"runtime": RUNTIMES[env[:-2]]},
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


RUN = """\
run "%(name)s" {
  command = plan
  variables {
    environment = "%(env)s"
    database    = "%(database)s"
  }
}
"""
# Makes all stacks the modules of one root, whose environments each have one processor.
# The network is left out of those that have one, as `make plan` does.
LINK = """
import json
import sys
from pathlib import Path
from tools import deploy_config, deployer, function_specs, iac
root = Path(sys.argv[1]).resolve()
iac.link_together(root, [each for each in deploy_config.STACKS if each != "extra"])
file = root / "main.tf.json"
main = json.loads(file.read_text())
has_network = f"contains({json.dumps(EXISTING)}, var.environment)"
main["module"]["network"]["count"] = "${" + has_network + " ? 0 : 1}"
file.write_text(json.dumps(main))
for env in sys.argv[2:]:
    spec = function_specs.resolve(env) | {"architecture": ARCHITECTURES[env[-1]]}
    artifacts = deployer.write_placeholders(spec["functions"])
    iac.write_spec(root.parent, env, spec, artifacts)
"""


@pytest.mark.long(2)
@pytest.mark.parametrize("provider", ["mirror", "newest"])
def test_terraform_plans_all_combinations(
    provider: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Plan with the oldest AWS provider that the stacks accept, and with the newest."""
    variables = request.getfixturevalue(provider)
    project = bake_longest(tmp_path, "terraform")
    common = project.path / "infra" / "common.tf"
    text = common.read_text(encoding="utf-8")
    [(oldest, above)] = re.findall(r'version = ">= ([0-9.]+), < ([0-9]+)[.]0"', text)
    expected = f"{int(above) - 1}."
    if provider == "mirror":
        expected = f"{oldest}."
        text = text.replace(f">= {oldest}, < {above}.0", f"~> {oldest}.0")
        common.write_text(text, encoding="utf-8")
    directory = ".build/terraform/.combinations/all"  # as deep as that of a stack
    program = f"ARCHITECTURES = {ARCHITECTURES}\nEXISTING = {EXISTING}\n{LINK}"
    link = (".venv/bin/python", "-c", program, directory, *ENVIRONMENTS)
    project.run(*link)
    names = [
        {"name": env, "env": env, "database": database}
        for env, database in zip(ENVIRONMENTS, DATABASES, strict=True)
    ]
    tests = project.path / directory / "all.tftest.hcl"
    runs = "".join(RUN % each for each in names)
    tests.write_text(f'mock_provider "aws" {{{MOCKS}}}\n{runs}', encoding="utf-8")
    terraform = ("terraform", f"-chdir={directory}")
    project.run(*terraform, "init", "-input=false", env=variables)
    lock = (tests.parent / ".terraform.lock.hcl").read_text(encoding="utf-8")
    [version] = re.findall(r'^ +version += "(.*)"', lock, re.MULTILINE)
    assert version.startswith(expected)
    project.run(*terraform, "validate", env=variables)
    output = project.run(*terraform, "test", env=variables).stdout
    assert f"{len(names)} passed, 0 failed." in output


@pytest.mark.long(2)
@pytest.mark.parametrize(("database", "processor"), [("postgres", "a"), ("mysql", "x")])
def test_cdk_synthesises_all_combinations(
    database: str, processor: str, tmp_path: Path
) -> None:
    """Check the templates with cdk-nag, and with cfn-lint for each accepted region."""
    project = bake_longest(tmp_path, "cdk", database)
    architecture = ARCHITECTURES[processor]
    change_config(project, lambda config: config.update(architecture=architecture))
    environments = [env for env in ENVIRONMENTS if env.endswith(processor)]
    program = (
        "import sys; from pathlib import Path; from tools import iac\n"
        "iac.synthesise(iac.WORK / 'all', environment=sys.argv[1], is_checked='yes')"
    )
    project.run(".venv/bin/python", "-c", program, " ".join(environments))
    templates = [
        path
        for path in sorted((project.path / ".build/cdk/all").glob("*.template.json"))
        if "Resources" in json.loads(path.read_bytes())
    ]
    expected = {
        f"{env}-{stack}"
        for env in environments
        for stack in set(STACKS) - {"extra"}
        if stack != "network" or env not in EXISTING
    }
    assert {path.name.removesuffix(".template.json") for path in templates} == expected
    regions = load_hook("pre_gen_project").REGIONS
    lint = [".venv-infra/bin/cfn-lint", "--regions", *regions, "--template"]
    project.run(*lint, *templates)
