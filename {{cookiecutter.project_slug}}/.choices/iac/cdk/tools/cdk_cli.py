"""Run CDK's command line, and bootstrap an account and region."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from botocore.exceptions import ClientError

from tools import deployer, install
from tools.environment import client
from tools.errors import UserError
from tools.policies import FILES
from tools.project import ROOT, answers
from tools.qualifier import make_qualifier

VENV = ".venv-infra"
BIN = ROOT / VENV / "bin"
CDK = ROOT / VENV / "node_modules" / ".bin" / "cdk"


def run(
    *arguments: str | Path,
    cwd: Path = ROOT / "infra",
    variables: Mapping[str, str] | None = None,
    is_quiet: bool = False,
) -> str:
    """Run CDK's command line and return its output.

    Args:
        arguments: of the command line.
        cwd: directory to run it in; the app is in the default one.
        variables: environment variables that override this process's.
        is_quiet: print the output only if CDK fails.

    Raises:
        subprocess.CalledProcessError: CDK failed; `output` has its output.
    """
    color = [] if sys.stdout.isatty() else ["--no-color"]
    return run_installed(
        [CDK, *arguments, *color], cwd=cwd, variables=variables, is_quiet=is_quiet
    )


def run_installed(
    command: Sequence[str | Path],
    *,
    cwd: Path = ROOT,
    variables: Mapping[str, str] | None = None,
    is_quiet: bool = False,
) -> str:
    """Run a program of `.venv-infra`, with the Node of that environment on its PATH.

    Installs the environment first if it is missing; else see `run`.
    """
    install.ensure(VENV)
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    with_node = {"PATH": path, **(variables or {})}
    return deployer.run(command, cwd=cwd, variables=with_node, is_quiet=is_quiet)


def is_bootstrapped(env: str) -> bool:
    """Return whether an environment has CDK's bucket and roles."""
    qualifier = make_qualifier(answers().project_slug, env)
    try:
        client("ssm").get_parameter(Name=f"/cdk-bootstrap/{qualifier}/version")
    except ClientError as error:
        if error.response["Error"]["Code"] == "ParameterNotFound":
            return False
        raise
    return True


def bootstrap(env: str) -> str:
    """Create CDK's bucket and roles for an environment, or update them.

    The roles may do what the policies of `infra/policies/` allow, which exist already.
    In the shim, whose endpoint has no TLS, they may do anything, and the policy that
    requires TLS is removed from the bucket.

    Returns:
        The account and region, as `aws://123456789012/eu-west-1`.

    Raises:
        UserError: CDK failed.
    """
    sts = client("sts")
    account, region = sts.get_caller_identity()["Account"], sts.meta.region_name
    prefix = f"{answers().project_slug}-{env}"
    qualifier = make_qualifier(answers().project_slug, env)
    destination = f"aws://{account}/{region}"
    options = [f"--qualifier={qualifier}", f"--toolkit-stack-name=CDKToolkit-{prefix}"]
    if env != "local":
        policies = f"arn:{sts.meta.partition}:iam::{account}:policy/{prefix}"
        names = ["cloudformation", *(file.stem for file in FILES.glob("change-*.json"))]
        arns = ",".join(f"{policies}-{name}" for name in sorted(names))
        # https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-customizing.html
        options += [
            f"--cloudformation-execution-policies={arns}",
            f"--custom-permissions-boundary={prefix}-bootstrap-boundary",
            "--apply-permissions-boundary-to-all-roles",
        ]
    try:
        # outside of infra/, CDK finds no app and synthesises nothing
        run("bootstrap", destination, *options, cwd=ROOT, is_quiet=True)
    except subprocess.CalledProcessError as error:
        raise UserError(f"CDK could not bootstrap {destination}, see above") from error
    if env == "local":
        bucket = f"cdk-{qualifier}-assets-{account}-{region}"
        client("s3").delete_bucket_policy(Bucket=bucket)
    return destination
