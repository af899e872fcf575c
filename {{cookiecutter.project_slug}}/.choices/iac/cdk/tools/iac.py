"""Deploy, validate and test the stacks with CDK.

The app is synthesised into a directory of `.build/cdk/<environment>/`, once for each
command, and CDK's command line works on that directory.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from tools import cdk_cli, deploy_config, deployer, managed_policies, testing
from tools.environment import CLIENT_CONFIG, client, enter
from tools.errors import UserError
from tools.project import BUILD, ROOT, answers
from tools.qualifier import make_qualifier, name_parameter

WORK = BUILD / "cdk"
LONGEST_TEST = 300  # seconds, of a machine that synthesises slowly
STRICT = "--context=@aws-cdk/core:validateAgainstDefaultRules=true"
NO_DIFFERENCES = "Number of stacks with differences: 0"
# What CDK prints after each stack; `extra` may have no resources.
DEPLOYED = re.compile(r"✅ +(\w+)|(\w+)(?: \(\S+\))?: stack has no resources")
FULL_ZONE = "use1-az3"  # Lambda has no capacity left in it


class Iac(deployer.Deployer):
    """CDK in one environment; see `deployer.Deployer`."""

    def __init__(self, env: str, stacks: Sequence[str]) -> None:
        super().__init__(env, stacks)
        self._synthesised: set[Path] = set()

    def plan(self) -> bool:
        """Print the differences of all stacks; return whether there are any."""
        with deployer.step("plan", " ".join(self.stacks)):
            options = ("--exclusively", "--no-change-set")
            app = self._synthesise()
            output = cdk_cli.run("diff", *self.stacks, *options, "--app", app)
        return NO_DIFFERENCES not in output

    def deploy(self, stacks: Sequence[str], still_mapped: Sequence[str] = ()) -> None:
        """Deploy stacks in one run of CDK; see `Deployer.deploy`."""
        app = self._synthesise(still_mapped)
        if still_mapped:
            self._synthesise()  # so that later steps deploy the same code as this one
        options = ["--require-approval=never", "--progress=events"]
        if "network" in stacks:
            name = f"{self.project}-{self.env}-network"
            parameters = find_network_parameters(self.spec["gateways"]).items()
            options += [f"--parameters={name}:{key}={text}" for key, text in parameters]
        if "ecs" in stacks:  # also empty ones, or CDK would take the previous values
            options += [
                f"--parameters={self.project}-{self.env}-ecs:{name_parameter(name)}="
                f"{self.kept.get(name, '')}"
                for name, each in self.functions.items()
                if each["runtime"] == "container"
            ]
        self._run("deploy", stacks, app, *options)

    def destroy(self) -> None:
        """Destroy the stacks in one run of CDK, or two around emptying the bucket.

        The bucket is emptied after the functions that read from it are gone.
        """
        app, stacks = self._synthesise(), list(self.stacks)
        first = stacks.index("bucket") + 1 if "bucket" in stacks else 0
        if stacks[first:]:
            self._run("destroy", stacks[first:], app, "--force")
        if stacks[:first]:
            if bucket := self.read_output("bucket", "bucket"):
                s3 = boto3.resource("s3", config=CLIENT_CONFIG)
                s3.Bucket(bucket).object_versions.delete()
            self._run("destroy", stacks[:first], app, "--force")

    def read_output(self, stack: str, name: str) -> Any:
        """Return an output of a stack, or None before the stack is deployed."""
        full_name = f"{self.project}-{self.env}-{stack}"
        try:
            found = client("cloudformation").describe_stacks(StackName=full_name)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError":
                return None
            raise
        for each in found["Stacks"][0].get("Outputs", []):
            if each["OutputKey"] == name.title().replace("_", ""):
                return json.loads(each["OutputValue"])
        return None

    def _run(
        self, action: str, stacks: Sequence[str], app: Path, *options: str
    ) -> None:
        """Run an action of CDK on several stacks, and report where it stops."""
        print(f"== {action} {' '.join(stacks)}", flush=True)
        try:
            cdk_cli.run(action, *stacks, "--exclusively", "--app", app, *options)
        except subprocess.CalledProcessError as error:
            found = DEPLOYED.finditer(error.output)
            done = [match[1] or match[2] for match in found]
            order = stacks if action == "deploy" else [*reversed(stacks)]
            failed = next((each for each in order if each not in done), order[-1])
            raise UserError(f"{action} stopped at {failed}") from error

    def _synthesise(self, still_mapped: Sequence[str] = ()) -> Path:
        """Synthesise the stacks, once; return the directory.

        Raises:
            UserError: the account is not bootstrapped, or the app failed.
        """
        directory = WORK / self.env / ("moving" if still_mapped else "all")
        if directory not in self._synthesised:
            self._require_bootstrap()
            synthesise(
                directory,
                environment=self.env,
                stacks=" ".join(self.stacks),
                still_mapped=" ".join(still_mapped),
            )
            self._synthesised.add(directory)
        return directory

    def _require_bootstrap(self) -> None:
        if cdk_cli.is_bootstrapped(self.env):
            return
        if not self.is_local:
            raise UserError(
                f"the account and region of {self.env} are not prepared for "
                f"CDK: let an administrator run 'make bootstrap ENV={self.env}'"
            )
        cdk_cli.bootstrap(self.env)


def bootstrap(env: str) -> int:
    """Create an environment's policies, and CDK's bucket and roles; return 0.

    Raises:
        UserError: there is no such environment, a policy is too long, or CDK failed.
    """
    enter(env)
    if env != "local":
        managed_policies.create(
            env, qualifier=make_qualifier(answers().project_slug, env)
        )
    destination = cdk_cli.bootstrap(env)
    print(f"CDK can deploy {env} to {destination}.")
    return 0


def validate() -> int:
    """Check the stacks with CDK's rules, cdk-nag and cfn-lint; return 0.

    Raises:
        UserError: a stack breaks a rule.
    """
    environments = [
        env for env in deploy_config.load()["environments"] if env != "local"
    ]
    if not environments:
        print(
            "config/deploy.yml has no environment on AWS: the stacks are not checked."
        )
        return 0
    directory = WORK / ".validate"
    synthesise(directory, environment=" ".join(environments), is_checked="yes")
    templates = [
        path
        for path in sorted(directory.glob("*.template.json"))
        # the stack `extra` may have no resources, which CDK does not deploy
        if "Resources" in json.loads(path.read_bytes())
    ]
    try:
        lint = [str(cdk_cli.BIN / "cfn-lint"), "--regions", answers().aws_region]
        cdk_cli.run_installed([*lint, "--template", *templates])
    except subprocess.CalledProcessError as error:
        raise UserError("the stacks break rules of cfn-lint, see above") from error
    return 0


def test(stack: str) -> int:
    """Run the tests of a stack; return 0.

    Raises:
        UserError: a test failed.
    """
    if not list((ROOT / "infra" / stack).glob("test_*.py")):
        print(f"There are no tests in infra/{stack}/: name them test_*.py.")
        return 0
    with deployer.stop_at("test", stack):
        options = testing.stop_after(LONGEST_TEST)
        cdk_cli.run_installed([cdk_cli.BIN / "pytest", *options, f"infra/{stack}"])
    return 0


def format() -> int:  # noqa: A001 - the name of the make target
    """Return 0: ruff formats the stacks, as all other Python."""
    return 0


def install_ci() -> int:
    """Return 0: CDK and its Node are installed with `.venv-infra`."""
    return 0


def synthesise(directory: Path, **context: str) -> None:
    """Synthesise the app into a directory.

    Args:
        directory: what to fill anew.
        context: of the app, see `infra/app.py`.

    Raises:
        UserError: the app failed, or a stack breaks a rule.
    """
    shutil.rmtree(directory, ignore_errors=True)
    options = [f"--context={name}={value}" for name, value in context.items()]
    variables = {}
    if "is_checked" in context:
        options.append(STRICT)
    else:
        # these rules would only warn, and take four seconds; 'make lint' applies them
        variables["CDK_VALIDATION"] = "false"
    try:
        cdk_cli.run(
            *("synth", "--quiet", "--no-lookups", f"--output={directory}", *options),
            variables=variables,
            is_quiet=True,
        )
    except subprocess.CalledProcessError as error:
        raise UserError("CDK could not synthesise the stacks, see above") from error


def find_network_parameters(gateways: Sequence[str]) -> dict[str, str]:
    """Return the parameters of the network's stack: zones and prefix lists.

    Args:
        gateways: services whose prefix lists the network needs.
    """
    ec2 = client("ec2")
    prefix_lists = {}
    for service in gateways:
        names = [f"com.amazonaws.{ec2.meta.region_name}.{service}"]
        filters = [{"Name": "prefix-list-name", "Values": names}]
        [found] = ec2.describe_prefix_lists(Filters=filters)["PrefixLists"]
        prefix_lists[f"{service.title()}PrefixList"] = found["PrefixListId"]
    no_local_zones = [{"Name": "opt-in-status", "Values": ["opt-in-not-required"]}]
    available = ec2.describe_availability_zones(Filters=no_local_zones)
    zones = sorted(
        zone["ZoneName"]
        for zone in available["AvailabilityZones"]
        if zone["State"] == "available" and zone["ZoneId"] != FULL_ZONE
    )
    return prefix_lists | {"Zones": ",".join(zones)}
