"""Lambda and container are one queue's consumers, and change places under traffic."""

import threading

from baking import DEADLINE, Project, wait_until
from playground import (
    clicks,
    client,
    count_from,
    on_each_database,
    visibility,
    waiting,
    worker,
)

FILES = 500
ROWS = 10
FIRST = 70_000_000
DEPLOY = (".venv/bin/python", "tests/shim/deploy_lambda.py")
LOADED = '"outcome": "loaded"'


def loaded(project: Project) -> int:
    """Return how many of the files are in the ledger."""
    statement = "SELECT count(*) FROM loads WHERE object_key LIKE 'worker/switch-%'"
    return int(project.query(statement)[0][0])


def drop_files(project: Project) -> None:
    """Drop all files, one after the other."""
    s3 = client(project, "s3")
    for number in range(FILES):
        body = clicks(ROWS, first=FIRST + number * ROWS).encode()
        key = f"worker/switch-{number}.csv"
        s3.put_object(Bucket="raw", Key=key, Body=body)


@on_each_database
def test_files_flow_while_the_consumer_is_switched_and_back(shimmed: Project) -> None:
    shimmed.make("build")
    environment = shimmed.shim_environment()
    traffic = threading.Thread(target=drop_files, args=[shimmed])
    with visibility(shimmed, 5):
        shimmed.run(*DEPLOY, ".build", env=environment)
        traffic.start()
        try:
            wait_until(lambda: loaded(shimmed) > 0, "the Lambda's first files")
            with worker(shimmed) as poller:
                poller.wait_until(lambda: "polling" in poller.said)
                shimmed.run(*DEPLOY, "--remove", env=environment)
                poller.wait_until(lambda: poller.said.count(LOADED) > FILES // 5)
                shimmed.run(*DEPLOY, ".build", env=environment)
                before_the_end = loaded(shimmed)
                poller.process.terminate()
                assert poller.process.wait(DEADLINE) == 0
            wait_until(lambda: loaded(shimmed) == FILES, "all files")
            wait_until(lambda: waiting(shimmed) == [0, 0], "an empty queue")
        finally:
            traffic.join()
            shimmed.run(*DEPLOY, "--remove", env=environment)
    # nobody else than the Lambda has loaded the others
    assert 0 < poller.said.count(LOADED) < FILES
    assert before_the_end < FILES
    assert count_from(shimmed, FIRST, FILES * ROWS) == FILES * ROWS
    distinct = (
        "SELECT count(DISTINCT click_id) FROM clicks"
        f" WHERE click_id >= {FIRST} AND click_id < {FIRST + FILES * ROWS}"
    )
    assert shimmed.query(distinct) == [[FILES * ROWS]]
