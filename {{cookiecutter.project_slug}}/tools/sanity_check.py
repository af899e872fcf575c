"""The scenario end to end: a file into the bucket, its rows out of the table."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from context import CustomContext, is_outage
from lib.events import S3Object

FUNCTION = "worker"


def main() -> int:
    """Drop a file, let a worker empty the queue, count; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--build", type=Path, required=True)
    options = parser.parse_args()
    config = f"--const_path={options.build / 'config.yml'}"
    expected = len(options.file.read_text(encoding="utf-8").splitlines())
    with CustomContext(args=[config]) as context:
        table = context.var.table
        before = count(context, table)
        found = S3Object(os.environ["BUCKET"], f"{FUNCTION}/sanity_check.csv")
        with options.file.open("rb") as body:
            answer = context.s3.put_object(
                Bucket=found.bucket, Key=found.key, Body=body
            )
        found = found._replace(version=answer["VersionId"])
        words = [sys.executable, options.build / "local_wrapper.py", "--drain"]
        if code := subprocess.run(words).returncode:
            return code  # it has said why
        ledger = context.rds.query(
            "SELECT loaded, rejected FROM loads WHERE object_id = %s AND target = %s",
            (found.id, table),
        )
        added = count(context, table) - before
    if ledger != [(expected, 0)] or added < expected:
        print(
            f"{expected} rows in, but {added} more in {table}; the ledger says "
            f"{ledger or 'nothing'}",
            file=sys.stderr,
        )
        return 1
    print(f"{expected} rows in, {expected} rows out: {table} has {before + added}")
    return 0


def count(context: CustomContext, table: str) -> int:
    """Return the number of rows of a table."""
    return int(context.rds.query(f"SELECT count(*) FROM {table}")[0][0])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception as error:
        if not is_outage(error):
            raise
        sys.exit("The shim does not answer: start it anew by 'make shim'.")
