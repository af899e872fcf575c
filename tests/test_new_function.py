"""`make new`: a second function beside the first, ready to run."""

import json
from pathlib import Path

import pytest

from baking import Project, bake, count_passed
from shim_helpers import (
    DATABASES,
    clicks,
    client,
    count_loaded,
    count_messages,
    drop,
    require_server,
)

DEPLOY = "config/deploy.yml"


@pytest.fixture(params=DATABASES)
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """A project for each database, for one test."""
    require_server(request.param)
    return bake(tmp_path, database=request.param).share_installs()


def test_new_function_runs_beside_the_first(fresh: Project) -> None:
    before = fresh.make("test").stdout
    with fresh.shim():
        fresh.make("event", "FILE=tests/data/large.csv")
        fresh.make("new", "FUNC=tally")
        event = "EVENT=tests/data/event-tally.json"
        output = fresh.make("invoke", "FUNC=tally", event).stdout
        [report] = json.loads(output[output.index("[\n") :])
        assert report == {
            "object": "s3://raw/tally/sanity.csv",
            "rows": 10,
            "rejects": 0,
        }
        polling = "RUN_ARGS=--poll_interval=1"
        with (
            fresh.start("run", "FUNC=worker", polling) as worker,
            fresh.start("run", "FUNC=tally", polling) as tally,
        ):
            (fresh.path / "mine.csv").write_text(clicks(7) + "oops\n", encoding="utf-8")
            fresh.make("event", "FUNC=tally", "FILE=mine.csv")
            key = drop(fresh, "theirs.csv", clicks(5, first=9001))
            tally.wait_until(lambda: '"rows": 7, "rejects": 1' in tally.output)
            worker.wait_until(lambda: count_loaded(fresh, key) == 5)
            worker.wait_until(lambda: count_loaded(fresh, "worker/large.csv") == 1000)
        assert "tally/" not in worker.output
        assert "worker/" not in tally.output
        assert fresh.query("SELECT count(*) FROM clicks") == [[1005]]
        for name in ("worker-pending", "tally-pending", "tally-dead-letter"):
            assert count_messages(fresh, name) == [0, 0]
        table_of_new_function_is_migrated(fresh)
    after = fresh.make("test").stdout
    # two of these check the settings of each function
    assert count_passed(after) == count_passed(before) + 7
    fresh.make("lint-code")


def table_of_new_function_is_migrated(project: Project) -> None:
    """Create a function that loads files into a table of its own."""
    output = project.make("new", "FUNC=sales", "TABLE=sold").stdout
    name = "migrations/002_sold.sql"
    assert f"wrote {name}\n" in output
    assert f"applied {name}\n" in project.make("migrate").stdout
    assert '"loaded": 10' in project.make("sanity_check", "FUNC=sales").stdout


def test_function_without_make_new_gets_a_queue(baked: Project) -> None:
    with baked.shim():
        names = client(baked, "sqs").list_queues()["QueueUrls"]
        assert not [name for name in names if "copy" in name]
        (baked.path / "config/copy.yml").write_text("columns: [a]\n", encoding="utf-8")
        path = baked.path / "tools/starter/bucket/src/func/starter.py"
        (baked.path / "src/func/copy.py").write_bytes(path.read_bytes())
        (baked.path / "a.csv").write_text("1\n2\n", encoding="utf-8")
        baked.make("event", "FUNC=copy", "FILE=a.csv")
        output = baked.make("run", "FUNC=copy", "RUN_ARGS=--drain").stdout
        assert count_messages(baked, "copy-pending") == [0, 0]
    assert '"rows": 2, "rejects": 0' in output


@pytest.mark.parametrize(
    ("trigger", "report"),
    [
        ("bucket", '"rows": 10'),
        ("queue", '{"rows": 2}'),
        ("schedule", '{"day": "2026-01-04"}'),
        ("topic", '{"order": 1001}'),
    ],
)
def test_new_function_handles_its_trigger(
    baked: Project, trigger: str, report: str
) -> None:
    baked.make("new", "FUNC=tally", f"TRIGGER={trigger}")
    assert "passed" in baked.make("test", "TEST_ARGS=tests/test_tally.py").stdout
    with baked.shim():
        output = baked.make("sanity_check", "FUNC=tally").stdout
        assert report in output
        assert output.endswith("tally has processed its event\n")
        assert count_messages(baked, "tally-dead-letter") == [0, 0]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("TABLE=Orders", "TABLE=Orders is not a valid name for a table: use a-z, "),
        ("TABLE=loads", "TABLE=loads is taken: the template has a table of this"),
        ("TABLE=orders TRIGGER=queue", "TABLE=orders is for files in the bucket: "),
    ],
)
def test_table_that_cannot_be_is_refused(
    baked: Project, words: str, reason: str
) -> None:
    refused = baked.make("new", "FUNC=tally", *words.split(), check=False)
    assert refused.returncode != 0
    assert refused.stdout.startswith(reason)
    assert not [*baked.path.rglob("*tally*")]


@pytest.mark.parametrize("trigger", ["moon", "Queue", "$(touch x)"])
def test_unknown_trigger_gets_one_sentence(baked: Project, trigger: str) -> None:
    refused = baked.make("new", "FUNC=tally", f"TRIGGER={trigger}", check=False)
    assert refused.returncode != 0
    sentence = f"TRIGGER={trigger} is unknown: choose bucket, queue, schedule or topic."
    assert refused.stdout.splitlines()[0] == sentence
    assert not [*baked.path.rglob("*tally*")]


def test_trigger_of_an_entry_is_kept(baked: Project) -> None:
    config = baked.path / DEPLOY
    text = config.read_text(encoding="utf-8")
    entry = "  tally: {trigger: queue, fifo: true}\n"
    text = text.replace("  worker: {}\n", f"  worker: {{}}\n{entry}")
    config.write_text(text, encoding="utf-8")
    refused = baked.make("new", "FUNC=tally", check=False)
    assert refused.stdout.startswith(
        "TRIGGER=bucket differs from the entry of tally in config/deploy.yml: choose "
        "TRIGGER=queue, or change the entry."
    )
    baked.make("new", "FUNC=tally", "TRIGGER=queue")
    assert config.read_text(encoding="utf-8") == text


def test_new_entry_keeps_rest_of_deploy_config(baked: Project) -> None:
    config = baked.path / DEPLOY
    before = config.read_text(encoding="utf-8").splitlines()
    for name in ("tally", "b2"):
        baked.make("new", f"FUNC={name}")
    after = config.read_text(encoding="utf-8").splitlines()
    end = before.index("  worker: {}") + 1
    assert after == [*before[:end], "  tally: {}", "  b2: {}", *before[end:]]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("functions: {}", "functions:\n  tally: {}"),
        ("functions:", "functions:\n  tally: {}"),
        (
            "functions:\n  tally: {memory: 1024}  # it is large",
            "functions:\n  tally: {memory: 1024}  # it is large",
        ),
        (
            "functions:\n  worker:\n    memory: 999\n\n  # the end",
            "functions:\n  worker:\n    memory: 999\n\n  # the end\n  tally: {}",
        ),
        (
            "functions:  # a\n\n  # one\n    worker: {}\n    # the end",
            "functions:  # a\n\n  # one\n    worker: {}\n    # the end\n    tally: {}",
        ),
        (
            "functions:\n    worker:\n        memory: 999",
            "functions:\n    worker:\n        memory: 999\n    tally: {}",
        ),
    ],
)
def test_new_entry_fits_style_of_deploy_config(
    baked: Project, written: str, expected: str
) -> None:
    config = baked.path / DEPLOY
    text = config.read_text(encoding="utf-8")
    assert text.count("functions:\n  worker: {}") == 1
    head, _, tail = text.partition("functions:\n  worker: {}")
    config.write_text(head + written + tail, encoding="utf-8")
    baked.make("new", "FUNC=tally")
    assert config.read_text(encoding="utf-8") == head + expected + tail


def test_flow_style_config_stops_new(baked: Project) -> None:
    config = baked.path / DEPLOY
    text = config.read_text(encoding="utf-8")
    text = text.replace("functions:\n  worker: {}", "functions: {worker: {}}")
    config.write_text(text, encoding="utf-8")
    refused = baked.make("new", "FUNC=tally", check=False)
    assert refused.returncode != 0
    assert "write each entry below functions on a line of its own" in refused.stdout
    assert config.read_text(encoding="utf-8") == text
    assert not [*baked.path.rglob("*tally*")]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("worker", "is taken: src/func/worker.py exists."),
        ("deploy", "is taken: config/deploy.yml exists."),
        ("s3", "is taken: tests/data/event-s3.json exists."),
        ("Tally", "is not a valid name for a function: use a-z, 0-9 and single _ be"),
        ("2nd", "is not a valid name for a function"),
        ("_own", "is not a valid name for a function"),
        ("own_", "is not a valid name for a function"),
        ("our__own", "is not a valid name for a function"),
        ("new-one", "is not a valid name for a function"),
        ("--help", "is not a valid name for a function"),
        ("a" * 21, "is not a valid name for a function"),
        ("../oops", "is not a valid name for a function"),
        ("import", "is reserved: it is a keyword of Python."),
        ("context", "is reserved: a module of each build has this name."),
        ("poller", "is reserved: a module of each build has this name."),
        ("func", "is reserved: a module of each build has this name."),
        ("rows", "is reserved: a module of each build has this name."),
        ("run", "is reserved: each build calls its function by this name."),
        ("secrets", "is reserved: config/secrets-*.env hold secrets."),
    ],
)
def test_invalid_function_name_gets_one_sentence(
    baked: Project, name: str, reason: str
) -> None:
    before = baked.run("git", "status", "--porcelain", "-uall").stdout
    refused = baked.make("new", f"FUNC={name}", check=False)
    assert refused.returncode != 0
    assert refused.stdout.startswith(f"FUNC={name} {reason}")
    assert len(refused.stdout.splitlines()) == 2  # the second one is from make
    assert baked.run("git", "status", "--porcelain", "-uall").stdout == before
