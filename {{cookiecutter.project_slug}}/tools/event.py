"""Put a file into the bucket. S3 then notifies the function's queue."""

from pathlib import Path

from botocore.exceptions import ClientError

from tools import shim_resources
from tools.environment import client, enter
from tools.errors import UserError
from tools.project import require_file, require_function


def put(file: Path, func: str, env: str, bucket: str) -> int:
    """Put a file under the function's prefix; return 0.

    Args:
        file: the file.
        func: the function that handles it.
        env: an environment of `config/deploy.yml`; empty for the shim.
        bucket: another bucket than the environment's, or empty.

    Raises:
        UserError: there is no such file, function or bucket.
    """
    require_function(func)
    require_file("FILE", file, "tests/data/large.csv")
    environment = enter(env)
    if not env:
        shim_resources.create_missing(func)
    name = bucket or environment.find_bucket()
    key = f"{func}/{file.name}"
    try:
        with file.open("rb") as body:
            client("s3").put_object(Bucket=name, Key=key, Body=body)
    except OSError as error:
        raise UserError(f"FILE={file} cannot be read: {error.strerror}") from None
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise
        if bucket:
            raise UserError(
                f"BUCKET={bucket} is not a bucket of {environment}"
            ) from None
        raise environment.explain_missing(f"bucket {name}") from None
    print(f"{file} is now s3://{name}/{key}")
    return 0
