"""Load objects one after another in a process that has imported everything.

Runs in a project's environment with a build of the worker on the path. The clock runs
from the event to the commit: the first event includes connecting to the database, none
includes the start of Python or imports.
"""

import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from time import monotonic
from typing import Any

import boto3

# imports what botocore needs for a client
S3 = boto3.client("s3")


def ours(args: list[str]) -> Callable[[str], Any]:
    """Return the function of the build."""
    import lib.rds  # noqa: F401 - imported before the clock runs
    from context import CustomContext
    from func import run

    context = CustomContext(args=args)
    _ = context.s3
    return lambda event: run(event, context)


def original(driver: Any) -> Callable[[str], Any]:
    """Return the original way: read everything, then insert row by row."""
    connections: list[Any] = []
    names = ["click_id", "visitor", "page", "referrer", "clicked_at"]
    statement = f"INSERT INTO clicks ({', '.join(names)}) VALUES (%s, %s, %s, %s, %s)"

    def load(event: str) -> None:
        found = json.loads(event)
        answer = S3.get_object(Bucket=found["bucket"], Key=found["key"])
        lines = answer["Body"].read().decode().removesuffix("\n").split("\n")
        rows = [line.split(",") for line in lines]
        if not connections:
            connections.append(connect(driver))
        with connections[0].cursor() as cursor:
            cursor.executemany(statement, rows)
        connections[0].commit()

    return load


def connect(driver: Any) -> Any:
    """Connect to the shim's database."""
    is_postgres = driver.__name__ == "psycopg"
    return driver.connect(
        host=os.environ["DB_HOST"],
        port=int(os.environ["DB_PORT"]),
        user=os.environ["DB_USER"],
        password=os.environ["DB_PASS"],
        **{"dbname" if is_postgres else "database": os.environ["DB_NAME"]},
    )


def notification(bucket: str, key: str) -> str:
    """Return an event with the version of the object, as S3's own has it."""
    version = S3.head_object(Bucket=bucket, Key=key)["VersionId"]
    return json.dumps({"bucket": bucket, "key": key, "version": version})


def main(driver: str, way: str, keys: str, *args: str) -> None:
    """Load objects of the bucket; print the seconds that each took, as JSON.

    Args:
        driver: "psycopg" or "pymysql".
        way: "ours" or "original".
        keys: keys of the objects, separated by commas.
        *args: settings of ours, as on the command line.
    """
    module = import_module(driver)
    load = ours(list(args)) if way == "ours" else original(module)
    seconds = []
    for key in keys.split(","):
        event = notification(os.environ["BUCKET"], key)
        began = monotonic()
        load(event)
        seconds.append(monotonic() - began)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
