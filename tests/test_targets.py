"""Make targets that need no server: menu, build, watch, lint, doctor, commit hook."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from baking import DEADLINE, ROOT, Project, Running, bake, count_passed, free_port
from make_menu import read_menu
from test_bakes import PYTHONS, find_python

SETTINGS = """
read_queue poll_batch_size poll_interval region const_path s3_endpoint sqs_endpoint
db_host
db_port db_name db_user db_pass newline delimiter insert_statement
"""
SECTIONS = ["Develop", "Run locally", "Operate", "Build", "Deploy", "Maintain"]


def test_make_prints_menu_of_all_targets(baked: Project) -> None:
    lines = [line for line in baked.make().stdout.splitlines() if line]
    headings = [line for line in lines if not line.startswith(" ")]
    targets = [line for line in lines if line.startswith(" ")]
    assert [line.partition(",")[0] for line in headings] == SECTIONS
    assert [line.split()[0] for line in targets] == read_menu(baked.path)
    assert all(len(line.split()) > 2 for line in targets)


def test_makefile_is_a_menu(baked: Project) -> None:
    text = (baked.path / "Makefile").read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 100
    assert not re.search(r"\$\(if.*\$\(if", text)


def test_make_test_runs_all_tests_each_time(baked: Project) -> None:
    def run(*words: str) -> int:
        return count_passed(baked.make("test", *words).stdout)

    everything = run()
    assert run() == everything
    functions = run("TEST_ARGS='tests/test_worker.py'")
    assert 0 < functions < everything
    poller = baked.path / "src/common/poller.py"
    text = poller.read_text(encoding="utf-8")
    poller.write_text(text.replace("def poll(", "def polled("), encoding="utf-8")
    for _ in range(2):
        result = baked.make("test", check=False)
        assert result.returncode != 0
        assert " failed" in result.stdout or " error" in result.stdout
    poller.write_text(text, encoding="utf-8")
    assert run() == everything


def test_make_test_of_tools_notices_changes(baked: Project) -> None:
    """These tests are about `tools/` only, and so are not among the unit tests."""
    grants = baked.path / "tools/grants.py"
    text = grants.read_text(encoding="utf-8")
    grants.write_text(text.replace('"s3:GetObject", ', ""), encoding="utf-8")
    baked.make("test")
    words = ("test", "TARGET=tools")
    result = baked.make(*words, check=False)
    assert result.returncode != 0
    assert "FAILED tools/tests/test_grants.py::test_page_has" in result.stdout
    some = count_passed(baked.make(*words, "TEST_ARGS=-k fifo").stdout)
    one = "TEST_ARGS=tools/tests/test_deploy_config.py"
    assert 0 < some < count_passed(baked.make(*words, one).stdout) < 100


HANGING = """
import threading


def test_that_hangs() -> None:
    threading.Event().wait()
"""


def test_unit_test_that_hangs_is_named(baked: Project) -> None:
    (baked.path / "tests/test_hanging.py").write_text(HANGING, encoding="utf-8")
    args = "TEST_ARGS=-o faulthandler_timeout=1 -k that_hangs"
    result = baked.make("test", args, check=False)
    assert result.returncode != 0
    assert "in test_that_hangs" in result.stdout


def test_test_of_template_that_hangs_is_named(tmp_path: Path) -> None:
    (tmp_path / "test_hanging.py").write_text(HANGING, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml")]
    result = subprocess.run(
        [*command, "-o", "faulthandler_timeout=1", "--numprocesses=1", tmp_path],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
    )
    assert result.returncode != 0
    assert "in test_that_hangs" in result.stderr
    assert "crashed while running" in result.stdout


def test_build_puts_parts_side_by_side(baked: Project) -> None:
    baked.make("build")
    local = baked.path / ".build/local/worker"
    zipped = baked.path / ".build/lambda/worker.zip"
    names = {path.name for path in local.iterdir()}
    assert names > {"context.py", "log.py", "settings.py", "lib", "func", "config.yml"}
    assert names > {"local_wrapper.py", "poller.py"}
    assert "lambda_wrapper.py" not in names
    before = zipped.read_bytes()
    shutil.rmtree(baked.path / ".build")
    assert baked.make("build", "TARGET=lambda").stdout.count("built") == 1
    assert zipped.read_bytes() == before


def test_aws_layer_has_wheels_and_ca_bundle(baked: Project, tmp_path: Path) -> None:
    (baked.path / "config/rds-ca.pem").write_text("certificates\n")
    baked.make("build", "TARGET=layer", "ENV=prod")
    shutil.unpack_archive(baked.path / ".build/layer/aws.zip", tmp_path / "opt")
    assert (tmp_path / "opt/rds-ca.pem").read_text() == "certificates\n"
    baked.make("build", "TARGET=ecs", "ENV=prod")
    assert (baked.path / ".build/local/worker/rds-ca.pem").exists()
    modules = [path.name for path in (tmp_path / "opt/python").rglob("*.so")]
    assert any("cpython-313-x86_64" in name for name in modules)


BUILD = """
import os, sys
os.umask(int(sys.argv[1], 8))
from tools import build
for zip in (build.build_lambda("worker"), build.build_layer("aws")):
    print(build.hashlib.sha256(zip.path.read_bytes()).hexdigest())
print(build.BUILD.joinpath("layer", "aws.tag").read_text())
"""


def test_zips_are_the_same_on_all_machines(baked: Project, tmp_path: Path) -> None:
    """The path, the Python, the umask, file times, the locale and the installer."""
    other = bake(tmp_path / "else" / "where").share_installs()
    for project in (baked, other):
        (project.path / "config" / "rds-ca.pem").touch()
    for path in other.path.rglob("*.py"):
        os.utime(path, (0, 1))
    own = baked.run(".venv/bin/python", "-c", BUILD, "022").stdout
    assert len(own.split()) == 3
    packages = other.run(".venv/bin/python", "-c", SITE_PACKAGES).stdout.strip()
    env = {"PYTHONPATH": packages, "PYTHONHASHSEED": "1", "LC_ALL": "C"}
    pythons = [found for each in PYTHONS if (found := find_python(each))]
    for python in pythons:
        shutil.rmtree(other.path / ".build", ignore_errors=True)
        result = other.run(python, "-c", BUILD, "077", env=env | USES_PIP)
        assert result.stdout == own, python


SITE_PACKAGES = "import sysconfig; print(sysconfig.get_path('platlib'))"
USES_PIP = {"PIP_KEYRING_PROVIDER": "import"}  # uv cannot take it over


@pytest.mark.parametrize("database", ["mysql", "postgres"])
def test_zips_hold_everything_but_boto3(database: str, tmp_path: Path) -> None:
    project = bake(tmp_path, database=database).share_installs()
    output = project.make("build").stdout
    assert re.search(r"/layer/local.zip, [\d,]+ KB", output)
    unpacked = tmp_path / "lambda"
    shutil.unpack_archive(project.path / ".build/lambda/worker.zip", unpacked)
    shutil.unpack_archive(project.path / ".build/layer/local.zip", unpacked)
    # they would depend on the Python that builds
    assert not list(unpacked.rglob("*.pyc"))
    names = {path.stem for path in unpacked.rglob("*.py")}
    assert names > {"lambda_wrapper", "worker", "rows", "settings", "rds", "box_list"}
    program = (
        "import sys\n"
        f"sys.path[:0] = [{str(unpacked)!r}, {str(unpacked / 'python')!r}]\n"
        "import lambda_wrapper\n"
        "print({'boto3', 'psycopg', 'pymysql', 'yaml'} & set(sys.modules))\n"
        "try: lambda_wrapper.warm_context().rds.check()\n"
        "except ConnectionError as error: print(error)\n"
    )
    result = project.run(
        *(".venv/bin/python", "-I", "-S", "-c", program),
        env={
            "DB_PORT": str(free_port()),
            "PSYCOPG_IMPL": "binary",  # with its own libpq, not this machine's
        },
    )
    assert result.stdout.startswith("set()\nthe database cannot be reached: ")


def change(path: Path) -> None:
    """Append a comment to a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write("\n# changed\n")


def test_help_of_function_lists_settings(baked: Project) -> None:
    page = baked.make("run", "FUNC=worker", "RUN_ARGS=--help").stdout
    for name in SETTINGS.split():
        assert f"--{name} " in page


def test_watch_reacts_to_code_and_settings(baked: Project) -> None:
    with baked.start("watch") as watch:
        for runs, name in enumerate(("src/lib/rows.py", "config/worker.yml"), start=1):
            wait_for_runs(watch, runs)
            change(baked.path / name)
        wait_for_runs(watch, 3)


def wait_for_runs(watch: Running, count: int) -> None:
    """Wait until the unit tests have passed so many times."""
    watch.wait_until(lambda: watch.output.count(" passed in ") >= count)


@pytest.mark.long
def test_commit_with_failing_tests_is_rejected(tmp_path: Path) -> None:
    project = bake(tmp_path)
    project.make("install")  # an environment of its own, for this sets up the hook
    git = ("git", "-c", "user.name=Anna", "-c", "user.email=anna@example.org")
    project.run(*git, "add", "--all")
    project.run(*git, "commit", "-m", "All is well")
    worker = project.path / "src/func/worker.py"
    worker.write_text(worker.read_text().replace("events.objects(event)", "[]"))
    rejected = project.run(*git, "commit", "-am", "Break it", check=False)
    assert rejected.returncode != 0
    assert "failed" in rejected.stdout


def test_doctor_lists_findings_and_remedies(baked: Project) -> None:
    page = baked.make("doctor").stdout
    assert "Python" in page
    for line in page.splitlines():
        assert line.startswith(("ok ", "absent ", "too old ", "        "))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "import boto3\nimport psycopg\nfrom os import environ\n",
            ("context.s3, context.sqs", "context.rds", "context.var"),
        ),
        (
            "rows = open('/data/rows.csv').read()\nprint(context.var.db_pass)\n",
            ("read objects with context.s3", "the wrapper logs it"),
        ),
    ],
)
def test_lint_names_context_instead_of_own_io(
    baked: Project, text: str, expected: tuple[str, ...]
) -> None:
    path = baked.path / "src/func/rogue.py"
    path.write_text(f'"""A function with I/O of its own."""\n\n{text}')
    result = baked.make("lint", check=False)
    assert result.returncode != 0
    for each in expected:
        assert each in result.stdout
