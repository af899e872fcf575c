"""Drops a file into the bucket; the notification does the rest."""

import argparse
import sys
from pathlib import Path

from botocore.exceptions import ClientError

from place import Place, answer, parser
from sizes import Refusal


def drop(place: Place, options: argparse.Namespace) -> int:
    """Put the file below the function's prefix; return 0.

    Raises:
        Refusal: there is no such file, or no bucket.
    """
    bucket = options.bucket or place.bucket()
    key = f"{options.function}/{options.file.name}"
    try:
        with options.file.open("rb") as body:
            place.client("s3").put_object(Bucket=bucket, Key=key, Body=body)
    except OSError as error:
        raise Refusal(f"FILE={options.file}: {error.strerror}") from None
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchBucket":
            told = place.lacks(f"bucket {bucket}")
            if options.bucket:
                told = f"BUCKET={bucket} is no bucket of {place}"
            raise Refusal(told) from None
        raise
    print(f"{options.file} is now s3://{bucket}/{key}")
    return 0


if __name__ == "__main__":
    words = parser(__doc__)
    words.add_argument("file", type=Path)
    words.add_argument("--function", required=True)
    words.add_argument("--bucket", help="another one than the environment's")
    sys.exit(answer(words.parse_args(), drop))
