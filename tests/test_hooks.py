"""The hooks: what they refuse, and what they lay out."""

import json
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import botocore.session
import pytest
from jinja2 import Environment

from baking import ROOT, Lint, bake, cookiecutter

GOOD: dict[str, Any] = {
    "project_name": "Click Loader",
    "project_slug": "click-loader",
    "description": "Loads clicks.",
    "author": "Anna",
    "aws_region": "eu-west-1",
    "database": "mysql",
    "license": "MIT",
}
ODD = 'O\'Neil "x" \\ \\n $HOME ${x} #1 <b>&amp;</b> `id` %s Ünïcode 数据 😀'


def load_hook(name: str, **answers: Any) -> ModuleType:
    """Render a hook with answers, as cookiecutter does, and import it."""
    source = (ROOT / "hooks" / f"{name}.py").read_text(encoding="utf-8")
    rendered = Environment().from_string(source).render(cookiecutter=GOOD | answers)
    hook = ModuleType(name)
    exec(compile(rendered, name, "exec"), hook.__dict__)
    return hook


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        pytest.param(
            {"project_slug": "Clicks"}, "'Clicks' is no DNS label", id="capital"
        ),
        pytest.param(
            {"project_slug": "my_clicks"}, "'my_clicks' is no", id="underscore"
        ),
        pytest.param({"project_slug": "1clicks"}, "'1clicks' is no", id="digit first"),
        pytest.param({"project_slug": "a--b"}, "'a--b' is no", id="two hyphens"),
        pytest.param({"project_slug": "clicks-"}, "'clicks-' is no", id="hyphen last"),
        pytest.param({"project_slug": "a"}, "has 1 characters", id="slug too short"),
        pytest.param({"project_slug": "c" * 25}, "within 64", id="slug too long"),
        pytest.param({"aws_region": "eu-west-9"}, "'eu-west-9' is none", id="region"),
        pytest.param({"project_name": " "}, "project_name is empty", id="empty name"),
        pytest.param({"author": ""}, "author is empty", id="empty author"),
        pytest.param({"author": "a\nb"}, r"control character '\n'", id="newline"),
        pytest.param({"description": "a\x1b[1m"}, r"character '\x1b'", id="escape"),
        pytest.param({"project_name": "a\u2028b"}, r"'\u2028'", id="line separator"),
    ],
)
def test_wrong_answer_is_refused_in_one_sentence(
    answers: dict[str, str], told: str
) -> None:
    reason = load_hook("pre_gen_project", **answers).refusal(GOOD | answers)
    assert told in reason
    assert "\n" not in reason


def test_longest_slug_makes_the_longest_name_that_iam_takes() -> None:
    hook = load_hook("pre_gen_project")
    longest = "c" * hook.SLUG_LIMIT
    assert hook.refusal(GOOD | {"project_slug": longest}) is None
    assert len(f"{longest}-{'e' * 8}-{'f' * 20}-execution") == 64


def test_regions_are_those_that_botocore_knows() -> None:
    session = botocore.session.get_session()
    known = {
        region
        for partition in ("aws", "aws-cn", "aws-us-gov", "aws-eusc")
        for region in session.get_available_regions("s3", partition)
    }
    assert set(load_hook("pre_gen_project").REGIONS) == known


@pytest.mark.parametrize(
    "answer",
    [
        "project_slug=Clicks",
        "project_slug=a/b",
        "project_slug=a/b/c",
        "aws_region=eu-west-9",
        "project_name=",
        "author=a\nb",
    ],
)
def test_refusal_ends_cookiecutter_with_an_error_and_leaves_nothing(
    answer: str, tmp_path: Path
) -> None:
    result = cookiecutter(tmp_path, answer)
    assert result.returncode != 0
    assert "portable: " in result.stderr
    assert not list(tmp_path.iterdir())


def test_odd_answers_arrive_as_they_were_given(tmp_path: Path, lint: Lint) -> None:
    project = bake(tmp_path, project_name=ODD, description=ODD, author=ODD)
    text = (project.path / "pyproject.toml").read_text(encoding="utf-8")
    metadata = tomllib.loads(text)["project"]
    assert metadata["description"] == ODD
    assert metadata["authors"] == [{"name": ODD}]
    assert ODD in (project.path / "LICENSE").read_text(encoding="utf-8")
    assert re.fullmatch(r"[a-z0-9-]+", metadata["name"])
    project.share_installs().make("test")
    lint(project)


def test_choice_is_laid_over_the_project_and_the_others_are_gone(
    tmp_path: Path,
) -> None:
    choices = tmp_path / ".choices"
    for value in ("mysql", "postgres"):
        (choices / "database" / value / "src").mkdir(parents=True)
        (choices / "database" / value / "src" / "rds.py").write_text(value)
    hook = load_hook("post_gen_project")
    answers = GOOD | {"ci": "none"}
    (choices / "ci" / "github").mkdir(parents=True)
    for _ in ("once", "again, as an update does"):
        hook.lay_over(answers, choices, tmp_path)
        assert (tmp_path / "src" / "rds.py").read_text() == "mysql"
        assert not choices.exists()


def test_record_has_the_version_and_the_answers_as_they_were_given(
    tmp_path: Path,
) -> None:
    hook = load_hook("post_gen_project")
    path = tmp_path / "record.json"
    private = {"_version": "1.2.3", "_template": "/home/anna", "__author_toml": "x"}
    hook.record(GOOD | {"author": ODD} | private, path)
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert kept == GOOD | {"author": ODD, "_version": "1.2.3"}


def test_project_is_a_repository_unless_it_is_in_one(tmp_path: Path) -> None:
    outer = bake(tmp_path)
    assert (outer.path / ".git").is_dir()
    cookiecutter(outer.path, "project_slug=inner")
    assert (outer.path / "inner" / "Makefile").exists()
    assert not (outer.path / "inner" / ".git").exists()


def test_hooks_take_any_answer_without_breaking() -> None:
    for name in ("pre_gen_project", "post_gen_project"):
        assert json.dumps(
            load_hook(name, author=ODD * 9).ANSWERS["author"]
        ) == json.dumps(ODD * 9)
