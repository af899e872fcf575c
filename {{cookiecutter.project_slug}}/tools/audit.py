"""Check the locks for known vulnerabilities and list what ships in them."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from packaging.markers import Marker

from tools import deploy_config, install
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
    answers = {lock.path: ask_pypi(lock.path) for lock in LOCKS}
    packages = [each for answer in answers.values() for each in answer or ()]
    unknown = {each["name"] for each in packages if "skip_reason" in each}
    unchecked = [path for path, answer in answers.items() if answer is None]
    if unchecked:
        print(f"Not checked, PyPI is unreachable: {', '.join(unchecked)}")
    if unknown:
        print(f"Not checked, unknown to PyPI: {', '.join(sorted(unknown))}")
    if vulnerable := {line for each in packages for line in describe(each)}:
        raise UserError("\n".join(["known vulnerabilities:", *sorted(vulnerable)]))
    checked = {each["name"] for each in packages} - unknown
    print(f"{len(checked)} packages were checked: no known vulnerabilities")


def ask_pypi(lock: str) -> list[dict[str, Any]] | None:
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


def describe(package: dict[str, Any]) -> list[str]:
    """Return a line for each vulnerability of a package."""
    return [
        f"{package['name']} {package['version']}: {each['id']}, fixed in "
        f"{' or '.join(each['fix_versions']) or 'no version yet'}"
        for each in package.get("vulns", ())
    ]


def sbom() -> None:
    """Write a software bill of materials for the layer and for the image.

    They are CycloneDX files in JSON, below `.build/sbom/`. The same locks give the same
    bytes.

    Raises:
        UserError: `config/deploy.yml` is wrong, or a file cannot be written.
    """
    python = str(deploy_config.load()["python"])
    install.ensure(VENV)
    directory = BUILD / "sbom"
    directory.mkdir(parents=True, exist_ok=True)
    for name, lock in SHIPPED.items():
        path = directory / f"{name}.cdx.json"
        command: list[str | Path] = [PYTHON, "-W", "ignore", "-m", "cyclonedx_py"]
        command += ["requirements", "--output-reproducible"]
        command += ["--pyproject", "pyproject.toml", "--output-file", path, "-"]
        text = select_shipped((ROOT / lock).read_text(encoding="utf-8"), python)
        if subprocess.run(command, cwd=ROOT, input=text, text=True).returncode != 0:
            raise UserError(f"the SBOM of the {name} could not be written, see above")
        print(path.relative_to(ROOT))


def select_shipped(lock: str, python: str) -> str:
    """Return the parts of a lock that Linux and a version of Python install."""
    environment = {
        "implementation_name": "cpython",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
        "platform_system": "Linux",
    }
    return "".join(
        block[0]
        for block in BLOCK.finditer(lock)
        if not block["marker"] or Marker(block["marker"]).evaluate(environment)
    )
