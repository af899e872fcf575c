"""What Terraform deploys, applied into the shim with IAM enforced."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from baking import (
    Project,
    bake,
    clean_environment,
    has_terraform,
    need_server,
    skip,
    wait_until,
)
from playground import DATABASES, clicks, client, rows_of
from traffic import flows_through_a_switch

# A command that runs another one where Terraform gets its providers, for machines that
# no registry answers; it ends with 77 where it cannot.
TERRAFORM = os.environ.get("TERRAFORM", "").split()

TARGETS = "role network queue bucket aurora layer lambda ecr ecs".split()
FUNCTION = "click-loader-local-worker"
SEES = '"s3:GetObject", "s3:GetObjectVersion"'


def make(
    project: Project, *words: str, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a make word where Terraform gets its providers."""
    return project.run(*TERRAFORM, "make", *words, check=check)


@pytest.fixture(scope="session")
def providers(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where Terraform, or its provider, cannot be had."""
    give_up = skip if TERRAFORM else pytest.skip
    if not has_terraform():
        give_up("this machine has no terraform")
    folder = tmp_path_factory.mktemp("init")
    project = bake(folder)
    init = subprocess.run(
        [*TERRAFORM, "terraform", f"-chdir={project.path}/infra", "init"],
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if init.returncode != 0:
        give_up("Terraform's provider for AWS cannot be had here")


@pytest.mark.usefixtures("providers")
@pytest.mark.parametrize("database", DATABASES)
def test_terraform_deploys_what_loads_files_and_destroys_all_of_it(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_server(database)
    monkeypatch.setenv("AUTH", "true")
    project = bake(tmp_path, database=database).share_installs()
    with project.shim():
        before = everything(project)
        said = make(project, "deploy", "ENV=local").stdout
        assert "The shim cannot hold network aurora ecr ecs: left out." in said
        bucket = only(project, "bucket", "bucket")
        loads_what_is_dropped(project, bucket)
        sets_poison_aside(project)
        refuses_what_the_role_may_not(project, bucket)
        switches_by_a_word(project, bucket)
        plan = make(project, "plan", "ENV=local").stdout
        assert plan.count("No changes.") == 5
        make(project, "destroy", "ENV=local")
        assert everything(project) == before


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Project]:
    """A project whose environment dev is the shim, as if it were AWS.

    Where that is, only the project knows.
    """
    project = bake(tmp_path, database="postgres").share_installs()
    with project.shim() as shim:
        path_style = "-backend-config=use_path_style=true"
        given = shim | {"TF_CLI_ARGS_init": path_style}
        lines = [
            f"{name}={value}\n"
            for name, value in given.items()
            if not name.endswith("_REGION")
        ]
        secrets = project.path / "config" / "secrets-dev.env"
        secrets.write_text("".join(lines), encoding="utf-8")
        yield project


PRETENDED = """\
#!/bin/sh
echo "${1##*/} $2 $TF_VAR_still_mapped" >> "$CALLS"
outputs='{"mapped": {"value": ["worker"]}, "images": {"value": {}}}'
case "$2" in output) echo "$outputs";; esac
test "${1##*/} $2" != "$FAILS"
"""


@pytest.mark.parametrize("fails", ["", "aurora apply"])
def test_all_targets_are_deployed_in_order_up_to_the_first_that_fails(
    far: Project, tmp_path: Path, fails: str
) -> None:
    program, calls = tmp_path / "bin" / "terraform", tmp_path / "calls"
    program.parent.mkdir()
    program.write_text(PRETENDED)
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    far.make("bootstrap", "ENV=dev")
    result = far.make(
        *("deploy", "ENV=dev", "NEEDS_="),
        env={"PATH": path, "CALLS": str(calls), "FAILS": fails},
        check=False,
    )
    lines = map(str.split, calls.read_text(encoding="utf-8").splitlines())
    applied = [[target, *more] for target, word, *more in lines if word == "apply"]
    if fails:
        assert "deploy stopped at the target aurora.\n" in result.stdout
        assert applied == [[each, "[]"] for each in TARGETS[:5]]
        return
    assert result.returncode == 0, result.stdout
    # the queue feeds the Lambda until the container runs
    expected = [[each, "[]"] for each in TARGETS]
    expected[TARGETS.index("lambda")] = ["lambda", '["worker"]']
    assert applied == [*expected, ["lambda"]]


@pytest.mark.usefixtures("providers")
def test_state_is_kept_in_a_private_bucket_that_bootstrap_makes(far: Project) -> None:
    refused = make(far, "plan", "TARGET=role", "ENV=dev", check=False)
    assert refused.returncode != 0
    assert "no bucket for the state of dev: make bootstrap ENV=dev" in refused.stdout
    for _ in ("makes it", "changes nothing"):
        said = make(far, "bootstrap", "ENV=dev").stdout
    bucket = said.strip().rpartition("//")[2].rstrip(".")
    s3 = client(far, "s3")
    blocked = s3.get_public_access_block(Bucket=bucket)
    assert set(blocked["PublicAccessBlockConfiguration"].values()) == {True}
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert s3.get_bucket_encryption(Bucket=bucket)
    found = s3.get_bucket_location(Bucket=bucket)
    assert found["LocationConstraint"] == "eu-west-1"
    assert make(far, "plan", "TARGET=role", "ENV=dev", check=False).returncode != 0
    make(far, "deploy", "TARGET=role", "ENV=dev")
    [kept] = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert kept["Key"] == "role.tfstate"
    assert "No changes." in make(far, "plan", "TARGET=role", "ENV=dev").stdout
    names = [each["RoleName"] for each in client(far, "iam").list_roles()["Roles"]]
    assert "click-loader-dev-worker-execution" in names


@pytest.mark.usefixtures("providers")
def test_fresh_project_passes_the_checks_and_tests_of_its_targets(
    tmp_path: Path,
) -> None:
    project = bake(tmp_path).share_installs()
    said = make(project, "lint").stdout
    assert "not validated" not in said
    for target in TARGETS:
        assert "0 failed." in make(project, "test", f"TARGET={target}").stdout
    queue = project.path / "infra" / "queue" / "main.tf"
    text = queue.read_text(encoding="utf-8")
    assert text.count("6 * each") == 1
    queue.write_text(text.replace("6 * each", "5 * each"), encoding="utf-8")
    failed = make(project, "test", "TARGET=queue", check=False)
    assert failed.returncode != 0
    assert "Messages are hidden for six times the timeout" in failed.stdout
    plain = text.replace("sse_enabled    = true", "sse_enabled    = false")
    assert plain != text
    queue.write_text(plain, encoding="utf-8")
    refused = make(project, "lint", check=False)
    assert refused.returncode != 0
    assert "CKV_AWS_27" in refused.stdout


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
    baked: Project, words: list[str], told: str
) -> None:
    assert told in refused(baked, *words)


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        (
            "worker: {}",
            "worker: {memroy: 9}",
            "memroy, which config/deploy.yml says of",
        ),
        (
            "worker: {}",
            "wroker: {}",
            "wroker of config/deploy.yml is no function: there",
        ),
        (
            "runtime: lambda",
            "runtime: moon",
            "the runtime of the defaults is 'moon' in",
        ),
        (
            "min_tasks: 1 ",
            "min_tasks: 0 ",
            "min_tasks of the defaults is 0 in config/deploy.yml: say 1 or more",
        ),
    ],
)
def test_wrong_size_is_named(baked: Project, right: str, wrong: str, told: str) -> None:
    config = baked.path / "config" / "deploy.yml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace(right, wrong, 1), encoding="utf-8")
    assert told in refused(baked)


def test_protected_environment_is_not_destroyed(baked: Project) -> None:
    result = baked.make("destroy", "ENV=prod", "NEEDS_=", check=False)
    assert result.returncode != 0
    assert "prod is protected: say is_protected: false of it" in result.stdout
    assert "Traceback" not in result.stdout


def refused(project: Project, *words: str) -> str:
    """Deploy into a shim that is not there, without building; return what is said."""
    (project.path / ".shim").mkdir()
    (project.path / ".shim" / "shim.env").touch()
    result = project.make("deploy", "NEEDS_=", *words, check=False)
    assert result.returncode != 0
    assert "Traceback" not in result.stdout
    return result.stdout


def loads_what_is_dropped(project: Project, bucket: str) -> None:
    make(project, "event", "FILE=tests/data/large.csv", f"BUCKET={bucket}")
    wait_until(lambda: rows_of(project, "worker/large.csv") == 1000, "1,000 rows")
    assert project.query("SELECT count(*) FROM clicks") == [[1000]]


def sets_poison_aside(project: Project) -> None:
    """Send what no function can read; hasten its three receives."""
    sqs = client(project, "sqs")
    pending = only(project, "queue", "pending")["worker"]
    dead_letter = only(project, "queue", "dead_letter")["worker"]
    names = ["VisibilityTimeout"]
    found = sqs.get_queue_attributes(QueueUrl=pending, AttributeNames=names)
    assert found["Attributes"] == {"VisibilityTimeout": "360"}
    sqs.set_queue_attributes(QueueUrl=pending, Attributes={"VisibilityTimeout": "1"})
    sqs.send_message(QueueUrl=pending, MessageBody="poison")
    words = {"QueueUrl": dead_letter, "WaitTimeSeconds": 1}
    [letter] = wait_until(
        lambda: sqs.receive_message(**words).get("Messages"), "the dead letter"
    )
    assert letter["Body"] == "poison"
    sqs.set_queue_attributes(QueueUrl=pending, Attributes=found["Attributes"])


def refuses_what_the_role_may_not(project: Project, bucket: str) -> None:
    """Take an action away from the role, and give it back."""
    policy = project.path / "infra" / "role" / "main.tf"
    text = policy.read_text(encoding="utf-8")
    assert text.count(SEES) == 1
    policy.write_text(text.replace(SEES, '"s3:GetObjectTagging"'), encoding="utf-8")
    make(project, "deploy", "TARGET=role", "ENV=local")
    (project.path / "denied.csv").write_text(clicks(3, first=9001), encoding="utf-8")
    make(project, "event", "FILE=denied.csv", f"BUCKET={bucket}")
    wait_until(lambda: "AccessDenied" in logs(project), "what IAM refuses, in the logs")
    assert rows_of(project, "worker/denied.csv") == 0
    policy.write_text(text, encoding="utf-8")
    make(project, "deploy", "TARGET=role", "ENV=local")


def switches_by_a_word(project: Project, bucket: str) -> None:
    """Let the queue feed the container instead of the Lambda, and back."""
    config = project.path / "config" / "deploy.yml"
    text = config.read_text(encoding="utf-8")
    assert text.count("runtime: lambda ") == 1
    words = ("TARGET=lambda", "ENV=local")

    def switch(runtime: str) -> None:
        changed = text.replace("runtime: lambda ", f"runtime: {runtime} ")
        config.write_text(changed, encoding="utf-8")
        make(project, "deploy", *words)

    pending = only(project, "queue", "pending")["worker"]
    print(flows_through_a_switch(project, bucket, pending, switch))
    config.write_text(text.replace("lambda ", "container "), encoding="utf-8")
    planned = make(project, "plan", *words, check=False).stdout
    assert "0 to add, 0 to change, 1 to destroy" in planned
    config.write_text(text, encoding="utf-8")


def only(project: Project, target: str, name: str) -> Any:
    """Return an output of a target."""
    folder = project.path / ".build" / "terraform" / "local" / target
    words = ("terraform", f"-chdir={folder}", "output", "-json", name)
    return json.loads(project.run(*TERRAFORM, *words).stdout)


def logs(project: Project) -> str:
    """Return all that the Lambda has logged."""
    group = {"logGroupName": f"/aws/lambda/{FUNCTION}"}
    found = client(project, "logs").filter_log_events(**group)
    return "\n".join(event["message"] for event in found["events"])


def everything(project: Project) -> dict[str, list[Any]]:
    """Return the names of all that the shim's AWS holds, service by service."""
    listed = {
        "s3": ("list_buckets", "Buckets", "Name"),
        "sqs": ("list_queues", "QueueUrls", None),
        "iam": ("list_roles", "Roles", "RoleName"),
        "lambda": ("list_functions", "Functions", "FunctionName"),
        "logs": ("describe_log_groups", "logGroups", "logGroupName"),
    }
    names = {}
    for service, (action, key, name) in listed.items():
        found = getattr(client(project, service), action)().get(key, [])
        names[service] = sorted(each[name] if name else each for each in found)
    layers = client(project, "lambda").list_layers()["Layers"]
    mappings = client(project, "lambda").list_event_source_mappings()
    return names | {"layers": layers, "mappings": mappings["EventSourceMappings"]}
