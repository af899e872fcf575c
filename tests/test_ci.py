"""What CI does: valid by its schema, the same on each forge, and make words only."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from baking import TEMPLATE, CheckedOnce, Project, bake, free_port

CHOICES = TEMPLATE / ".choices" / "ci"
FILES = {
    "github": ".github/workflows/ci.yml",
    "gitlab": ".gitlab-ci.yml",
    "circleci": ".circleci/config.yml",
}
SCHEMAS = [
    ("github/.github/workflows/ci.yml", ["vendor.github-workflows"]),
    ("github/.github/workflows/ci.yml", ["custom.github-workflows-require-timeout"]),
    ("gitlab/.gitlab-ci.yml", ["vendor.gitlab-ci", "--data-transform=gitlab-ci"]),
    ("circleci/.circleci/config.yml", ["vendor.circle-ci"]),
    *((f"{forge}/renovate.json", ["vendor.renovate"]) for forge in FILES),
]
# The one command that is no make word: the SDKs of AWS read a token from a file.
TOKEN = re.compile(r'printenv \w+ > "\$AWS_WEB_IDENTITY_TOKEN_FILE"')
PLAN = "make plan ENV=dev REPORT=.build/plan.txt"
JOBS = {
    "lint": ["make tools", "make lint"],
    "test": ["make test"],
    "parity": ["make tools", "make shim SHIM=process FOR=parity"],
    "plan": ["make tools", PLAN, "make comment REPORT=.build/plan.txt"],
    "deploy-dev": ["make tools", "make deploy ENV=dev"],
    "deploy-prod": ["make tools", "make deploy ENV=prod"],
}


def read(forge: str) -> Any:
    """Return what a forge reads."""
    return yaml.safe_load((CHOICES / forge / FILES[forge]).read_text(encoding="utf-8"))


def github_commands(config: Any) -> dict[str, list[str]]:
    return {
        name: [step["run"] for step in job["steps"] if "run" in step]
        for name, job in config["jobs"].items()
    }


def gitlab_commands(config: Any) -> dict[str, list[str]]:
    jobs = {name: job for name, job in config.items() if name in JOBS}
    for name, job in jobs.items():
        jobs[name] = config.get(job.get("extends"), {}) | job
    return {
        name: job.get("before_script", []) + job["script"] for name, job in jobs.items()
    }


def circleci_commands(config: Any) -> dict[str, list[str]]:
    def run(step: Any) -> list[str]:
        if isinstance(step, str) and step in config["commands"]:
            return [
                each for one in config["commands"][step]["steps"] for each in run(one)
            ]
        command = step.get("run") if isinstance(step, dict) else None
        if isinstance(command, dict):
            command = command["command"]
        return [command] if command else []

    return {
        name: [each for step in job["steps"] for each in run(step)]
        for name, job in config["jobs"].items()
    }


COMMANDS: dict[str, Callable[[Any], dict[str, list[str]]]] = {
    "github": github_commands,
    "gitlab": gitlab_commands,
    "circleci": circleci_commands,
}


@pytest.mark.parametrize(("name", "schema"), SCHEMAS)
def test_file_is_valid_by_its_own_schema(name: str, schema: list[str]) -> None:
    program = Path(sys.executable).with_name("check-jsonschema")
    options = ["--no-cache", "--builtin-schema", *schema]
    words: list[str | Path] = [program, *options, CHOICES / name]
    result = subprocess.run(words, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("forge", FILES)
def test_jobs_are_the_same_make_words_on_each_forge(forge: str) -> None:
    found = COMMANDS[forge](read(forge))
    for name, commands in found.items():
        gets_token = forge != "github" and job_asks_aws(name)
        assert any(map(TOKEN.fullmatch, commands)) is gets_token
    assert {
        name: [each for each in commands if not TOKEN.fullmatch(each)]
        for name, commands in found.items()
    } == JOBS


@pytest.mark.parametrize("forge", FILES)
def test_forge_keeps_no_keys_of_aws(forge: str) -> None:
    text = (CHOICES / forge / FILES[forge]).read_text(encoding="utf-8")
    assert not re.search("ACCESS_KEY|SECRET", text, re.IGNORECASE)


def test_actions_are_pinned_and_jobs_may_do_what_they_need() -> None:
    text = (CHOICES / "github" / FILES["github"]).read_text(encoding="utf-8")
    for action in re.findall("uses: (.+)", text):
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)
    config = read("github")
    assert config["permissions"] == {}
    for name, job in config["jobs"].items():
        asks_aws = {"id-token": "write"} if job_asks_aws(name) else {}
        tells = {"pull-requests": "write"} if name == "plan" else {}
        assert job["permissions"] == {"contents": "read", **asks_aws, **tells}
        assert job.get("environment") == (name[7:] if "deploy" in name else None)


def job_asks_aws(name: str) -> bool:
    """Tell whether a job needs an account."""
    return not {"plan", "deploy"}.isdisjoint(name.split("-"))


def test_commands_that_need_no_account_pass_in_a_project(
    tmp_path: Path, checked_once: CheckedOnce
) -> None:
    project = bake(tmp_path, ci="github", database="postgres").share_installs()
    project.share_layer()
    ports = {"AWS_PORT": str(free_port()), "DB_PORT": str(free_port())}
    found = github_commands(
        yaml.safe_load((project.path / FILES["github"]).read_text(encoding="utf-8"))
    )
    for name in ("lint", "test", "parity"):
        with checked_once(project) if name == "lint" else nullcontext():
            for command in found[name]:
                if command != "make tools":  # installs on the machine: see below
                    said = project.run("sh", "-c", command, env=ports).stdout
    assert "All are equal." in said
    assert not (project.path / ".shim/shim.env").exists()


def test_shim_ends_with_the_words_that_it_runs_for(baked: Project) -> None:
    ports = {"AWS_PORT": str(free_port()), "DB_PORT": str(free_port())}
    worker = baked.path / "config/worker.yml"
    worker.write_text("no_such_setting: 1\n", encoding="utf-8")
    result = baked.make("shim", "FOR=sanity_check", env=ports, check=False)
    assert result.returncode != 0
    assert "no_such_setting" in result.stdout
    assert not (baked.path / ".shim/shim.env").exists()


CURL = """\
#!/bin/sh
while [ "$1" != --output ]; do shift; done
cp "$DOWNLOAD" "$2"
"""


@pytest.mark.parametrize("is_genuine", [True, False])
def test_tools_installs_terraform_if_it_is_the_one_that_was_meant(
    is_genuine: bool, tmp_path: Path
) -> None:
    project = bake(tmp_path, iac="terraform", database="postgres")
    programs, download = tmp_path / "bin", tmp_path / "terraform.zip"
    programs.mkdir()
    for name in ("make sh uname mktemp sha256sum install id env cp").split():
        (programs / name).symlink_to(str(shutil.which(name)))
    (programs / "python3").symlink_to(sys.executable)
    (programs / "curl").write_text(CURL)
    (programs / "curl").chmod(0o755)
    with zipfile.ZipFile(download, "w") as archive:
        archive.writestr("terraform", "#!/bin/sh\necho pretended\n")
    script = project.path / "infra/install.sh"
    text = script.read_text(encoding="utf-8")
    if is_genuine:
        digest = sha256(download.read_bytes()).hexdigest()
        script.write_text(re.sub("[0-9a-f]{64}", digest, text), encoding="utf-8")
    into = tmp_path / "into"
    into.mkdir()
    env = {"PATH": str(programs), "INTO": str(into), "DOWNLOAD": str(download)}
    result = project.make("tools", "AS_ROOT=", env=env, check=False)
    assert (result.returncode == 0) is is_genuine, result.stdout
    assert [path.name for path in into.iterdir()] == ["terraform"] * is_genuine
    if is_genuine:
        answer = subprocess.run([into / "terraform"], capture_output=True, text=True)
        assert answer.stdout == "pretended\n"


TERRAFORM = """\
#!/bin/sh
case "$2" in plan) echo "1 to add"; exit "$ENDS";; esac
"""


def test_report_has_the_plan_and_only_a_failure_fails(tmp_path: Path) -> None:
    project = bake(tmp_path, iac="terraform", database="postgres").share_installs()
    program = tmp_path / "bin" / "terraform"
    program.parent.mkdir()
    program.write_text(TERRAFORM)
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    with project.shim() as far:  # as if it were AWS
        project.make("bootstrap", "ENV=dev", env=far)
        for code, plans in {"0": 9, "2": 9, "1": 1}.items():
            env = far | {"PATH": path, "ENDS": code}
            result = project.run("sh", "-c", f"{PLAN} NEEDS_=", env=env, check=False)
            assert (result.returncode == 0) is (plans == 9), result.stdout
            report = (project.path / ".build/plan.txt").read_text(encoding="utf-8")
            assert report.count("1 to add") == plans
        assert "plan stopped at role.\n" in result.stdout


class Forge(HTTPServer):
    """The part of a forge's API that keeps the comments of one request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.comments: list[dict[str, Any]] = [{"id": 7, "body": "Looks good."}]
        self.token = "t0ken"
        self.paths: set[str] = set()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    """Lists, adds and changes comments."""

    server: Forge

    def do_GET(self) -> None:
        """List the comments."""
        self._answer(self.server.comments if "page=1" in self.path[-6:] else [])

    def do_POST(self) -> None:
        """Add a comment."""
        self.server.comments.append({"id": 8, **self._content()})
        self._answer({})

    def do_PATCH(self) -> None:
        """Change a comment."""
        number = int(self.path.rpartition("/")[2])
        for comment in self.server.comments:
            if comment["id"] == number:
                comment.update(self._content())
        self._answer({})

    do_PUT = do_PATCH  # noqa: N815 - as http.server wants it

    def _content(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, content: Any) -> None:
        given = self.headers.get("PRIVATE-TOKEN") or self.headers["Authorization"]
        is_known = given.rpartition(" ")[2] == self.server.token
        self.server.paths.add(self.path.partition("?")[0])
        self.send_response(200 if is_known else 403)
        self.end_headers()
        self.wfile.write(json.dumps(content if is_known else {}).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def forge() -> Iterator[Forge]:
    """A forge that answers."""
    with Forge() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def of_request(name: str, forge: Forge) -> dict[str, str]:
    """Return the environment of a job that is about request 12."""
    return {
        "github": {
            "GITHUB_API_URL": forge.url,
            "GITHUB_REPOSITORY": "anna/clicks",
            "GITHUB_REF": "refs/pull/12/merge",
            "GITHUB_TOKEN": forge.token,
        },
        "gitlab": {
            "CI_API_V4_URL": forge.url,
            "CI_PROJECT_ID": "34",
            "CI_MERGE_REQUEST_IID": "12",
            "GITLAB_TOKEN": forge.token,
        },
        "circleci": {
            "GITHUB_API_URL": forge.url,
            "CIRCLE_PULL_REQUEST": "https://github.com/anna/clicks/pull/12",
            "GITHUB_TOKEN": forge.token,
        },
    }[name]


NO_REQUEST = {
    "github": {"GITHUB_REF": "refs/heads/main"},
    "circleci": {"CIRCLE_PULL_REQUEST": ""},
    "gitlab": {"CI_MERGE_REQUEST_IID": ""},
}
PATHS = {
    "github": "/repos/anna/clicks/issues/12/comments",
    "circleci": "/repos/anna/clicks/issues/12/comments",
    "gitlab": "/projects/34/merge_requests/12/notes",
}


@pytest.mark.parametrize("name", FILES)
def test_plan_is_told_in_one_comment(name: str, forge: Forge, tmp_path: Path) -> None:
    project = bake(tmp_path, ci=name, database="postgres").share_installs()
    plan = tmp_path / "plan.txt"

    def tell(**more: str) -> subprocess.CompletedProcess[str]:
        environment = of_request(name, forge) | more
        return project.make("comment", f"REPORT={plan}", env=environment, check=False)

    for text in ("1 to add", "x" * 10**6 + "the end"):
        plan.write_text(text)
        assert tell().returncode == 0
        assert PATHS[name] in forge.paths
        people, told = forge.comments
        assert people["body"] == "Looks good."
        assert text[-7:] in told["body"]
        assert len(told["body"]) < 10**6
    assert "There is no" in tell(**NO_REQUEST[name]).stdout
    token = forge.token
    forge.token = "another"
    result = tell(GITHUB_TOKEN=token, GITLAB_TOKEN=token)
    assert result.returncode != 0
    assert re.search("^Git[HL][ua]b refuses to GET .*: 403 ", result.stdout, re.M)
