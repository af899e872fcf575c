"""The four functions of a shop, added to a project as a user would.

`fanout` sends the rows of files to `part`, which loads them. `enrich` asks an HTTP API
and writes its answer as an object. `nightly` deletes old rows.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from baking import Project

FILES = Path(__file__).parent / "functions" / "shop"
TRIGGERS = {
    "fanout": "bucket",
    "part": "queue",
    "enrich": "queue",
    "nightly": "schedule",
}
# Entries of config/deploy.yml: what `make new` writes, and what the shop changes.
ENTRIES = {
    "  fanout: {}": "  fanout: {prefix: incoming/, suffix: .csv, sends_to: [part]}",
    "  enrich: {trigger: queue}": """\
  enrich:
    trigger: queue
    reads: [incoming/]
    writes: [enriched/]
    internet: true
    database: false
    environment: {API_URL: "https://api.example.com"}
    secrets: {API_KEY: partner/api-key}""",
    "timezone: UTC}": "timezone: Europe/Vienna}",
    "  local: {}": """\
  local:
    functions:
      enrich: {environment: {API_URL: "%s"}}""",
}


def add_shop(project: Project, api_url: str) -> None:
    """Add the functions with `make new`, then write only the user's own files."""
    for name, trigger in TRIGGERS.items():
        project.make("new", f"FUNC={name}", f"TRIGGER={trigger}")
    shutil.copytree(FILES, project.path, dirs_exist_ok=True)
    config = project.path / "config" / "deploy.yml"
    text = config.read_text(encoding="utf-8")
    for old, new in ENTRIES.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new.replace("%s", api_url))
    config.write_text(text, encoding="utf-8")


class _Answers(BaseHTTPRequestHandler):
    """Answers with the body of each request, if the key is right."""

    def do_POST(self) -> None:
        """Answer a request."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        is_known = self.headers["Authorization"] == "Bearer shim"
        self.send_response(200 if is_known else 403)
        self.end_headers()
        self.wfile.write(b'{"answer": %s}' % body.strip())

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def partner() -> Iterator[str]:
    """Run the API that `enrich` calls; yield its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/orders"
        server.shutdown()
