"""Lays what the answers chose over the project, and says what to do next."""

import json
import shutil
import subprocess
from pathlib import Path

# tojson writes every apostrophe as \u0027, so nothing in an answer ends this string
ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")

CHOICES = Path(".choices")
RECORD = Path(".portable.json")


def lay_over(answers: dict[str, str], choices: Path, project: Path) -> None:
    """Copy the tree `<variable>/<value>/` of each answer over the project.

    An answer that adds nothing has no tree. The trees are gone afterwards.
    """
    if not choices.is_dir():
        return
    for variable in choices.iterdir():
        chosen = variable / answers[variable.name]
        if chosen.is_dir():
            shutil.copytree(chosen, project, dirs_exist_ok=True)
    shutil.rmtree(choices)


def record(answers: dict[str, str], path: Path) -> None:
    """Write the version of the template and the answers, for updates."""
    kept = {
        name: answer
        for name, answer in answers.items()
        if name == "_version" or not name.startswith("_")
    }
    text = json.dumps(kept, indent=2, ensure_ascii=False)
    path.write_text(f"{text}\n", encoding="utf-8")


def make_repository(project: Path) -> bool:
    """Make the project a git repository, if git is there and it is in none yet."""
    git = shutil.which("git")
    if not git:
        return False
    inside = [git, "-C", str(project), "rev-parse", "--is-inside-work-tree"]
    if subprocess.run(inside, capture_output=True).returncode == 0:
        return False
    new = [git, "init", "--quiet", "--initial-branch=main", str(project)]
    return subprocess.run(new, capture_output=True).returncode == 0


if __name__ == "__main__":
    lay_over(ANSWERS, CHOICES, Path())
    record(ANSWERS, RECORD)
    make_repository(Path())
    print(
        f"\n{ANSWERS['project_slug']} is ready. Next:\n"
        f"  cd {ANSWERS['project_slug']}\n"
        "  make test     the unit tests\n"
        "  make shim     a private S3, SQS and database, until Ctrl-C\n"
        "  make          all there is\n"
    )
