"""An answer is a directory: rules for the trees below `.choices/`."""

import json
import re
import shutil
from itertools import combinations
from pathlib import Path

import pytest

from baking import ROOT, TEMPLATE, Project, bake, cookiecutter

ANSWERS = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
CHOICES = TEMPLATE / ".choices"
VARIABLES = [path for path in CHOICES.iterdir() if path.is_dir()]
PROMPTS = [name for name in ANSWERS if not name.startswith("_")]


def files(directory: Path) -> set[str]:
    """Return the files below a directory, relative to it."""
    found = {
        path.relative_to(directory) for path in directory.rglob("*") if path.is_file()
    }
    return {str(path) for path in found if path.parts[0] not in (".git", ".choices")}


def trees(variable: str) -> dict[str, set[str]]:
    """Return the files that each value of a variable adds."""
    return {value.name: files(value) for value in (CHOICES / variable).iterdir()}


def test_each_tree_is_an_answer() -> None:
    for variable in VARIABLES:
        assert set(trees(variable.name)) <= set(ANSWERS[variable.name]) - {"none"}


@pytest.mark.parametrize(
    "name", [name for name in PROMPTS if isinstance(ANSWERS[name], list)]
)
def test_each_value_has_a_tree(name: str) -> None:
    assert set(ANSWERS[name]) - {"none"} == set(trees(name))


def test_trees_of_different_answers_do_not_overlap() -> None:
    brought = [set().union(*trees(variable.name).values()) for variable in VARIABLES]
    for one, other in combinations([files(TEMPLATE), *brought], 2):
        assert not one & other


def test_databases_have_the_same_interface() -> None:
    """A database may split its modules, but others import only those of both."""
    mysql, postgres = trees("database").values()
    assert {"src/lib/rds.py", "tests/shim/database.py"} <= mysql & postgres
    assert {Path(name).suffix for name in mysql ^ postgres} <= {".py", ".sql"}
    own = {Path(name).stem for name in mysql ^ postgres if name.endswith(".py")}
    common = [path for path in TEMPLATE.rglob("*.py") if CHOICES not in path.parents]
    imports = "\n".join(path.read_text(encoding="utf-8") for path in common)
    assert not [name for name in own if re.search(rf"import.*\b{name}\b", imports)]


@pytest.mark.parametrize("name", PROMPTS)
def test_each_prompt_and_value_has_a_label(name: str) -> None:
    label = ANSWERS["__prompts__"][name]
    if isinstance(ANSWERS[name], list):
        assert set(label) == {"__prompt__", *ANSWERS[name]}
    else:
        assert label


@pytest.mark.parametrize("pattern", ["*.py", "*.tf", "*.yml", "*.json", "*.sql"])
def test_code_has_no_jinja(pattern: str) -> None:
    assert pattern in ANSWERS["_copy_without_render"]
    for path in TEMPLATE.rglob(pattern):
        text = path.read_text(encoding="utf-8").replace("${{", "")  # of GitHub
        assert not any(mark in text for mark in ("{{", "{%", "{#")), path


@pytest.fixture(scope="module")
def bakes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Project]:
    """Return a project for each database and tool."""
    return {
        f"{database}-{iac}": bake(
            tmp_path_factory.mktemp(iac), database=database, iac=iac
        )
        for database in ANSWERS["database"]
        for iac in ANSWERS["iac"]
    }


def test_functions_are_identical_for_all_answers(bakes: dict[str, Project]) -> None:
    one, *others = (
        {
            path.name: path.read_bytes()
            for path in (each.path / "src" / "func").iterdir()
        }
        for each in bakes.values()
    )
    assert "worker.py" in one
    assert all(one == other for other in others)


def test_project_has_no_template_leftovers(bakes: dict[str, Project]) -> None:
    for project in bakes.values():
        assert not (project.path / ".choices").exists()
        names = {name for name in files(project.path) if not name.endswith(".png")}
        for name in names:  # the bytes of a picture can be anything
            text = (project.path / name).read_text(encoding="utf-8", errors="replace")
            assert not re.search(r"cookiecutter\.(?!json\b)", text), name
            assert "{{" not in text.replace("${{", ""), name


def test_value_needs_a_tree_a_word_and_a_label(tmp_path: Path) -> None:
    template = tmp_path / "template"
    for name in (TEMPLATE.name, "hooks"):
        shutil.copytree(ROOT / name, template / name)
    directory = template / TEMPLATE.name / ".choices" / "ci" / "throwaway"
    (directory / "docs").mkdir(parents=True)
    (directory / "docs" / "ci.md").write_text("# Throw-away CI\n", encoding="utf-8")
    answers = json.loads(json.dumps(ANSWERS))
    answers["ci"].append("throwaway")
    answers["__prompts__"]["ci"]["throwaway"] = "Throw-away CI"
    (template / "cookiecutter.json").write_text(json.dumps(answers), encoding="utf-8")
    for value in ("throwaway", "github", "none"):
        out = tmp_path / value
        out.mkdir()
        result = cookiecutter(out, f"ci={value}", source=template)
        assert result.returncode == 0, result.stderr
        page = out / "click-loader" / "docs" / "ci.md"
        text = page.read_text(encoding="utf-8") if page.exists() else ""
        assert (text == "# Throw-away CI\n") is (value == "throwaway")
        assert page.exists() is (value != "none")
