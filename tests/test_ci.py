"""CI: files valid by their schemas, the same jobs everywhere, make targets only."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from baking import TEMPLATE, Project, bake, free_port
from deploy_helpers import STACKS, change_config, make_containers

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
# The one command that is no make target: AWS SDKs read the token from a file.
TOKEN = re.compile(r'printenv \w+ > "\$AWS_WEB_IDENTITY_TOKEN_FILE"')
PLAN = "make plan ENV=dev REPORT=.build/plan.txt"
JOBS = {
    "lint": ["make ci_setup", "make lint", "make audit"],
    "test": ["make test", "make test TARGET=tools"],
    "parity": ["make ci_setup", "make shim SHIM=process FOR=parity"],
    "plan": ["make ci_setup", PLAN, "make comment REPORT=.build/plan.txt"],
    "deploy-dev": ["make ci_setup", "make deploy ENV=dev"],
    "deploy-prod": ["make ci_setup", "make deploy ENV=prod"],
}


def read(forge: str) -> Any:
    """Return the configuration of a forge."""
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
def test_file_matches_its_schema(name: str, schema: list[str]) -> None:
    program = Path(sys.executable).with_name("check-jsonschema")
    options = ["--no-cache", "--builtin-schema", *schema]
    words: list[str | Path] = [program, *options, CHOICES / name]
    result = subprocess.run(words, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("forge", FILES)
def test_jobs_run_the_same_targets_on_each_forge(forge: str) -> None:
    found = COMMANDS[forge](read(forge))
    for name, commands in found.items():
        gets_token = forge != "github" and job_asks_aws(name)
        assert any(map(TOKEN.fullmatch, commands)) is gets_token
    assert {
        name: [each for each in commands if not TOKEN.fullmatch(each)]
        for name, commands in found.items()
    } == JOBS


@pytest.mark.parametrize("forge", FILES)
def test_forge_stores_no_aws_keys(forge: str) -> None:
    text = (CHOICES / forge / FILES[forge]).read_text(encoding="utf-8")
    assert not re.search("ACCESS_KEY|SECRET", text, re.IGNORECASE)


def test_actions_are_pinned_and_permissions_minimal() -> None:
    text = (CHOICES / "github" / FILES["github"]).read_text(encoding="utf-8")
    for action in re.findall("uses: (.+)", text):
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)
    config = read("github")
    assert config["permissions"] == {}
    for name, job in config["jobs"].items():
        asks_aws = {"id-token": "write"} if job_asks_aws(name) else {}
        comments = {"pull-requests": "write"} if name == "plan" else {}
        assert job["permissions"] == {"contents": "read", **asks_aws, **comments}
        assert job.get("environment") == (name[7:] if "deploy" in name else None)


def job_asks_aws(name: str) -> bool:
    """Return whether a job needs an AWS account."""
    return not {"plan", "deploy"}.isdisjoint(name.split("-"))


def test_commands_without_aws_pass_in_a_project(tmp_path: Path) -> None:
    project = bake(tmp_path, ci="github").share_installs()
    project.share_layer()
    ports = {"AWS_PORT": str(free_port()), "DB_PORT": str(free_port())}
    found = github_commands(
        yaml.safe_load((project.path / FILES["github"]).read_text(encoding="utf-8"))
    )
    for name in ("lint", "test", "parity"):
        for command in found[name]:
            if command != "make ci_setup":  # it installs on the machine
                output = project.run("sh", "-c", command, env=ports).stdout
    assert "All are equal." in output
    assert not (project.path / ".shim/shim.env").exists()


def test_shim_fails_when_its_target_fails(baked: Project) -> None:
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
SUDO = """\
#!/bin/sh
exec "$@"
"""


@pytest.mark.parametrize("is_genuine", [True, False])
def test_ci_setup_installs_only_the_pinned_terraform(
    is_genuine: bool, tmp_path: Path
) -> None:
    project = bake(tmp_path, iac="terraform").share_installs()
    programs, download = tmp_path / "bin", tmp_path / "terraform.zip"
    programs.mkdir()
    for name in ("make sh uname mktemp sha256sum install id env cp").split():
        (programs / name).symlink_to(str(shutil.which(name)))
    (programs / "python3").symlink_to(sys.executable)
    for name, text in {"curl": CURL, "sudo": SUDO}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
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
    result = project.make("ci_setup", env=env, check=False)
    assert (result.returncode == 0) is is_genuine, result.stdout
    assert (": FAILED" in result.stdout) is not is_genuine  # by sha256sum
    assert [path.name for path in into.iterdir()] == ["terraform"] * is_genuine
    if is_genuine:
        answer = subprocess.run([into / "terraform"], capture_output=True, text=True)
        assert answer.stdout == "pretended\n"


DOCKER = """\
#!/bin/sh
echo "$*" >> "$CALLS"
case "$1" in
version) echo '{"Server": {"Arch": "amd64"}}' ;;
build | run) exit "$ENDS" ;;
esac
"""
EMULATE = re.compile("run --privileged --rm tonistiigi/binfmt:[^ ]+ --install arm64")


@pytest.fixture
def foreign(baked: Project, tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs a make target with a fake Docker for x86_64."""
    program, calls = tmp_path / "bin" / "docker", tmp_path / "calls"
    program.parent.mkdir()
    program.write_text(DOCKER)
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"

    def make(*words: str, ends: int = 0) -> str:
        calls.unlink(missing_ok=True)
        env = {"PATH": path, "CALLS": str(calls), "ENDS": str(ends)}
        result = baked.make(*words, env=env, check=False)
        assert (result.returncode == 0) is not bool(ends), result.stdout
        assert "Traceback" not in result.stdout
        return result.stdout + calls.read_text(encoding="utf-8")

    return make


def test_ci_setup_emulates_only_what_is_built(
    baked: Project, foreign: Callable[..., str]
) -> None:
    change_config(baked, lambda config: config.update(architecture="arm64"))
    assert not EMULATE.search(foreign("ci_setup"))  # there is no container
    make_containers(baked)
    assert EMULATE.search(foreign("ci_setup"))
    assert "QEMU cannot be installed for arm64, see above." in foreign(
        "ci_setup", ends=1
    )
    change_config(baked, lambda config: config.update(architecture="x86_64"))
    assert not EMULATE.search(foreign("ci_setup"))


def test_image_for_another_processor_names_the_remedy(
    foreign: Callable[..., str],
) -> None:
    output = foreign("image", "FUNC=worker", "ARCH=arm64", ends=1)
    assert "if this amd64 machine cannot run programs for arm64, 'docker run" in output
    output = foreign("image", "FUNC=worker", ends=1)
    assert "could not build the image of worker, see above." in output


TERRAFORM = """\
#!/bin/sh
case "$2" in plan) echo "1 to add"; exit "$ENDS";; esac
"""


def test_report_has_plans_and_only_errors_fail(tmp_path: Path) -> None:
    project = bake(tmp_path, iac="terraform").share_installs()
    (project.path / "config/rds-ca.pem").touch()  # no download
    program = tmp_path / "bin" / "terraform"
    program.parent.mkdir()
    program.write_text(TERRAFORM)
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    with project.shim() as far:  # as if it were AWS
        project.make("bootstrap", "ENV=dev", env=far)
        for code, plans in {"0": len(STACKS), "2": len(STACKS), "1": 1}.items():
            env = far | {"PATH": path, "ENDS": code}
            result = project.run("sh", "-c", PLAN, env=env, check=False)
            assert (result.returncode == 0) is (code != "1"), result.stdout
            report = (project.path / ".build/plan.txt").read_text(encoding="utf-8")
            assert report.count("1 to add") == plans
        assert "Plan stopped at role.\n" in result.stdout


class Forge(HTTPServer):
    """A stub of a forge's API for the comments of one pull request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.comments: list[dict[str, Any]] = [{"id": 7, "body": "Looks good."}]
        self.token = "t0ken"
        self.paths: set[str] = set()

    @property
    def url(self) -> str:
        """URL of the API."""
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    """List, create and update comments."""

    server: Forge

    def do_GET(self) -> None:
        """List the comments."""
        self._answer(self.server.comments if "page=1" in self.path[-6:] else [])

    def do_POST(self) -> None:
        """Create a comment."""
        number = 7 + len(self.server.comments)
        self.server.comments.append({"id": number, **self._content()})
        self._answer({})

    def do_PATCH(self) -> None:
        """Update a comment."""
        number = int(self.path.rpartition("/")[2])
        for comment in self.server.comments:
            if comment["id"] == number:
                comment.update(self._content())
        self._answer({})

    do_PUT = do_PATCH  # noqa: N815 - http.server looks for this name

    def _content(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, content: Any) -> None:
        sent = self.headers.get("PRIVATE-TOKEN") or self.headers["Authorization"]
        is_known = sent.rpartition(" ")[2] == self.server.token
        self.server.paths.add(self.path.partition("?")[0])
        self.send_response(200 if is_known else 403)
        self.end_headers()
        self.wfile.write(json.dumps(content if is_known else {}).encode())

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def forge() -> Iterator[Forge]:
    """A forge that answers."""
    with Forge() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def request_environment(name: str, forge: Forge) -> dict[str, str]:
    """Return the environment of a CI job for pull request 12."""
    return {
        "github": {
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": forge.url,
            "GITHUB_REPOSITORY": "anna/clicks",
            "GITHUB_REF": "refs/pull/12/merge",
            "GITHUB_TOKEN": forge.token,
        },
        "gitlab": {
            "GITLAB_CI": "true",
            "CI_API_V4_URL": forge.url,
            "CI_PROJECT_ID": "34",
            "CI_MERGE_REQUEST_IID": "12",
            "GITLAB_TOKEN": forge.token,
        },
        "circleci": {
            "CIRCLECI": "true",
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


@pytest.fixture
def outside_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the CI job that may run these tests."""
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("outside_ci")
@pytest.mark.parametrize("name", FILES)
def test_plan_becomes_one_comment(name: str, forge: Forge, tmp_path: Path) -> None:
    project = bake(tmp_path, ci=name).share_installs()
    plan = tmp_path / "plan.txt"

    def comment(**more: str) -> subprocess.CompletedProcess[str]:
        environment = request_environment(name, forge) | more
        return project.make("comment", f"REPORT={plan}", env=environment, check=False)

    for text in ("1 to add", "x" * 10**6 + "the end"):
        plan.write_text(text)
        assert comment().returncode == 0
        assert PATHS[name] in forge.paths
        by_a_person, by_ci = forge.comments
        assert by_a_person["body"] == "Looks good."
        assert "click-loader" in by_ci["body"]
        assert text[-7:] in by_ci["body"]
        assert len(by_ci["body"]) < 10**6
    result = comment(**NO_REQUEST[name])
    assert result.returncode == 0
    assert "There is no" in result.stdout
    token = forge.token
    forge.token = "another"
    result = comment(GITHUB_TOKEN=token, GITLAB_TOKEN=token)
    assert result.returncode != 0
    assert re.search("^Git[HL][ua]b rejects GET .* with 403 ", result.stdout, re.M)


@pytest.mark.usefixtures("outside_ci")
def test_two_projects_keep_a_comment_each(forge: Forge, tmp_path: Path) -> None:
    plan = tmp_path / "plan.txt"
    plan.write_text("1 to add")
    env = request_environment("github", forge)
    slugs = ("one", "two")
    projects = [bake(tmp_path, project_slug=each).share_installs() for each in slugs]
    for project in (*projects, projects[0]):
        project.make("comment", f"REPORT={plan}", env=env)
    titles = [each["body"].partition("\n")[0] for each in forge.comments[1:]]
    assert titles == ["### Planned changes of one", "### Planned changes of two"]


@pytest.mark.usefixtures("outside_ci")
@pytest.mark.parametrize(
    ("env", "report", "message"),
    [
        pytest.param({}, "plan.txt", "is no job of GitHub Actions", id="no CI"),
        pytest.param({}, "absent.txt", "REPORT=absent.txt is no file", id="no plan"),
        pytest.param(
            {"GITHUB_ACTIONS": "true", "GITHUB_TOKEN": ""},
            "plan.txt",
            "GITHUB_TOKEN is not set: see docs/ci.md",
            id="no token",
        ),
        pytest.param(
            {"GITHUB_ACTIONS": "true", "GITHUB_TOKEN": "t0ken"},
            "plan.txt",
            "GitHub cannot be reached",
            id="no network",
        ),
    ],
)
def test_comment_explains_what_it_lacks(
    env: dict[str, str], report: str, message: str, baked: Project
) -> None:
    (baked.path / "plan.txt").write_text("1 to add")
    job = {
        "GITHUB_API_URL": f"http://127.0.0.1:{free_port()}",
        "GITHUB_REPOSITORY": "anna/clicks",
        "GITHUB_REF": "refs/pull/12/merge",
    }
    words = ("comment", f"REPORT={report}")
    result = baked.make(*words, env=job | env, check=False)
    assert result.returncode != 0
    assert message in result.stdout
    assert "Traceback" not in result.stdout
