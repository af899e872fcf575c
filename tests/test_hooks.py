"""The hooks: which answers they reject and which files they copy."""

import ast
import json
import re
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import botocore.session
import pytest
from jinja2 import Environment

from baking import ROOT, Project, bake, clean_environment, cookiecutter

GOOD: dict[str, Any] = {
    "project_name": "Click Loader",
    "project_slug": "click-loader",
    "description": "Loads clicks.",
    "author": "Anna",
    "aws_region": "eu-west-1",
    "iac": "terraform",
    "database": "mysql",
    "ci": "github",
    "license": "MIT",
}
# Persian and Hindi with joiners, and a family and a flag as emoji
JOINED = (
    "\u0645\u06cc\u200c\u0631\u0648\u0645 क्\u200dष "
    "\U0001f468\u200d\U0001f467 \U0001f1e6\U0001f1f9"
)
ODD = 'O\'Neil "x" \\ \\n $HOME ${x} #1 <b>&amp;</b> `id` %s Ünïcode 数据 😀'


def load_hook(name: str, **answers: Any) -> ModuleType:
    """Render a hook with answers, as cookiecutter does, and import it."""
    source = (ROOT / "hooks" / f"{name}.py").read_text(encoding="utf-8")
    rendered = Environment().from_string(source).render(cookiecutter=GOOD | answers)
    hook = ModuleType(name)
    exec(compile(rendered, name, "exec"), hook.__dict__)
    return hook


def controls(*ranges: tuple[int, int]) -> list[str]:
    """Return the characters of some ranges, which include their ends."""
    return [chr(code) for first, last in ranges for code in range(first, last + 1)]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        pytest.param(
            {"project_slug": "Clicks"}, "'Clicks' is not a valid name", id="capital"
        ),
        pytest.param(
            {"project_slug": "my_clicks"}, "'my_clicks' is not", id="underscore"
        ),
        pytest.param({"project_slug": "1clicks"}, "'1clicks' is not", id="digit first"),
        pytest.param({"project_slug": "a--b"}, "'a--b' is not", id="two hyphens"),
        pytest.param({"project_slug": "clicks-"}, "'clicks-' is not", id="hyphen last"),
        pytest.param({"project_slug": "a"}, "has 1 characters", id="slug too short"),
        pytest.param({"project_slug": "c" * 25}, "within 64", id="slug too long"),
        pytest.param({"project_slug": "awsome"}, "with 'aws', which", id="aws"),
        pytest.param({"project_slug": "ssm-loads"}, "parameters of Sys", id="ssm"),
        pytest.param({"project_slug": "sg"}, "security groups: begin", id="group"),
        pytest.param({"project_slug": "sthree"}, "in names of buckets", id="sthree"),
        pytest.param({"project_slug": "amzn-s3-demo-x"}, "amzn-s3-demo-", id="demo"),
        pytest.param({"project_slug": "xn--clicks"}, "'xn--clicks' is not", id="xn"),
        pytest.param({"aws_region": "eu-west-9"}, "'eu-west-9' is not", id="region"),
        pytest.param(
            {"aws_region": "ap-southeast-6"},
            "'ap-southeast-6' has no RDS Data API, which 'make sql' needs: enter "
            "another, such as ap-east-1",
            id="no Data API",
        ),
        pytest.param({"aws_region": "cn-north-1"}, "to AWS China, which", id="China"),
        pytest.param({"aws_region": "us-gov-west-1"}, "to AWS GovCloud", id="GovCloud"),
        pytest.param(
            {"aws_region": "eusc-de-east-1"}, "European Sovereign Cloud", id="EUSC"
        ),
        pytest.param({"project_name": " "}, "project_name is empty", id="empty name"),
        pytest.param({"author": ""}, "author is empty", id="empty author"),
        pytest.param({"author": "a\nb"}, r"control character '\n'", id="newline"),
        pytest.param({"description": "a\x1b[1m"}, r"character '\x1b'", id="escape"),
        pytest.param({"project_name": "a\u2028b"}, r"'\u2028'", id="line separator"),
        pytest.param(
            {"project_name": "a\u202eb"},
            r"project_name 'a\u202eb' contains the control character '\u202e': remove",
            id="right-to-left override",
        ),
    ],
)
def test_wrong_answer_gets_one_sentence(answers: dict[str, str], message: str) -> None:
    problem = load_hook("pre_gen_project", **answers).find_problem(GOOD | answers)
    assert message in problem
    assert "\n" not in problem


@pytest.mark.parametrize("name", ["project_name", "description", "author"])
def test_bidirectional_controls_are_rejected(name: str) -> None:
    find_problem = load_hook("pre_gen_project").find_problem
    bidirectional = controls((0x202A, 0x202E), (0x2066, 0x2069), (0x200E, 0x200F))
    for character in [*bidirectional, "\u061c", "\u200b", "\ufeff", "\U000e0041"]:
        problem = find_problem(GOOD | {name: f"abc{character}def"})
        assert f"{name} " in problem
        assert f"control character {character!r}" in problem


def test_joiners_of_scripts_and_emoji_are_accepted() -> None:
    answers = GOOD | {"project_name": JOINED, "description": JOINED, "author": JOINED}
    assert load_hook("pre_gen_project").find_problem(answers) is None


def test_longest_slug_makes_longest_role_name() -> None:
    hook = load_hook("pre_gen_project")
    longest = "c" * hook.SLUG_LIMIT
    assert hook.find_problem(GOOD | {"project_slug": longest}) is None
    assert len(f"{longest}-{'e' * 8}-{'f' * 20}-execution") == 64
    for kind in ("raw", "state"):  # ends with the account, not with a reserved suffix
        assert len(f"{longest}-{'e' * 8}-{kind}-{'1' * 12}") <= 63


@pytest.mark.parametrize("slug", ["my-aws", "draws", "sgml", "sthreepio", "amzn"])
def test_slug_near_a_reserved_one_is_accepted(slug: str) -> None:
    find_problem = load_hook("pre_gen_project").find_problem
    assert find_problem(GOOD | {"project_slug": slug}) is None


def test_regions_are_those_of_botocore() -> None:
    hook = load_hook("pre_gen_project")
    list_regions = botocore.session.get_session().get_available_regions
    listed = [*hook.REGIONS, *hook.WITHOUT_DATA_API]
    assert sorted(listed) == sorted(list_regions("s3", "aws"))
    others = {
        region
        for partition in ("aws-cn", "aws-us-gov", "aws-eusc")
        for region in list_regions("s3", partition)
    }
    assert others == set(hook.OTHER_PARTITIONS)


SERVICES = """
application-autoscaling cloudformation cloudwatch ec2 ecr ecs events lambda logs rds
scheduler secretsmanager sns sqs ssm sts xray
""".split()


@pytest.mark.parametrize("service", SERVICES)
def test_accepted_regions_have_all_services(service: str) -> None:
    found = botocore.session.get_session().get_available_regions(service, "aws")
    assert set(load_hook("pre_gen_project").REGIONS) <= set(found)


def test_regions_with_two_zones_agree() -> None:
    """The hook and the rules of config/deploy.yml have a list each."""
    path = ROOT / "{{cookiecutter.project_slug}}" / "tools" / "deploy_rules.py"
    [line] = re.findall(r"^ZONES = (.*)$", path.read_text(encoding="utf-8"), re.M)
    two = {region for region, zones in ast.literal_eval(line).items() if zones < 3}
    assert two == set(load_hook("post_gen_project").TWO_ZONES)
    assert two <= set(load_hook("pre_gen_project").REGIONS)


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
def test_wrong_answer_leaves_no_directory(answer: str, tmp_path: Path) -> None:
    result = cookiecutter(tmp_path, answer)
    assert result.returncode != 0
    assert "portable: " in result.stderr
    assert not list(tmp_path.iterdir())


def test_odd_answers_stay_as_typed(tmp_path: Path) -> None:
    project = bake(tmp_path, project_name=ODD, description=ODD, author=ODD)
    text = (project.path / "pyproject.toml").read_text(encoding="utf-8")
    metadata = tomllib.loads(text)["project"]
    assert metadata["description"] == ODD
    assert metadata["authors"] == [{"name": ODD}]
    assert ODD in (project.path / "LICENSE").read_text(encoding="utf-8")
    assert re.fullmatch(r"[a-z0-9-]+", metadata["name"])
    project.share_installs().make("lint-code", "test")


def test_only_the_chosen_tree_is_copied(tmp_path: Path) -> None:
    choices = tmp_path / ".choices"
    for value in ("mysql", "postgres"):
        (choices / "database" / value / "src").mkdir(parents=True)
        (choices / "database" / value / "src" / "rds.py").write_text(value)
    hook = load_hook("post_gen_project")
    answers = GOOD | {"ci": "none"}
    (choices / "ci" / "github").mkdir(parents=True)
    (choices / "README.md").write_text("about the trees")
    for _ in ("once", "again, as an update does"):
        hook.apply_choices(answers, choices, tmp_path)
        assert (tmp_path / "src" / "rds.py").read_text() == "mysql"
        assert not choices.exists()


def test_record_has_version_and_answers(tmp_path: Path) -> None:
    hook = load_hook("post_gen_project")
    path = tmp_path / "record.json"
    private = {"_version": "1.2.3", "_template": "/home/anna", "__author_toml": "x"}
    hook.record(GOOD | {"author": ODD} | private, path)
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert kept == GOOD | {"author": ODD, "_version": "1.2.3"}


def files_of(folder: Path) -> dict[Path, bytes]:
    """Return the content of all files below a directory."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "answer",
    ["iac=cdk", "database=mysql", "ci=gitlab", "ci=none", "license=Proprietary"],
)
def test_overwriting_with_other_answer_fails(answer: str, tmp_path: Path) -> None:
    project = bake(tmp_path)
    (project.path / "src/func/worker.py").write_text("# mine\n", encoding="utf-8")
    before = files_of(project.path)
    result = cookiecutter(tmp_path, "--overwrite-if-exists", answer)
    name, _, value = answer.partition("=")
    assert result.returncode != 0
    assert f"portable: {name} is '{value}', but the existing project" in result.stderr
    assert "docs/upgrading.md" in result.stderr
    assert files_of(project.path) == before


def test_overwriting_with_same_answers_works(tmp_path: Path) -> None:
    project = bake(tmp_path, ci="none")
    (project.path / "Makefile").unlink()
    options = ["--overwrite-if-exists", "ci=none", "description=Counts clicks."]
    result = cookiecutter(tmp_path, *options)
    assert result.returncode == 0, result.stderr
    assert (project.path / "Makefile").exists()
    record = json.loads((project.path / ".portable.json").read_text(encoding="utf-8"))
    assert record["description"] == "Counts clicks."


def test_overwriting_broken_record_fails(tmp_path: Path) -> None:
    project = bake(tmp_path)
    (project.path / ".portable.json").write_text("<<<<<<< ours", encoding="utf-8")
    result = cookiecutter(tmp_path, "--overwrite-if-exists")
    assert result.returncode != 0
    assert "portable: .portable.json of the existing project" in result.stderr


def git(folder: Path, *words: str | Path) -> None:
    """Run git in a directory, as somebody."""
    identity = ["-c", "user.name=Anna", "-c", "user.email=anna@example.org"]
    allowed = ["-c", "protocol.file.allow=always"]  # for a submodule from a directory
    subprocess.run(
        ["git", *identity, *allowed, *words],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        check=True,
    )


@pytest.mark.parametrize(
    ("url", "recorded"),
    [
        ("https://anna:secret@example.org/portable", "https://example.org/portable"),
        ("https://token@example.org/portable", "https://example.org/portable"),
        ("ssh://git:secret@example.org/portable", "ssh://git@example.org/portable"),
        ("git@example.org:org/portable.git", "git@example.org:org/portable.git"),
        ("file:///home/anna/portable", None),
        ("../portable", None),
    ],
)
def test_url_of_template_is_recorded_without_password(
    url: str, recorded: str | None, tmp_path: Path
) -> None:
    folder = new_repository(tmp_path / "template")
    (folder / "cookiecutter.json").touch()
    git(folder, "remote", "add", "origin", url)
    found = load_hook("post_gen_project").find_template(str(folder))
    assert found.get("_template") == recorded
    assert re.fullmatch("[0-9a-f]{40}", found["_commit"])


def new_repository(folder: Path) -> Path:
    """Return a new repository with one commit."""
    folder.mkdir()
    git(folder, "init", "--quiet")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "Begin")
    return folder


def repository_around(kind: str, folder: Path) -> Path:
    """Return the root of a repository, a worktree or a submodule."""
    outer = new_repository(folder / "outer")
    if kind == "worktree":
        git(outer, "worktree", "add", "--quiet", "../tree")
        return folder / "tree"
    if kind == "submodule":
        inner = new_repository(folder / "library")
        git(outer, "submodule", "--quiet", "add", inner, "library")
        return outer / "library"
    return outer


def test_project_becomes_a_repository(tmp_path: Path) -> None:
    result = cookiecutter(tmp_path)
    assert (tmp_path / "click-loader" / ".git").is_dir()
    assert "make test" in result.stdout
    assert "CI services" not in result.stdout


@pytest.mark.parametrize("kind", ["repository", "worktree", "submodule"])
def test_project_in_repository_is_not_nested(kind: str, tmp_path: Path) -> None:
    root = repository_around(kind, tmp_path)
    cookiecutter(root, "project_slug=inner")
    assert (root / "inner" / "Makefile").exists()
    assert not (root / "inner" / ".git").exists()


@pytest.mark.parametrize(
    ("ci", "name"),
    [
        ("github", ".github/workflows/ci.yml"),
        ("gitlab", ".gitlab-ci.yml"),
        ("circleci", ".circleci/config.yml"),
    ],
)
def test_project_in_repository_names_ci_files(
    ci: str, name: str, tmp_path: Path
) -> None:
    root = repository_around("repository", tmp_path)
    (root / "services").mkdir()
    result = cookiecutter(root / "services", "project_slug=inner", f"ci={ci}")
    assert f"services/inner/{name} -> {name}\n" in result.stdout
    assert "run their commands in services/inner: see docs/ci.md" in result.stdout
    page = (root / "services/inner/docs/ci.md").read_text(encoding="utf-8")
    assert "\n## In a subdirectory of a repository\n" in page


def test_project_in_repository_without_ci_has_no_note(tmp_path: Path) -> None:
    root = repository_around("repository", tmp_path)
    result = cookiecutter(root, "project_slug=inner", "ci=none")
    assert "make test" in result.stdout
    assert "CI services" not in result.stdout


@pytest.mark.parametrize("ci", ["gitlab", "none"])
def test_project_without_hooks_says_how_to_finish(ci: str, tmp_path: Path) -> None:
    answers = {"author": ODD, "description": JOINED, "ci": ci}
    words = [f"{name}={value}" for name, value in answers.items()]
    result = cookiecutter(tmp_path, "--accept-hooks=no", *words)
    assert result.returncode == 0, result.stderr
    project = Project(tmp_path / "click-loader")
    page = (project.path / ".choices/README.md").read_text(encoding="utf-8")
    [commands] = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    project.run("sh", "-e", "-c", commands)
    hooked = bake(tmp_path / "hooked", **answers)
    finished, expected = (
        {path.relative_to(one.path): text for path, text in files_of(one.path).items()}
        for one in (project, hooked)
    )
    record = Path(".portable.json")
    recorded = json.loads(expected.pop(record))
    origin = {"_commit", "_template"}  # which only a hook knows
    assert json.loads(finished.pop(record)) == {
        name: value for name, value in recorded.items() if name not in origin
    }
    assert finished == {
        path: text for path, text in expected.items() if path.parts[0] != ".git"
    }


def test_hooks_read_odd_answers() -> None:
    for name in ("pre_gen_project", "post_gen_project"):
        assert json.dumps(
            load_hook(name, author=ODD * 9).ANSWERS["author"]
        ) == json.dumps(ODD * 9)
