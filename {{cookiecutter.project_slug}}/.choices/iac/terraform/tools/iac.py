"""Runs Terraform on one target, or on all of them in order.

A target is a folder beside this file. Its files are laid out, with what all targets
share, in `.build/terraform/<environment>/<target>/`, so that environments never meet.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import state
import tool
from sizes import ROOT, Refusal

INFRA = ROOT / "infra"
BUILD = ROOT / ".build" / "terraform"
UNASKED = ("-input=false", "-auto-approve")
NO_PROVIDER = 3
UNAVAILABLE = ("Failed to query available provider", "Failed to install provider")
SHIM_DATABASE = ("DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASS", "DB_TLS")


class NoProvider(Refusal):
    """Terraform's provider for AWS cannot be had."""


class Terraform(tool.Tool):
    """Terraform in one environment; see `tool.Tool`."""

    def __init__(
        self, project: str, environment: str, database: str, targets: Sequence[str]
    ) -> None:
        super().__init__(project, environment, database, targets)
        self._prepared: set[str] = set()
        self._variables = {
            "TF_VAR_project": project,
            "TF_VAR_environment": environment,
            "TF_VAR_database": database,
            "TF_VAR_alarm_topic": os.environ.get("ALARM_TOPIC", ""),
        }
        if self.is_local:
            found = {each: os.environ.get(each, "") for each in SHIM_DATABASE}
            self._variables["TF_VAR_shim_database"] = json.dumps(found)

    def plan(self) -> bool:
        """Print what deploying the targets would change; tell if that is anything.

        Raises:
            Refusal: there is no bucket for the state, or Terraform failed.
        """
        changed = [target for target in self.targets if self._has_changes(target)]
        return bool(changed)

    def _has_changes(self, target: str) -> bool:
        words = ("plan", "-input=false", "-lock=false", "-detailed-exitcode")
        with tool.step("plan", target):
            try:
                self._terraform(target, *words)
            except subprocess.CalledProcessError as error:
                if error.returncode != tool.CHANGES:
                    raise
                return True
        return False

    def deploy(self, targets: Sequence[str], still_mapped: Sequence[str] = ()) -> None:
        """Apply targets.

        Raises:
            Refusal: there is no bucket for the state, or Terraform failed.
        """
        for target in targets:
            kept = json.dumps(still_mapped if target == "lambda" else [])
            with tool.step("deploy", target):
                self._terraform(target, "apply", *UNASKED, TF_VAR_still_mapped=kept)

    def destroy(self) -> None:
        """Destroy the targets; see `deploy` for what it raises."""
        for target in reversed(self.targets):
            with tool.step("destroy", target):
                self._terraform(target, "destroy", *UNASKED)

    def output(self, target: str, name: str) -> Any:
        """Return an output of a target; None before it is deployed."""
        self._prepare(target)
        answer = subprocess.run(
            ["terraform", f"-chdir={self._folder(target)}", "output", "-json"],
            env=os.environ | self._variables,
            stdout=subprocess.PIPE,
            check=True,
        )
        return json.loads(answer.stdout).get(name, {}).get("value")

    def _prepare(self, target: str) -> None:
        """Lay a target's files out, and initialise Terraform there."""
        if target in self._prepared:
            return
        words = [] if self.is_local else ["-reconfigure", *self._backend(target)]
        folder = self._folder(target)
        lay_out(folder, target, "local" if self.is_local else "s3")
        initialise(folder, *words, env=self._variables)
        self._prepared.add(target)

    def _terraform(self, target: str, *words: str, **variables: str) -> None:
        self._prepare(target)
        run(self._folder(target), *words, env=self._variables | variables)

    def _folder(self, target: str) -> Path:
        return BUILD / self.environment / target

    def _backend(self, target: str) -> list[str]:
        bucket = state.find_bucket(self.project, self.environment)
        if not bucket:
            raise Refusal(
                f"there is no bucket for the state of {self.environment}: make "
                f"bootstrap ENV={self.environment}"
            )
        return [
            f"-backend-config=bucket={bucket}",
            f"-backend-config=key={target}.tfstate",
        ]


def lay_out(folder: Path, target: str, backend: str = "") -> None:
    """Link a target's files, and those that all share, into a folder.

    Without a backend it is a module, not a root.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_symlink():
            path.unlink()
    for path in (*(INFRA / target).iterdir(), INFRA / "common.tf"):
        (folder / path.name).symlink_to(path)
    if backend:
        (folder / "backend.tf").symlink_to(INFRA / "state" / f"{backend}.tf")


def lay_out_together(root: Path, targets: Sequence[str], *variables: str) -> None:
    """Make targets the modules of a root, which hands them its variables."""
    values = {name: "${var." + name + "}" for name in variables}
    for target in targets:
        lay_out(root / target, target)
    main = {
        "variable": {name: {} for name in variables},
        "module": {target: {"source": f"./{target}", **values} for target in targets},
    }
    (root / "main.tf.json").write_text(json.dumps(main), encoding="utf-8")


def initialise(folder: Path, *words: str, env: dict[str, str] | None = None) -> None:
    """Initialise Terraform in a folder, unless it was for the same files and words.

    Raises:
        NoProvider: Terraform cannot get its provider.
        subprocess.CalledProcessError: it failed otherwise.
    """
    lock, done = INFRA / ".terraform.lock.hcl", folder / ".initialised"
    found = [*folder.rglob("*.tf"), *folder.glob("*.tf.json")]
    paths = [path for path in (*sorted(found), lock) if path.exists()]
    asked = json.dumps([words, *(path.read_text(encoding="utf-8") for path in paths)])
    is_there = done.exists() and (folder / ".terraform").exists()
    if is_there and done.read_text(encoding="utf-8") == asked:
        return
    if lock.exists():
        shutil.copyfile(lock, folder / lock.name)
    run(folder, "init", "-input=false", *words, is_quiet=True, env=env)
    done.write_text(asked, encoding="utf-8")


def run(
    folder: Path, *words: str, is_quiet: bool = False, env: dict[str, str] | None = None
) -> None:
    """Run Terraform in a folder.

    Args:
        folder: where.
        words: of the command line.
        is_quiet: show what it says only if it fails.
        env: more of the environment.

    Raises:
        NoProvider: it cannot get its provider.
        subprocess.CalledProcessError: it failed otherwise.
    """
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
        if any(told in result.stdout for told in UNAVAILABLE):
            raise NoProvider(
                "Terraform cannot get its provider for AWS: see whether its registry, "
                "or a mirror that its configuration names, can be reached from here"
            )
        print(result.stdout, file=sys.stderr)
    result.check_returncode()


def validate(targets: Sequence[str], _database: str) -> int:
    """Validate targets, as modules of one root: the provider is slow to start.

    Returns:
        0, or 3 where the provider cannot be had, which is no error of the targets.

    Raises:
        Refusal: they are not valid.
    """
    root = BUILD / ".validate"
    lay_out_together(root, targets, "project", "environment", "database")
    try:
        initialise(root)
        run(root, "validate", is_quiet=True)
    except NoProvider:
        print("Terraform has no provider here: targets are not validated.")
        return NO_PROVIDER
    except subprocess.CalledProcessError as error:
        raise Refusal("Terraform finds fault with the targets, see above") from error
    return 0


def test(targets: Sequence[str], _database: str) -> int:
    """Run the tests of targets on a mock of AWS; return 0."""
    for target in targets:
        folder = BUILD / ".check" / target
        lay_out(folder, target, "local")
        with tool.stop_at("test", target):
            initialise(folder, "-backend=false")
            run(folder, "test")
    return 0


if __name__ == "__main__":
    sys.exit(tool.main(Terraform, {"validate": validate, "test": test}))
