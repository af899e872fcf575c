"""CDK deploys into the shim, with IAM enforced."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from baking import Project, bake
from deploy_helpers import (
    KEEPS,
    KEPT,
    STACKS,
    boundary_is_required,
    declaration_needs_bootstrap,
    declare_functions,
    deploy_locally,
    deployment_is_proven,
    failing_migration,
    file_is_loaded,
    list_resources,
    make_containers,
    roll_back_container,
    shim_as_dev,
    use_deployment,
    with_cdk_node,
)
from iam_policies import ROLES, read_calls
from recorder import record
from shim_helpers import client, require_server
from test_bakes import OFFLINE, is_offline_possible

QUALIFIER = sha256(b"click-loader-dev").hexdigest()[:10]
NETWORK_PARAMETERS = ("S3PrefixList", "Zones")
UNCHANGED = "There were no differences"


@pytest.mark.long(2)
def test_deployment_loads_files_and_is_destroyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With MySQL. `test_any_function` deploys into a shim with PostgreSQL."""
    require_server("mysql")
    monkeypatch.setenv("AUTH", "true")
    project = bake(tmp_path, iac="cdk", database="mysql").share_installs()
    project.share_layer()
    project.make("new", "FUNC=tally")
    declare_functions(project)
    with project.shim():
        project.make("bootstrap", "ENV=local")  # its resources are never destroyed
        before = list_resources(project)
        deploy_stops_at_lambda(project)
        deploy_locally(project)
        file_is_loaded(project)
        use_deployment(project, "[-] AWS::Lambda::EventSourceMapping")
        assert project.make("plan", "ENV=local").stdout.count(UNCHANGED) == 6
        shutil.rmtree(project.path / ".build")  # the same code gives the same assets
        assert project.make("plan", "ENV=local").stdout.count(UNCHANGED) == 6
        deployment_is_proven(project, before)


def deploy_stops_at_lambda(project: Project) -> None:
    """Deploy a Lambda whose layer is published under another name."""
    layer = project.path / "infra" / "layer" / "stack.py"
    text = layer.read_text(encoding="utf-8")
    assert text.count('stack, "layer"') == 1
    layer.write_text(text.replace('stack, "layer"', 'stack, "tier"'), encoding="utf-8")
    output = project.make("deploy", "ENV=local", check=False).stdout
    assert "Deploy stopped at lambda.\n" in output
    assert re.findall(r"✅  (\w+)", output) == ["role", "queue", "bucket", "layer"]
    layer.write_text(text, encoding="utf-8")


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[Project]:
    """A project whose environment dev is the shim, as if it were AWS."""
    with shim_as_dev(tmp_path, "cdk") as project:
        yield project


def test_bootstrap_creates_a_private_asset_bucket(aws: Project) -> None:
    refused = aws.make("plan", "TARGET=queue", "ENV=dev", check=False)
    assert refused.returncode != 0
    expected = "not prepared for CDK: let an administrator run 'make bootstrap ENV=dev'"
    assert expected in refused.stdout
    boundary_is_required(aws)
    for done in ("created", "unchanged"):
        output = aws.make("bootstrap", "ENV=dev").stdout
        assert f"click-loader-dev-boundary: {done}\n" in output
    assert "CDK can deploy dev to aws://000000000000/eu-west-1." in output
    bootstrap_roles_are_limited(aws)
    s3 = client(aws, "s3")
    bucket = f"cdk-{QUALIFIER}-assets-000000000000-eu-west-1"
    assert "SecureTransport" in s3.get_bucket_policy(Bucket=bucket)["Policy"]
    s3.delete_bucket_policy(Bucket=bucket)  # the shim has no TLS
    with record(aws, Path("config/secrets-dev.env")) as recorder:
        planned = aws.make("plan", "TARGET=role", "ENV=dev", check=False)
        assert planned.returncode != 0
    # CDK tries its own roles, and continues without them
    allowed = {call.action for call in read_calls("cdk-plan")} | {"sts:AssumeRole"}
    assert {"iam:GetPolicyVersion", "ssm:GetParameter"} <= recorder.actions() <= allowed
    aws.make("deploy", "TARGET=role", "ENV=dev")
    output = aws.make("plan", "TARGET=role", "ENV=dev").stdout
    assert UNCHANGED in output
    names = [each["RoleName"] for each in client(aws, "iam").list_roles()["Roles"]]
    assert "click-loader-dev-worker-execution" in names
    declaration_needs_bootstrap(aws)


def bootstrap_roles_are_limited(project: Project) -> None:
    """CloudFormation's role has policies of the project, not an administrator's."""
    cloudformation = client(project, "cloudformation")
    name = "CDKToolkit-click-loader-dev"
    [stack] = cloudformation.describe_stacks(StackName=name)["Stacks"]
    parameters = {
        each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]
    }
    boundary = "click-loader-dev-bootstrap-boundary"
    assert parameters["InputPermissionsBoundary"] == boundary
    assert parameters["ApplyPermissionsBoundaryToAllRoles"] == "true"
    arns = parameters["CloudFormationExecutionPolicies"].split(",")
    assert {arn.rpartition("/")[2] for arn in arns} == {
        f"click-loader-dev-{name}" for name in ROLES["cloudformation"][1]
    }


FAKE_CDK = """\
#!/bin/sh
test -z "$BROKEN" || exit 1
echo "$*" >> "$CALLS"
for done in role network queue bucket; do echo "✅  $done (dev-$done)"; done
test "$1 $2" != "$FAILS"
"""


def test_deploy_takes_all_stacks_in_few_runs(aws: Project, tmp_path: Path) -> None:
    """Run CDK once for all stacks; images and moving functions need more runs."""
    aws.make("bootstrap", "ENV=dev")
    use_fake_cdk(aws, FAKE_CDK)
    make_containers(aws)
    add_output(aws, "lambda", "Mapped", ["worker"])
    add_output(aws, "ecr", "Images", {})
    calls = tmp_path / "calls"

    def make(action: str, fails: str = "") -> tuple[str, list[list[str]]]:
        calls.write_text("", encoding="utf-8")
        env = {"CALLS": str(calls), "FAILS": f"{action} {fails}"}
        result = aws.make(action, "ENV=dev", env=env, check=False)
        assert (result.returncode == 0) is not bool(fails), result.stdout
        lines = calls.read_text(encoding="utf-8").splitlines()
        return result.stdout, list(map(str.split, lines))

    def action_of(call: list[str]) -> tuple[str, list[str], str]:
        """Return action, stacks and directory of a call."""
        if call[0] == "synth":
            [directory] = re.findall(r"--output=(\S+)", " ".join(call))
            return call[0], [], Path(directory).name
        directory = call[call.index("--app") + 1]
        return call[0], call[1 : call.index("--exclusively")], Path(directory).name

    broken = {"CALLS": str(calls), "BROKEN": "yes"}
    output = aws.make("deploy", "ENV=dev", env=broken, check=False).stdout
    assert "CDK could not synthesise the stacks, see above.\n" in output
    assert "stopped" not in output

    before = STACKS.index("lambda")  # the database is migrated there
    output, called = make("deploy", fails="role")
    assert "Deploy stopped at aurora.\n" in output
    # the queue feeds the Lambda until the container runs; both apps are synthesised
    # first, so that all runs deploy the same code
    first = [
        ("synth", [], "moving"),
        ("synth", [], "all"),
        ("deploy", STACKS[:before], "moving"),
        ("deploy", STACKS[before:-2], "moving"),
    ]
    assert list(map(action_of, called)) == first[:-1]
    assert "--context=still_mapped=worker" in called[0]
    assert "--context=still_mapped=" in called[1]
    parameters = {word.split("=")[1] for word in called[2] if "--parameters" in word}
    network = "click-loader-dev-network"
    assert parameters == {f"{network}:{name}" for name in NETWORK_PARAMETERS}
    with failing_migration(aws) as sentence:
        output, called = make("deploy", fails="anything")
    assert "== migrate before lambda\n" in output
    assert sentence in output
    assert list(map(action_of, called)) == first[:-1]
    output, called = make("deploy", fails="ecs")
    assert "Deploy stopped at ecs.\n" in output
    rest = ("deploy", ["ecs", "monitoring"], "all")
    assert list(map(action_of, called)) == [*first, rest]
    assert "--parameters=click-loader-dev-ecs:Keptworker=" in called[4]
    roll_back_container(aws)
    output, called = make("deploy")
    assert KEEPS in output
    assert f"--parameters=click-loader-dev-ecs:Keptworker={KEPT}" in called[4]
    last = [rest, ("deploy", ["lambda"], "all")]
    assert list(map(action_of, called)) == [*first, *last]
    _, called = make("destroy")
    assert list(map(action_of, called)) == [
        ("synth", [], "all"),
        ("destroy", STACKS[4:], "all"),
        ("destroy", STACKS[:4], "all"),
    ]


def test_app_can_be_synthesised_by_hand(tmp_path: Path) -> None:
    """Run CDK as docs/deploying.md says, without and with the zips that it needs."""
    project = bake(tmp_path, iac="cdk").share_installs().share_layer()
    synth = ("sh", "-c", "cd infra && ../.venv-infra/node_modules/.bin/cdk synth queue")
    path = with_cdk_node(project)
    missing = project.run(*synth, env=path, check=False)
    assert missing.returncode != 0
    assert ".build/lambda/worker.zip is missing: run 'make build" in missing.stdout
    assert "Traceback" not in missing.stdout
    project.make("build")
    assert "click-loader-local-worker-pending" in project.run(*synth, env=path).stdout


def use_fake_cdk(project: Project, program: str) -> None:
    """Put a program in place of CDK's command line."""
    installed = project.path / ".venv-infra"
    installed.unlink()
    path = installed / "node_modules" / ".bin" / "cdk"
    path.parent.mkdir(parents=True)
    path.write_text(program)
    path.chmod(0o755)
    (installed / "bin").mkdir()
    (installed / "bin" / "python").symlink_to(sys.executable)
    (installed / "pyvenv.cfg").touch()


def add_output(project: Project, stack: str, name: str, value: object) -> None:
    """Create a stack of the environment dev that has an output."""
    properties = {"Type": "String", "Value": "-", "Name": f"/fake/{stack}"}
    template = {
        "Resources": {"any": {"Type": "AWS::SSM::Parameter", "Properties": properties}},
        "Outputs": {name: {"Value": json.dumps(value)}},
    }
    client(project, "cloudformation").create_stack(
        StackName=f"click-loader-dev-{stack}", TemplateBody=json.dumps(template)
    )


@pytest.mark.long(2)
def test_fresh_stacks_pass_checks_and_tests(tmp_path: Path) -> None:
    project = bake(tmp_path, iac="cdk").share_installs().share_layer()
    project.make("build")
    no_network = OFFLINE if is_offline_possible() else []
    project.run(*no_network, "make", "lint")
    checked = project.path / ".build/cdk/.validate/prod-queue.template.json"
    assert '"click-loader-prod-worker-pending"' in checked.read_text(encoding="utf-8")
    pytest_ = (".venv-infra/bin/pytest", "infra", "--verbose")
    output = project.run(*pytest_, env=with_cdk_node(project)).stdout
    for stack in set(STACKS) - {"extra"}:
        assert f"infra/{stack}/test_{stack}.py" in output
    assert " passed in " in project.make("test", "TARGET=queue").stdout
    queue = project.path / "infra" / "queue" / "stack.py"
    text = queue.read_text(encoding="utf-8")
    assert text.count("6 * settings") == 1
    broken = text.replace("6 * settings", "5 * settings")
    queue.write_text(broken, encoding="utf-8")
    failed = project.make("test", "TARGET=queue", check=False)
    assert failed.returncode != 0
    assert "test_visibility_is_six_timeouts_and_the_window" in failed.stdout
    assert "Test stopped at queue." in failed.stdout
    bucket = project.path / "infra" / "bucket" / "stack.py"
    text = bucket.read_text(encoding="utf-8")
    insecure = text.replace("enforce_ssl=not deployment.is_local", "enforce_ssl=False")
    assert insecure != text
    bucket.write_text(insecure, encoding="utf-8")
    refused = project.make("lint", check=False)
    assert refused.returncode != 0
    assert "AwsSolutions-S10" in refused.stdout
