"""Put a file into the bucket. EventBridge then sends a message to the queue."""

from pathlib import Path

from botocore.exceptions import ClientError

from tools import shim_resources
from tools.deploy_config import Config
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
        UserError: there is no such file, function or bucket, or the function receives
            no message for the file.
    """
    require_function(func)
    require_file("FILE", file, "tests/data/large.csv")
    environment = enter(env)
    if not env:
        shim_resources.update()
    name = bucket or environment.find_bucket()
    key = make_key(environment.functions[func], func, file)
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


def make_key(function: Config, func: str, file: Path) -> str:
    """Return the key of a file's object, below the function's prefix.

    Raises:
        UserError: the function would receive no message for it.
    """
    if function["trigger"] != "bucket":
        raise UserError(
            f"FUNC={func} has the trigger {function['trigger']}, so a file in the "
            f"bucket sends it no message: use 'make send FUNC={func}'"
        )
    if not file.name.endswith(function["suffix"]):
        raise UserError(
            f"FILE={file} does not end with {function['suffix']}, the suffix of {func} "
            "in config/deploy.yml: it would be sent no message"
        )
    return f"{function['prefix']}{file.name}"
