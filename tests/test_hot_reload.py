"""`make run RELOAD=1` polls with the code as it is now."""

import os
import signal
from pathlib import Path

import pytest

from baking import Project, wait_until
from shim_helpers import client, queue_url

FUNCTION = """\
from pathlib import Path
from time import sleep

from lib import rows  # noqa: F401 - as functions do


def run(event, context):
    if event == "wait":
        Path({started!r}).touch()
        while not Path({release!r}).exists():
            sleep(0.05)
    return {{"event": event, "code": {version!r}}}
"""


@pytest.mark.parametrize("shimmed", ["postgres"], indirect=True)
def test_saved_code_takes_over_from_running_code(
    shimmed: Project, tmp_path: Path
) -> None:
    started, release = tmp_path / "started", tmp_path / "release"
    module = shimmed.path / "src" / "func" / "worker.py"
    settings = shimmed.path / "config" / "worker.yml"
    kept, kept_settings = module.read_bytes(), settings.read_bytes()
    migration = shimmed.path / "migrations" / "002_saved.sql"
    queue = queue_url(shimmed, "worker-pending")

    def send(body: str) -> None:
        client(shimmed, "sqs").send_message(QueueUrl=queue, MessageBody=body)

    def save(version: str) -> None:
        values = {"started": str(started), "release": str(release)}
        code = FUNCTION.format(version=version, **values)
        module.write_text(code, encoding="utf-8")

    def report(event: str, version: str) -> str:
        return f'{{"event": "{event}", "code": "{version}"}}'

    def is_run_by(version: str) -> bool:
        """Send one more message: an old request may take one within a second."""
        send("fixed")
        return report("fixed", version) in poller.output

    def is_polling() -> bool:
        processes = shimmed.run("ps", "-A", "-ww", "-o", "args=").stdout
        return f"--heartbeat={shimmed.path}/.build/run/worker/" in processes

    save("first")
    try:
        with shimmed.start("run", "RELOAD=1", "FUNC=worker") as poller:
            poller.wait_for("polling")
            send("wait")
            poller.wait_until(started.exists)
            save("second")
            poller.wait_for("RELOAD=1: reloaded")
            send("new")
            poller.wait_for(report("new", "second"))
            assert report("wait", "first") not in poller.output
            release.touch()
            poller.wait_for(report("wait", "first"))
            module.write_text("def (\n", encoding="utf-8")
            poller.wait_for("does not start, the old code goes on")
            assert "SyntaxError" in poller.output
            send("still")
            poller.wait_for(report("still", "second"))
            save("third")
            poller.wait_until(lambda: poller.output.count(": reloaded") == 2)
            poller.wait_until(lambda: is_run_by("third"))
            settings.write_bytes(kept_settings + b"nonsense: 1\n")
            poller.wait_for("unknown setting nonsense")
            settings.write_bytes(kept_settings)
            poller.wait_until(lambda: poller.output.count(": reloaded") == 3)
            migration.write_text("SELECT 1;\n", encoding="utf-8")
            poller.wait_until(lambda: poller.output.count(": reloaded") == 4)
            assert is_polling()
            os.killpg(poller.process.pid, signal.SIGKILL)
            wait_until(lambda: not is_polling(), "the end of the last poller")
    finally:
        module.write_bytes(kept)
        settings.write_bytes(kept_settings)
        migration.unlink(missing_ok=True)
