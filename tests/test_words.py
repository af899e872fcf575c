"""The make words that need no server."""

import re
import shutil
from pathlib import Path

import pytest

from baking import (
    CheckedOnce,
    Lint,
    Project,
    Running,
    bake,
    free_port,
    passed,
)

WORDS = """
help doctor new cockpit install test watch lint format shim run invoke event
sanity_check build queue sql logs redrive purge image container parity settings clean
bootstrap plan deploy destroy
"""
FLAGS = """
read_queue poll_batch_size poll_interval region const_path s3_endpoint sqs_endpoint
db_host
db_port db_name db_user db_pass newline delimiter insert_statement
"""


def test_make_alone_prints_every_word_with_a_line(baked: Project) -> None:
    lines = baked.make().stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == WORDS.split()
    assert all(len(line.split()) > 2 for line in lines)


def test_what_functions_stand_on_is_tested_when_it_has_changed(baked: Project) -> None:
    def run(*words: str) -> int:
        return passed(baked.make("test", *words).stdout)

    # other tests touch what they share
    venv = baked.path / ".venv"
    shared = venv.resolve()
    venv.unlink()
    venv.mkdir()
    (venv / "bin").symlink_to(shared / "bin")
    (venv / ".installed").touch()
    everything = run()
    functions = run()
    assert functions < everything
    assert run("TEST_ARGS=tests") == everything
    poller = baked.path / "src/common/poller.py"
    text = poller.read_text(encoding="utf-8")
    poller.write_text(text.replace("def poll(", "def polled("), encoding="utf-8")
    for _ in range(2):  # it stays so until they have passed
        assert " failed" in baked.make("test", check=False).stdout
    poller.write_text(text, encoding="utf-8")
    assert (run(), run()) == (everything, functions)


def test_build_lays_the_parts_side_by_side_once(baked: Project) -> None:
    baked.make("build")
    local, zipped = (
        baked.path / ".build/local/worker",
        baked.path / ".build/lambda/worker.zip",
    )
    names = {path.name for path in local.iterdir()}
    parts = {"context.py", "log.py", "settings.py", "lib", "func", "config.yml"}
    assert names == {"local_wrapper.py", "poller.py", *parts}
    before = zipped.read_bytes()
    assert "built" not in baked.make("build").stdout
    shutil.rmtree(baked.path / ".build")
    assert baked.make("build", "TARGET=lambda").stdout.count("built") == 1
    assert zipped.read_bytes() == before


def test_function_is_built_again_for_the_python_of_another_platform(
    baked: Project,
) -> None:
    for words in ((), ("ENV=prod",), ()):
        for count in (1, 0):
            said = baked.make("build", "TARGET=lambda", *words).stdout
            assert said.count("built .build/lambda/worker.zip") == count


def test_layer_for_aws_is_for_its_python_and_knows_who_vouches_for_rds(
    baked: Project, tmp_path: Path
) -> None:
    (baked.path / "config/rds-ca.pem").write_text("authorities\n")
    baked.make("build", "TARGET=layer", "ENV=prod")
    shutil.unpack_archive(baked.path / ".build/layer/aws.zip", tmp_path / "opt")
    assert (tmp_path / "opt/rds-ca.pem").read_text() == "authorities\n"
    baked.make("build", "TARGET=local", "ENV=prod")
    assert (baked.path / ".build/local/worker/rds-ca.pem").exists()
    modules = [path.name for path in (tmp_path / "opt/python").rglob("*.so")]
    assert any("cpython-313-x86_64" in name for name in modules)


def test_zips_have_the_same_bytes_wherever_they_are_built(
    baked: Project, tmp_path: Path
) -> None:
    other = bake(tmp_path / "else" / "where").share_installs()
    baked.make("build")
    other.make("build", env={"PYTHONHASHSEED": "1"})
    for name in ("lambda/worker.zip", "layer/local.zip"):
        path = Path(".build") / name
        assert (other.path / path).read_bytes() == (baked.path / path).read_bytes()


@pytest.mark.parametrize("database", ["mysql", "postgres"])
def test_zips_hold_all_that_a_function_needs_but_boto3_compiled(
    database: str, tmp_path: Path
) -> None:
    project = bake(tmp_path, database=database).share_installs()
    said = project.make("build").stdout
    assert re.search(r"/layer/local.zip, [\d,]+ KB \([\d,]+ KB unpacked\)\n", said)
    zipped = project.path / ".build/lambda/worker.zip"
    assert zipped.stat().st_size < 50 * 1024
    place = tmp_path / "lambda"
    shutil.unpack_archive(zipped, place)
    shutil.unpack_archive(project.path / ".build/layer/local.zip", place)
    compiled = {path.name.partition(".")[0]: path for path in place.rglob("*.pyc")}
    assert compiled.keys() > {"lambda_wrapper", "worker", "rows", "configargparse"}
    for name, path in compiled.items():
        source = path.parents[1] / f"{name}.py"
        source.write_text("raise AssertionError('the source was read')")
    program = (
        f"import sys; sys.path[:0] = [{str(place)!r}, {str(place / 'python')!r}]\n"
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
    assert result.stdout.startswith("set()\nthe database is away: ")


def test_only_the_function_that_changed_is_built_again(baked: Project) -> None:
    for name in ("src/func/{}.py", "config/{}.yml"):
        shutil.copy(
            baked.path / name.format("worker"), baked.path / name.format("other")
        )
    assert baked.make("build", "TARGET=local").stdout.count("built") == 2
    (baked.path / "config/other.yml").touch()
    assert baked.make("build", "TARGET=local").stdout == "built .build/local/other\n"
    (baked.path / "src/lib/rows.py").touch()
    assert baked.make("build", "TARGET=local").stdout.count("built") == 2


def test_help_of_a_function_lists_the_settings(baked: Project) -> None:
    page = baked.make("run", "FUNC=worker", "RUN_ARGS=--help").stdout
    for flag in FLAGS.split():
        assert f"--{flag} " in page


def test_watch_tests_again_on_a_change_of_code_and_of_settings(baked: Project) -> None:
    with baked.start("watch") as watch:
        for runs, name in enumerate(("src/lib/rows.py", "config/worker.yml"), start=1):
            wait_for_runs(watch, runs)
            with (baked.path / name).open("a", encoding="utf-8") as file:
                file.write("\n# changed\n")
        wait_for_runs(watch, 3)


def wait_for_runs(watch: Running, count: int) -> None:
    watch.wait_until(lambda: watch.said.count(" passed in ") >= count)


@pytest.mark.long
def test_commit_of_code_that_breaks_the_tests_is_refused(
    tmp_path: Path, checked_once: CheckedOnce
) -> None:
    project = bake(tmp_path).share_installs()
    venv = project.path / ".venv"
    shared = venv.resolve()
    venv.unlink()
    shutil.copytree(shared, venv, symlinks=True)
    (venv / ".installed").unlink()
    project.make("install")  # has little to do, but for the hook
    git = ("git", "-c", "user.name=Anna", "-c", "user.email=anna@example.org")
    project.run(*git, "add", "--all")
    with checked_once(project):
        project.run(*git, "commit", "-m", "All is well")
    worker = project.path / "src/func/worker.py"
    worker.write_text(worker.read_text().replace("events.objects(event)", "[]"))
    with checked_once(project):
        refused = project.run(*git, "commit", "-am", "Break it", check=False)
    assert refused.returncode != 0
    assert "failed" in refused.stdout


def test_doctor_tells_what_is_there_and_how_to_get_the_rest(baked: Project) -> None:
    page = baked.make("doctor").stdout
    assert "Python" in page
    for line in page.splitlines():
        assert line.startswith(("ok ", "absent ", "        "))


def test_lint_tells_what_a_function_gets_from_its_context_instead(
    baked: Project, lint: Lint
) -> None:
    for text, told in (
        (
            "import boto3\nimport psycopg\nfrom os import environ\n",
            ("context.s3, context.sqs", "context.rds", "context.var"),
        ),
        (
            "rows = open('/data/rows.csv').read()\nprint(context.var.db_pass)\n",
            ("take objects from context.s3", "the wrapper logs it"),
        ),
    ):
        path = baked.path / "src/func/rogue.py"
        path.write_text(f'"""A function that serves itself."""\n\n{text}')
        said = lint(baked, check=False)
        for each in told:
            assert each in said
