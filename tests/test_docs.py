"""Links, targets, JSON, badges and generated pages of the docs are correct."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from baking import ROOT, TEMPLATE, Project, bake
from faults_page import PAGE, page

ANSWERS = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
LINK = re.compile(r"\]\((?:<([^>]+)>|([^)\s]+))\)")
DEVCONTAINER = ".devcontainer/devcontainer.json"
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def test_faults_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: make faults"


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> list[Project]:
    """Projects that together have each answer that adds pages."""
    count = max(len(ANSWERS["iac"]), len(ANSWERS["ci"]))
    return [
        bake(
            tmp_path_factory.mktemp("docs"),
            iac=ANSWERS["iac"][number % len(ANSWERS["iac"])],
            ci=ANSWERS["ci"][number % len(ANSWERS["ci"])],
        )
        for number in range(count)
    ]


def pages(directory: Path) -> list[Path]:
    """Return the pages of a directory, without those of builds and of the template."""
    found = [path.relative_to(directory) for path in directory.rglob("*.md")]
    foreign = {".build", ".venv", TEMPLATE.name}
    return [directory / path for path in found if not foreign & set(path.parts)]


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = FENCED.sub("", path.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", each).lower().replace(" ", "-") for each in headings
    }


def broken_links(path: Path) -> Iterator[str]:
    """Yield the broken links of a page; links to the web are not checked."""
    text = FENCED.sub("", path.read_text(encoding="utf-8"))
    for inner, plain in LINK.findall(text):
        target, _, anchor = unquote(inner or plain).partition("#")
        if target.startswith(("https://", "http://")):
            continue
        found = (path.parent / target) if target else path
        if not found.exists() or (anchor and anchor not in anchors(found)):
            yield f"{path.name}: {inner or plain}"


def test_links_of_template_resolve() -> None:
    found = pages(ROOT)
    assert {"README.md", "decisions.md"} <= {path.name for path in found}
    assert not [link for path in found for link in broken_links(path)]


def test_links_of_project_resolve(projects: list[Project]) -> None:
    for project in projects:
        found = pages(project.path)
        assert {"README.md", "pattern.md", "upgrading.md"} <= {
            path.name for path in found
        }
        assert not [link for path in found for link in broken_links(path)]


def test_make_targets_in_docs_exist(projects: list[Project]) -> None:
    for project in projects:
        output = project.make("--print-data-base", "--question", check=False).stdout
        known = set(re.findall(r"^([a-z][\w-]*):", output, re.MULTILINE))
        for path in [*pages(project.path), project.path / DEVCONTAINER]:
            text = path.read_text(encoding="utf-8")
            named = re.findall(r"(?:[`\"]|^|&& )make ([a-z_]+)", text, re.MULTILINE)
            assert set(named) <= known, path.name


def test_json_in_docs_is_valid(projects: list[Project]) -> None:
    for project in projects:
        for path in pages(project.path):
            text = path.read_text(encoding="utf-8")
            for indent, block in re.findall(
                r"^( *)```json\n(.*?)```", text, re.M | re.S
            ):
                assert json.loads(block.replace(f"\n{indent}", "\n")), path.name


def test_readme_lists_all_pages(projects: list[Project]) -> None:
    for project in projects:
        text = (project.path / "README.md").read_text(encoding="utf-8")
        listed = set(re.findall(r"\]\(docs/([\w-]+\.md)\)", text))
        there = {path.name for path in (project.path / "docs").glob("*.md")}
        assert there - {"roles.md"} == listed


def test_badges_are_correct(tmp_path: Path) -> None:
    for license_ in ANSWERS["license"]:
        project = bake(tmp_path, project_slug=f"p{len(license_)}", license=license_)
        text = (project.path / "README.md").read_text(encoding="utf-8")
        [badge] = re.findall(r"badge/license-(.+)-blue", text)
        assert badge.replace("--", "-") == license_
        metadata = tomllib.loads((project.path / "pyproject.toml").read_text())
        [least] = re.findall(r"badge/python-(.+)%20or%20later-blue", text)
        assert metadata["project"]["requires-python"] == f">={least}"
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "badge/license-MIT-blue" in text
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
    workflow = (ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8")
    tested = re.findall(r"^ +(3\.\d+)$", workflow, re.MULTILINE)
    [badge] = re.findall(r"badge/python-(.+)-blue", text)
    assert unquote(badge).split(" | ") == sorted(tested)


def test_readme_lists_all_answers() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, values in ANSWERS.items():
        if isinstance(values, list) and not name.startswith("_"):
            listed = ", ".join(f"`{value}`" for value in values)
            assert f"| `{name}` | {listed} |" in text


def test_version_is_in_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version, date = re.findall(r"^## (\S+) - (\S+)$", text, re.MULTILINE)[0]
    assert version == ANSWERS["_version"]
    assert re.fullmatch(r"unreleased|\d{4}-\d\d-\d\d", date)
