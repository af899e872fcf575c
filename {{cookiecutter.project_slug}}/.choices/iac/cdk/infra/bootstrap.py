"""Makes what CDK needs in an account and region, once: a bucket for zips, and roles."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from sizes import ROOT

VERSION = "/cdk-bootstrap/hnb659fds/version"
INSTALLED = ROOT / ".venv-infra"


def is_done() -> bool:
    """Tell whether it is there."""
    try:
        boto3.client("ssm").get_parameter(Name=VERSION)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ParameterNotFound":
            return False
        raise
    return True


def run() -> str:
    """Make it, or bring it up to date; return where.

    Raises:
        subprocess.CalledProcessError: CDK failed.
    """
    client = boto3.client("sts")
    place = f"aws://{client.get_caller_identity()['Account']}/{client.meta.region_name}"
    cdk("bootstrap", place)
    return place


def cdk(*words: str | Path) -> str:
    """Run CDK's command line, and return what it says, which is shown, too.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    program = INSTALLED / "node_modules" / ".bin" / "cdk"
    path = f"{INSTALLED / 'bin'}{os.pathsep}{os.environ['PATH']}"
    plain = [] if sys.stdout.isatty() else ["--no-color"]
    said = []
    with subprocess.Popen(
        [program, *words, *plain],
        cwd=ROOT / "infra",
        env=os.environ | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout
        for line in process.stdout:
            print(line, end="", flush=True)
            said.append(line)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, "cdk")
    return "".join(said)


def main() -> int:
    """Make it; return the exit code."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    try:
        place = run()
    except (BotoCoreError, ClientError) as error:
        print(f"AWS refuses: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError:
        return 1
    print(f"CDK may deploy into {place}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
