"""Terraform deploys into the shim, with IAM enforced."""

import json
import os
import re
from collections.abc import Iterator
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
    destroy_locally,
    failing_migration,
    file_is_loaded,
    list_resources,
    make_containers,
    roll_back_container,
    shim_as_dev,
    switch_under_traffic,
    use_deployment,
)
from iam_policies import read_calls
from recorder import record
from shim_helpers import client


@pytest.mark.long(6)
@pytest.mark.usefixtures("providers")
def test_deployment_loads_files_and_is_destroyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTH", "true")
    project = bake(tmp_path, iac="terraform").share_installs()
    project.share_layer()
    project.make("new", "FUNC=tally")
    declare_functions(project)
    with project.shim():
        before = list_resources(project)
        project.make("deploy", "TARGET=role", "ENV=local")
        with record(project, Path(".shim/shim.env")) as recorder:
            deploy_locally(project)
        file_is_loaded(project)
        use_deployment(project, "0 to add, 0 to change, 1 to destroy")
        switch_under_traffic(project)
        assert project.make("plan", "ENV=local").stdout.count("No changes.") == 6
        with record(project, Path(".shim/shim.env")) as destroying:
            destroy_locally(project, before)
    actions = recorder.actions("Terraform") | destroying.actions("Terraform")
    assert len(actions) > 50
    # without a check of the credentials, the provider asks IAM for the account
    actions -= {"iam:GetUser"}
    assert actions <= {call.action for call in read_calls("terraform-deploy")}


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[Project]:
    """A project whose environment dev is the shim, as if it were AWS."""
    path_style = "-backend-config=use_path_style=true"
    with shim_as_dev(tmp_path, "terraform", TF_CLI_ARGS_init=path_style) as project:
        yield project


FAKE_TERRAFORM = """\
#!/bin/sh
echo "${1##*/} $2 $TF_VAR_still_mapped" >> "$CALLS"
test -z "$TF_VAR_kept" || echo "kept $TF_VAR_kept" >> "$CALLS"
outputs='{"mapped": {"value": ["worker"]}, "images": {"value": {}}}'
case "$2" in output) echo "$outputs";; esac
case "${1##*/} $2" in
  "queue apply") other=bucket;;
  "bucket apply") other=queue;;
  *) test "${1##*/} $2" != "$FAILS"; exit;;
esac
tries=300
until grep -q "^$other apply" "$CALLS"; do
  tries=$((tries - 1)); test $tries -gt 0 || exit 1; sleep 0.1
done
"""
# Of each stack, some that have to be deployed before.
BEFORE = {
    "network": {"role"},
    "queue": {"role"},
    "aurora": {"network"},
    "extra": {"queue", "bucket", "aurora"},
    "lambda": {"role", "network", "queue", "bucket", "aurora", "extra", "layer"},
    "ecs": {"role", "network", "queue", "bucket", "aurora", "extra", "ecr"},
    "monitoring": {"lambda", "ecs"},
}


def test_deploy_runs_independent_stacks_together(aws: Project, tmp_path: Path) -> None:
    """Stop what needs a failed stack; a moving function keeps its Lambda until ecs."""
    program, calls = tmp_path / "bin" / "terraform", tmp_path / "calls"
    program.parent.mkdir()
    program.write_text(FAKE_TERRAFORM)
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    make_containers(aws)
    aws.make("bootstrap", "ENV=dev")

    def deploy(fails: str) -> tuple[str, list[list[str]]]:
        calls.write_text("", encoding="utf-8")
        env = {"PATH": path, "CALLS": str(calls), "FAILS": fails}
        result = aws.make("deploy", "ENV=dev", env=env, check=False)
        assert (result.returncode == 0) is not bool(fails), result.stdout
        lines = map(str.split, calls.read_text(encoding="utf-8").splitlines())
        applied = [[stack, *more] for stack, word, *more in lines if word == "apply"]
        return result.stdout, applied

    output, applied = deploy(fails="aurora apply")
    assert "Deploy stopped at aurora.\n" in output
    assert "No one gets the alarms of dev: add alarms: {email: team@exam" in output
    before = set(STACKS[: STACKS.index("lambda")])
    assert {stack for stack, _ in applied} == before - {"extra"}
    with failing_migration(aws) as sentence:
        output, applied = deploy(fails="anything")
    assert sentence in output
    assert {stack for stack, _ in applied} == before
    roll_back_container(aws)
    output, applied = deploy(fails="")
    assert KEEPS in output
    kept_by_service = json.dumps({"worker": KEPT})
    assert f"kept {kept_by_service}\n" in calls.read_text(encoding="utf-8")
    env = {"PATH": path, "CALLS": str(calls), "FAILS": ""}
    assert KEEPS in aws.make("plan", "TARGET=ecs", "ENV=dev", env=env).stdout
    assert "== migrate before lambda\n" in output
    # the queue feeds the Lambda until the container runs
    assert applied.pop() == ["lambda", "[]"]
    kept = dict(applied)
    assert kept == {**dict.fromkeys(STACKS, "[]"), "lambda": '["worker"]'}
    for number, (stack, _) in enumerate(applied):
        done = {name for name, _ in applied[:number]}
        assert BEFORE.get(stack, set()) <= done, (stack, done)


@pytest.mark.usefixtures("providers")
def test_bootstrap_creates_a_private_state_bucket(aws: Project) -> None:
    refused = aws.make("plan", "TARGET=queue", "ENV=dev", check=False)
    assert refused.returncode != 0
    expected = (
        "no bucket for the state of dev: let an administrator run 'make bootstrap"
    )
    assert expected in refused.stdout
    boundary_is_required(aws)
    for done in ("created", "unchanged"):
        output = aws.make("bootstrap", "ENV=dev").stdout
        assert f"click-loader-dev-boundary: {done}\n" in output
    bucket = output.strip().rpartition("//")[2].rstrip(".")
    s3 = client(aws, "s3")
    blocked = s3.get_public_access_block(Bucket=bucket)
    assert set(blocked["PublicAccessBlockConfiguration"].values()) == {True}
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert s3.get_bucket_encryption(Bucket=bucket)
    found = s3.get_bucket_location(Bucket=bucket)
    assert found["LocationConstraint"] == "eu-west-1"
    with record(aws, Path("config/secrets-dev.env")) as recorder:
        planned = aws.make("plan", "TARGET=role", "ENV=dev", check=False)
        assert planned.returncode != 0
    allowed = {call.action for call in read_calls("terraform-plan")}
    assert {"iam:GetPolicyVersion", "s3:ListBucket"} <= recorder.actions() <= allowed
    aws.make("deploy", "TARGET=role", "ENV=dev")
    [state] = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert state["Key"] == "role.tfstate"
    assert "No changes." in aws.make("plan", "TARGET=role", "ENV=dev").stdout
    role = client(aws, "iam").get_role(RoleName="click-loader-dev-worker-execution")
    boundary = role["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"]
    assert boundary.endswith(":policy/click-loader-dev-boundary")
    declaration_needs_bootstrap(aws)


@pytest.mark.long(2)
@pytest.mark.usefixtures("providers")
def test_fresh_stacks_pass_checks_and_tests(tmp_path: Path) -> None:
    project = bake(tmp_path, iac="terraform").share_installs().share_layer()
    assert "not validated" not in project.make("lint").stdout
    planned = project.path / ".build/terraform/.validate/prod.json"
    assert json.loads(planned.read_text(encoding="utf-8"))["project"] == "click-loader"
    for stack in STACKS:
        assert "0 failed." in project.make("test", f"TARGET={stack}").stdout
    queue = project.path / "infra" / "queue" / "main.tf"
    text = queue.read_text(encoding="utf-8")
    assert text.count("6 * each") == 1
    queue.write_text(text.replace("6 * each", "5 * each"), encoding="utf-8")
    failed = project.make("test", "TARGET=queue", check=False)
    assert failed.returncode != 0
    assert "visibility timeout must be six times the timeout" in failed.stdout
    insecure = re.sub(r"sse_enabled( +)= true", r"sse_enabled\1= false", text)
    assert insecure != text
    queue.write_text(insecure, encoding="utf-8")
    refused = project.make("lint", check=False)
    assert refused.returncode != 0
    assert "CKV_AWS_27" in refused.stdout
