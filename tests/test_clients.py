"""The examples of docs/clients.md work as they are."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from baking import TEMPLATE, Project, count_passed, free_port

sys.path.insert(0, str(TEMPLATE))

from tools import deploy_schema, yaml_document

PAGE = TEMPLATE / "docs" / "clients.md"
FILE = re.compile(
    r"^`([\w/.]+)`(, below `functions`)?:\n\n```\w+\n(.*?)^```", re.M | re.S
)
ENTRY = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    """Return the text of a section of the page."""
    text = PAGE.read_text(encoding="utf-8")
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def write_example(project: Project, title: str) -> None:
    """Write the files of an example, as a reader would."""
    for name, is_entry, text in FILE.findall(section(title)):
        path = project.path / name
        if is_entry:
            before = path.read_text(encoding="utf-8")
            text = before.replace("  worker: {}\n", f"  worker: {{}}\n{text}", 1)
            assert text != before
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def enriching(baked: Project) -> Project:
    """A project with the example for HTTP."""
    write_example(baked, "HTTP")
    (baked.path / "config" / "enrich.yml").write_text("{}\n", encoding="utf-8")
    return baked


def test_http_example_passes_lint_and_tests(enriching: Project) -> None:
    enriching.make("lint-code", "test")
    own = enriching.make("test", "TEST_ARGS=tests/test_enrich.py").stdout
    assert count_passed(own) == 2


class _Answers(BaseHTTPRequestHandler):
    """An API that knows the order 7, if the key is right, and is busy at first."""

    is_busy = True

    def do_GET(self) -> None:
        """Answer a request."""
        is_known = self.path == "/orders/7"
        has_key = self.headers["Authorization"] == "Bearer k3y"
        status = 503 if self.is_busy else 200 if is_known and has_key else 404
        type(self).is_busy = False
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def serve_orders() -> Iterator[str]:
    """Run the API; yield its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


# Calls the function with its real client. The first API works, the second is down.
CALL = """
import sys
sys.path[:0] = ["src/common", "src", "."]
from errors import describe
from func.enrich import run
from tests.context import void_context

for url in sys.argv[1:]:
    args = (f"--api_url={url}", "--api_key=k3y")
    with void_context(*args, function="enrich") as context:
        try:
            print(run('{"order": 7}', context))
            print(context.s3.versions["raw", "enriched/7.json"])
        except Exception as error:
            print(describe(error))
"""


def test_http_example_calls_real_server(enriching: Project) -> None:
    with serve_orders() as url:
        nowhere = f"http://127.0.0.1:{free_port()}"
        program = (".venv/bin/python", "-c", CALL, url, nowhere)
        answer, body, outage = enriching.run(*program).stdout.splitlines()
    assert answer == "{'order': 7, 'bytes': 2}"
    assert body == "[b'{}']"
    assert "MaxRetryError" in outage
    assert outage.endswith(": the client http is unreachable")


@pytest.mark.parametrize("title", ["DynamoDB", "SFTP"])
def test_other_examples_keep_the_rules(
    baked: Project, tmp_path: Path, title: str
) -> None:
    """Their packages are not installed, so they are only checked."""
    examples = CODE.findall(section(title))
    assert len(examples) == 2
    for number, text in enumerate(examples):
        is_test = "def test_" in text
        folder = "tests" if is_test else "src/lib" if "CLIENTS" in text else "src/func"
        name = f"test_example{number}.py" if is_test else f"example{number}.py"
        path = baked.path / folder / name
        path.write_text(text, encoding="utf-8")
        baked.run(".venv/bin/ruff", "check", "--no-cache", path)
        baked.run(".venv/bin/ruff", "format", "--check", "--no-cache", path)


@pytest.mark.parametrize(
    ("title", "name"), [("HTTP", "enrich"), ("DynamoDB", "seen"), ("SFTP", "fetch")]
)
def test_entry_of_example_gives_all_settings(title: str, name: str) -> None:
    [entry] = ENTRY.findall(section(title))
    deploy = (TEMPLATE / "config" / "deploy.yml").read_text(encoding="utf-8")
    text = deploy.replace("  worker: {}\n", f"  worker: {{}}\n{entry}", 1)
    document = yaml_document.parse(text.encode(), "config/deploy.yml")
    deploy_schema.check(document, ["worker", name], "eu-west-1")
    own = document.content["functions"][name]
    given = {*own.get("environment", {}), *own.get("secrets", {})}
    declared = re.findall(r'Setting\("(\w+)", .*required', section(title))
    assert given == {each.upper() for each in declared}
    assert own.get("internet", False) == (title != "DynamoDB")
