"""Check the whole path in the shim: a file into the bucket, its rows in the table."""

import os
import subprocess
import sys

from context import CustomContext
from lib.events import S3Object
from tools import build, shim_resources
from tools.environment import enter
from tools.errors import UserError
from tools.project import ROOT

FUNC = "worker"
FILE = ROOT / "tests" / "data" / "sanity.csv"


def check() -> int:
    """Put a file, let a poller empty the queue, count the rows; return 0.

    Raises:
        UserError: the shim is not running, or rows are missing.
    """
    enter("")
    shim_resources.create_missing(FUNC)
    directory = build.build_local(FUNC)
    expected = len(FILE.read_text(encoding="utf-8").splitlines())
    with CustomContext(args=[f"--const_path={directory / 'config.yml'}"]) as context:
        table = context.var.table
        before = count_rows(context, table)
        found = put_file(context)
        drain_queue(directory / "local_wrapper.py")
        ledger = context.rds.query(
            "SELECT loaded, rejected FROM loads WHERE object_id = %s", (found.id,)
        )
        added = count_rows(context, table) - before
    if ledger != [(expected, 0)] or added < expected:
        raise UserError(
            f"{expected} rows in, but {table} has {added} more; the ledger has "
            f"{ledger or 'no entry'}"
        )
    print(f"{expected} rows in, {expected} rows out: {table} has {before + added}")
    return 0


def put_file(context: CustomContext) -> S3Object:
    """Put the file into the bucket; return the new version of the object."""
    bucket, key = os.environ["BUCKET"], f"{FUNC}/sanity_check.csv"
    with FILE.open("rb") as body:
        answer = context.s3.put_object(Bucket=bucket, Key=key, Body=body)
    return S3Object(bucket, key, version=answer["VersionId"])


def drain_queue(wrapper: str | os.PathLike[str]) -> None:
    """Run a poller until the function's queue is empty.

    Raises:
        UserError: it failed, and has said why.
    """
    command = [sys.executable, wrapper, "--drain", f"--read_queue={FUNC}-pending"]
    if subprocess.run(command).returncode != 0:
        raise UserError("the poller failed, see above")


def count_rows(context: CustomContext, table: str) -> int:
    """Return the number of rows of a table."""
    return int(context.rds.query(f"SELECT count(*) FROM {table}")[0][0])
