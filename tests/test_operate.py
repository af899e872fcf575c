"""Targets that operate an environment: queue, redrive, purge, sql, logs, doctor."""

import json
import os
import pty
import re
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from aws_stubs import AnswerFunction, answering, data_api, redriving
from baking import (
    DEADLINE,
    Project,
    bake,
    clean_environment,
    free_port,
    skip,
    wait_until,
)
from data_api import DataApi
from iam_policies import Call, fill, is_allowed, make_arn, read_calls
from recorder import record
from shim_helpers import (
    OwnDatabase,
    clicks,
    client,
    count_messages,
    drain,
    drop,
    is_postgres,
    lambda_on_queue,
    on_each_database,
    put_file,
    queue_url,
    send_messages,
)

DEAD = "worker-dead-letter"
Typed = tuple[str, str]


@pytest.fixture(scope="module")
def playing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose shim runs, and is also its environment dev."""
    project = bake(tmp_path_factory.mktemp("playing"), database="postgres")
    with project.share_installs().share_layer().shim() as shim:
        lines = [f"{name}={value}\n" for name, value in shim.items()]
        secrets = project.path / "config" / "secrets-dev.env"
        secrets.write_text("".join(lines), encoding="utf-8")
        sqs = client(project, "sqs")
        for kind in ("pending", "dead-letter"):
            sqs.create_queue(QueueName=f"click-loader-dev-worker-{kind}")
        yield project


@contextmanager
def prod_stub(project: Project, answer: AnswerFunction) -> Iterator[None]:
    """Let the environment prod be a stub of AWS."""
    secrets = project.path / "config" / "secrets-prod.env"
    with answering(answer) as url:
        keys = "AWS_ACCESS_KEY_ID=x\nAWS_SECRET_ACCESS_KEY=x\n"
        secrets.write_text(f"{keys}AWS_ENDPOINT_URL={url}\n", encoding="utf-8")
        yield


def on_terminal(project: Project, *words: str, typed: Sequence[Typed] = ()) -> str:
    """Run a make target on a terminal; return the terminal's content.

    Args:
        project: where to run it.
        *words: target and variables.
        typed: pairs of a prompt to wait for and the answer to type, in order.
    """
    answers = list(typed)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["make", *words],
        cwd=project.path,
        env=clean_environment() | {"TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown, at = "", 0
    with suppress(OSError):  # the process has closed the terminal
        while select.select([ours], [], [], DEADLINE)[0]:
            shown += os.read(ours, 4096).decode()
            if answers and answers[0][0] in shown[at:]:
                at = len(shown)
                os.write(ours, answers.pop(0)[1].encode())
    os.close(ours)
    process.kill()
    process.wait(DEADLINE)
    return shown


def test_queue_shows_counts_and_newest_message(playing: Project) -> None:
    sqs = client(playing, "sqs")
    send_messages(playing, '{"number": 1}')
    request = {"QueueUrl": queue_url(playing), "VisibilityTimeout": 600}
    wait_until(lambda: sqs.receive_message(**request).get("Messages"), "the message")
    send_messages(playing, '{"number": 2}')
    sqs.send_message(QueueUrl=queue_url(playing, DEAD), MessageBody='{"number": 3}')
    lines = playing.make("queue", "FUNC=worker").stdout.splitlines()
    assert lines[0] == "worker-pending: 1 waiting, 1 in flight, 0 delayed"
    assert re.match(
        r"  the newest of 1: sent \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ, ID [-0-9a-f]+, "
        "receive count 1, this one included",
        lines[1],
    )
    assert lines[2] == '  {"number": 2}'
    assert lines[3] == "worker-dead-letter: 1 waiting, 0 in flight, 0 delayed"
    assert lines[5] == '  {"number": 3}'
    assert count_messages(playing) == [1, 1]


def test_queue_on_aws_receives_only_with_peek(playing: Project) -> None:
    name = "click-loader-dev-worker-pending"
    url = queue_url(playing, name)
    client(playing, "sqs").send_message(QueueUrl=url, MessageBody='{"number": 4}')
    for _ in range(5):
        output = playing.make("queue", "ENV=dev").stdout
        assert f"{name}: 1 waiting" in output
        assert "number" not in output
    peeked = playing.make("queue", "ENV=dev", "PEEK=1").stdout
    assert "receive count 1, this one included\n  " + '{"number": 4}' in peeked
    assert "worker-pending: 0 waiting" in playing.make("queue").stdout
    playing.make("purge", "FUNC=worker", "ENV=dev", "CONFIRM=worker")
    assert count_messages(playing, name) == [0, 0]


def test_redrive_without_sqs_task_moves_all(playing: Project) -> None:
    sqs = client(playing, "sqs")
    bodies = {f'{{"number": {number}}}' for number in range(23)}
    attributes = {"sender": {"DataType": "String", "StringValue": "Zoë"}}
    for body in bodies:
        words = {"MessageBody": body, "MessageAttributes": attributes}
        sqs.send_message(QueueUrl=queue_url(playing, DEAD), **words)
    output = playing.make("redrive", "FUNC=worker").stdout
    assert output.splitlines() == [
        "This emulator has no redrive: sending each message again, then deleting the "
        "dead letter.",
        *("moved 10 of 23", "moved 20 of 23", "moved 23 of 23"),
    ]
    assert count_messages(playing, DEAD) == [0, 0]
    found: list[Any] = []
    words = {"QueueUrl": queue_url(playing), "MessageAttributeNames": ["All"]}
    while len(found) < len(bodies):
        answer = sqs.receive_message(**words, MaxNumberOfMessages=10)
        found += answer["Messages"]
    assert {each["Body"] for each in found} == bodies
    assert found[0]["MessageAttributes"]["sender"]["StringValue"] == "Zoë"
    assert "has no messages" in playing.make("redrive", "FUNC=worker").stdout


def test_redriven_dead_letter_is_loaded(playing: Project) -> None:
    """The file was not there when the message came; then somebody has sent it."""
    event = '{"bucket": "raw", "key": "by-hand/late.csv"}'
    letter = client(playing, "sqs").send_message(
        QueueUrl=queue_url(playing, DEAD), MessageBody=event
    )["MessageId"]
    log_failure(playing, letter, "NoSuchKey")
    assert "404" in playing.make("dead", "FUNC=worker").stdout
    client(playing, "s3").put_object(
        Bucket="raw", Key="by-hand/late.csv", Body=clicks(3, first=8001).encode()
    )
    output = playing.make("dead", "FUNC=worker").stdout
    assert "1 dead letter: nothing: the function succeeds now" in output
    moved = playing.make("redrive", "FUNC=worker", f"MESSAGE={letter}").stdout
    sent = re.match(rf"sent {letter} again as message (\S+)\nmoved 1 of 1\n", moved)
    assert sent
    run = playing.make("run", "FUNC=worker", "RUN_ARGS=--drain").stdout
    assert '"loaded": 3' in run
    assert "late.csv" in playing.make("trace", f"MESSAGE={sent[1]}").stdout


def test_unfinished_dry_run_shows_logged_cause(playing: Project) -> None:
    """A dry run ends before the function deletes, so it shows no later failure."""
    letter = client(playing, "sqs").send_message(
        QueueUrl=queue_url(playing, DEAD), MessageBody="{}"
    )["MessageId"]
    module = playing.path / "src" / "func" / "worker.py"
    kept = module.read_bytes()
    deletion = 'context.s3.delete_object(Bucket="x", Key="y")'
    try:
        module.write_text(
            f"def run(event, context):\n    {deletion}\n", encoding="utf-8"
        )
        words = ("dead", "FUNC=worker")
        unknown = playing.make(*words).stdout
        assert "nothing until the function calls s3 DeleteObject\n" in unknown
        log_failure(playing, letter, "OSError: no")
        assert "OSError: no (at its last attempt)\n" in playing.make(*words).stdout
        module.write_text("def (", encoding="utf-8")
        refused = playing.make(*words, check=False)
        assert refused.returncode != 0
        assert "FUNC=worker cannot be imported: SyntaxError" in refused.stdout
    finally:
        module.write_bytes(kept)
    playing.make("purge", "FUNC=worker", "QUEUE=dead-letter", "CONFIRM=worker")


def log_failure(project: Project, message: str, error: str) -> None:
    """Add a line to the function's log on this machine, as its poller does."""
    log_line(project, messageId=message, outcome="failed", message=error)


def log_line(project: Project, **fields: str) -> None:
    """Add a line to the log of worker on this machine."""
    file = project.path / ".build" / "logs" / "worker.log"
    file.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", **fields})
    with file.open("a", encoding="utf-8") as log:
        log.write(f"{line}\n")


def test_function_runs_on_a_dead_letter(playing: Project) -> None:
    """It stays in its queue."""
    event = put_file(playing, "letter.csv", clicks(3, first=8011))
    sent = client(playing, "sqs").send_message(
        QueueUrl=queue_url(playing, DEAD), MessageBody=event
    )
    words = ("invoke", "FUNC=worker", f"MESSAGE={sent['MessageId']}")
    assert '"loaded": 3' in playing.make(*words).stdout
    assert '"loaded before"' in playing.make(*words).stdout
    body = playing.path / ".build" / "run" / "worker" / "dead-letter.json"
    assert body.stat().st_mode & 0o777 == 0o600


def test_redrive_by_sqs_prints_progress(playing: Project) -> None:
    with prod_stub(playing, redriving(7)):
        output = playing.make("redrive", "FUNC=worker", "ENV=prod").stdout
    assert output == "moved 0 of 7\nmoved 3 of 7\nmoved 7 of 7\n"


def test_purge_asks_on_a_terminal(playing: Project) -> None:
    send_messages(playing, '{"number": 5}')
    question = (
        "permanently deletes all messages of worker-pending: 1 waiting, 0 in flight"
    )
    refused = on_terminal(
        playing, "purge", "FUNC=worker", typed=[("name to confirm: ", "yes\n")]
    )
    assert question in refused
    assert "'yes' is not worker: nothing was done." in refused
    assert count_messages(playing) == [1, 0]
    done = on_terminal(
        playing, "purge", "FUNC=worker", typed=[("name to confirm: ", "worker\n")]
    )
    assert "SQS deletes all messages of worker-pending within a minute." in done
    assert count_messages(playing) == [0, 0]


def test_purge_of_dead_letters_keeps_queue(playing: Project) -> None:
    sqs = client(playing, "sqs")
    sqs.send_message(QueueUrl=queue_url(playing, DEAD), MessageBody="{}")
    send_messages(playing, "{}")
    playing.make("purge", "FUNC=worker", "QUEUE=dead-letter", "CONFIRM=worker")
    assert count_messages(playing, DEAD) == [0, 0]
    assert count_messages(playing) == [1, 0]


EMPTY_ZIP = b"PK\x05\x06" + bytes(18)
DELETE_LAYERS = """
from tools import environment, layers
environment.enter("")
layers.delete_old("click-loader-dev", {kept})
"""


@pytest.mark.parametrize("shimmed", ["postgres"], indirect=True)
def test_old_layers_are_deleted(shimmed: Project) -> None:
    api = client(shimmed, "lambda")
    for number in range(7):
        content = {"ZipFile": EMPTY_ZIP + bytes([number])}
        api.publish_layer_version(LayerName="click-loader-dev", Content=content)

    def keep(kept: int) -> list[int]:
        program = DELETE_LAYERS.format(kept=kept)
        shimmed.run(".venv/bin/python", "-c", program)
        found = api.list_layer_versions(LayerName="click-loader-dev")["LayerVersions"]
        return sorted(each["Version"] for each in found)

    assert keep(5) == [3, 4, 5, 6, 7]
    assert keep(0) == []


@on_each_database
def test_sql_prints_a_table(shimmed: Project) -> None:
    drop(
        shimmed, "table.csv", "9801,ä,/a,,2026-01-05 08:00:00\n9802,b,/long,\\N," + TIME
    )
    drain(shimmed)
    columns = "click_id, visitor, page, referrer"
    where = "click_id BETWEEN 9801 AND 9802"
    sql = f"SELECT {columns} FROM clicks WHERE {where} ORDER BY click_id"
    assert shimmed.make("sql", f"SQL={sql}").stdout.splitlines() == [
        "click_id | visitor | page  | referrer",
        "---------+---------+-------+---------",
        "9801     | ä       | /a    |",
        "9802     | b       | /long | NULL",
        "2 rows",
    ]
    change = f"SQL=UPDATE clicks SET page = '100%' WHERE {where}"
    assert shimmed.make("sql", change).stdout == "2 rows changed\n"
    assert "100%" in shimmed.make("sql", f"SQL={sql}").stdout


TIME = "2026-01-05 08:00:00\n"


@on_each_database
def test_sql_prompt_continues_after_an_error(shimmed: Project) -> None:
    typed = [
        ("sql> ", "selec 1;\n"),
        ("sql> ", "SELECT 40 + 2\n"),
        ("...> ", "AS answer;\n"),
        ("sql> ", "\x04"),
    ]
    shown = on_terminal(shimmed, "sql", typed=typed)
    assert "the database refuses: " in shown
    assert "answer\r\n------\r\n42\r\n1 row" in shown
    script = "printf 'SELECT 1 AS one;\\nSELECT 2 AS two' | make sql"
    assert (
        shimmed.run("sh", "-c", script).stdout
        == "one\n---\n1\n1 row\ntwo\n---\n2\n1 row\n"
    )
    script = "printf 'selec;\\nSELECT 2 AS two;' | make sql"
    stopped = shimmed.run("sh", "-c", script, check=False)
    assert stopped.returncode != 0
    assert "two" not in stopped.stdout


def test_sql_on_aws_uses_the_data_api(playing: Project) -> None:
    with prod_stub(playing, data_api()):
        output = playing.make("sql", "ENV=prod", "SQL=SELECT * FROM visits").stdout
        assert output.splitlines() == [
            "The database is resuming.",
            *("id | visitor", "---+--------", "7  | anna", "8  | NULL", "2 rows"),
        ]
        refused = playing.make("sql", "ENV=prod", "SQL=oops", check=False)
        assert "The database refuses: ERROR: no oops." in refused.stdout
    with prod_stub(playing, data_api(is_open=False)):
        refused = playing.make("sql", "ENV=prod", "SQL=SELECT 1", check=False)
    assert "network: run 'make deploy TARGET=aurora ENV=prod'" in refused.stdout


def test_event_uses_bucket_of_environment(playing: Project) -> None:
    words = ("event", "FILE=tests/data/sanity.csv", "ENV=dev")
    bucket = "click-loader-dev-raw-000000000000"
    refused = playing.make(*words, check=False)
    message = f"There is no bucket {bucket}: create it with 'make deploy ENV=dev'"
    assert message in refused.stdout
    s3 = client(playing, "s3")
    where = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    assert f"s3://{bucket}/worker/sanity.csv" in playing.make(*words).stdout
    assert s3.head_object(Bucket=bucket, Key="worker/sanity.csv")["ContentLength"] > 0


def publish_two_versions(project: Project, name: str) -> None:
    """Create a Lambda whose alias `live` points to its second version."""
    lambdas = client(project, "lambda")
    principal = {"Service": "lambda.amazonaws.com"}
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    document = {"Version": "2012-10-17", "Statement": [trust]}
    role = client(project, "iam").create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps(document)
    )["Role"]
    lambdas.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=role["Arn"],
        Handler="worker.handler",
        Code={"ZipFile": zip_of("1")},
    )
    lambdas.publish_version(FunctionName=name)
    lambdas.update_function_code(FunctionName=name, ZipFile=zip_of("2"))
    second = lambdas.publish_version(FunctionName=name)["Version"]
    lambdas.create_alias(FunctionName=name, Name="live", FunctionVersion=second)


def zip_of(text: str) -> bytes:
    """Return a zip with the code of a Lambda."""
    content = BytesIO()
    with ZipFile(content, "w") as archive:
        archive.writestr("worker.py", f"handler = {text}")
    return content.getvalue()


def test_operators_may_do_what_targets_do(playing: Project) -> None:
    """Each call of each target is allowed by infra/policies/operate.json."""
    bucket = "click-loader-dev-raw-000000000000"
    policy = fill("terraform", project="click-loader", bucket=bucket)["operate"]
    where = {"LocationConstraint": "eu-west-1"}
    with suppress(client(playing, "s3").exceptions.BucketAlreadyOwnedByYou):
        client(playing, "s3").create_bucket(
            Bucket=bucket, CreateBucketConfiguration=where
        )
    client(playing, "logs").create_log_group(
        logGroupName="/aws/lambda/click-loader-dev-worker"
    )
    sqs = client(playing, "sqs")
    url = queue_url(playing, "click-loader-dev-worker-dead-letter")
    one, _ = (
        sqs.send_message(QueueUrl=url, MessageBody="dead")["MessageId"]
        for _ in range(2)
    )
    publish_two_versions(playing, "click-loader-dev-worker")
    with record(playing, Path("config/secrets-dev.env")) as recorder:
        for words in (
            ("rollback", "FUNC=worker"),
            ("event", "FILE=tests/data/sanity.csv"),
            ("send", "FUNC=worker", "BODY=hello"),
            ("queue", "PEEK=1"),
            ("logs", "FUNC=worker"),
            ("replay", "FUNC=worker", "YES=1"),
            ("dead", "FUNC=worker"),
            ("redrive", "FUNC=worker", f"MESSAGE={one}"),
            ("redrive", "FUNC=worker"),
            ("purge", "FUNC=worker", "CONFIRM=worker"),
        ):
            playing.make(*words, "ENV=dev")
    calls = [
        Call(each.action, make_arn(each.resource))
        for each in recorder.calls
        if each.action
    ]
    actions = {call.action for call in calls}
    assert actions >= {"s3:PutObject", "sqs:PurgeQueue", "logs:FilterLogEvents"}
    denied = [call for call in calls if not is_allowed(policy["Statement"], call)]
    assert denied == []
    for answer, words in (
        (redriving(7), ("redrive", "FUNC=worker")),
        (data_api(), ("sql", "SQL=SELECT 1")),
    ):
        with (
            prod_stub(playing, answer),
            record(playing, Path("config/secrets-prod.env")) as recorder,
        ):
            playing.make(*words, "ENV=prod")
        actions |= recorder.actions()
    actions |= undo_on_aws(playing)
    # the Data API reads the password with the rights of its caller, and only an undo
    # whose connection is lost is rolled back
    unseen = {"secretsmanager:GetSecretValue", "rds-data:RollbackTransaction"}
    allowed = {
        each.action
        for each in read_calls("operate")
        # rollbacks of containers and canaries: see test_services and test_canary
        if not each.action.startswith(("codedeploy:", "ecs:"))
    }
    assert allowed - actions == unseen
    assert actions <= allowed


def undo_on_aws(project: Project) -> set[str]:
    """Undo a load of an empty file, and try one that is refused; return the actions."""
    columns = "object_id, target, bucket, object_key, version, function, loaded"
    for name, count in (("empty", 0), ("numberless", 3)):
        values = f"'{name}', 'public.clicks', 'raw', '{name}', '', 'func.worker'"
        project.query(f"INSERT INTO loads ({columns}) VALUES ({values}, {count})")
    statement = "SELECT number FROM loads WHERE object_id IN ('empty', 'numberless')"
    api = DataApi("postgres", project.shim_environment())
    file = Path("config/secrets-prod.env")
    with api.serve():
        keys = "AWS_ACCESS_KEY_ID=x\nAWS_SECRET_ACCESS_KEY=x\n"
        text = f"{keys}AWS_ENDPOINT_URL={api.url}\n"
        (project.path / file).write_text(text, encoding="utf-8")
        with record(project, file) as recorder:
            for [number] in project.query(statement):
                words = (f"LOAD={number}", f"CONFIRM={number}", "ENV=prod")
                project.make("undo", *words, check=False)
    return recorder.actions()


def test_causes_on_aws_are_logged_errors(playing: Project) -> None:
    """They are read from the time on at which the first dead letter was sent."""
    sqs, logs = client(playing, "sqs"), client(playing, "logs")
    url = queue_url(playing, "click-loader-dev-worker-dead-letter")
    sqs.purge_queue(QueueUrl=url)
    where = {
        "logGroupName": "/aws/lambda/click-loader-dev-worker",
        "logStreamName": "causes",
    }
    with suppress(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_group(logGroupName=where["logGroupName"])
    logs.create_log_stream(**where)
    events = []
    for number in range(3):
        sent = sqs.send_message(QueueUrl=url, MessageBody=f"{number}")["MessageId"]
        text = (
            f"message {sent} failed: TooManyRejectsError: {number} of 9 lines are bad"
        )
        line = {"messageId": sent, "outcome": "failed", "message": text}
        if number < 2:
            now = int(time.time() * 1000)
            events += [
                {"timestamp": now, "message": message}
                for message in ("START RequestId", json.dumps(line))
            ]
    logs.put_log_events(**where, logEvents=events)
    output = playing.make("dead", "FUNC=worker", "ENV=dev").stdout
    assert "3 dead letters, 2 causes" in output
    assert "2 dead letters: TooManyRejectsError: … of … lines are bad\n" in output
    assert "1 dead letter: unknown: the log has no line about it\n" in output
    assert "make redrive FUNC=worker ENV=dev CAUSE=" in output
    sqs.purge_queue(QueueUrl=url)


def test_logs_are_shown_and_followed(playing: Project) -> None:
    with lambda_on_queue(playing):
        drop(playing, "first.csv", clicks(3, first=8101))
        wait_until(
            lambda: (
                '"loaded": 3' in playing.make("logs", "FUNC=worker", check=False).stdout
            ),
            "the log of the first file",
        )
        with playing.start("logs", "FUNC=worker", "FOLLOW=1") as following:
            following.wait_for("first.csv")
            drop(playing, "second.csv", clicks(4, first=8111))
            following.wait_for('"loaded": 4')
        printed = following.output.splitlines()
        requests = [line for line in printed if "RequestId" in line]
        assert len(requests) == len(set(requests))
        lines = playing.make("logs", "FUNC=worker").stdout.splitlines()
        assert all(
            re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", line) for line in lines
        )


def test_logs_follow_a_local_poller(playing: Project) -> None:
    poll = ("run", "FUNC=worker", "RUN_ARGS=--drain")
    playing.make(*poll)
    with playing.start("logs", "FUNC=worker", "FOLLOW=1") as following:
        following.wait_for('"message": "polling ')
        key = drop(playing, "third.csv", clicks(5, first=8121))
        playing.make(*poll)
        following.wait_for('"loaded": 5')
    *_, message = re.findall(r'"messageId": "([^"]+)"', following.output)
    traced = playing.make("trace", f"MESSAGE={message}").stdout
    assert f"message {message} done" in traced
    assert f"s3://raw/{key}" in traced


def test_local_logs_need_no_shim(baked: Project) -> None:
    """Following begins before anything is logged."""
    (baked.path / ".build" / "logs" / "worker.log").unlink(missing_ok=True)
    with baked.start("logs", "FUNC=worker", "FOLLOW=1") as following:
        following.wait_for("Waiting: there is no log of worker on this machine")
        log_line(baked, message="message m1 done")
        following.wait_for("message m1 done")
    assert "message m1 done" in baked.make("trace", "MESSAGE=m1").stdout


def test_cockpit_opens_four_working_panes(baked: Project, tmp_path: Path) -> None:
    if not shutil.which("tmux"):
        skip("this machine has no tmux")
    private = {"TMUX_TMPDIR": str(tmp_path), "TMUX": "", "SHELL": "/bin/sh"}
    ports = (f"AWS_PORT={free_port()}", f"DB_PORT={free_port()}")
    name = str(baked.path).replace(".", "_")

    def shown(pane: int) -> str:
        words = ("tmux", "capture-pane", "-p", "-S", "-", "-t", f"{name}:0.{pane}")
        return baked.run(*words, env=private).stdout

    try:
        output = baked.make("cockpit", "SHIM=process", *ports, env=private).stdout
        assert f"tmux attach -t {name}" in output
        panes = ("tmux", "list-panes", "-s", "-t", name)
        assert len(baked.run(*panes, env=private).stdout.splitlines()) == 4
        wait_until(lambda: "Ready after" in shown(2), "the shim")
        wait_until(lambda: "polling" in shown(0), "the worker")
        wait_until(lambda: " passed in " in shown(3), "the tests")
        typed = "make event FILE=tests/data/large.csv"
        pane = ("-t", f"{name}:0.1")
        baked.run("tmux", "send-keys", *pane, typed, "Enter", env=private)
        wait_until(lambda: '"loaded": 1000' in shown(0), "the rows")
        again = baked.make("cockpit", env=private).stdout
        assert f"tmux attach -t {name}" in again
        assert len(baked.run(*panes, env=private).stdout.splitlines()) == 4
    finally:
        baked.run("tmux", "kill-server", env=private, check=False)
    gone = baked.path / ".shim" / "shim.env"
    wait_until(lambda: not gone.exists(), "the end of the shim")


FAKE_DOCKER = """\
#!/bin/sh
case "$1 $2" in
  version*) echo '{"Server": {"Arch": "arm64"}}';;
  "image inspect") grep -q -e "--tag=$3 " "$CALLS";;
  *) echo "$*" >> "$CALLS";;
esac
"""


def test_container_runs_an_image_of_this_processor(
    playing: Project, tmp_path: Path
) -> None:
    program, calls = tmp_path / "docker", tmp_path / "calls"
    program.write_text(FAKE_DOCKER, encoding="utf-8")
    program.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(calls)}
    built = playing.make("image", "FUNC=worker", "ARCH=x86_64", env=env).stdout
    name = re.search(r"built (click-loader/worker:[0-9a-f]{12})-amd64\n", built)
    assert name
    for _ in ("builds it", "finds it"):
        playing.make("container", "FUNC=worker", env=env)
    foreign, own, *runs = calls.read_text(encoding="utf-8").splitlines()
    assert f"--platform=linux/amd64 --tag={name[1]}-amd64 " in foreign
    assert f"--platform=linux/arm64 --tag={name[1]}-arm64 " in own
    assert len(runs) == 2
    for run in runs:
        assert run.startswith("run --platform=linux/arm64 ")
        assert run.endswith(f" {name[1]}-arm64")
    words = ("image", "FUNC=worker", "DOCKER_ARGS=--platform=linux/arm64")
    refused = playing.make(*words, env=env, check=False).stdout
    assert "DOCKER_ARGS contains --platform: use ARCH=, as in ARCH=arm64." in refused


def test_doctor_prints_version_purpose_and_remedy(
    playing: Project, tmp_path: Path
) -> None:
    page = playing.make("doctor", "ENV=dev").stdout
    assert re.search(
        r"^ok +Python +3\.\d+\.\d+ +3\.11 or later +everything$", page, re.M
    )
    assert re.search(r"^ok +make +\d\.\d+ ", page, re.M)
    assert re.search(r"^ok +credentials +\S+ .*ENV=dev$", page, re.M)
    assert "\033[" not in page
    shown = on_terminal(playing, "doctor")
    assert "\033[32mok" in shown
    old = tmp_path / "make"
    old.write_text("#!/bin/sh\necho GNU Make 3.80\n", encoding="utf-8")
    old.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    words = ("python3", "-m", "tools", "doctor")
    lacking = playing.run(*words, env={"PATH": path}, check=False)
    assert lacking.returncode == 1
    assert re.search(r"^MISSING make +3\.80 +3\.81 or later", lacking.stdout, re.M)
    remedy = "Debian, Ubuntu, WSL: apt-get install make; macOS: xcode-select --install"
    assert remedy in lacking.stdout


@on_each_database
def test_doctor_checks_settings_of_the_server(shimmed: Project, tmp_path: Path) -> None:
    name, safe = (
        ("fsync", ("fsync=on", "full_page_writes=on"))
        if is_postgres(shimmed)
        else (
            "innodb_flush_log_at_trx_commit",
            ("innodb_flush_log_at_trx_commit=1", "log_bin=log", "server_id=1"),
        )
    )
    page = shimmed.make("doctor", "ENV=local", check=False).stdout
    assert re.search(r"^unsafe  durability +\d to change +safe ", page, re.M)
    assert f"{name} is " in page
    assert "this is the shim, for tests: leave it as it is" in page
    program = (
        "from context import CustomContext; from tools import sql, unsafe_settings\n"
        "with CustomContext() as context:\n"
        "    print(*unsafe_settings.find(sql.connect_driver(context)), sep='; ')"
    )
    paths = {"PYTHONPATH": "src/common:src:."}
    with OwnDatabase(shimmed, tmp_path) as own:
        own.stop()
        own.restart(*(f"--{setting}" for setting in safe))
        ask = partial(own.run, ".venv/bin/python", "-c", program)
        found = ask(env=own.shim_environment() | paths).stdout
        if is_postgres(own):
            assert found.strip() == ""
        else:
            assert found.strip() == "sync_binlog is 0, so a crash of the machine " + (
                "loses the last commits: set sync_binlog=1"
            )


def test_doctor_checks_aurora_by_the_data_api(playing: Project) -> None:
    rows = {"fsync": "off", "full_page_writes": "off", "standbys": "1"}
    rows |= {"synchronous_standby_names": "", "aurora": "0"}
    with prod_stub(playing, data_api(rows=rows)):
        words = (".venv/bin/python", "-m", "tools", "server_settings", "--env=prod")
        unsafe = playing.run(*words, check=False)
        assert unsafe.returncode == 2
        for part in ("set fsync=on", "set full_page_writes=on", "are asynchronous"):
            assert part in unsafe.stdout
    with prod_stub(playing, data_api(rows=rows | {"aurora": "1"})):
        assert playing.run(*words).returncode == 0


def test_doctor_respects_no_color(
    playing: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\033[" not in on_terminal(playing, "doctor")


@on_each_database
def test_schema_runs_through_make_sql(shimmed: Project) -> None:
    paths = sorted(shimmed.path.glob("tools/migrations/*.sql"))
    paths += sorted(shimmed.path.glob("migrations/*.sql"))
    schema = "".join(path.read_text(encoding="utf-8") for path in paths)
    other = re.sub(r"\b(clicks|loads|rejects)(?=\b|_)", r"other_\1", schema)
    (shimmed.path / "other.sql").write_text(other, encoding="utf-8")
    output = shimmed.run("sh", "-c", "make sql < other.sql").stdout
    assert output == "0 rows changed\n" * schema.count(";\n")
    assert shimmed.query("SELECT count(*) FROM other_clicks") == [[0]]
