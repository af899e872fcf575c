"""Projects take later versions and other answers, and keep their own changes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from baking import ROOT, TEMPLATE, Project, clean_environment, cookiecutter
from shop import add_shop

ANSWERS = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
CHOICES = [path.name for path in sorted((TEMPLATE / ".choices").glob("*/"))]
GIT = {
    **{f"GIT_{who}_NAME": "Anna" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "anna@example.org" for who in ("AUTHOR", "COMMITTER")},
    "GIT_CONFIG_GLOBAL": "/dev/null",
}
# Changes of the template in its versions: old and new text.
VERSIONS: dict[str, dict[str, tuple[str, str]]] = {
    "v0.2.0": {
        "src/func/worker.py": ('"""', '"""Changed by the template. '),
        "config/worker.yml": ("table: clicks", "table: clicks  # for the rows"),
        "docs/pattern.md": ("# The pattern", "# The pattern, again"),
        "config/deploy.yml": ("log_days: 30", "log_days: 30  # a month"),
        "tools/new.py": ('"""Create a', '"""Changed. Create a'),
        "src/common/context.py": ('"""', '"""Changed. '),
    },
    "v0.3.0": {
        "config/worker.yml": ('delimiter: ","', 'delimiter: ","  # theirs'),
        "docs/pattern.md": ("# The pattern, again", "# The pattern, at last"),
    },
}
DELIMITER = 'delimiter: ","'
OWN = '\n\ndef own() -> None:\n    """Do nothing."""\n'
TABLE = "CREATE TABLE lengths (length BIGINT NOT NULL);\n"
LATER_TABLE = "tools/migrations/002_later.sql"
OWN_TABLE = "migrations/002_lengths.sql"
SECOND = '''\
"""Another function."""


def run(event: str, context: object) -> int:
    """Return the length of the message."""
    return len(event)
'''


def run(folder: Path, *words: str | Path, check: bool = True) -> str:
    """Run a command in a directory; return its output."""
    result = subprocess.run(
        words,
        cwd=folder,
        env=clean_environment(GIT),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert not check or result.returncode == 0, result.stdout
    return result.stdout


def cruft(folder: Path, *words: str | Path, check: bool = True) -> str:
    """Run cruft in a directory; return its output."""
    return run(folder, Path(sys.executable).with_name("cruft"), *words, check=check)


def commit(folder: Path, what: str) -> None:
    """Commit everything in a directory."""
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", what)


@pytest.fixture(scope="module")
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
            (folder / TEMPLATE.name / "src/lib/added.py").write_text('"""New."""\n')
            (folder / TEMPLATE.name / "docs/writing-functions.md").unlink()
            later = folder / TEMPLATE.name / ".choices/database/postgres" / LATER_TABLE
            later.write_text(TABLE, encoding="utf-8")
        set_version(folder, version)
    return folder


def set_version(folder: Path, version: str) -> None:
    """Commit and tag a version of the template."""
    path = folder / "cookiecutter.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["_version"] = version[1:]
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")
    commit(folder, version)
    run(folder, "git", "tag", version)


def replace(path: Path, old: str, new: str) -> None:
    """Replace the first occurrence of a text in a file."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def create(template: Path, folder: Path, version: str, **answers: str) -> Project:
    """Create a project as the README shows, and commit it."""
    folder.mkdir(exist_ok=True)
    words = ("--no-input", "--default-config", "--checkout", version)
    cruft(folder, "create", template, *words, "--extra-context", json.dumps(answers))
    [path] = folder.iterdir()
    commit(path, "Begin")
    return Project(path)


def recorded(project: Project) -> Any:
    """Return the answers and the version that a project records."""
    return json.loads((project.path / ".portable.json").read_text(encoding="utf-8"))


def change_project(project: Project) -> None:
    """Change a function and its settings, add a function and a table; commit."""
    worker = project.path / "src/func/worker.py"
    worker.write_text(worker.read_text(encoding="utf-8") + OWN, encoding="utf-8")
    settings = project.path / "config/worker.yml"
    replace(settings, 'delimiter: ","', 'delimiter: ","  # ours')
    (project.path / OWN_TABLE).write_text(TABLE, encoding="utf-8")
    (project.path / "src/func/second.py").write_text(SECOND, encoding="utf-8")
    (project.path / "config/second.yml").write_text("{}\n", encoding="utf-8")
    commit(project.path, "Make it ours")


def test_update_keeps_own_changes(template: Path, tmp_path: Path) -> None:
    project = create(template, tmp_path, "v0.1.0", database="postgres")
    assert recorded(project)["_version"] == "0.1.0"
    cruft(project.path, "diff", "--exit-code")
    change_project(project)
    output = cruft(project.path, "update", "--skip-apply-ask", "--checkout", "v0.2.0")
    assert "conflict" not in output
    assert recorded(project)["_version"] == "0.2.0"
    worker = (project.path / "src/func/worker.py").read_text(encoding="utf-8")
    assert worker.startswith('"""Changed by the template. ')
    assert worker.endswith(OWN)
    settings = (project.path / "config/worker.yml").read_text(encoding="utf-8")
    assert 'delimiter: ","  # ours' in settings
    assert "table: clicks  # for the rows" in settings
    assert (project.path / "src/func/second.py").read_text(encoding="utf-8") == SECOND
    assert (project.path / "src/lib/added.py").exists()
    assert (project.path / OWN_TABLE).read_text(encoding="utf-8") == TABLE
    assert (project.path / LATER_TABLE).exists()
    assert not (project.path / "docs/writing-functions.md").exists()
    assert "passed" in project.share_installs().make("test").stdout


def test_update_merges_with_added_functions(template: Path, tmp_path: Path) -> None:
    project = create(template, tmp_path, "v0.1.0", database="postgres")
    add_shop(project.share_installs(), "http://127.0.0.1:9/orders")
    commit(project.path, "Add a shop")
    own = read(project.path / "src/func")
    output = cruft(project.path, "update", "--skip-apply-ask", "--checkout", "v0.2.0")
    assert "conflict" not in output
    assert "rej" not in output
    status = run(project.path, "git", "status", "--porcelain").splitlines()
    assert not [line for line in status if line.startswith(("UU", "AA", "??"))]
    changed = read(project.path / "src/func")
    assert {name for name in own if own[name] != changed[name]} == {"worker.py"}
    config = (project.path / "config/deploy.yml").read_text(encoding="utf-8")
    assert "log_days: 30  # a month" in config
    assert "sends_to: [part]" in config
    assert "passed" in project.make("test").stdout


def test_conflict_is_marked_in_the_file(template: Path, tmp_path: Path) -> None:
    project = create(template, tmp_path, "v0.2.0", database="postgres")
    change_project(project)
    output = cruft(project.path, "update", "--skip-apply-ask", "--checkout", "v0.3.0")
    assert "Applied patch to 'config/worker.yml' with conflicts." in output
    status = run(project.path, "git", "status", "--porcelain").splitlines()
    assert "UU config/worker.yml" in status
    settings = (project.path / "config/worker.yml").read_text(encoding="utf-8")
    both = ("<<<<<<< ours", f"{DELIMITER}  # ours", "=======", f"{DELIMITER}  # theirs")
    assert "\n".join((*both, ">>>>>>> theirs")) in settings
    page = (project.path / "docs/pattern.md").read_text(encoding="utf-8")
    assert page.startswith("# The pattern, at last")


def test_rejected_hunk_is_saved_beside_the_file(template: Path, tmp_path: Path) -> None:
    project = create(template, tmp_path, "v0.1.0", database="postgres")
    change_project(project)
    cruft(project.path, "update", "--skip-apply-ask", "--checkout", "v0.2.0")
    commit(project.path, "Update")
    other = Project(tmp_path / "clone")  # without the objects of the template's v0.2.0
    run(tmp_path, "git", "clone", "--no-local", "--quiet", project.path, other.path)
    project = other
    output = cruft(project.path, "update", "--skip-apply-ask", "--checkout", "v0.3.0")
    assert "*.rej files" in output
    rejected = project.path / "config/worker.yml.rej"
    assert '+delimiter: ","  # theirs' in rejected.read_text(encoding="utf-8")
    settings = (project.path / "config/worker.yml").read_text(encoding="utf-8")
    assert 'delimiter: ","  # ours' in settings
    page = (project.path / "docs/pattern.md").read_text(encoding="utf-8")
    assert page.startswith("# The pattern, at last")


def test_answers_change_without_touching_functions(
    template: Path, tmp_path: Path
) -> None:
    project = create(template, tmp_path / "ours", "v0.1.0")
    change_project(project)
    functions = read(project.path / "src/func")
    rounds = max(len(ANSWERS[name]) for name in CHOICES)
    for number in range(1, rounds + 1):
        answers = {name: ANSWERS[name][number % len(ANSWERS[name])] for name in CHOICES}
        cruft(
            *(project.path, "update", "--skip-apply-ask", "--checkout", "v0.1.0"),
            *("--variables-to-update", json.dumps(answers)),
        )
        commit(project.path, f"Change {answers}")
        assert read(project.path / "src/func") == functions
        assert read(project.path)[OWN_TABLE] == TABLE.encode()
        fresh = create(template, tmp_path / f"fresh-{number}", "v0.1.0", **answers)
        left, right = read(project.path), read(fresh.path)
        own = {"src/func/second.py", "config/second.yml", OWN_TABLE}
        assert set(left) - set(right) == own
        assert {name for name in right if left.get(name) != right[name]} == {
            *("src/func/worker.py", "config/worker.yml")
        }
    assert "passed" in project.share_installs().make("test").stdout


def test_project_made_by_cookiecutter_updates(template: Path, tmp_path: Path) -> None:
    older = tmp_path / "older"
    run(tmp_path, "git", "clone", "--quiet", "--branch", "v0.1.0", template, older)
    result = cookiecutter(tmp_path / "made", 'author=O\'Neil "x" 数据', source=older)
    assert result.returncode == 0, result.stderr
    [path] = (tmp_path / "made").iterdir()
    commit(path, "Begin")
    version = f"v{recorded(Project(path))['_version']}"
    answers = (path / ".portable.json").read_text(encoding="utf-8")
    link = ("link", template, "--checkout", version, "--no-input", "--default-config")
    cruft(path, *link, "--extra-context", answers)
    cruft(path, "diff", "--exit-code")
    commit(path, "Link to the template")
    cruft(path, "update", "--skip-apply-ask")
    assert recorded(Project(path))["_version"] == "0.3.0"


def read(folder: Path) -> dict[str, bytes]:
    """Return the content of all files in a directory, without git's and cruft's."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not {".git", ".cruft.json"} & set(path.parts)
    }
