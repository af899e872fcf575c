"""Terraform deploys into the shim, with IAM enforced."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from baking import Project, bake
from deploy_helpers import (
    STACKS,
    declare_functions,
    deploy_locally,
    destroy_locally,
    file_is_loaded,
    list_resources,
    make_containers,
    shim_as_dev,
    switch_under_traffic,
    use_deployment,
)
from shim_helpers import DATABASES, client, require_server


@pytest.mark.long(6)
@pytest.mark.usefixtures("providers")
@pytest.mark.parametrize("database", DATABASES)
def test_deployment_loads_files_and_is_destroyed(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_server(database)
    monkeypatch.setenv("AUTH", "true")
    project = bake(tmp_path, iac="terraform", database=database).share_installs()
    project.share_layer()
    project.make("new", "FUNC=tally")
    declare_functions(project)
    with project.shim():
        before = list_resources(project)
        project.make("deploy", "TARGET=role", "ENV=local")
        deploy_locally(project)
        file_is_loaded(project)
        if database == "postgres":  # the database makes no difference; CDK has MySQL
            use_deployment(project, "0 to add, 0 to change, 1 to destroy")
            switch_under_traffic(project)
        assert project.make("plan", "ENV=local").stdout.count("No changes.") == 6
        destroy_locally(project, before)


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[Project]:
    """A project whose environment dev is the shim, as if it were AWS."""
    path_style = "-backend-config=use_path_style=true"
    with shim_as_dev(tmp_path, "terraform", TF_CLI_ARGS_init=path_style) as project:
        yield project


FAKE_TERRAFORM = """\
#!/bin/sh
echo "${1##*/} $2 $TF_VAR_still_mapped" >> "$CALLS"
outputs='{"mapped": {"value": ["worker"]}, "images": {"value": {}}}'
case "$2" in output) echo "$outputs";; esac
test "${1##*/} $2" != "$FAILS"
"""


def test_deploy_stops_at_the_first_failing_stack(aws: Project, tmp_path: Path) -> None:
    """Deploy all stacks in order; a moving function keeps its Lambda until ecs."""
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
    assert applied == [[each, "[]"] for each in STACKS[:5]]
    _, applied = deploy(fails="")
    # the queue feeds the Lambda until the container runs
    expected = [[each, "[]"] for each in STACKS]
    expected[STACKS.index("lambda")] = ["lambda", '["worker"]']
    assert applied == [*expected, ["lambda", "[]"]]


@pytest.mark.usefixtures("providers")
def test_bootstrap_creates_a_private_state_bucket(aws: Project) -> None:
    refused = aws.make("plan", "TARGET=role", "ENV=dev", check=False)
    assert refused.returncode != 0
    expected = "no bucket for the state of dev: run 'make bootstrap ENV=dev'"
    assert expected in refused.stdout
    for _ in ("creates it", "changes nothing"):
        output = aws.make("bootstrap", "ENV=dev").stdout
    bucket = output.strip().rpartition("//")[2].rstrip(".")
    s3 = client(aws, "s3")
    blocked = s3.get_public_access_block(Bucket=bucket)
    assert set(blocked["PublicAccessBlockConfiguration"].values()) == {True}
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert s3.get_bucket_encryption(Bucket=bucket)
    found = s3.get_bucket_location(Bucket=bucket)
    assert found["LocationConstraint"] == "eu-west-1"
    assert aws.make("plan", "TARGET=role", "ENV=dev", check=False).returncode != 0
    aws.make("deploy", "TARGET=role", "ENV=dev")
    [state] = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert state["Key"] == "role.tfstate"
    assert "No changes." in aws.make("plan", "TARGET=role", "ENV=dev").stdout
    names = [each["RoleName"] for each in client(aws, "iam").list_roles()["Roles"]]
    assert "click-loader-dev-worker-execution" in names


@pytest.mark.long(2)
@pytest.mark.usefixtures("providers")
def test_fresh_stacks_pass_checks_and_tests(tmp_path: Path) -> None:
    project = bake(tmp_path, iac="terraform").share_installs().share_layer()
    assert "not validated" not in project.make("lint").stdout
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
