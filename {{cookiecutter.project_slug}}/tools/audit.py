"""Check the locks for known vulnerabilities and list what ships in them."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from packaging.markers import Marker

from tools import install
from tools.errors import UserError
from tools.lock import BLOCK, LOCKS
from tools.project import BUILD, ROOT

VENV = ".venv-audit"
PYTHON = ROOT / VENV / "bin" / "python"
SHIPPED = {
    "layer": "src/common/requirements-layer.txt",
    "image": "src/common/requirements.txt",
}
UNREACHABLE = re.compile("ConnectionError|ConnectTimeout|ReadTimeout|ServiceError")


def audit() -> None:
    """Compare the packages of all locks with the vulnerabilities that PyPI knows.

    Packages that PyPI does not know, and all of them without a network, are reported as
    not checked. That is no error.

    Raises:
        UserError: a package has known vulnerabilities.
    """
    install.ensure(VENV)
    answers = [ask(lock.path) for lock in LOCKS]
    packages = [each for answer in answers for each in answer or ()]
    unknown = {each["name"] for each in packages if "skip_reason" in each}
    checked = {each["name"] for each in packages} - unknown
    if None in answers or not checked:
        print("The locks are not checked: PyPI cannot be reached", file=sys.stderr)
        return
    if unknown:
        names = ", ".join(sorted(unknown))
        print(f"Not checked, unknown to PyPI: {names}", file=sys.stderr)
    if vulnerable := {line for each in packages for line in findings(each)}:
        raise UserError("\n".join(["Known vulnerabilities:", *sorted(vulnerable)]))
    print(f"{len(checked)} packages have no known vulnerabilities")


def ask(lock: str) -> list[dict[str, Any]] | None:
    """Return what PyPI knows about a lock's packages, or None if it cannot be reached.

    Raises:
        UserError: the lock cannot be read.
    """
    command = [str(PYTHON), "-m", "pip_audit", "--format=json", "--disable-pip"]
    command += ["--progress-spinner=off", "--require-hashes", "--requirement", lock]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.stdout:
        return list(json.loads(done.stdout)["dependencies"])
    if UNREACHABLE.search(done.stderr):
        return None
    raise UserError(f"pip-audit cannot check {lock}:\n{done.stderr.strip()}")


def findings(package: dict[str, Any]) -> list[str]:
    """Return a line for each vulnerability of a package."""
    return [
        f"{package['name']} {package['version']}: {each['id']}, fixed in "
        f"{' or '.join(each['fix_versions']) or 'no version yet'}"
        for each in package.get("vulns", ())
    ]


def sbom(python: str = "3.13") -> None:
    """Write a software bill of materials for the layer and for the image.

    They are CycloneDX files in JSON, below `.build/sbom/`. The same locks give the same
    bytes.

    Args:
        python: version of the Python that runs them, such as "3.13".
    """
    install.ensure(VENV)
    directory = BUILD / "sbom"
    directory.mkdir(parents=True, exist_ok=True)
    for name, lock in SHIPPED.items():
        path = directory / f"{name}.cdx.json"
        command: list[str | Path] = [PYTHON, "-W", "ignore", "-m", "cyclonedx_py"]
        command += ["requirements", "--output-reproducible"]
        command += ["--pyproject", "pyproject.toml", "--output-file", path, "-"]
        text = shipped((ROOT / lock).read_text(encoding="utf-8"), python)
        subprocess.run(command, cwd=ROOT, input=text, text=True, check=True)
        print(path.relative_to(ROOT))


def shipped(lock: str, python: str) -> str:
    """Return the parts of a lock that Linux and a version of Python install."""
    environment = {
        "implementation_name": "cpython",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }
    return "".join(
        block[0]
        for block in BLOCK.finditer(lock)
        if not block["marker"] or Marker(block["marker"]).evaluate(environment)
    )
