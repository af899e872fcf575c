"""Copy the files of the chosen answers over the project and print the next steps."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

# tojson writes every apostrophe as \u0027, so no answer can end this string.
ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")

CHOICES = Path(".choices")
DEPLOY = Path("config/deploy.yml")
TWO_ZONES = ("us-west-1",)  # as tools/deploy_rules.py has it
RECORD = Path(".portable.json")


def apply_choices(answers: dict[str, str], choices: Path, project: Path) -> None:
    """Copy the tree `<variable>/<value>/` of each answer over the project.

    An answer that adds nothing has no tree. Deletes the trees afterwards.
    """
    if not choices.is_dir():
        return
    for variable in filter(Path.is_dir, choices.iterdir()):
        tree = variable / answers[variable.name]
        if tree.is_dir():
            shutil.copytree(tree, project, dirs_exist_ok=True)
    shutil.rmtree(choices)


def record(answers: dict[str, str], path: Path) -> None:
    """Write the answers, and which template has asked for them, for updates."""
    kept = {
        name: answer
        for name, answer in answers.items()
        if name == "_version" or not name.startswith("_")
    }
    kept |= find_template(answers.get("_repo_dir", ""))
    text = json.dumps(kept, indent=2, ensure_ascii=False)
    path.write_text(f"{text}\n", encoding="utf-8")


def find_template(directory: str) -> dict[str, str]:
    """Return the template's commit and its URL, without a path or a password.

    Args:
        directory: the template, as cookiecutter has been called with it.
    """
    if not directory:
        return {}
    template = Path(os.environ.get("PWD", "."), directory)
    commit = read_git(template, "rev-parse", "HEAD", "--show-prefix").split("\n")
    if not (template / "cookiecutter.json").is_file() or commit[1:] != ["", ""]:
        return {}
    found = {"_commit": commit[0]}
    url = read_git(template, "config", "remote.origin.url").strip()
    if re.match(r"(https?|ssh|git)://|[\w.-]+@[\w.-]+:", url):
        url = re.sub(r"^(https?://)[^/]*@", r"\1", url)
        found["_template"] = re.sub(r"^(ssh://[^/:]*):[^/]*@", r"\1@", url)
    return found


def read_git(directory: Path, *words: str) -> str:
    """Return what a git command prints, nothing if it fails."""
    git = shutil.which("git")
    if not git:
        return ""
    command = [git, "-C", str(directory), *words]
    result = subprocess.run(command, capture_output=True, text=True)
    return result.stdout if result.returncode == 0 else ""


def fit_zones(answers: dict[str, str], deploy: Path) -> None:
    """Let all environments use two zones if the region has no more."""
    if answers["aws_region"] in TWO_ZONES:
        text = deploy.read_text(encoding="utf-8")
        deploy.write_text(text.replace("zones: 3", "zones: 2"), encoding="utf-8")


def find_ci_files(answers: dict[str, str], choices: Path) -> list[Path]:
    """Return the files of the CI answer that a service reads at a repository's root."""
    tree = choices / "ci" / answers["ci"]
    files = (path.relative_to(tree) for path in tree.rglob("*") if path.is_file())
    return sorted(path for path in files if path.parts[0] != "docs")


def find_repository(project: Path) -> Path | None:
    """Return the root of the repository, worktree or submodule around the project."""
    root = read_git(project, "rev-parse", "--show-toplevel").rstrip("\n")
    return Path(root) if root else None


def create_repository(project: Path) -> None:
    """Run `git init` in the project, if git is installed."""
    if git := shutil.which("git"):
        command = [git, "init", "--quiet", "--initial-branch=main", str(project)]
        subprocess.run(command, capture_output=True)


def next_steps(slug: str) -> str:
    """Return the message about the first commands."""
    return (
        f"\n{slug} is ready. Next:\n"
        f"  cd {slug}\n"
        "  make test     run the unit tests\n"
        "  make shim     start local S3, SQS and a database, until Ctrl-C\n"
        "  make          list all targets\n"
    )


def ci_note(files: Sequence[Path], project: Path, repository: Path) -> str:
    """Return which CI files of a project in a subdirectory have to move, and where."""
    below = project.relative_to(repository)
    moves = "".join(f"  {below / path} -> {path}\n" for path in files)
    return (
        f"This project is a subdirectory of the repository {repository}.\n"
        "CI services read their files only at the root of a repository. Move these:\n"
        f"{moves}"
        f"and run their commands in {below}: see docs/ci.md.\n"
    )


if __name__ == "__main__":
    project = Path.cwd().resolve()
    ci_files = find_ci_files(ANSWERS, CHOICES)
    apply_choices(ANSWERS, CHOICES, project)
    record(ANSWERS, RECORD)
    fit_zones(ANSWERS, DEPLOY)
    print(next_steps(ANSWERS["project_slug"]))
    repository = find_repository(project)
    if repository is None:
        create_repository(project)
    elif repository != project and ci_files:
        print(ci_note(ci_files, project, repository))
