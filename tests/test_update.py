"""Projects take later versions and other answers, and keep their own changes."""

import json
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from baking import LOCKS, ROOT, TEMPLATE, Project, clean_environment, cookiecutter
from shop import add_shop

sys.path.insert(0, str(TEMPLATE))

from tools.template import quote
from tools.update import OWN

ANSWERS = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
CHOICES = [path.name for path in sorted((TEMPLATE / ".choices").glob("*/"))]
NOWHERE = "http://127.0.0.1:1"
# Nothing that an update starts reaches a network.
OFFLINE = {
    **{f"GIT_{who}_NAME": "Anna" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "anna@example.org" for who in ("AUTHOR", "COMMITTER")},
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), NOWHERE),
    **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), NOWHERE),
    **{"GIT_CONFIG_GLOBAL": "/dev/null", "UV_OFFLINE": "1"},
}
# Changes of the template in its versions: old and new text.
VERSIONS: dict[str, dict[str, tuple[str, str]]] = {
    "v0.2.0": {
        "src/func/worker.py": ('"""', '"""Changed by the template. '),
        "config/deploy.yml": ("log_days: 30", "log_days: 30  # a month"),
        "docs/pattern.md": ("# The pattern", "# The pattern, again"),
        "docs/values.md": ("# Values", "# Values, again"),
        "tools/new.py": ('"""Create a', '"""Changed. Create a'),
        "src/common/context.py": ('"""', '"""Changed. '),
    },
    "v0.3.0": {"docs/pattern.md": ("# The pattern, again", "# The pattern, at last")},
}
NEWS = "- Something new, which is {}.\n  It has a second line."
OWN_FUNCTION = '\n\ndef own() -> None:\n    """Do nothing."""\n'
CURLY = 'Loads {{ curly }} "things", 数据 😀.'
TABLE = "CREATE TABLE lengths (length BIGINT NOT NULL);\n"
ADDED = "src/lib/added.py"
LATER_TABLE = "tools/migrations/002_later.sql"
OWN_TABLE = "migrations/002_lengths.sql"


def run(folder: Path, *words: str | Path) -> str:
    """Run a command in a directory; return its output."""
    result = subprocess.run(
        words,
        cwd=folder,
        env=clean_environment(OFFLINE),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def commit(folder: Path, what: str) -> None:
    """Commit everything in a directory."""
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", what)


def replace(path: Path, old: str, new: str) -> None:
    """Replace the first occurrence of a text in a file."""
    text = path.read_text(encoding="utf-8")
    assert old in text, path
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository of this template with a tag for each version."""
    folder = tmp_path_factory.mktemp("template")
    names = run(ROOT, "git", "ls-files", "-z", "-co", "--exclude-standard").split("\0")
    for name in filter(None, names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, folder / name)
    run(folder, "git", "init", "--quiet", "--initial-branch=main")
    set_version(folder, "v0.1.0")
    for version, changes in VERSIONS.items():
        for name, (old, new) in changes.items():
            replace(folder / TEMPLATE.name / name, old, new)
        if version == "v0.2.0":
            (folder / TEMPLATE.name / ADDED).write_text('"""New."""\n')
            (folder / TEMPLATE.name / "docs/writing-functions.md").unlink()
            (folder / TEMPLATE.name / "tests/data/new.csv").write_text("1\n")
            later = folder / TEMPLATE.name / ".choices/database/postgres" / LATER_TABLE
            later.write_text(TABLE, encoding="utf-8")
        set_version(folder, version)
    return folder


def set_version(folder: Path, version: str) -> None:
    """Commit and tag a version of the template, with an entry in its changelog."""
    path = folder / "cookiecutter.json"
    text = path.read_text(encoding="utf-8")
    text = re.sub('"_version": ".*?"', f'"_version": "{version[1:]}"', text)
    path.write_text(text, encoding="utf-8")
    section = f"## {version[1:]} - 2026-12-01\n\n### Added\n\n{NEWS.format(version)}"
    replace(folder / "CHANGELOG.md", "\n## ", f"\n{section}\n\n## ")
    commit(folder, version)
    run(folder, "git", "tag", version)


@pytest.fixture(scope="session")
def older(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clone of the template's first version."""
    folder = tmp_path_factory.mktemp("older") / "template"
    run(folder.parent, "git", "clone", "--quiet", template, folder)
    run(folder, "git", "checkout", "--quiet", "v0.1.0")
    return folder


def create(older: Path, folder: Path, **answers: str) -> Project:
    """Create a project of the template's first version, and commit it."""
    words = (f"{name}={answer}" for name, answer in answers.items())
    result = cookiecutter(folder, *words, source=older)
    assert result.returncode == 0, result.stderr
    [path] = folder.glob("*/.portable.json")
    commit(path.parent, "Begin")
    return share(Project(path.parent))


def share(project: Project) -> Project:
    """Link the environments that a project's answers need, instead of earlier ones."""
    for venv in LOCKS:
        (project.path / venv).unlink(missing_ok=True)
    for venv in (".venv", ".venv-update"):
        project.share_install(venv)
    return project


def update(
    project: Project, template: Path, *variables: str, check: bool = True
) -> str:
    """Run `make update` without a network, and return its output."""
    words = ("update", f"TEMPLATE={template}", *variables)
    return project.make(*words, env=OFFLINE, check=check).stdout


def recorded(project: Project) -> Any:
    """Return the answers and the version that a project records."""
    return json.loads((project.path / ".portable.json").read_text(encoding="utf-8"))


def read(project: Project) -> dict[str, bytes]:
    """Return the content of all files that git tracks in a project."""
    names = run(project.path, "git", "ls-files", "-z").split("\0")[:-1]
    paths = ((name, project.path / name) for name in names)
    return {name: path.read_bytes() for name, path in paths if path.is_file()}


def status(project: Project) -> list[str]:
    """Return what git says about changed files."""
    return run(project.path, "git", "status", "--porcelain", ".").splitlines()


def is_own(name: str) -> bool:
    """Return whether a file is the user's."""
    return any(fnmatchcase(name, pattern) for pattern in OWN)


@pytest.mark.long
def test_update_across_versions_keeps_own_files(
    older: Path, template: Path, tmp_path: Path
) -> None:
    """With functions of several kinds, and a change of a file of the template."""
    project = create(older, tmp_path)
    add_shop(project, "http://127.0.0.1:9/orders")
    (project.path / OWN_TABLE).write_text(TABLE, encoding="utf-8")
    with (project.path / "src/common/context.py").open("a", encoding="utf-8") as file:
        file.write(OWN_FUNCTION)
    commit(project.path, "Add a shop")
    before = read(project)
    output = update(project, template)
    assert NEWS.format("v0.2.0") in output
    assert NEWS.format("v0.3.0") in output
    assert NEWS.format("v0.1.0") not in output
    assert output.index("## 0.3.0") < output.index("## 0.2.0") < output.index("review")
    after = read(project)
    changed = {name for name in before if after.get(name) != before[name]}
    assert changed == {
        *(".portable.json", "docs/pattern.md", "docs/values.md", "tools/new.py"),
        *("src/common/context.py", "docs/writing-functions.md"),
    }
    assert after.keys() - before.keys() == {ADDED, LATER_TABLE}
    context = after["src/common/context.py"].decode()
    assert context.startswith('"""Changed. ')
    assert context.endswith(OWN_FUNCTION)
    assert recorded(project)["_version"] == "0.3.0"
    assert all(line[1] == " " for line in status(project))  # all of it is staged
    assert "passed" in project.make("test").stdout
    commit(project.path, "Update")
    assert "Nothing to update" in update(project, template)
    assert not status(project)


def test_conflict_is_marked_and_unmerged(
    older: Path, template: Path, tmp_path: Path
) -> None:
    """In a project that is a subdirectory of a repository."""
    run(tmp_path, "git", "init", "--quiet", "--initial-branch=main")
    (tmp_path / "other.txt").write_text("Of another project\n")
    project = create(older, tmp_path)
    replace(project.path / "docs/pattern.md", "# The pattern", "# Our pattern")
    (project.path / "docs/values.md").unlink()
    commit(tmp_path, "Make it ours")
    before = read(project)
    output = update(project, template, "VERSION=0.2.0", check=False)
    assert "Conflict: docs/pattern.md" in output
    assert "make: *** " in output  # it ends with an error, as git merge does
    unmerged = [line[:2] + line[-15:] for line in status(project) if "U" in line[:2]]
    assert unmerged == ["UUdocs/pattern.md"]
    page = (project.path / "docs/pattern.md").read_text(encoding="utf-8")
    both = "<<<<<<< HEAD\n# Our pattern\n=======\n# The pattern, again\n>>>>>>> "
    assert page.startswith(both)
    assert not (project.path / "docs/values.md").exists()  # we had deleted it
    assert not [*project.path.rglob("*.rej")]
    assert (project.path / ADDED).exists()
    assert (tmp_path / "other.txt").exists()
    run(project.path, "git", "reset", "--hard")
    assert read(project) == before
    assert not status(project)


@pytest.mark.long
def test_answers_change_without_touching_functions(
    older: Path, template: Path, tmp_path: Path
) -> None:
    project = create(older, tmp_path / "ours")
    with (project.path / "src/func/worker.py").open("a", encoding="utf-8") as file:
        file.write(OWN_FUNCTION)
    (project.path / OWN_TABLE).write_text(TABLE, encoding="utf-8")
    commit(project.path, "Make it ours")
    own = {name: read(project)[name] for name in ("src/func/worker.py", OWN_TABLE)}
    rounds = max(len(ANSWERS[name]) for name in CHOICES)
    for number in range(1, rounds + 1):
        answers = {name: ANSWERS[name][number % len(ANSWERS[name])] for name in CHOICES}
        words = " ".join(f"{name}={answer}" for name, answer in answers.items())
        assert "Version:" not in update(project, template, f"ANSWERS={words}")
        commit(project.path, f"Change {words}")
        share(project)
        fresh = create(older, tmp_path / f"fresh-{number}", **answers)
        assert read(project) == read(fresh) | own


def test_changed_table_stays_with_other_database(
    older: Path, template: Path, tmp_path: Path
) -> None:
    """Together with a new version, whose example does not matter."""
    project = create(older, tmp_path, description=quote(CURLY))
    table = project.path / "migrations/001_clicks.sql"
    table.write_text(TABLE, encoding="utf-8")
    commit(project.path, "Make it ours")
    worker = read(project)["src/func/worker.py"]
    output = update(project, template, "ANSWERS=database=mysql", "VERSION=v0.3.0")
    assert "Answer: database=mysql, before postgres" in output
    assert "Yours, so not changed: migrations/001_clicks.sql" in output
    [show] = re.findall(r"git (show \w+)", output)
    assert "utf8mb4" in run(project.path, "git", *show.split())
    assert table.read_text(encoding="utf-8") == TABLE
    assert read(project)["src/func/worker.py"] == worker
    assert recorded(project)["description"] == CURLY
    assert recorded(project)["_version"] == "0.3.0"


@pytest.mark.parametrize("record", ["version", "cruft"])
def test_project_from_before_updates(
    record: str, template: Path, older: Path, tmp_path: Path
) -> None:
    """The template's own Makefile updates a project whose tools cannot."""
    project = create(older, tmp_path, author='O\'Neil "x" 数据')
    (project.path / "tools/update.py").unlink()
    answers = recorded(project)
    base = answers.pop("_commit")
    if record == "cruft":
        content = {"template": str(template), "commit": base}
        (project.path / ".cruft.json").write_text(json.dumps(content))
        answers["_version"] = "0.0.1"  # which has no tag
    (project.path / ".portable.json").write_text(json.dumps(answers), encoding="utf-8")
    commit(project.path, "An older record")
    if not (template / ".venv").exists():
        (template / ".venv").symlink_to(sys.prefix)
    words = ("--assume-old=requirements.txt", "update", f"PROJECT={project.path}")
    run(template, "make", *words)
    assert recorded(project) == answers | {
        "_version": "0.3.0",
        "_commit": run(template, "git", "rev-parse", "HEAD").strip(),
    }
    assert not (project.path / ".cruft.json").exists()
    assert not [*(template / TEMPLATE.name).rglob("__pycache__")]
    assert status(project)


def test_interrupted_update_is_repeated(
    older: Path, template: Path, tmp_path: Path
) -> None:
    """Changes that are not committed are refused, and files in the way."""
    project = create(older, tmp_path)
    replace(project.path / "docs/pattern.md", "# The pattern", "# The pattern, again")
    (project.path / ADDED).write_text('"""Mine."""\n', encoding="utf-8")
    refusal = "The repository has changes that are not committed"
    assert refusal in update(project, template, check=False)
    run(project.path, "git", "reset", "--hard")
    assert f"{ADDED} is not committed" in update(project, template, check=False)
    assert (project.path / ADDED).read_text(encoding="utf-8") == '"""Mine."""\n'
    assert status(project) == [f"?? {ADDED}"]
    (project.path / ADDED).write_text('"""New."""\n', encoding="utf-8")
    update(project, template)
    assert f"A  {ADDED}" in status(project)


def test_mistakes_are_refused_without_a_change(
    older: Path, template: Path, tmp_path: Path
) -> None:
    project = create(older, tmp_path)
    mistakes = {
        "ANSWERS=mysql": "ANSWERS=mysql is not as in ANSWERS='database=mysql'.",
        "ANSWERS=databse=mysql": "the closest one is database.",
        "ANSWERS=database=mysq": "the closest one is mysql.",
        "ANSWERS=project_slug=A": "project_slug 'A' is not a valid name",
        "VERSION=0.9.0": "choose one of v0.3.0, v0.2.0, v0.1.0.",
        "TEMPLATE=nowhere": "The template cannot be cloned from nowhere",
        "TEMPLATE=": "name the template's URL or the path of a clone",
        f"TEMPLATE={project.path}": "has no tag v0.1.0 and no commit",
    }
    for variable, sentence in mistakes.items():
        output = update(project, template, variable, check=False)
        assert sentence in output
        assert "make: *** " in output
        assert "Traceback" not in output
    assert not status(project)


def test_own_files_are_those_of_the_readme() -> None:
    text = (TEMPLATE / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.+) \| .+ \| you \|$", text, re.MULTILINE)
    named = {path for row in rows for path in re.findall("`(.+?)`", row)}
    examples = [re.sub(r"<\w+>|\*", "any", path) for path in named]
    files = [f"{path}any" if path.endswith("/") else path for path in examples]
    assert all(is_own(file) for file in files)
    assert len(named) == len(OWN) + 1  # config/ has two rows
