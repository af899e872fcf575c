"""Drops a file into the shim's bucket; the notification does the rest."""

import argparse
import os
import sys
from pathlib import Path

from context import CustomContext


def main() -> int:
    """Put the file below the function's prefix; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--function", required=True)
    options = parser.parse_args()
    key = f"{options.function}/{options.file.name}"
    bucket = os.environ["BUCKET"]
    with CustomContext() as context, options.file.open("rb") as body:
        context.s3.put_object(Bucket=bucket, Key=key, Body=body)
    print(f"{options.file} is now s3://{bucket}/{key}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
