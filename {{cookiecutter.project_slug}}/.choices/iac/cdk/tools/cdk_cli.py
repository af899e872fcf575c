"""CDK's command line, and what it needs in a region: a bucket and roles."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from place import sentence
from sizes import ROOT, Refusal

INFRA = ROOT / "infra"
INSTALLED = ROOT / ".venv-infra"
STACK = "CDKToolkit"
VERSION = "/cdk-bootstrap/hnb659fds/version"


def run(
    *words: str | Path,
    folder: Path = INFRA,
    is_quiet: bool = False,
    more: dict[str, str] | None = None,
) -> str:
    """Run CDK's command line on a supported Node; return what it says.

    Args:
        words: of the command line.
        folder: to run it in.
        is_quiet: show what it says only if it fails.
        more: of the environment.

    Raises:
        subprocess.CalledProcessError: it failed; the error has what it said.
    """
    program = INSTALLED / "node_modules" / ".bin" / "cdk"
    plain = [] if sys.stdout.isatty() else ["--no-color"]
    said = []
    with subprocess.Popen(
        [program, *words, *plain],
        cwd=folder,
        env=environment() | (more or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            said.append(line)
            if not is_quiet:
                print(line, end="", flush=True)
    output = "".join(said)
    if process.returncode != 0:
        if is_quiet:
            print(output, file=sys.stderr)
        raise subprocess.CalledProcessError(process.returncode, program, output)
    return output


def environment() -> dict[str, str]:
    """Return the environment in which CDK finds its own Node.

    What Python compiles of CDK's library is kept, whatever the shell says.
    """
    path = f"{INSTALLED / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONDONTWRITEBYTECODE": ""}


def is_there() -> bool:
    """Tell whether bucket and roles are there."""
    try:
        boto3.client("ssm").get_parameter(Name=VERSION)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ParameterNotFound":
            return False
        raise
    return True


def bootstrap(is_local: bool) -> str:
    """Make bucket and roles, or bring them up to date; return where.

    Args:
        is_local: it is the shim, which speaks no TLS: its bucket must not require it.

    Raises:
        Refusal: CDK failed.
    """
    client = boto3.client("sts")
    account, region = client.get_caller_identity()["Account"], client.meta.region_name
    place = f"aws://{account}/{region}"
    try:
        # where there is no app to synthesise
        run("bootstrap", place, folder=ROOT, is_quiet=True)
    except subprocess.CalledProcessError as error:
        raise Refusal(f"CDK could not prepare {place}: see above") from error
    if is_local:
        bucket = f"cdk-hnb659fds-assets-{account}-{region}"
        boto3.client("s3").delete_bucket_policy(Bucket=bucket)
    return place


def main() -> int:
    """Make bucket and roles; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environment", required=True)
    options = parser.parse_args()
    try:
        place = bootstrap(options.environment == "local")
    except (BotoCoreError, ClientError) as error:
        print(sentence(error, options.environment), file=sys.stderr)
        return 1
    except Refusal as error:
        print(f"{error}.", file=sys.stderr)
        return 1
    print(f"CDK may deploy into {place}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
