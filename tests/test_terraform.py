"""What Terraform deploys, applied into the shim with IAM enforced."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from baking import CheckedOnce, Project, bake, need_server
from deployed import (
    TARGETS,
    deploys,
    destroys,
    everything,
    far,
    loads_what_is_dropped,
    move_to_containers,
    one_provider,
    switches_under_traffic,
    works,
)
from playground import DATABASES, client


@pytest.mark.long
@pytest.mark.usefixtures("providers")
@pytest.mark.parametrize("database", DATABASES)
def test_terraform_deploys_what_loads_files_and_destroys_all_of_it(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_server(database)
    monkeypatch.setenv("AUTH", "true")
    project = bake(tmp_path, iac="terraform", database=database).share_installs()
    project.share_layer()
    project.make("new", "FUNC=tally")
    with project.shim() as shim:
        before = everything(project)
        # as its users do, with a provider for each step
        project.make("deploy", "TARGET=role", "ENV=local")
        with one_provider(project, shim):
            deploys(project)
            loads_what_is_dropped(project)
            if database == "postgres":  # no database changes this; CDK has MySQL
                works(project, "role/main.tf", "0 to add, 0 to change, 1 to destroy")
                switches_under_traffic(project)
            assert project.make("plan", "ENV=local").stdout.count("No changes.") == 5
            destroys(project, before)


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[Project]:
    """A project whose environment dev is the shim, as if it were AWS."""
    path_style = "-backend-config=use_path_style=true"
    with far(tmp_path, "terraform", TF_CLI_ARGS_init=path_style) as project:
        yield project


PRETENDED = """\
#!/bin/sh
echo "${1##*/} $2 $TF_VAR_still_mapped" >> "$CALLS"
outputs='{"mapped": {"value": ["worker"]}, "images": {"value": {}}}'
case "$2" in output) echo "$outputs";; esac
test "${1##*/} $2" != "$FAILS"
"""


def test_all_targets_are_deployed_in_order_up_to_the_first_that_fails(
    aws: Project, tmp_path: Path
) -> None:
    program, calls = tmp_path / "bin" / "terraform", tmp_path / "calls"
    program.parent.mkdir()
    program.write_text(PRETENDED)
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    move_to_containers(aws)
    aws.make("bootstrap", "ENV=dev")

    def deploy(fails: str) -> tuple[str, list[list[str]]]:
        calls.write_text("", encoding="utf-8")
        words = ("deploy", "ENV=dev", "NEEDS_=")
        env = {"PATH": path, "CALLS": str(calls), "FAILS": fails}
        result = aws.make(*words, env=env, check=False)
        assert (result.returncode == 0) is not bool(fails), result.stdout
        lines = map(str.split, calls.read_text(encoding="utf-8").splitlines())
        applied = [[target, *more] for target, word, *more in lines if word == "apply"]
        return result.stdout, applied

    said, applied = deploy(fails="aurora apply")
    assert "deploy stopped at aurora.\n" in said
    assert applied == [[each, "[]"] for each in TARGETS[:5]]
    _, applied = deploy(fails="")
    # the queue feeds the Lambda until the container runs
    expected = [[each, "[]"] for each in TARGETS]
    expected[TARGETS.index("lambda")] = ["lambda", '["worker"]']
    assert applied == [*expected, ["lambda", "[]"]]


@pytest.mark.usefixtures("providers")
def test_state_is_kept_in_a_private_bucket_that_bootstrap_makes(aws: Project) -> None:
    refused = aws.make("plan", "TARGET=role", "ENV=dev", check=False)
    assert refused.returncode != 0
    assert "no bucket for the state of dev: make bootstrap ENV=dev" in refused.stdout
    for _ in ("makes it", "changes nothing"):
        said = aws.make("bootstrap", "ENV=dev").stdout
    bucket = said.strip().rpartition("//")[2].rstrip(".")
    s3 = client(aws, "s3")
    blocked = s3.get_public_access_block(Bucket=bucket)
    assert set(blocked["PublicAccessBlockConfiguration"].values()) == {True}
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert s3.get_bucket_encryption(Bucket=bucket)
    found = s3.get_bucket_location(Bucket=bucket)
    assert found["LocationConstraint"] == "eu-west-1"
    assert aws.make("plan", "TARGET=role", "ENV=dev", check=False).returncode != 0
    aws.make("deploy", "TARGET=role", "ENV=dev")
    [kept] = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert kept["Key"] == "role.tfstate"
    assert "No changes." in aws.make("plan", "TARGET=role", "ENV=dev").stdout
    names = [each["RoleName"] for each in client(aws, "iam").list_roles()["Roles"]]
    assert "click-loader-dev-worker-execution" in names


@pytest.mark.long
@pytest.mark.usefixtures("providers")
def test_fresh_project_passes_the_checks_and_tests_of_its_targets(
    tmp_path: Path, checked_once: CheckedOnce
) -> None:
    project = bake(tmp_path, iac="terraform").share_installs()
    with checked_once(project, anew=True):
        said = project.make("lint").stdout
        assert "not validated" not in said
    with one_provider(project):
        for target in TARGETS:
            assert "0 failed." in project.make("test", f"TARGET={target}").stdout
    queue = project.path / "infra" / "queue" / "main.tf"
    text = queue.read_text(encoding="utf-8")
    assert text.count("6 * each") == 1
    queue.write_text(text.replace("6 * each", "5 * each"), encoding="utf-8")
    failed = project.make("test", "TARGET=queue", check=False)
    assert failed.returncode != 0
    assert "Messages are hidden for six times the timeout" in failed.stdout
    plain = text.replace("sse_enabled    = true", "sse_enabled    = false")
    assert plain != text
    queue.write_text(plain, encoding="utf-8")
    refused = project.make("lint", check=False)
    assert refused.returncode != 0
    assert "CKV_AWS_27" in refused.stdout
