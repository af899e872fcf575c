"""Steps of the tests that deploy a project into its shim, with either IaC tool."""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from baking import ROOT, Project, bake, free_port, wait_until
from data_api import serving_data_api
from debug_client import drop_sample, stopped_at
from shim_helpers import client, count_loaded, queue_url
from traffic import send_traffic_through_switch, visibility_timeout

STACKS = (
    "role network queue bucket aurora extra layer lambda ecr ecs monitoring".split()
)
FUNCTION = "click-loader-local-worker"
BUCKET = "click-loader-local-raw-000000000000"
PREFIX = "click-loader-local"
# Functions with each kind of trigger and permission, all of the same code.
DECLARED: dict[str, dict[str, Any]] = {
    "fanout": {"prefix": "incoming/", "suffix": ".csv", "sends_to": ["part"]},
    "part": {"trigger": "queue"},
    "enrich": {
        "trigger": "queue",
        "reads": ["incoming/"],
        "writes": ["enriched/"],
        "environment": {"API_URL": "https://api.example.com"},
        "secrets": {"API_KEY": "partner/api-key"},
        "database": False,
    },
    "nightly": {
        "trigger": "schedule",
        "schedule": "cron(0 2 * * ? *)",
        "timezone": "Europe/Vienna",
    },
    "orders": {"trigger": "topic", "topic": "orders", "fifo": True},
}


def with_cdk_node(project: Project) -> dict[str, str]:
    """Return the PATH on which CDK's library finds the project's own Node."""
    return {"PATH": f"{project.path}/.venv-infra/bin{os.pathsep}{os.environ['PATH']}"}


def deploy_locally(project: Project) -> None:
    """Deploy into the project's shim."""
    output = project.make("deploy", "ENV=local").stdout
    skipped = "network, aurora, ecr, ecs, monitoring."
    assert f"because the shim does not emulate them: {skipped}" in output
    assert "== migrate before lambda\nENV=local has all 2 files" in output


def declare_functions(project: Project) -> None:
    """Add a function of each kind."""
    code = (ROOT / "tests" / "functions" / "stores.py").read_text(encoding="utf-8")
    for name in DECLARED:
        path = project.path / "src" / "func" / f"{name}.py"
        path.write_text(code, encoding="utf-8")
        settings = project.path / "config" / f"{name}.yml"
        settings.write_text("{}\n", encoding="utf-8")
    change_config(project, lambda config: config["functions"].update(DECLARED))


def change_config(project: Project, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what `config/deploy.yml` says."""
    path = project.path / "config" / "deploy.yml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(config)
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def use_deployment(project: Project, unmapped: str) -> None:
    """Use the deployment in the project's shim.

    Args:
        project: its shim runs, it has a function tally and those of
            `declare_functions`, and has loaded a file.
        unmapped: text of a plan that disconnects a queue from its Lambda.
    """
    second_function_has_its_own_queue(project)
    breakpoint_stops_the_lambda(project)
    bad_release_is_rolled_back(project)
    poison_becomes_a_dead_letter(project)
    triggers_reach_their_functions(project)
    undeclared_action_is_denied(project)
    container_is_planned(project, unmapped)


def destroy_locally(project: Project, before: dict[str, list[Any]]) -> None:
    """Destroy all stacks, and check that only earlier resources remain."""
    project.make("destroy", "ENV=local")
    remaining = list_resources(project)
    assert remaining == before, f"{remaining} instead of {before}"


def deployment_is_proven(project: Project, before: dict[str, list[Any]]) -> None:
    """Prove the deployment, and destroy it. Failed messages come back sooner."""
    sqs, pending = client(project, "sqs"), queue_url(project, f"{FUNCTION}-pending")
    sqs.purge_queue(QueueUrl=queue_url(project, f"{FUNCTION}-dead-letter"))
    sqs.set_queue_attributes(QueueUrl=pending, Attributes={"VisibilityTimeout": "30"})
    project.query("DELETE FROM clicks")
    large = project.path / "tests" / "data" / "large.csv"
    file = large.with_name("huge.csv")
    file.write_bytes(large.read_bytes() * 20)  # takes long enough to be disturbed
    arguments = ("prove", "ENV=local", f"FILE={file}")
    refused = project.make(*arguments, check=False)
    assert refused.returncode != 0
    assert "confirm with CONFIRM=local" in refused.stdout
    report = project.make(*arguments, "CONFIRM=local").stdout.split("Proof of ")[1]
    assert re.search("load +5 files of 20000 rows, none lost or doubled", report)
    assert re.search("; sessions ended during that: [1-9]", report)
    assert "a dead letter was redriven and loaded" in report
    assert "the rows are deleted" in report
    assert "no such stacks: network, aurora, ecr, ecs, monitoring\n" in report
    tables = ("clicks", "loads WHERE object_key LIKE '%prove%'")
    counts = [project.query(f"SELECT count(*) FROM {each}") for each in tables]
    assert counts == [[[0]]] * 2
    assert list_resources(project) == before


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
    with project.shim() as shim, serving_data_api("postgres", shim) as url:
        settings |= {"AWS_ENDPOINT_URL_RDS": url, "AWS_ENDPOINT_URL_RDS_DATA": url}
        lines = [
            f"{name}={value}\n"
            for name, value in (shim | settings).items()
            if not name.endswith("_REGION")
        ]
        secrets = project.path / "config" / "secrets-dev.env"
        secrets.write_text("".join(lines), encoding="utf-8")
        # as the stack aurora, which the shim does not emulate, would create it
        app = f"{project.path.name}-dev-app"
        client(project, "secretsmanager").create_secret(Name=app)
        yield project


@contextmanager
def failing_migration(project: Project) -> Iterator[str]:
    """Have a migration that fails; yield how `make deploy` then begins its sentence."""
    path = project.path / "migrations" / "002_absent.sql"
    path.write_text("ALTER TABLE absent ADD COLUMN n INT;\n", encoding="utf-8")
    failed = "migrations/002_absent.sql failed at statement 1 of 1 (line 1): "
    yield f"Deploy stopped before lambda: {failed}"
    path.unlink()


def boundary_is_required(project: Project) -> None:
    """Refuse to create roles in dev, which is not bootstrapped."""
    refused = project.make("plan", "TARGET=role", "ENV=dev", check=False)
    assert refused.returncode != 0
    expected = (
        "There is no permissions boundary click-loader-dev-boundary: let an "
        "administrator run 'make bootstrap ENV=dev'.\n"
    )
    assert expected in refused.stdout


def declaration_needs_bootstrap(project: Project) -> None:
    """Declare a secret in dev, for which the boundary has to change."""
    secret = {"secrets": {"API_KEY": "partner/api-key"}}
    change_config(project, lambda config: config["functions"].update(worker=secret))
    warning = "The permissions boundary click-loader-dev-boundary is not what "
    arguments = ("plan", "TARGET=role", "ENV=dev")
    assert warning in project.make(*arguments, check=False).stdout
    fill_versions(project, "click-loader-dev-boundary")
    output = project.make("bootstrap", "ENV=dev").stdout
    assert "click-loader-dev-boundary: updated\n" in output
    assert "click-loader-dev-operate: unchanged\n" in output
    assert warning not in project.make(*arguments, check=False).stdout


def fill_versions(project: Project, name: str) -> None:
    """Add versions to a policy until it has five, as many as IAM keeps."""
    iam = client(project, "iam")
    arn = f"arn:aws:iam::000000000000:policy/{name}"
    for _ in range(5 - len(iam.list_policy_versions(PolicyArn=arn)["Versions"])):
        nothing = {"Effect": "Deny", "Action": "*", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [nothing]})
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=document)


def make_containers(project: Project) -> None:
    """Set the default runtime to container."""
    change_config(
        project, lambda config: config["defaults"].update(runtime="container")
    )


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


def breakpoint_stops_the_lambda(project: Project) -> None:
    """Let the Lambda run `src/` in a debugger, and then what is saved."""
    port = free_port()
    words, synced = ("sync", "FUNC=worker", "ENV=local"), "worker runs the new version "
    assert synced in project.make(*words, f"DEBUG={port}").stdout
    key = drop_sample(project, "debugged.csv", env="local")
    with stopped_at(project, port, key):
        pass
    assert synced in project.make(*words).stdout
    module = project.path / "src" / "func" / "worker.py"
    kept = module.read_bytes()
    with project.start(*words, "WATCH=1") as watching:
        watching.wait_for("debugged.csv")  # in the log
        module.write_bytes(kept + b"\n# saved\n")
        watching.wait_for(synced)
        module.write_bytes(kept)
        watching.wait_until(lambda: watching.output.count(synced) == 2)
    assert re.search(r"worker runs version \d+ already", project.make(*words).stdout)
    refused = project.make("sync", "ENV=prod", check=False)
    assert refused.returncode != 0
    assert "ENV=prod is protected" in refused.stdout


def bad_release_is_rolled_back(project: Project) -> None:
    """Release code that fails, go back, and load what arrived meanwhile.

    The same code is not released again, other code is.
    """
    words = ("FUNC=worker", "ENV=local")
    module = project.path / "src" / "func" / "worker.py"
    good, first = module.read_text(encoding="utf-8"), "    objects = "
    assert good.count(first) == 1

    def deploy(code: str) -> str:
        module.write_text(code, encoding="utf-8")
        return project.make("deploy", "TARGET=lambda", "ENV=local").stdout

    def load(name: str) -> None:
        key = drop_sample(project, name, env="local")
        wait_until(lambda: count_loaded(project, key) == 10, f"the rows of {name}")

    running = re.search(r"runs version (\d+)", project.make("sync", *words).stdout)
    assert running
    before = int(running[1])
    bad = before + 1
    fails = good.replace(first, f'    raise RuntimeError("bad release")\n{first}')
    assert f"worker runs the new version {bad}\n" in deploy(fails)
    pending = queue_url(project, f"{FUNCTION}-pending")
    with visibility_timeout(project, pending, 20):
        key = drop_sample(project, "meanwhile.csv", env="local")
        wait_until(lambda: "bad release" in read_logs(project, "worker"), "a failure")
        undone = f"worker ran version {bad}, and runs version {before} now."
        assert undone in project.make("rollback", *words).stdout
        wait_until(lambda: count_loaded(project, key) == 10, "the rows, at last")
    held = (
        f"worker keeps version {before}, because version {bad}, which was rolled back"
    )
    planned = project.make("plan", "TARGET=lambda", "ENV=local").stdout
    assert held in planned
    assert held in deploy(fails)
    load("held.csv")
    assert f"worker runs the new version {bad + 1}\n" in deploy(f"{good}\n# better\n")
    load("better.csv")
    refused = project.make("rollback", *words, "VERSION=99", check=False)
    assert refused.returncode != 0
    assert "There is no version 99 of worker: choose one of " in refused.stdout


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


def triggers_reach_their_functions(project: Project) -> None:
    """Put an object, publish to the topic, and look at the schedule."""
    s3, sns = client(project, "s3"), client(project, "sns")
    for key in ("incoming/other.txt", "incoming/new.csv"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"1")
    topic = f"arn:aws:sns:eu-west-1:000000000000:{PREFIX}-orders.fifo"
    for number in range(3):
        message = json.dumps({"order": number})
        sns.publish(TopicArn=topic, Message=message, MessageGroupId="one")
    wait_until(lambda: "incoming/new.csv" in read_logs(project, "fanout"), "the object")
    assert "incoming/other.txt" not in read_logs(project, "fanout")
    wait_until(lambda: "{'order': 2}" in read_reports(project, "orders"), "the orders")
    schedule = client(project, "scheduler").get_schedule(Name=f"{PREFIX}-nightly")
    assert schedule["ScheduleExpression"] == "cron(0 2 * * ? *)"
    assert schedule["State"] == "DISABLED"
    queue = f"arn:aws:sqs:eu-west-1:000000000000:{PREFIX}-nightly-pending"
    assert schedule["Target"]["Arn"] == queue


def undeclared_action_is_denied(project: Project) -> None:
    """Let a function write below the prefix that it declares, and below another one."""
    sqs, s3 = client(project, "sqs"), client(project, "s3")
    queue = queue_url(project, f"{PREFIX}-enrich-pending")
    for key in ("elsewhere/a", "enriched/a"):
        body = json.dumps({"bucket": BUCKET, "key": key})
        sqs.send_message(QueueUrl=queue, MessageBody=body)

    def stored() -> list[str]:
        found = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return [each["Key"] for each in found]

    wait_until(lambda: "AccessDenied" in read_logs(project, "enrich"), "AccessDenied")
    wait_until(lambda: "enriched/a" in stored(), "the stored object")
    assert "elsewhere/a" not in stored()
    sqs.purge_queue(QueueUrl=queue)


def set_runtime(project: Project, runtime: str) -> None:
    """Set the runtime of the worker in `config/deploy.yml`."""
    settings = {"runtime": runtime}
    change_config(project, lambda config: config["functions"].update(worker=settings))


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


def read_logs(project: Project, function: str) -> str:
    """Return the messages that a deployed function has logged."""
    logs = client(project, "logs")
    found = logs.filter_log_events(logGroupName=f"/aws/lambda/{PREFIX}-{function}")
    return "\n".join(event["message"] for event in found["events"])


def read_reports(project: Project, function: str) -> str:
    """Return the reports that a deployed function has logged."""
    lines = [line for line in read_logs(project, function).splitlines() if "{" in line]
    return "\n".join(str(json.loads(line).get("report")) for line in lines)


def list_resources(project: Project) -> dict[str, list[Any]]:
    """Return the names of the resources in the shim's AWS, by service."""
    listed = {
        "s3": ("list_buckets", "Buckets", "Name"),
        "sqs": ("list_queues", "QueueUrls", None),
        "iam": ("list_roles", "Roles", "RoleName"),
        "lambda": ("list_functions", "Functions", "FunctionName"),
        "logs": ("describe_log_groups", "logGroups", "logGroupName"),
        "ssm": ("describe_parameters", "Parameters", "Name"),
        "events": ("list_rules", "Rules", "Name"),
        "scheduler": ("list_schedules", "Schedules", "Name"),
        "sns": ("list_topics", "Topics", "TopicArn"),
    }
    names = {}
    for service, (action, key, name) in listed.items():
        found = getattr(client(project, service), action)().get(key, [])
        # a queue's URL has the port that it was asked for at
        names[service] = sorted(
            each[name] if name else each.rpartition("/")[2] for each in found
        )
    layers = client(project, "lambda").list_layers()["Layers"]
    mappings = client(project, "lambda").list_event_source_mappings()
    return names | {"layers": layers, "mappings": mappings["EventSourceMappings"]}
