"""Runs CDK on one target, or on all of them in order.

The app is synthesised into `.build/cdk/<environment>/`, by the first word that succeeds
for the same code, zips and settings; the others work on what is there.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

import tool
import toolkit
from sizes import ROOT, Refusal

BUILD = ROOT / ".build" / "cdk"
BIN = toolkit.INSTALLED / "bin"
VARIABLES = ("ALARM_TOPIC", "DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_TLS")
# What a synthesis reads, besides its settings.
INPUTS = (
    *("infra/**/*.py", "infra/**/*.yml", "infra/*.json", "infra/requirements.txt"),
    *("config/deploy.yml", "src/common/*", ".build/local/**/*"),
    *(".build/lambda/*.zip", ".build/layer/*.zip"),
)
STRICT = "--context=@aws-cdk/core:validateAgainstDefaultRules=true"
FULL = "use1-az3"  # Lambda is short of room there
NO_CHANGE = "Number of stacks with differences: 0"


class Cdk(tool.Tool):
    """CDK in one environment; see `tool.Tool`."""

    def __init__(
        self, project: str, environment: str, database: str, targets: Sequence[str]
    ) -> None:
        super().__init__(project, environment, database, targets)
        topic = os.environ.get("ALARM_TOPIC", "")
        if topic and not re.match("arn:[^:]+:sns:", topic):
            raise Refusal(
                f"ALARM_TOPIC={topic} is no ARN of an SNS topic, as in "
                "arn:aws:sns:eu-west-1:123456789012:alarms"
            )

    def plan(self) -> bool:
        """Print what deploying the targets would change; tell if that is anything.

        Raises:
            Refusal: CDK has no bucket and no roles there, or failed.
        """
        words = ("diff", *self.targets, "--exclusively", "--no-change-set")
        with tool.step("plan", " ".join(self.targets)):  # at once: CDK starts slowly
            return NO_CHANGE not in self._assembly.run(*words)

    def deploy(self, targets: Sequence[str], still_mapped: Sequence[str] = ()) -> None:
        """Deploy the stacks of targets.

        Raises:
            Refusal: CDK has no bucket and no roles there, cannot synthesise, or failed.
        """
        assembly = self._assembly
        if still_mapped:
            # now, lest what comes after them is of other code than these
            with tool.stop_at("deploy", targets[0]):
                assembly.run("synth", "--quiet", is_quiet=True)
            kept = " ".join(still_mapped)
            names = " ".join(targets)
            assembly = self._named("moving", targets=names, still_mapped=kept)
        words = ["--require-approval=never", "--progress=events"]
        if "network" in targets:
            stack = f"{self.project}-{self.environment}-network"
            given = network_parameters().items()
            words += [f"--parameters={stack}:{name}={value}" for name, value in given]
        if "role" in targets:
            self._detach()
        self._work("deploy", assembly, targets, *words)

    def destroy(self) -> None:
        """Destroy the targets' stacks; see `deploy` for what it raises.

        A bucket is emptied before, when what reads it is gone.
        """
        targets, first = list(self.targets), 0
        if "bucket" in targets:
            first = targets.index("bucket") + 1
        if targets[first:]:
            self._work("destroy", self._assembly, targets[first:], "--force")
        if targets[:first]:
            if name := self.output("bucket", "bucket"):
                boto3.resource("s3").Bucket(name).object_versions.delete()
            self._work("destroy", self._assembly, targets[:first], "--force")

    def _work(
        self, word: str, assembly: "Assembly", targets: Sequence[str], *more: str
    ) -> None:
        """Run CDK's command line on targets at once: it starts slowly.

        Raises:
            Refusal: it failed at one of them.
        """
        print(f"== {word} {' '.join(targets)}", flush=True)
        try:
            assembly.run(word, *targets, "--exclusively", *more)
        except subprocess.CalledProcessError as error:
            done = re.findall(r"✅ +(\w+)", error.output)
            order = targets if word == "deploy" else [*reversed(targets)]
            place = next((each for each in order if each not in done), order[-1])
            raise Refusal(f"{word} stopped at {place}") from error

    def output(self, target: str, name: str) -> Any:
        """Return an output of a target; None before it is deployed."""
        stack = f"{self.project}-{self.environment}-{target}"
        try:
            found = boto3.client("cloudformation").describe_stacks(StackName=stack)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError":
                return None
            raise
        for each in found["Stacks"][0].get("Outputs", []):
            if each["OutputKey"] == name.title().replace("_", ""):
                return json.loads(each["OutputValue"])
        return None

    def _detach(self) -> None:
        """Let the roles of functions that are gone be removed.

        The target aurora has given them a policy, and is deployed later.
        """
        iam = boto3.client("iam")
        for name in (self.output("role", "execution") or {}).keys() - self.functions:
            for kind in ("execution", "task"):
                role = f"{self.project}-{self.environment}-{name}-{kind}"
                with suppress(iam.exceptions.NoSuchEntityException):
                    iam.delete_role_policy(RoleName=role, PolicyName="secret")

    @cached_property
    def _assembly(self) -> "Assembly":
        """All targets that are wanted; CDK has what it needs to deploy."""
        if not toolkit.is_there():
            if not self.is_local:
                raise Refusal(
                    f"CDK has no bucket and no roles in the account and region of "
                    f"{self.environment}: make bootstrap ENV={self.environment}"
                )
            toolkit.bootstrap(self.is_local)
        name = self.targets[0] if len(self.targets) == 1 else "all"
        return self._named(name, targets=" ".join(self.targets))

    def _named(self, name: str, **more: str) -> "Assembly":
        return Assembly(
            BUILD / self.environment / name,
            project=self.project,
            environment=self.environment,
            database=self.database,
            **more,
        )


class Assembly:
    """A cloud assembly: what the app is synthesised into.

    Once it has been used, it stays the same, whatever else changes.

    Args:
        folder: its place.
        settings: context of the app; see `app.py`.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self._settings = settings
        self._stamp = folder / ".of"
        self._is_used = False

    def is_there(self) -> bool:
        """Tell whether it is there, of the same code, zips and settings."""
        stamp = self._stamp
        if not self._is_used and stamp.exists():
            self._is_used = stamp.read_text(encoding="utf-8") == self._sum()
        return self._is_used

    def run(self, *words: str, is_quiet: bool = False) -> str:
        """Run CDK's command line on it, which synthesises it if it is not there.

        Args:
            words: of the command line.
            is_quiet: show what is said only if it fails.

        Returns:
            What is said.

        Raises:
            Refusal: it cannot be synthesised.
            subprocess.CalledProcessError: CDK failed otherwise.
        """
        if self.is_there():
            return toolkit.run(*words, "--app", self.folder, is_quiet=is_quiet)
        shutil.rmtree(self.folder, ignore_errors=True)
        summed, settings = self._sum(), self._settings
        context = [f"--context={name}={value}" for name, value in settings.items()]
        more = {}
        if "is_checked" in settings:
            context.append(STRICT)
        else:
            # CloudFormation's rules are for lint: they take as long as the rest to load
            more = {"CDK_VALIDATION": "false"}
        how = ("--no-lookups", f"--output={self.folder}", *context)
        try:
            said = toolkit.run(*words, *how, is_quiet=is_quiet, more=more)
        except subprocess.CalledProcessError as error:
            if not (self.folder / "manifest.json").exists():
                raise Refusal("the stacks cannot be synthesised, see above") from error
            raise
        self._stamp.write_text(summed, encoding="utf-8")
        self._is_used = True
        return said

    def _sum(self) -> str:
        variables = {name: os.environ.get(name, "") for name in VARIABLES}
        summed = hashlib.sha256(json.dumps([self._settings, variables]).encode())
        for path in sorted(path for glob in INPUTS for path in ROOT.glob(glob)):
            if path.is_file() and "__pycache__" not in path.parts:
                about = f"{path} {path.stat().st_size} "
                summed.update(about.encode() + path.read_bytes())
        return summed.hexdigest()


def network_parameters() -> dict[str, str]:
    """Return what the network must be told of AWS: where zones and S3 are."""
    ec2 = boto3.client("ec2")
    s3 = [f"com.amazonaws.{ec2.meta.region_name}.s3"]
    filters = [{"Name": "prefix-list-name", "Values": s3}]
    [found] = ec2.describe_prefix_lists(Filters=filters)["PrefixLists"]
    own = [{"Name": "opt-in-status", "Values": ["opt-in-not-required"]}]
    zones = sorted(
        each["ZoneName"]
        for each in ec2.describe_availability_zones(Filters=own)["AvailabilityZones"]
        if each["State"] == "available" and each["ZoneId"] != FULL
    )
    return {"S3PrefixList": found["PrefixListId"], "Zones": ",".join(zones)}


def validate(targets: Sequence[str], database: str) -> int:
    """Check targets by AWS's rules for solutions, and by CloudFormation's; return 0.

    Raises:
        Refusal: they break one.
    """
    assembly = Assembly(
        BUILD / ".check",
        project="test",
        environment="small large",
        database=database,
        config="infra/tests/deploy.yml",
        targets=" ".join(targets),
        is_checked="yes",
    )
    sound = assembly.folder / ".sound"  # goes with the folder
    if assembly.is_there() and sound.exists():
        return 0
    try:
        assembly.run("synth", "--quiet", is_quiet=True)
    except subprocess.CalledProcessError as error:
        raise Refusal("CDK finds fault with the targets, see above") from error
    found = sorted(assembly.folder.glob("*.template.json"))
    linted = subprocess.run(
        [BIN / "cfn-lint", "--template", *found], env=toolkit.environment()
    )
    if linted.returncode != 0:
        raise Refusal("CloudFormation's rules are broken, see above")
    sound.touch()
    return 0


def test(targets: Sequence[str], _database: str) -> int:
    """Run the tests of targets, which ask no AWS; return 0."""
    for target in targets:
        words = ("-o", "pythonpath=infra", f"infra/{target}")
        with tool.stop_at("test", target):
            subprocess.run(
                [BIN / "pytest", *words],
                cwd=ROOT,
                env=toolkit.environment(),
                check=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(tool.main(Cdk, {"validate": validate, "test": test}))
