"""Runs Terraform on one target, or on all of them in order.

A target is a folder beside this file. Its files are laid out, with what all targets
share, in `.build/terraform/<environment>/<target>/`, so that environments never meet.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

import registry
import sizes
import state
from sizes import ROOT, TARGETS, Refusal, known_target

INFRA = ROOT / "infra"
BUILD = ROOT / ".build" / "terraform"
CHANGES = 2  # exit code of `terraform plan -detailed-exitcode`
NO_PROVIDER = 3
SHIM_DATABASE = ("DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASS", "DB_TLS")


class Environment:
    """An environment of `config/deploy.yml`, and Terraform in it.

    Args:
        name: of the environment.
        project: first part of all names.
        database: answer that chose it, mysql or postgres.

    Raises:
        Refusal: `config/deploy.yml` has no such environment, or is wrong.
    """

    def __init__(self, name: str, project: str, database: str) -> None:
        self.name = name
        self.project = project
        self.is_local = name == "local"
        sizes.read(name)
        self._variables = {
            "TF_VAR_project": project,
            "TF_VAR_environment": name,
            "TF_VAR_database": database,
            "TF_VAR_alarm_topic": os.environ.get("ALARM_TOPIC", ""),
        }
        if self.is_local:
            found = {each: os.environ.get(each, "") for each in SHIM_DATABASE}
            self._variables["TF_VAR_shim_database"] = json.dumps(found)

    def prepare(self, target: str) -> None:
        """Lay a target's files out, and initialise Terraform there.

        Raises:
            Refusal: there is no bucket for the state.
            subprocess.CalledProcessError: Terraform failed.
        """
        words = [] if self.is_local else ["-reconfigure", *self._backend(target)]
        lay_out(self._folder(target), target, "local" if self.is_local else "s3")
        self.terraform(target, "init", "-input=false", *words, is_quiet=True)

    def terraform(
        self,
        target: str,
        *words: str,
        is_quiet: bool = False,
        variables: dict[str, str] | None = None,
    ) -> None:
        """Run Terraform in a target's folder.

        Args:
            target: the target.
            words: of the command line.
            is_quiet: show what it says only if it fails.
            variables: more of the environment.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        run(
            self._folder(target),
            *words,
            is_quiet=is_quiet,
            env=self._variables | (variables or {}),
        )

    def output(self, target: str, name: str) -> Any:
        """Return an output of a target that is prepared; None before it is deployed."""
        answer = subprocess.run(
            ["terraform", f"-chdir={self._folder(target)}", "output", "-json"],
            env=os.environ | self._variables,
            stdout=subprocess.PIPE,
            check=True,
        )
        return json.loads(answer.stdout).get(name, {}).get("value")

    def _folder(self, target: str) -> Path:
        return BUILD / self.name / target

    def _backend(self, target: str) -> list[str]:
        bucket = state.find_bucket(self.project, self.name)
        if not bucket:
            raise Refusal(
                f"there is no bucket for the state of {self.name}: make bootstrap "
                f"ENV={self.name}"
            )
        return [
            f"-backend-config=bucket={bucket}",
            f"-backend-config=key={target}.tfstate",
        ]


def lay_out(folder: Path, target: str, backend: str) -> None:
    """Link a target's files, and those that all share, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_symlink():
            path.unlink()
    for path in (*(INFRA / target).iterdir(), INFRA / "common.tf"):
        (folder / path.name).symlink_to(path)
    (folder / "backend.tf").symlink_to(INFRA / "state" / f"{backend}.tf")
    lock = INFRA / ".terraform.lock.hcl"
    if lock.exists():
        shutil.copyfile(lock, folder / lock.name)


def run(
    folder: Path, *words: str, is_quiet: bool = False, env: dict[str, str] | None = None
) -> None:
    """Run Terraform in a folder; see `Environment.terraform`."""
    plugins = BUILD / ".plugins"
    plugins.mkdir(exist_ok=True)
    shared = {"TF_IN_AUTOMATION": "1", "TF_PLUGIN_CACHE_DIR": str(plugins)}
    plain = [] if sys.stdout.isatty() else ["-no-color"]
    result = subprocess.run(
        ["terraform", f"-chdir={folder}", *words, *plain],
        env=shared | os.environ | (env or {}),
        stdout=subprocess.PIPE if is_quiet else None,
        stderr=subprocess.STDOUT if is_quiet else None,
        text=True,
    )
    if is_quiet and result.returncode != 0:
        print(result.stdout, file=sys.stderr)
    result.check_returncode()


def validate(targets: Sequence[str]) -> int:
    """Validate targets, without their states.

    Returns:
        0, or 3 where the provider cannot be had, which is no error of the targets.
    """
    for target in targets:
        folder = BUILD / ".check" / target
        lay_out(folder, target, "local")
        try:
            run(folder, "init", "-input=false", "-backend=false", is_quiet=True)
        except subprocess.CalledProcessError:
            print("Terraform has no provider here: targets are not validated.")
            return NO_PROVIDER
        run(folder, "validate", is_quiet=True)
    return 0


def test(targets: Sequence[str]) -> int:
    """Run the tests of targets on a mock of AWS; return 0."""
    for target in targets:
        folder = BUILD / ".check" / target
        lay_out(folder, target, "local")
        run(folder, "init", "-input=false", "-backend=false", is_quiet=True)
        run(folder, "test")
    return 0


def plan(environment: Environment, targets: Sequence[str]) -> int:
    """Print the plan of each target; return 2 if one of them has changes, else 0."""
    code = 0
    for target in targets:
        tell(f"plan {target}")
        environment.prepare(target)
        try:
            environment.terraform(
                target, "plan", "-input=false", "-lock=false", "-detailed-exitcode"
            )
        except subprocess.CalledProcessError as error:
            if error.returncode != CHANGES:
                raise
            code = CHANGES
    return code


def deploy(environment: Environment, targets: Sequence[str]) -> int:
    """Apply each target; return 0.

    A function that moves from Lambda to containers keeps its Lambda until those run:
    when all targets are deployed, `lambda` lets go of it only after `ecs`.
    """
    still_mapped: list[str] = []
    for target in targets:
        tell(f"deploy {target}")
        environment.prepare(target)
        if target == "lambda" and "ecs" in targets:
            still_mapped = environment.output(target, "mapped") or []
        kept = json.dumps(still_mapped if target == "lambda" else [])
        apply(environment, target, {"TF_VAR_still_mapped": kept})
        if target == "ecr":
            push(environment, targets)
    if still_mapped:
        tell("deploy lambda, for what moved to containers")
        apply(environment, "lambda")
    return 0


def apply(
    environment: Environment, target: str, variables: dict[str, str] | None = None
) -> None:
    """Apply a target that is prepared."""
    words = ("apply", "-input=false", "-auto-approve")
    environment.terraform(target, *words, variables=variables)


def destroy(environment: Environment, targets: Sequence[str]) -> int:
    """Destroy each target, the last one first; return 0.

    Raises:
        Refusal: the environment is protected. AWS itself would refuse only when the
            functions and the database's instances are gone.
    """
    if sizes.is_protected(environment.name):
        raise Refusal(
            f"{environment.name} is protected: say is_protected: false of it in "
            f"config/deploy.yml, make deploy ENV={environment.name}, and destroy then"
        )
    for target in reversed(targets):
        tell(f"destroy {target}")
        environment.prepare(target)
        environment.terraform(target, "destroy", "-input=false", "-auto-approve")
    return 0


def push(environment: Environment, targets: Sequence[str]) -> int:
    """Build and push the images that the target ecr names; return 0.

    Raises:
        Refusal: `ecr` is not deployed.
    """
    environment.prepare("ecr")
    images = environment.output("ecr", "images")
    if images is None:
        raise Refusal(
            f"ecr is not deployed: make deploy TARGET=ecr ENV={environment.name}"
        )
    for function, image in images.items():
        registry.push(function, image)
    return 0


def tell(what: str) -> None:
    """Say what is done now."""
    print(f"== {what}", flush=True)


CHECKS = {"validate": validate, "test": test}
WORDS = {"plan": plan, "deploy": deploy, "destroy": destroy, "push": push}


def main() -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("word", choices=[*CHECKS, *WORDS])
    parser.add_argument("--target")
    for name in ("--environment", "--project", "--database"):
        parser.add_argument(name, required=True)
    options = parser.parse_args()
    try:
        if options.word in CHECKS:
            return CHECKS[options.word](known_target(options.target, TARGETS))
        environment = Environment(
            options.environment, options.project, options.database
        )
        targets = sizes.targets(options.environment, options.target)
        return WORDS[options.word](environment, targets)
    except Refusal as error:
        print(f"{error}.", file=sys.stderr)
    except (BotoCoreError, ClientError) as error:
        print(f"AWS refuses: {error}", file=sys.stderr)
    except FileNotFoundError as error:
        print(f"{error.filename} is missing: see 'make doctor'.", file=sys.stderr)
    except subprocess.CalledProcessError as error:
        where = (
            error.cmd[1].rpartition("/")[2] if error.cmd[0] == "terraform" else "ecr"
        )
        print(f"{options.word} stopped at the target {where}.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
