"""The examples in the docs of the triggers work as they are written."""

import re
from pathlib import Path

import pytest
import yaml

from baking import Project, bake, wait_until
from shim_helpers import client, count_messages

PAGES = ("bucket", "queue", "schedule", "topic")
FUNCTION = re.compile(
    r"`src/func/(\w+)\.py`(?:(?!```).)*?```python\n(.*?)```", re.DOTALL
)
NEW = re.compile(r"^make new .*$", re.MULTILINE)
DECLARED = re.compile(r"```yaml\nfunctions:\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with the functions of all pages, as they are written there."""
    project = bake(tmp_path_factory.mktemp("documented")).share_installs()
    for page in PAGES:
        path = project.path / "docs" / f"trigger-{page}.md"
        write_functions(project, path.read_text(encoding="utf-8"))
    return project


def write_functions(project: Project, page: str) -> None:
    """Create the functions of a page, with the first entries that it shows."""
    for command in NEW.findall(page):
        project.run("sh", "-c", command)
    for name, code in FUNCTION.findall(page):
        (project.path / "src/func" / f"{name}.py").write_text(code, encoding="utf-8")
        (project.path / f"tests/test_{name}.py").unlink(missing_ok=True)
    config = project.path / "config/deploy.yml"
    text = config.read_text(encoding="utf-8")
    for line in DECLARED.findall(page)[0].splitlines():
        name = line.split(":")[0]
        text, count = re.subn(rf"(?m)^{name}: .*$", line, text)
        assert count == 1, line
    config.write_text(text, encoding="utf-8")


def test_examples_pass_lint(documented: Project) -> None:
    functions = {path.stem for path in (documented.path / "src/func").glob("[!_]*.py")}
    assert functions == {"worker", "fanout", "part", "split", "nightly", "orders"}
    documented.make("lint-code")


def test_examples_run_from_trigger_to_result(documented: Project) -> None:
    with documented.shim():
        output = documented.make("sanity_check").stdout
        documented.make("run", "FUNC=part", "RUN_ARGS=--drain")
        for name in ("fanout", "part", "split", "nightly", "orders"):
            assert f"{name} has processed its event" in output
            assert count_messages(documented, f"{name}-dead-letter") == [0, 0]


def test_overlapping_prefixes_both_get_a_message(documented: Project) -> None:
    config = documented.path / "config/deploy.yml"
    text = config.read_text(encoding="utf-8")
    changed = text.replace("  worker: {}\n", "  worker: {prefix: incoming/}\n")
    with documented.shim():
        config.write_text(changed, encoding="utf-8")  # while the shim runs
        documented.make("event", "FUNC=fanout", "FILE=tests/data/sanity.csv")
        documented.make("event", "FUNC=worker", "FILE=tests/data/event.json")
        assert count_messages(documented, "fanout-pending") == [1, 0]
        assert count_messages(documented, "worker-pending") == [2, 0]
    config.write_text(text, encoding="utf-8")


def test_changed_trigger_disconnects_the_bucket(documented: Project) -> None:
    config = documented.path / "config/deploy.yml"
    text = config.read_text(encoding="utf-8")
    assert yaml.safe_load(text)["functions"]["worker"] == {}
    changed = text.replace("  worker: {}\n", "  worker: {trigger: queue}\n")
    with documented.shim():
        config.write_text(changed, encoding="utf-8")
        documented.make("queue")  # brings the shim up to date
        client(documented, "s3").put_object(
            Bucket="raw", Key="worker/a.csv", Body=Path(__file__).read_bytes()
        )
        client(documented, "s3").put_object(
            Bucket="raw", Key="incoming/a.csv", Body=b""
        )
        wait_until(
            lambda: count_messages(documented, "fanout-pending") == [1, 0],
            "the message of another function",
        )
        assert count_messages(documented, "worker-pending") == [0, 0]
    config.write_text(text, encoding="utf-8")
