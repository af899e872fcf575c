"""What tests do with a tool that deploys: apply it into the shim with IAM enforced."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from baking import Project, bake, clean_environment, wait_until
from playground import clicks, client, queue, rows_of
from traffic import flows_through_a_switch

TARGETS = "role network queue bucket aurora layer lambda ecr ecs".split()
FUNCTION = "click-loader-local-worker"
BUCKET = "click-loader-local-raw-000000000000"
SEES = '"s3:GetObject", "s3:GetObjectVersion"'


def with_own_node(project: Project) -> dict[str, str]:
    """Return the path by which CDK's library finds the project's own Node."""
    return {"PATH": f"{project.path}/.venv-infra/bin{os.pathsep}{os.environ['PATH']}"}


@contextmanager
def one_provider(
    project: Project, environment: dict[str, str] | None = None
) -> Iterator[None]:
    """Let words of Terraform share one process of its provider.

    Terraform starts it three times a word, which takes half of the word's time. How to
    share it: HashiCorp's page "Debugging providers".

    Args:
        project: it has initialised Terraform.
        environment: where the provider finds AWS.
    """
    folder = project.path / ".build" / "terraform"
    found = folder.glob("**/.terraform/providers/*/*/*/*/*/terraform-provider-aws*")
    program = next(found)
    variable = "TF_REATTACH_PROVIDERS"
    with (
        subprocess.Popen(
            [program, "-debug"],
            cwd=program.parents[7],  # paths are told as from a target's folder
            env=clean_environment(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as provider,
        pytest.MonkeyPatch.context() as patch,
    ):
        told = next(line for line in provider.stdout or () if f"{variable}=" in line)
        patch.setenv(variable, told.partition("=")[2].strip(" '\n"))
        try:
            yield
        finally:
            provider.terminate()


def deploys(project: Project) -> None:
    """Deploy into the project's shim."""
    said = project.make("deploy", "ENV=local").stdout
    assert "The shim cannot hold network aurora ecr ecs: left out." in said


def works(project: Project, role: str, unmapped: str) -> None:
    """Use what is deployed into the project's shim.

    Args:
        project: it; its shim runs, it has a function tally, and has loaded a file.
        role: file of the target role, below `infra/`.
        unmapped: what a plan says where a queue will feed no Lambda any more.
    """
    second_function_has_a_queue_of_its_own(project)
    sets_poison_aside(project)
    refuses_what_the_role_may_not(project, project.path / "infra" / role)
    plans_another_runtime(project, unmapped)


def destroys(project: Project, before: dict[str, list[Any]]) -> None:
    """Destroy all targets; nothing is left but what was there before."""
    project.make("destroy", "ENV=local")
    left = everything(project)
    assert left == before, f"{left} instead of {before}"


@contextmanager
def far(folder: Path, iac: str, **settings: str) -> Iterator[Project]:
    """Run the shim of a project whose environment dev it is, as if it were AWS.

    Where that is, only the project knows.

    Args:
        folder: for the project.
        iac: what deploys it.
        settings: more of the environment's.
    """
    project = bake(folder, iac=iac, database="postgres").share_installs()
    project.share_layer()
    with project.shim() as shim:
        lines = [
            f"{name}={value}\n"
            for name, value in (shim | settings).items()
            if not name.endswith("_REGION")
        ]
        secrets = project.path / "config" / "secrets-dev.env"
        secrets.write_text("".join(lines), encoding="utf-8")
        yield project


def move_to_containers(project: Project) -> None:
    """Make a container of each function that says nothing else."""
    config = project.path / "config" / "deploy.yml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("runtime: lambda", "runtime: container"))


def refused(project: Project, *words: str) -> str:
    """Deploy into a shim that is not there, without building; return what is said."""
    (project.path / ".shim").mkdir()
    (project.path / ".shim" / "shim.env").touch()
    result = project.make("deploy", "NEEDS_=", *words, check=False)
    assert result.returncode != 0
    assert "Traceback" not in result.stdout
    return result.stdout


def loads_what_is_dropped(project: Project) -> None:
    said = project.make("event", "FILE=tests/data/large.csv", "ENV=local").stdout
    assert f"s3://{BUCKET}/worker/large.csv" in said
    wait_until(lambda: rows_of(project, "worker/large.csv") == 1000, "1,000 rows")
    assert project.query("SELECT count(*) FROM clicks") == [[1000]]


def second_function_has_a_queue_of_its_own(project: Project) -> None:
    """Drop a file for the function that `make new` has made, and look by make words."""
    place = ("FUNC=tally", "ENV=local")

    def told(word: str) -> str:
        return project.make(word, *place, check=False).stdout

    project.make("event", "FILE=tests/data/large.csv", *place)
    counted = f'"object": "s3://{BUCKET}/tally/large.csv", "rows": 1000'
    wait_until(lambda: counted in told("logs"), "the second function's log")
    assert "large.csv" not in told("logs").replace("tally/large.csv", "")
    wait_until(
        lambda: told("queue").count(": 0 waiting, 0 in flight, 0 delayed") == 2,
        "the end of the second function's message",
    )
    assert project.query("SELECT count(*) FROM clicks") == [[1000]]


def sets_poison_aside(project: Project) -> None:
    """Send what no function can read; hasten its three receives."""
    sqs = client(project, "sqs")
    pending = queue(project, f"{FUNCTION}-pending")
    names = ["VisibilityTimeout"]
    found = sqs.get_queue_attributes(QueueUrl=pending, AttributeNames=names)
    assert found["Attributes"] == {"VisibilityTimeout": "360"}
    sqs.set_queue_attributes(QueueUrl=pending, Attributes={"VisibilityTimeout": "1"})
    sqs.send_message(QueueUrl=pending, MessageBody="poison")
    dead_letter = queue(project, f"{FUNCTION}-dead-letter")
    words = {"QueueUrl": dead_letter, "WaitTimeSeconds": 1}
    [letter] = wait_until(
        lambda: sqs.receive_message(**words).get("Messages"), "the dead letter"
    )
    assert letter["Body"] == "poison"
    words = {"QueueUrl": dead_letter, "ReceiptHandle": letter["ReceiptHandle"]}
    sqs.change_message_visibility(**words, VisibilityTimeout=0)
    place = ("FUNC=worker", "ENV=local")
    assert "\n  poison\n" in project.make("queue", *place).stdout
    assert "moved 1 of 1" in project.make("redrive", *place).stdout
    wait_until(
        lambda: sqs.receive_message(QueueUrl=dead_letter).get("Messages"),
        "the dead letter, back again",
    )
    sqs.set_queue_attributes(QueueUrl=pending, Attributes=found["Attributes"])


def refuses_what_the_role_may_not(project: Project, policy: Path) -> None:
    """Take an action away from the role, and give it back."""
    text = policy.read_text(encoding="utf-8")
    assert text.count(SEES) == 1
    policy.write_text(text.replace(SEES, '"s3:GetObjectTagging"'), encoding="utf-8")
    project.make("deploy", "TARGET=role", "ENV=local")
    (project.path / "denied.csv").write_text(clicks(3, first=9001), encoding="utf-8")
    project.make("event", "FILE=denied.csv", f"BUCKET={BUCKET}")
    wait_until(lambda: "AccessDenied" in logs(project), "what IAM refuses, in the logs")
    assert rows_of(project, "worker/denied.csv") == 0
    policy.write_text(text, encoding="utf-8")
    project.make("deploy", "TARGET=role", "ENV=local")


def with_runtime(project: Project, runtime: str) -> None:
    """Say in `config/deploy.yml` what runs the worker."""
    config = project.path / "config" / "deploy.yml"
    text = config.read_text(encoding="utf-8")
    changed, count = re.subn(
        r"(?m)^  worker: \{.*\}$", f"  worker: {{runtime: {runtime}}}", text
    )
    assert count == 1
    config.write_text(changed, encoding="utf-8")


def plans_another_runtime(project: Project, unmapped: str) -> None:
    """Let the queue feed a container instead of the Lambda, in a plan."""
    with_runtime(project, "container")
    planned = project.make("plan", "TARGET=lambda", "ENV=local", check=False)
    assert planned.returncode != 0
    assert unmapped in planned.stdout
    with_runtime(project, "lambda")


def switches_under_traffic(project: Project) -> None:
    """Let the queue feed a container instead of the Lambda, and back; no other one."""

    def switch(runtime: str) -> None:
        with_runtime(project, runtime)
        project.make("deploy", "TARGET=lambda", "ENV=local")

    pending = queue(project, f"{FUNCTION}-pending")
    print(flows_through_a_switch(project, BUCKET, pending, switch))


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
        "ssm": ("describe_parameters", "Parameters", "Name"),
    }
    names = {}
    for service, (action, key, name) in listed.items():
        found = getattr(client(project, service), action)().get(key, [])
        names[service] = sorted(each[name] if name else each for each in found)
    layers = client(project, "lambda").list_layers()["Layers"]
    mappings = client(project, "lambda").list_event_source_mappings()
    return names | {"layers": layers, "mappings": mappings["EventSourceMappings"]}
