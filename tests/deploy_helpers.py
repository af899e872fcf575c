"""Steps of the tests that deploy a project into its shim, with either IaC tool."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from baking import Project, bake, wait_until
from shim_helpers import clicks, client, count_loaded, queue_url
from traffic import send_traffic_through_switch

STACKS = "role network queue bucket aurora extra layer lambda ecr ecs".split()
FUNCTION = "click-loader-local-worker"
BUCKET = "click-loader-local-raw-000000000000"
READ_ACTIONS = '"s3:GetObject", "s3:GetObjectVersion"'


def with_cdk_node(project: Project) -> dict[str, str]:
    """Return the PATH on which CDK's library finds the project's own Node."""
    return {"PATH": f"{project.path}/.venv-infra/bin{os.pathsep}{os.environ['PATH']}"}


def deploy_locally(project: Project) -> None:
    """Deploy into the project's shim."""
    output = project.make("deploy", "ENV=local").stdout
    skipped = "because the shim does not emulate them: network, aurora, ecr, ecs."
    assert skipped in output


def use_deployment(project: Project, role: str, unmapped: str) -> None:
    """Use the deployment in the project's shim.

    Args:
        project: its shim runs, it has a function tally, and has loaded a file.
        role: file of the stack role, below `infra/`.
        unmapped: text of a plan that disconnects a queue from its Lambda.
    """
    second_function_has_its_own_queue(project)
    poison_becomes_a_dead_letter(project)
    role_denies_other_actions(project, project.path / "infra" / role)
    container_is_planned(project, unmapped)


def destroy_locally(project: Project, before: dict[str, list[Any]]) -> None:
    """Destroy all stacks, and check that only earlier resources remain."""
    project.make("destroy", "ENV=local")
    remaining = list_resources(project)
    assert remaining == before, f"{remaining} instead of {before}"


@contextmanager
def shim_as_dev(directory: Path, iac: str, **settings: str) -> Iterator[Project]:
    """Run a project's shim as its environment dev, as if the shim were AWS.

    Only `config/secrets-dev.env` leads to it.

    Args:
        directory: of the project.
        iac: the answer that chooses the IaC tool.
        settings: more variables of the environment.
    """
    project = bake(directory, iac=iac, database="postgres").share_installs()
    project.share_layer()
    (project.path / "config" / "rds-ca.pem").touch()  # no download
    with project.shim() as shim:
        lines = [
            f"{name}={value}\n"
            for name, value in (shim | settings).items()
            if not name.endswith("_REGION")
        ]
        secrets = project.path / "config" / "secrets-dev.env"
        secrets.write_text("".join(lines), encoding="utf-8")
        yield project


def make_containers(project: Project) -> None:
    """Set the default runtime to container."""
    config = project.path / "config" / "deploy.yml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("runtime: lambda", "runtime: container"))


def fail_to_deploy(project: Project, *arguments: str) -> str:
    """Deploy while no shim runs; return the output."""
    (project.path / ".shim").mkdir()
    (project.path / ".shim" / "shim.env").touch()
    result = project.make("deploy", *arguments, check=False)
    assert result.returncode != 0
    assert "Traceback" not in result.stdout
    return result.stdout


def file_is_loaded(project: Project) -> None:
    """Put a file into the bucket, and wait for its rows."""
    output = project.make("event", "FILE=tests/data/large.csv", "ENV=local").stdout
    assert f"s3://{BUCKET}/worker/large.csv" in output
    wait_until(lambda: count_loaded(project, "worker/large.csv") == 1000, "1,000 rows")
    assert project.query("SELECT count(*) FROM clicks") == [[1000]]


def second_function_has_its_own_queue(project: Project) -> None:
    """Put a file for the function of `make new`, and look at it with make targets."""
    arguments = ("FUNC=tally", "ENV=local")

    def output(target: str) -> str:
        return project.make(target, *arguments, check=False).stdout

    project.make("event", "FILE=tests/data/large.csv", *arguments)
    counted = f'"object": "s3://{BUCKET}/tally/large.csv", "rows": 1000'
    wait_until(lambda: counted in output("logs"), "the second function's log")
    assert "large.csv" not in output("logs").replace("tally/large.csv", "")
    wait_until(
        lambda: output("queue").count(": 0 waiting, 0 in flight, 0 delayed") == 2,
        "the end of the second function's message",
    )
    assert project.query("SELECT count(*) FROM clicks") == [[1000]]


def poison_becomes_a_dead_letter(project: Project) -> None:
    """Send a message that no function can read, and shorten its three receives."""
    sqs = client(project, "sqs")
    pending = queue_url(project, f"{FUNCTION}-pending")
    names = ["VisibilityTimeout"]
    found = sqs.get_queue_attributes(QueueUrl=pending, AttributeNames=names)
    assert found["Attributes"] == {"VisibilityTimeout": "360"}
    sqs.set_queue_attributes(QueueUrl=pending, Attributes={"VisibilityTimeout": "1"})
    sqs.send_message(QueueUrl=pending, MessageBody="poison")
    dead_letter = queue_url(project, f"{FUNCTION}-dead-letter")
    request = {"QueueUrl": dead_letter, "WaitTimeSeconds": 1}
    [letter] = wait_until(
        lambda: sqs.receive_message(**request).get("Messages"), "the dead letter"
    )
    assert letter["Body"] == "poison"
    request = {"QueueUrl": dead_letter, "ReceiptHandle": letter["ReceiptHandle"]}
    sqs.change_message_visibility(**request, VisibilityTimeout=0)
    arguments = ("FUNC=worker", "ENV=local")
    assert "\n  poison\n" in project.make("queue", *arguments).stdout
    assert "moved 1 of 1" in project.make("redrive", *arguments).stdout
    wait_until(
        lambda: sqs.receive_message(QueueUrl=dead_letter).get("Messages"),
        "the dead letter after its redrive",
    )
    sqs.set_queue_attributes(QueueUrl=pending, Attributes=found["Attributes"])


def role_denies_other_actions(project: Project, policy: Path) -> None:
    """Take an action from the role, check that IAM denies it, and restore the role."""
    text = policy.read_text(encoding="utf-8")
    flat = re.sub(r'"s3:GetObject",\s+"s3:GetObjectVersion"', READ_ACTIONS, text)
    assert flat.count(READ_ACTIONS) == 1
    denied = flat.replace(READ_ACTIONS, '"s3:GetObjectTagging"')
    policy.write_text(denied, encoding="utf-8")
    project.make("deploy", "TARGET=role", "ENV=local")
    (project.path / "denied.csv").write_text(clicks(3, first=9001), encoding="utf-8")
    project.make("event", "FILE=denied.csv", f"BUCKET={BUCKET}")
    wait_until(lambda: "AccessDenied" in read_logs(project), "AccessDenied in the logs")
    assert count_loaded(project, "worker/denied.csv") == 0
    policy.write_text(text, encoding="utf-8")
    project.make("deploy", "TARGET=role", "ENV=local")


def set_runtime(project: Project, runtime: str) -> None:
    """Set the runtime of the worker in `config/deploy.yml`."""
    config = project.path / "config" / "deploy.yml"
    text = config.read_text(encoding="utf-8")
    changed, count = re.subn(
        r"(?m)^  worker: \{.*\}$", f"  worker: {{runtime: {runtime}}}", text
    )
    assert count == 1
    config.write_text(changed, encoding="utf-8")


def container_is_planned(project: Project, unmapped: str) -> None:
    """Plan that the queue feeds a container instead of the Lambda."""
    set_runtime(project, "container")
    planned = project.make("plan", "TARGET=lambda", "ENV=local", check=False)
    assert planned.returncode != 0
    assert unmapped in planned.stdout
    set_runtime(project, "lambda")


def switch_under_traffic(project: Project) -> None:
    """Switch the worker's queue from Lambda to container and back, and lose nothing."""

    def switch(runtime: str) -> None:
        set_runtime(project, runtime)
        project.make("deploy", "TARGET=lambda", "ENV=local")

    pending = queue_url(project, f"{FUNCTION}-pending")
    print(send_traffic_through_switch(project, BUCKET, pending, switch))


def read_logs(project: Project) -> str:
    """Return the messages that the deployed worker has logged."""
    group = {"logGroupName": f"/aws/lambda/{FUNCTION}"}
    found = client(project, "logs").filter_log_events(**group)
    return "\n".join(event["message"] for event in found["events"])


def list_resources(project: Project) -> dict[str, list[Any]]:
    """Return the names of the resources in the shim's AWS, by service."""
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
