"""The code of a deployed Lambda that `releases` has not published yet: `$LATEST`."""

from base64 import b64encode
from hashlib import sha256

from tools.environment import client
from tools.grants import LIVE as LIVE


def update(full_name: str, code: bytes) -> bool:
    """Let a Lambda's `$LATEST` have a zip; return whether it had another one."""
    if read_hash(full_name) == hash_zip(code):
        return False
    client("lambda").update_function_code(FunctionName=full_name, ZipFile=code)
    wait(full_name)
    return True


def wait(full_name: str) -> None:
    """Wait until a Lambda's update is complete."""
    waiter = client("lambda").get_waiter("function_updated_v2")
    waiter.wait(FunctionName=full_name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})


def read_hash(full_name: str) -> str:
    """Return the hash of `$LATEST`'s zip; empty if there is no such Lambda."""
    lambdas = client("lambda")
    try:
        found = lambdas.get_function_configuration(FunctionName=full_name)
    except lambdas.exceptions.ResourceNotFoundException:
        return ""
    return str(found["CodeSha256"])


def hash_zip(code: bytes) -> str:
    """Return the hash of a zip as Lambda writes it."""
    return b64encode(sha256(code).digest()).decode()
