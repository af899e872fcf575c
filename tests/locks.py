"""Write the locks of the template and of all its choices, or upgrade them.

A choice's locks depend on inputs that all projects share: a project is baked for every
value, writes its locks, and those that belong to the choice go back into its tree.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from baking import ROOT, TEMPLATE, bake

sys.path.insert(0, str(TEMPLATE))

from tools.lock import LOCKS, Lock, lock_node_packages, write_locks

UV = Path(sys.executable).with_name("uv")
OWN = (
    Lock("requirements.txt", ("requirements.in",)),
    Lock("bench/requirements.txt", ("bench/requirements.in",), "requirements.txt"),
)
# Together, these have every value of the choices that bring requirements.
ANSWERS = (
    {"database": "postgres", "iac": "terraform"},
    {"database": "mysql", "iac": "cdk"},
)
# The choice that decides what the locks of a directory hold.
CHOICE_OF = {"src": "database", "tests": "database", "infra": "iac"}
NODE_LOCK = "infra/package-lock.json"


def main() -> None:
    """Write all locks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take newest versions")
    options = parser.parse_args()
    write_locks(UV, ROOT, OWN, os.environ, options.upgrade)
    for answers in ANSWERS:
        with tempfile.TemporaryDirectory() as directory:
            project = bake(Path(directory), **answers).path
            write_locks(UV, project, LOCKS, os.environ, options.upgrade)
            if (project / "infra" / "package.json").exists():
                lock_node_packages(project)
            for name in (*(lock.path for lock in LOCKS), NODE_LOCK):
                if (project / name).exists():
                    shutil.copyfile(project / name, source(name, answers))


def source(name: str, answers: dict[str, str]) -> Path:
    """Return where the template keeps a lock of a project with some answers."""
    if variable := CHOICE_OF.get(Path(name).parts[0]):
        return TEMPLATE / ".choices" / variable / answers[variable] / name
    return TEMPLATE / name


if __name__ == "__main__":
    main()
