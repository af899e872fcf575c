"""Deploys, validates and tests the stacks with Terraform.

A target is a folder of `infra/`. Its files are linked, together with those that all
targets share, into `.build/terraform/<environment>/<target>/`, where Terraform runs: so
each environment has its own backend and its own state.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools import (
    build,
    deploy_config,
    deployer,
    environment,
    install,
    state_bucket,
)
from tools.errors import UserError
from tools.project import BUILD, ROOT

INFRA = ROOT / "infra"
WORK = BUILD / "terraform"
CHECKS_VENV = ".venv-infra"
NOT_INTERACTIVE = ("-input=false", "-auto-approve")
HAS_CHANGES = 2  # exit code of `terraform plan -detailed-exitcode`
UNAVAILABLE = ("Failed to query available provider", "Failed to install provider")
SHIM_DATABASE = ("DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASS", "DB_TLS")


class ProviderUnavailableError(UserError):
    """Terraform cannot install its AWS provider."""


class Iac(deployer.Deployer):
    """Terraform in one environment; see `deployer.Deployer`."""

    def __init__(self, env: str, targets: Sequence[str]) -> None:
        super().__init__(env, targets)
        self._initialized: set[str] = set()
        self._variables = {
            "TF_VAR_project": self.project,
            "TF_VAR_environment": env,
            "TF_VAR_database": self.database,
            "TF_VAR_alarm_topic": os.environ.get("ALARM_TOPIC", ""),
        }
        if self.is_local:
            settings = {name: os.environ.get(name, "") for name in SHIM_DATABASE}
            self._variables["TF_VAR_shim_database"] = json.dumps(settings)

    def plan(self) -> bool:
        """Print the plan of each target; return whether one has changes.

        Raises:
            UserError: the state bucket is missing, or Terraform failed.
        """
        changed = [target for target in self.targets if self._has_changes(target)]
        return bool(changed)

    def deploy(self, targets: Sequence[str], still_mapped: Sequence[str] = ()) -> None:
        """Apply targets one by one; see `Deployer.deploy`."""
        for target in targets:
            kept = json.dumps(still_mapped if target == "lambda" else [])
            with deployer.step("deploy", target):
                self._run(target, "apply", *NOT_INTERACTIVE, TF_VAR_still_mapped=kept)

    def destroy(self) -> None:
        """Destroy the targets one by one, the last one first."""
        for target in reversed(self.targets):
            with deployer.step("destroy", target):
                self._run(target, "destroy", *NOT_INTERACTIVE)

    def output(self, target: str, name: str) -> Any:
        """Return an output of a target, or None before the target is deployed."""
        folder = self._initialize(target)
        result = subprocess.run(
            ["terraform", f"-chdir={folder}", "output", "-json"],
            env=os.environ | self._variables,
            stdout=subprocess.PIPE,
            check=True,
        )
        return json.loads(result.stdout).get(name, {}).get("value")

    def _has_changes(self, target: str) -> bool:
        with deployer.step("plan", target):
            try:
                self._run(
                    target, "plan", "-input=false", "-lock=false", "-detailed-exitcode"
                )
            except subprocess.CalledProcessError as error:
                if error.returncode != HAS_CHANGES:
                    raise
                return True
        return False

    def _run(self, target: str, *arguments: str, **variables: str) -> None:
        folder = self._initialize(target)
        run_terraform(folder, *arguments, variables=self._variables | variables)

    def _initialize(self, target: str) -> Path:
        """Initialize Terraform for a target, once; return the folder to run it in."""
        folder = WORK / self.env / target
        if target not in self._initialized:
            link_target(folder, target, "local" if self.is_local else "s3")
            backend = [] if self.is_local else ["-reconfigure", *self._backend(target)]
            initialize(folder, *backend, variables=self._variables)
            self._initialized.add(target)
        return folder

    def _backend(self, target: str) -> list[str]:
        bucket = state_bucket.find(self.env)
        if not bucket:
            raise UserError(
                f"there is no bucket for the state of {self.env}: run "
                f"'make bootstrap ENV={self.env}'"
            )
        return [
            f"-backend-config=bucket={bucket}",
            f"-backend-config=key={target}.tfstate",
        ]


def bootstrap(env: str) -> int:
    """Create the bucket for an environment's state; return 0.

    Raises:
        UserError: there is no such environment.
    """
    if env == "local":
        print("Nothing to prepare: the state of ENV=local is kept below .build/.")
        return 0
    environment.enter(env)
    bucket = state_bucket.create(env)
    print(f"The state of {env} is kept in s3://{bucket}.")
    return 0


def validate() -> int:
    """Check the stacks' format, validity and security (checkov); return 0.

    Raises:
        UserError: a check failed.
    """
    if not shutil.which("terraform"):
        print("Terraform is not installed: the stacks are not validated.")
        return 0
    install.ensure(CHECKS_VENV)
    _check(
        ["terraform", "fmt", "-check", "-diff", "-recursive", "infra"],
        "files below infra/ are not formatted: run 'make format'",
    )
    _validate_together()
    checkov = ROOT / CHECKS_VENV / "bin" / "checkov"
    options = ("--framework", "terraform", "--skip-download", "--compact", "--quiet")
    _check(
        [checkov, "--directory", "infra", *options],
        "checkov found problems in infra/, see above",
        variables={"LOG_LEVEL": "ERROR"},
    )
    return 0


def test(target: str) -> int:
    """Run `terraform test` for a target, or for all, with AWS mocked; return 0.

    Raises:
        UserError: the target is unknown, or a test failed.
    """
    targets = deploy_config.known_target(target, deploy_config.TARGETS)
    build.build_for(target, "local")
    for each in targets:
        folder = WORK / ".test" / each
        link_target(folder, each, "local")
        with deployer.stop_at("test", each):
            initialize(folder, "-backend=false")
            run_terraform(folder, "test")
    return 0


def format() -> int:  # noqa: A001 - the name of the make target
    """Format the Terraform files, if Terraform is installed; return 0."""
    if shutil.which("terraform"):
        deployer.run(["terraform", "fmt", "-recursive", "infra"])
    return 0


def install_ci() -> int:
    """Install Terraform on a CI machine that lacks it; return the exit code."""
    if shutil.which("terraform"):
        return 0
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    return subprocess.run([*as_root, "sh", "infra/install.sh"], cwd=ROOT).returncode


def link_target(folder: Path, target: str, backend: str = "") -> None:
    """Link a target's files and the shared ones into a folder.

    Args:
        folder: directory to fill; earlier links are removed.
        target: name of the target.
        backend: "local" or "s3"; empty makes the folder a module instead of a root.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_symlink():
            path.unlink()
    for path in (*(INFRA / target).iterdir(), INFRA / "common.tf"):
        (folder / path.name).symlink_to(path)
    if backend:
        (folder / "backend.tf").symlink_to(INFRA / "state" / f"{backend}.tf")


def link_together(root: Path, targets: Sequence[str], *variables: str) -> None:
    """Make targets the modules of one root, which passes its variables on to them."""
    values = {name: "${var." + name + "}" for name in variables}
    for target in targets:
        link_target(root / target, target)
    main = {
        "variable": {name: {} for name in variables},
        "module": {target: {"source": f"./{target}", **values} for target in targets},
    }
    (root / "main.tf.json").write_text(json.dumps(main), encoding="utf-8")


def initialize(
    folder: Path, *options: str, variables: Mapping[str, str] | None = None
) -> None:
    """Run `terraform init` in a folder, with the project's lock file if there is one.

    Raises:
        ProviderUnavailableError: Terraform cannot install its provider.
        subprocess.CalledProcessError: it failed otherwise.
    """
    lock = INFRA / ".terraform.lock.hcl"
    if lock.exists():
        shutil.copyfile(lock, folder / lock.name)
    arguments = ("init", "-input=false", *options)
    run_terraform(folder, *arguments, is_quiet=True, variables=variables)


def run_terraform(
    folder: Path,
    *arguments: str,
    is_quiet: bool = False,
    variables: Mapping[str, str] | None = None,
) -> None:
    """Run Terraform in a folder.

    Args:
        folder: a target's folder below `.build/terraform/`.
        arguments: of the command line.
        is_quiet: print the output only if Terraform fails.
        variables: environment variables that override this process's.

    Raises:
        ProviderUnavailableError: Terraform cannot install its provider.
        UserError: Terraform is not installed.
        subprocess.CalledProcessError: Terraform failed.
    """
    plugins = WORK / ".plugins"  # else each target would download the provider
    plugins.mkdir(parents=True, exist_ok=True)
    shared = {"TF_IN_AUTOMATION": "1", "TF_PLUGIN_CACHE_DIR": str(plugins)}
    color = [] if sys.stdout.isatty() else ["-no-color"]
    try:
        deployer.run(
            ["terraform", f"-chdir={folder}", *arguments, *color],
            variables={**shared, **os.environ, **(variables or {})},
            is_quiet=is_quiet,
        )
    except subprocess.CalledProcessError as error:
        if any(message in error.output for message in UNAVAILABLE):
            raise ProviderUnavailableError(
                "Terraform cannot install its AWS provider: check that this machine "
                "reaches registry.terraform.io or the mirror in Terraform's "
                "configuration"
            ) from error
        raise


def _validate_together() -> None:
    """Validate all targets as modules of one root.

    Terraform takes 3 to 5 seconds to start the provider, for each root.
    """
    root = WORK / ".validate"
    names = ("project", "environment", "database")
    link_together(root, deploy_config.TARGETS, *names)
    try:
        initialize(root)
        run_terraform(root, "validate", is_quiet=True)
    except ProviderUnavailableError:
        print("Terraform has no AWS provider here: the stacks are not validated.")
    except subprocess.CalledProcessError as error:
        raise UserError("the stacks are not valid Terraform, see above") from error


def _check(
    command: Sequence[str | Path],
    failure: str,
    variables: Mapping[str, str] | None = None,
) -> None:
    try:
        deployer.run(command, variables=variables, is_quiet=True)
    except subprocess.CalledProcessError as error:
        raise UserError(failure) from error
