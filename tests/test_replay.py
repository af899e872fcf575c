"""Replay objects, and triage dead letters, in the shim."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from baking import DEADLINE, Project, wait_until
from data_api import DataApi
from proxy import SILENCE, Pause, Proxy, Rule, always, at_first
from shim_helpers import (
    clicks,
    client,
    count_clicks,
    count_loaded,
    count_messages,
    drain,
    drop,
    on_each_database,
    queue_url,
)

DEAD = "worker-dead-letter"
FUNC = "FUNC=worker"
PURGE = ("purge", FUNC, "QUEUE=dead-letter")


@contextmanager
def behind(project: Project, proxy: Proxy) -> Iterator[None]:
    """Let the make targets of a project reach the shim through a proxy."""
    path = project.path / ".shim" / "shim.env"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(f"http://{proxy.upstream}", proxy.url))
    try:
        yield
    finally:
        path.write_text(text)


def proxy_of(project: Project) -> Proxy:
    """Return a proxy in front of the shim that passes everything so far."""
    return Proxy(project.shim_environment()["AWS_ENDPOINT_URL"])


def take_all(project: Project, count: int) -> list[str]:
    """Receive so many messages of the worker's queue, and return their bodies."""
    sqs, bodies = client(project, "sqs"), list[str]()
    request = {"QueueUrl": queue_url(project), "MaxNumberOfMessages": 10}
    while len(bodies) < count:
        found = sqs.receive_message(**request, WaitTimeSeconds=5).get("Messages", [])
        assert found, f"only {len(bodies)} of {count} messages"
        bodies += [each["Body"] for each in found]
    return bodies


def send_dead_letters(project: Project, *bodies: str) -> list[str]:
    """Send dead letters; return their IDs."""
    sqs, url = client(project, "sqs"), queue_url(project, DEAD)
    return [
        sqs.send_message(QueueUrl=url, MessageBody=body)["MessageId"] for body in bodies
    ]


def find_cause(output: str, words: str) -> str:
    """Return the short name of the cause whose line in `make dead` has these words."""
    [line] = [line for line in output.splitlines() if words in line]
    return line.split()[0]


def kill_during(project: Project, rule: Rule, *words: str) -> None:
    """Kill a make target as soon as a request of it has a fault."""
    with proxy_of(project) as proxy, behind(project, proxy):
        proxy.rule = rule
        with project.start(*words) as running:
            wait_until(lambda: proxy.faulted, f"a fault; there were {proxy.calls}")
            os.killpg(running.process.pid, signal.SIGKILL)
            running.process.wait(DEADLINE)


@on_each_database
def test_replay_sends_the_triggers_message(shimmed: Project) -> None:
    key = drop(shimmed, "replayed ü+1.csv", clicks(3, first=76_000_000))
    [sent] = map(json.loads, take_all(shimmed, 1))
    where = (FUNC, "PREFIX=replayed")
    output = shimmed.make("replay", *where).stdout
    assert "1 of 1 object selected: s3://raw/worker/replayed*\n" in output
    assert count_messages(shimmed) == [0, 1]
    shimmed.make("replay", *where, "YES=1")
    [again] = map(json.loads, take_all(shimmed, 1))
    for event in (sent, again):
        event["time"] = event["time"][:19].removesuffix("Z")
    assert again == sent
    assert again["detail"]["object"]["key"] == key


@on_each_database
def test_replay_selects_by_state(shimmed: Project) -> None:
    folder = "worker/states"
    drop(shimmed, "states/loaded.csv", clicks(2, first=76_000_100))
    drain(shimmed)
    take = {"never": "b.csv", "failed": "c.csv"}
    for name in take.values():
        drop(shimmed, f"states/{name}", clicks(2, first=76_000_200))
    client(shimmed, "sqs").purge_queue(QueueUrl=queue_url(shimmed))
    send_dead_letters(
        shimmed, "oops", json.dumps({"bucket": "raw", "key": f"{folder}/c.csv"})
    )
    counts = {}
    for state in ("loaded", "failed", "never"):
        words = ("replay", FUNC, f"PREFIX={folder}/", f"STATE={state}")
        counts[state] = shimmed.make(*words).stdout.split()[0]
    assert counts == {"loaded": "1", "failed": "1", "never": "2"}
    shimmed.make("replay", FUNC, f"PREFIX={folder}/", "STATE=failed", "YES=1")
    [body] = take_all(shimmed, 1)
    assert json.loads(body)["detail"]["object"]["key"] == f"{folder}/c.csv"
    assert count_messages(shimmed, DEAD) == [2, 0]


@on_each_database
def test_replay_selects_by_time(shimmed: Project) -> None:
    drop(shimmed, "times/a.csv", "")
    for words, count in (("SINCE=2026-01-05", 1), ("UNTIL=2026-01-05T08:00", 0)):
        output = shimmed.make("replay", FUNC, "PREFIX=times/", words).stdout
        assert output.startswith(f"{count} of 1 object selected: "), words
    sent = shimmed.make("replay", FUNC, "PREFIX=worker", "SINCE=2126-01-05", "YES=1")
    found, last = sent.stdout.splitlines()
    assert found.startswith("0 of ")
    assert not found.startswith("0 of 0 ")
    assert found.endswith("selected: s3://raw/worker/*, SINCE=2126-01-05T00:00:00Z")
    assert last == "Nothing was sent."


FILTER = """
from datetime import UTC, datetime
from tools import replay
from tools.environment import enter
now = datetime.now(UTC)
page = [replay.Listed("raw", f"worker/{n}", "", str(n), 0, now) for n in range(1000)]
with replay.open_filter(enter("prod"), "worker", "never") as keep:
    print(len(keep(page)))
"""


@on_each_database
def test_state_of_a_full_page_fits_the_data_api(shimmed: Project) -> None:
    api = DataApi(shimmed.database, shimmed.shim_environment())
    with api.serve():
        keys = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "ENDPOINT_URL")
        variables = {f"AWS_{name}": api.url for name in keys}
        result = shimmed.run(".venv/bin/python", "-c", FILTER, env=variables)
    assert result.stdout == "1000\n"


@on_each_database
def test_killed_replay_goes_on(shimmed: Project) -> None:
    """The second batch has been sent, but the answer has not arrived."""
    names = [f"killed/{number:02}.csv" for number in range(25)]
    keys = [drop(shimmed, name, "") for name in names]
    sqs, url = client(shimmed, "sqs"), queue_url(shimmed)
    sqs.purge_queue(QueueUrl=url)
    words = ("replay", FUNC, "PREFIX=killed/", "YES=1")
    kill_during(shimmed, at_first("SendMessageBatch", None, Pause(0)), *words)
    assert count_messages(shimmed) == [20, 0]
    output = shimmed.make(*words).stdout
    assert f"goes on after {keys[9]}, 10 messages sent before" in output
    assert "Sent 25 messages" in output
    bodies = take_all(shimmed, 35)
    sent = [json.loads(each)["detail"]["object"]["key"] for each in bodies]
    assert sorted(sent) == sorted([*keys, *keys[10:20]])
    assert "25 of 25" in shimmed.make(*words[:-1]).stdout  # it begins anew


@on_each_database
def test_dead_letters_are_grouped_by_cause(shimmed: Project) -> None:
    """A dry run changes nothing, also where the function succeeds by now."""
    key = drop(shimmed, "in-time.csv", clicks(3, first=76_000_300))
    client(shimmed, "sqs").purge_queue(QueueUrl=queue_url(shimmed))
    gone = [f'{{"bucket": "raw", "key": "worker/gone-{n}.csv"}}' for n in range(12)]
    late = json.dumps({"bucket": "raw", "key": key})
    [oops, *_] = send_dead_letters(shimmed, "oops", *gone, late)
    output = shimmed.make("dead", FUNC).stdout
    assert output.startswith(f"{DEAD}: 14 dead letters, 3 causes\n")
    assert "  12 dead letters: ClientError: An error occurred (404)" in output
    assert "  1 dead letter: EventError: the message names no object" in output
    assert "  1 dead letter: nothing: the function succeeds now" in output
    assert count_messages(shimmed, DEAD) == [14, 0]
    assert (count_loaded(shimmed, key), count_clicks(shimmed, 76_000_300, 9)) == (0, 0)
    cause = find_cause(output, "(404)")
    moved = shimmed.make("redrive", FUNC, f"CAUSE={cause}").stdout
    assert moved == "moved 10 of 12\nmoved 12 of 12\n"
    assert sorted(take_all(shimmed, 12)) == sorted(gone)
    assert shimmed.make("dead", FUNC, f"MESSAGE={oops}").stdout == "oops\n"
    cause = find_cause(output, "EventError")
    deleted = shimmed.make(*PURGE, f"CAUSE={cause}", "CONFIRM=worker").stdout
    assert deleted == "deleted 1 of 1\n"
    assert count_messages(shimmed, DEAD) == [1, 0]
    refused = shimmed.make("redrive", FUNC, f"CAUSE={cause}", check=False)
    assert refused.returncode != 0
    assert f"CAUSE={cause} is no cause in {DEAD}: choose one of" in refused.stdout


@on_each_database
def test_edited_dead_letter_is_sent(shimmed: Project) -> None:
    key = drop(shimmed, "edited.csv", clicks(3, first=76_000_400))
    client(shimmed, "sqs").purge_queue(QueueUrl=queue_url(shimmed))
    event = json.dumps({"bucket": "raw", "key": key})
    wrong, other = send_dead_letters(shimmed, event.replace("edited", "edted"), "oops")
    (shimmed.path / "fixed.json").write_text(event, encoding="utf-8")
    shimmed.make("redrive", FUNC, f"MESSAGE={wrong}", "FILE=fixed.json")
    assert '"loaded": 3' in drain(shimmed)
    assert count_messages(shimmed, DEAD) == [1, 0]
    assert shimmed.make("dead", FUNC, f"MESSAGE={other}").stdout == "oops\n"


@pytest.mark.parametrize(
    ("words", "waiting"),
    [
        (("redrive", FUNC, "MESSAGE={}"), 1),
        (("redrive", FUNC, "MESSAGE={}", "BODY=edited"), 1),
        ((*PURGE, "MESSAGE={}", "CONFIRM=worker"), 0),
    ],
    ids=["redrive", "edit", "delete"],
)
@on_each_database
def test_killed_triage_loses_no_message(
    shimmed: Project, words: tuple[str, ...], waiting: int
) -> None:
    """It is killed before the dead letter is deleted, which is then still there."""
    [dead] = send_dead_letters(shimmed, "kept")
    words = tuple(each.format(dead) for each in words)
    kill_during(shimmed, always("DeleteMessage", SILENCE), *words)
    assert count_messages(shimmed) == [waiting, 0]
    assert sum(count_messages(shimmed, DEAD)) == 1


@on_each_database
def test_killed_redrive_has_sent_nothing_yet(shimmed: Project) -> None:
    [dead] = send_dead_letters(shimmed, "kept")
    words = ("redrive", FUNC, f"MESSAGE={dead}")
    kill_during(shimmed, always("SendMessage", SILENCE), *words)
    assert count_messages(shimmed) == [0, 0]
    assert sum(count_messages(shimmed, DEAD)) == 1
