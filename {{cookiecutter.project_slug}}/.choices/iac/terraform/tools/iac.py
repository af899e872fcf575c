"""Deploy, validate and test the stacks with Terraform.

A stack is a directory of `infra/`. Its files are linked, together with those that all
stacks share, into `.build/terraform/<environment>/<stack>/`, where Terraform runs. So
each environment has its own backend and its own state. What `config/deploy.yml` says
about the environment is beside the stacks, in `<environment>.json`.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tools import (
    deploy_config,
    deployer,
    function_specs,
    install,
    lambda_code,
    managed_policies,
    stack_order,
    state_bucket,
)
from tools.environment import enter
from tools.errors import UserError
from tools.project import BUILD, ROOT, answers

INFRA = ROOT / "infra"
SHARED = ("common.tf", "provider.tf")  # files of every stack
WORK = BUILD / "terraform"
CHECKS_VENV = ".venv-infra"
NOT_INTERACTIVE = ("-input=false", "-auto-approve")
HAS_CHANGES = 2  # exit code of `terraform plan -detailed-exitcode`
PLAN = """\
mock_provider "aws" {
  source = "../../../../infra/tests"
}

run "%(env)s" {
  command = plan
  variables {
    environment = "%(env)s"
    database    = "%(database)s"
  }
}
"""
UNAVAILABLE = ("Failed to query available provider", "Failed to install provider")


class ProviderUnavailableError(UserError):
    """Terraform cannot install its AWS provider."""


class Iac(deployer.Deployer):
    """Terraform in one environment; see `deployer.Deployer`.

    Stacks that do not need each other are deployed and destroyed at the same time,
    since most of that time is waiting: for AWS, or for the provider to believe it.
    """

    def __init__(self, env: str, stacks: Sequence[str]) -> None:
        super().__init__(env, stacks)
        self._initialized: set[str] = set()
        self._variables = {
            "TF_VAR_environment": env,
            "TF_VAR_database": self.database,
        }
        if self.is_local:
            names = deploy_config.DATABASE_VARIABLES
            settings = {name: os.environ.get(name, "") for name in names}
            self._variables["TF_VAR_shim_database"] = json.dumps(settings)

    def plan(self) -> bool:
        """Print the plan of each stack; return whether one has changes.

        Raises:
            UserError: the state bucket is missing, or Terraform failed.
        """
        changed = [stack for stack in self.stacks if self._has_changes(stack)]
        return bool(changed)

    def deploy(self, stacks: Sequence[str], still_mapped: Sequence[str] = ()) -> None:
        """Apply stacks; see `Deployer.deploy`."""

        def apply(stack: str) -> None:
            kept = json.dumps(still_mapped if stack == "lambda" else [])
            self._run(stack, "apply", *NOT_INTERACTIVE, TF_VAR_still_mapped=kept)

        self._work_on("deploy", stacks, deploy_config.NEEDS, apply)

    def destroy(self) -> None:
        """Destroy the stacks; see `Deployer.destroy`."""

        def destroy(stack: str) -> None:
            self._run(stack, "destroy", *NOT_INTERACTIVE)

        needed_by = stack_order.invert(deploy_config.NEEDS)
        self._work_on("destroy", [*reversed(self.stacks)], needed_by, destroy)

    def read_output(self, stack: str, name: str) -> Any:
        """Return an output of a stack, or None before the stack is deployed."""
        directory = self._initialize(stack)
        result = subprocess.run(
            ["terraform", f"-chdir={directory}", "output", "-json"],
            env=os.environ | self._variables,
            stdout=subprocess.PIPE,
            check=True,
        )
        return json.loads(result.stdout).get(name, {}).get("value")

    def _has_changes(self, stack: str) -> bool:
        with deployer.step("plan", stack):
            try:
                self._run(
                    stack, "plan", "-input=false", "-lock=false", "-detailed-exitcode"
                )
            except subprocess.CalledProcessError as error:
                if error.returncode != HAS_CHANGES:
                    raise
                return True
        return False

    def _work_on(
        self,
        action: str,
        stacks: Sequence[str],
        needs: Mapping[str, Sequence[str]],
        act: Callable[[str], None],
    ) -> None:
        """Act on several stacks at a time, and report at which ones that stops."""

        def announce_and_act(stack: str) -> None:
            print(f"== {action} {stack}", flush=True)
            act(stack)

        failed = stack_order.work_on(stacks, needs, self._initialize, announce_and_act)
        stack_order.require_all(action, failed)

    def _run(self, stack: str, *arguments: str, **variables: str) -> None:
        directory = self._initialize(stack)
        if stack == "lambda" and arguments[0] != "destroy":
            variables["TF_VAR_synced"] = json.dumps(self._find_synced())
        if stack == "ecs":
            variables["TF_VAR_kept"] = json.dumps(self.kept)
        # plans come one after the other
        is_mixed = len(self.stacks) > 1 and arguments[0] != "plan"
        run_terraform(
            directory,
            *arguments,
            variables=self._variables | variables,
            prefix=f"{stack:7} | " if is_mixed else "",
        )

    def _find_synced(self) -> dict[str, str]:
        """Return the hashes in Terraform's state of Lambdas that run what was built.

        After `make sync` they are those of earlier code, and would be a change.
        """
        prefix = f"{self.project}-{self.env}"
        current = []
        for name in self.functions:
            code = (BUILD / "lambda" / f"{name}.zip").read_bytes()
            if lambda_code.read_hash(f"{prefix}-{name}") == lambda_code.hash_zip(code):
                current.append(name)
        known = (current and self.read_output("lambda", "code")) or {}
        return {name: known[name] for name in current if name in known}

    def _initialize(self, stack: str) -> Path:
        """Initialize Terraform for a stack, once; return the directory to run it in."""
        directory = WORK / self.env / stack
        if stack not in self._initialized:
            write_spec(directory.parent, self.env, self.spec)
            link_stack(directory, stack, "local" if self.is_local else "s3")
            options = [] if self.is_local else self._list_backend_options(stack)
            initialize(directory, *options, variables=self._variables)
            self._initialized.add(stack)
        return directory

    def _list_backend_options(self, stack: str) -> list[str]:
        bucket = state_bucket.find(self.env)
        if not bucket:
            raise UserError(
                f"there is no bucket for the state of {self.env}: let an "
                f"administrator run 'make bootstrap ENV={self.env}'"
            )
        return [
            "-reconfigure",
            f"-backend-config=bucket={bucket}",
            f"-backend-config=key={stack}.tfstate",
        ]


def bootstrap(env: str) -> int:
    """Create an environment's policies, and the bucket for its state; return 0.

    Raises:
        UserError: there is no such environment, or a policy is too long.
    """
    if env == "local":
        print("Nothing to prepare: the state of ENV=local is kept below .build/.")
        return 0
    enter(env)
    managed_policies.create(env)
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


def test(stack: str) -> int:
    """Run `terraform test` for a stack with AWS mocked; return 0.

    Raises:
        UserError: a test failed.
    """
    directory = WORK / ".test" / stack
    write_test_specs(directory.parent)
    link_stack(directory, stack, "local")
    with deployer.stop_at("test", stack):
        initialize(directory, "-backend=false")
        run_terraform(directory, "test")
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


def link_stack(directory: Path, stack: str, backend: str = "") -> None:
    """Link a stack's files and the shared ones into a directory.

    Args:
        directory: what to fill; earlier links are removed.
        stack: name of the stack.
        backend: "local" or "s3"; empty makes it a module instead of a root, whose
            provider is its root's.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for path in directory.iterdir():
        if path.is_symlink():
            path.unlink()
    shared = SHARED if backend else SHARED[:1]
    for path in (*(INFRA / stack).iterdir(), *(INFRA / name for name in shared)):
        (directory / path.name).symlink_to(path)
    if backend:
        (directory / "backend.tf").symlink_to(INFRA / "state" / f"{backend}.tf")


def link_together(root: Path, stacks: Sequence[str]) -> None:
    """Make stacks the modules of one root, which passes its variables on to them."""
    variables = ("environment", "database")
    values = {name: "${var." + name + "}" for name in variables}
    for stack in stacks:
        link_stack(root / stack, stack)
    main = {
        "provider": {"aws": {}},
        "variable": {name: {} for name in variables},
        "module": {stack: {"source": f"./{stack}", **values} for stack in stacks},
    }
    (root / "main.tf.json").write_text(json.dumps(main), encoding="utf-8")


def write_spec(
    directory: Path, env: str, spec: deploy_config.Config, artifacts: Path = BUILD
) -> None:
    """Write what the stacks of an environment read from `config/deploy.yml`.

    Args:
        directory: the one that contains the stacks' directories.
        env: the environment.
        spec: what `function_specs.resolve` returns for it.
        artifacts: directory of the zips and of the images' tags.
    """
    directory.mkdir(parents=True, exist_ok=True)
    whole = {**spec, "build": str(artifacts.relative_to(ROOT))}
    path = directory / f"{env}.json"
    path.write_text(json.dumps(whole, indent=2), encoding="utf-8")


def write_test_specs(directory: Path) -> None:
    """Write the specifications of the environments of `infra/tests/deploy.yml`."""
    for env in deploy_config.load(deployer.TEST_CONFIG)["environments"]:
        spec = function_specs.resolve(env, deployer.TEST_CONFIG, "test")
        artifacts = deployer.write_placeholders(spec["functions"])
        write_spec(directory, env, spec, artifacts)


def initialize(
    directory: Path, *options: str, variables: Mapping[str, str] | None = None
) -> None:
    """Run `terraform init` in a directory, with the project's lock file if any.

    Raises:
        ProviderUnavailableError: Terraform cannot install its provider.
        subprocess.CalledProcessError: it failed otherwise.
    """
    lock = INFRA / ".terraform.lock.hcl"
    if lock.exists():
        shutil.copyfile(lock, directory / lock.name)
    arguments = ("init", "-input=false", *options)
    run_terraform(directory, *arguments, is_quiet=True, variables=variables)


def run_terraform(
    directory: Path,
    *arguments: str,
    is_quiet: bool = False,
    variables: Mapping[str, str] | None = None,
    prefix: str = "",
) -> None:
    """Run Terraform in a directory.

    Args:
        directory: a stack's directory below `.build/terraform/`.
        arguments: of the command line.
        is_quiet: print the output only if Terraform fails.
        variables: environment variables that override this process's.
        prefix: what each line of its output begins with.

    Raises:
        ProviderUnavailableError: Terraform cannot install its provider.
        UserError: Terraform is not installed.
        subprocess.CalledProcessError: Terraform failed.
    """
    plugins = WORK / ".plugins"  # else each stack would download the provider
    plugins.mkdir(parents=True, exist_ok=True)
    shared = {"TF_IN_AUTOMATION": "1", "TF_PLUGIN_CACHE_DIR": str(plugins)}
    color = [] if sys.stdout.isatty() else ["-no-color"]
    try:
        deployer.run(
            ["terraform", f"-chdir={directory}", *arguments, *color],
            variables={**shared, **os.environ, **(variables or {})},
            is_quiet=is_quiet,
            prefix=prefix,
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
    """Validate all stacks, and plan them for each environment with AWS mocked.

    The stacks are modules of one root, since Terraform takes 3 to 5 seconds to start
    the provider for each root. The mock knows the data sources of the template's stacks
    only, so `extra` is not planned.
    """
    all_stacks = WORK / ".validate" / "all"
    try:
        link_together(all_stacks, deploy_config.STACKS)
        initialize(all_stacks)
        run_terraform(all_stacks, "validate", is_quiet=True)
        for planned in _write_plans(WORK / ".validate"):
            initialize(planned)
            run_terraform(planned, "test", is_quiet=True)
    except ProviderUnavailableError:
        print("Terraform has no AWS provider here: the stacks are not validated.")
    except subprocess.CalledProcessError as error:
        raise UserError("the stacks are not valid Terraform, see above") from error


def _write_plans(directory: Path) -> list[Path]:
    """Write a test that plans each environment on AWS; return their root modules.

    Environments with the same stacks share a root.
    """
    for path in directory.glob("*/*.tftest.hcl"):
        path.unlink()
    roots: dict[tuple[str, ...], Path] = {}
    for env in deploy_config.load()["environments"]:
        if env == "local":
            continue
        stacks = [each for each in deploy_config.list_stacks(env) if each != "extra"]
        root = roots.setdefault(tuple(stacks), directory / f"like-{env}")
        spec = function_specs.resolve(env)
        artifacts = deployer.write_placeholders(spec["functions"])
        write_spec(directory, env, spec, artifacts)
        link_together(root, stacks)
        plan = PLAN % {"env": env, "database": answers().database}
        (root / f"{env}.tftest.hcl").write_text(plan, encoding="utf-8")
    return list(roots.values())


def _check(
    command: Sequence[str | Path],
    failure: str,
    variables: Mapping[str, str] | None = None,
) -> None:
    try:
        deployer.run(command, variables=variables, is_quiet=True)
    except subprocess.CalledProcessError as error:
        raise UserError(failure) from error
