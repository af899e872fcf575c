"""A project whose commands are killed, in the emulator of another project's shim."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Self

from aws_stubs import Answer, Request, as_json
from baking import ROOT, Project, bake, clean_environment
from deploy_helpers import change_config
from shim_helpers import client, queue_url
from test_cdk import use_fake_cdk

CHANGES = "(?!Describe|Get|List|Head)"  # how names of other operations begin
NEVER = "^$"
ACCOUNT = "000000000000"
# Their stacks are those that the test creates, and never change.
FAKE_TERRAFORM = """\
#!/bin/sh
test "$2" != output || echo "{}"
"""
FAKE_CDK = """\
#!/bin/sh
echo "Number of stacks with differences: 0"
"""
FUNCTIONS = {
    "stores": {"trigger": "queue", "database": False},
    "part": {"trigger": "queue", "database": False, "runtime": "container"},
}
LAMBDA_MAY_ASSUME = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    },
}
CODE = (ROOT / "tests" / "functions" / "stores.py").read_text(encoding="utf-8")


class Result(NamedTuple):
    """How a command ended: its exit code or minus the signal, and what it printed."""

    status: int
    output: str


class Killable:
    """The environment dev of a project, with a Lambda that a queue feeds.

    Args:
        project: the project, whose function `stores` is the Lambda.
        shim: the project whose shim runs.
        settings: more variables of the environment.
    """

    def __init__(self, project: Project, shim: Project, **settings: str) -> None:
        self.project = project
        self.shim = shim
        self.prefix = f"{project.path.name}-dev"
        self.name = f"{self.prefix}-stores"
        self.bucket = f"{self.prefix}-raw-{ACCOUNT}"
        self.lambdas = client(shim, "lambda")
        self.sent: list[str] = []
        variables = settings | {
            name: value
            for name, value in shim.shim_environment().items()
            if name.startswith("AWS_") and not name.endswith("_REGION")
        }
        lines = [f"{name}={value}\n" for name, value in variables.items()]
        secrets = project.path / "config" / "secrets-dev.env"
        secrets.write_text("".join(lines), encoding="utf-8")
        path = f"{project.path}/bin{os.pathsep}{os.environ['PATH']}"
        self.process = subprocess.Popen(
            [project.path / ".venv/bin/python", ROOT / "tests" / "killer.py"],
            cwd=project.path,
            env=clean_environment({"PATH": path}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        self._create()
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.communicate()
        for each in self.lambdas.list_event_source_mappings()["EventSourceMappings"]:
            if self.name in each["FunctionArn"]:
                self.lambdas.delete_event_source_mapping(UUID=each["UUID"])
        self.lambdas.delete_function(FunctionName=self.name)

    def run(self, *words: str, operations: str = NEVER, number: int = 1) -> Result:
        """Run a command, and kill it after some of its requests; see `killer`."""
        assert self.process.stdin
        assert self.process.stdout
        words = (words[0], "--env=dev", *words[1:])
        request = {"words": words, "operations": operations, "number": number}
        self.process.stdin.write(f"{json.dumps(request)}\n")
        self.process.stdin.flush()
        return Result(**json.loads(self.process.stdout.readline()))

    def succeed(self, *words: str) -> str:
        """Run a command that ends well; return its output."""
        result = self.run(*words)
        assert result.status == 0, result.output
        return result.output

    def fail(self, *words: str) -> str:
        """Run a command that ends with an error; return its output."""
        result = self.run(*words)
        assert result.status == 1, result.output
        return result.output

    def kill(self, *words: str, operations: str, number: int = 1) -> None:
        """Run a command, and kill it."""
        result = self.run(*words, operations=operations, number=number)
        assert result.status == -signal.SIGKILL, result.output

    def kill_at_each_change(self, *words: str, first: int = 0) -> Iterator[int]:
        """Run a command again and again, and kill it after one change more each time.

        The last time, it ends by itself. Yield the number of changes.

        Args:
            *words: the command and its options.
            first: number of changes of the first run; 0 kills it before them.
        """
        for number in count(first):
            result = self.run(*words, operations=CHANGES, number=number)
            yield number
            if result.status == 0:
                return
            assert result.status == -signal.SIGKILL, result.output

    def write(self, code: object) -> None:
        """Let the function have other code."""
        path = self.project.path / "src" / "func" / "stores.py"
        path.write_text(f"{CODE}\n# {code}\n", encoding="utf-8")

    @property
    def versions(self) -> list[int]:
        """The published versions."""
        found = self.lambdas.list_versions_by_function(FunctionName=self.name)
        names = [each["Version"] for each in found["Versions"]]
        return sorted(int(name) for name in names if name != "$LATEST")

    @property
    def live(self) -> int:
        """The version that gets all batches, which exists."""
        alias = self._read_alias()
        assert not alias.get("RoutingConfig"), alias
        version = int(alias["FunctionVersion"])
        assert version in self.versions
        return version

    @property
    def description(self) -> str:
        """The description of the alias."""
        return str(self._read_alias().get("Description", ""))

    def is_code_live(self) -> bool:
        """Return whether what runs is what was deployed last."""
        hashes = {
            self.lambdas.get_function_configuration(
                FunctionName=self.name, Qualifier=qualifier
            )["CodeSha256"]
            for qualifier in ("live", "$LATEST")
        }
        return len(hashes) == 1

    def send(self) -> None:
        """Send a message, after which the function stores an object."""
        key = f"enriched/{len(self.sent)}"
        self.sent.append(key)
        client(self.shim, "sqs").send_message(
            QueueUrl=queue_url(self.shim, f"{self.name}-pending"),
            MessageBody=json.dumps({"bucket": self.bucket, "key": key}),
        )

    def are_all_stored(self) -> bool:
        """Return whether the function has processed each message."""
        found = client(self.shim, "s3").list_objects_v2(Bucket=self.bucket)
        return {each["Key"] for each in found.get("Contents", [])} >= {*self.sent}

    def _read_alias(self) -> dict[str, Any]:
        found: dict[str, Any] = self.lambdas.get_alias(
            FunctionName=self.name, Name="live"
        )
        return found

    def _create(self) -> None:
        """Create what the stacks do, without a release."""
        create_bucket(self.shim, self.bucket)
        client(self.shim, "sqs").create_queue(QueueName=f"{self.name}-pending")
        self.write("first")
        self.project.make("build", "TARGET=lambda")
        built = self.project.path / ".build"
        layer = self.lambdas.publish_layer_version(
            LayerName=self.prefix,
            Content={"ZipFile": (built / "layer" / "local.zip").read_bytes()},
        )
        role = client(self.shim, "iam").create_role(
            RoleName=self.name, AssumeRolePolicyDocument=json.dumps(LAMBDA_MAY_ASSUME)
        )["Role"]
        allowed = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}
        policy = {"Version": "2012-10-17", "Statement": allowed}
        client(self.shim, "iam").put_role_policy(
            RoleName=self.name,
            PolicyName="writes",
            PolicyDocument=json.dumps(policy),
        )
        self.lambdas.create_function(
            FunctionName=self.name,
            Runtime="python3.13",
            Role=role["Arn"],
            Handler="lambda_wrapper.handler",
            Code={"ZipFile": (built / "lambda" / "stores.zip").read_bytes()},
            Layers=[layer["LayerVersionArn"]],
            Timeout=60,
        )
        alias = self.lambdas.create_alias(
            FunctionName=self.name, Name="live", FunctionVersion="$LATEST"
        )
        self.lambdas.create_event_source_mapping(
            FunctionName=alias["AliasArn"],
            EventSourceArn=f"arn:aws:sqs:eu-west-1:{ACCOUNT}:{self.name}-pending",
            BatchSize=1,
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )


class CodeDeploy:
    """CodeDeploy's releases of one Lambda, which the emulator lacks.

    Args:
        lambdas: client of the emulator's Lambda.
        name: of the Lambda.
    """

    def __init__(self, lambdas: Any, name: str) -> None:
        self.lambdas = lambdas
        self.name = name
        self.deployments: list[dict[str, Any]] = []
        self.ends_at = 0  # the look at a deployment with which it succeeds; or 0

    def answer(self, request: Request) -> Answer:
        """Answer a request."""
        if request.action == "GetDeploymentGroup":
            last = {"deploymentId": self._last["deploymentId"]}
            group = {"lastAttemptedDeployment": last} if self.deployments else {}
            return as_json({"deploymentGroupInfo": group})
        if request.action == "CreateDeployment":
            self._add(description=request.parameters["description"])
            return as_json({"deploymentId": self._last["deploymentId"]})
        deployment = self.deployments[int(request.parameters["deploymentId"][2:])]
        if request.action == "StopDeployment":
            self.go_back("MANUAL_STOP")
            return as_json({"status": "Pending"})
        assert request.action == "GetDeployment"
        deployment["looks"] += 1
        if deployment["looks"] == self.ends_at:
            self.succeed()
        return as_json({"deploymentInfo": {**deployment, "createTime": time.time()}})

    def shift(self) -> None:
        """Give a tenth of the batches to the new version."""
        old, new = self._versions
        self._point(old, {new: 0.1})

    def succeed(self) -> None:
        """Give all batches to the new version."""
        self._point(self._versions[1], {})
        self._last["status"] = "Succeeded"

    def go_back(self, code: str) -> None:
        """Give all batches to the old version again."""
        canary = self._last
        self._point(self._versions[0], {})
        canary |= {
            "status": "Stopped",
            "errorInformation": {"code": code, "message": "failures"},
            "rollbackInfo": {"rollbackDeploymentId": f"d-{len(self.deployments)}"},
        }
        trigger = {"rollbackTriggeringDeploymentId": canary["deploymentId"]}
        self._add(status="Succeeded", rollbackInfo=trigger)

    @property
    def canaries(self) -> list[str]:
        """The versions of all releases so far."""
        found = [each.get("description") for each in self.deployments]
        return [each for each in found if each]

    @property
    def _last(self) -> dict[str, Any]:
        return self.deployments[-1] if self.deployments else {"deploymentId": ""}

    @property
    def _versions(self) -> tuple[str, str]:
        old, new = re.findall(r"\d+", self._last["description"])
        return old, new

    def _add(self, **more: Any) -> None:
        name = f"d-{len(self.deployments)}"
        first = {"deploymentId": name, "status": "InProgress", "looks": 0}
        self.deployments.append(first | more)

    def _point(self, version: str, weights: dict[str, float]) -> None:
        self.lambdas.update_alias(
            FunctionName=self.name,
            Name="live",
            FunctionVersion=version,
            RoutingConfig={"AdditionalVersionWeights": weights},
        )


def create_bucket(shim: Project, name: str) -> None:
    """Create a bucket in a shim's region."""
    where: Any = {"LocationConstraint": "eu-west-1"}
    client(shim, "s3").create_bucket(Bucket=name, CreateBucketConfiguration=where)


def prepare(directory: Path, shim: Project, slug: str, **answers: str) -> Project:
    """Bake a project whose IaC tool changes nothing, and prepare an emulator for it."""
    project = bake(directory, project_slug=slug, **answers).share_installs()
    project.share_layer()
    for name in ("src/func/worker.py", "config/worker.yml"):
        (project.path / name).unlink()
    for name in FUNCTIONS:
        module = project.path / "src" / "func" / f"{name}.py"
        module.write_text(CODE, encoding="utf-8")
        settings = project.path / "config" / f"{name}.yml"
        settings.write_text("{}\n", encoding="utf-8")

    def change(config: dict[str, Any]) -> None:
        config["functions"] = FUNCTIONS
        del config["environments"]["prod"]  # which has settings of the worker

    change_config(project, change)
    (project.path / "config" / "rds-ca.pem").touch()  # no download
    if answers["iac"] == "cdk":
        use_fake_cdk(project, FAKE_CDK)
        qualifier = sha256(f"{slug}-dev".encode()).hexdigest()[:10]
        name = f"/cdk-bootstrap/{qualifier}/version"
        client(shim, "ssm").put_parameter(Name=name, Value="30", Type="String")
    else:
        program = project.path / "bin" / "terraform"
        program.parent.mkdir()
        program.write_text(FAKE_TERRAFORM, encoding="utf-8")
        program.chmod(0o755)
        create_bucket(shim, f"{slug}-dev-state-{ACCOUNT}")
    return project
