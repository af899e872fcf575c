"""The file that tells the other make targets where the shim is: `.shim/shim.env`."""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from tests.shim.bootstrap import BUCKET
from tests.shim.options import Options
from tests.shim.processes import STATE

FILE = STATE / "shim.env"
LOOPBACK = ("127.0.0.1", "localhost")
# Each of these in a user's shell would lead a client away from the shim.
UNSET = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
)


def bypass_proxies() -> None:
    """Keep requests to the loopback interface away from proxies.

    This changes the environment of this process and of those it starts. Entries of
    `no_proxy` are kept.
    """
    old = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    entries = [entry for entry in map(str.strip, old.split(",")) if entry]
    if entries != ["*"]:  # matches every host, but only as the one entry
        entries += [host for host in LOOPBACK if host not in entries]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(entries)


def variables(options: Options) -> dict[str, str]:
    """Return the environment of a client of the shim, without secrets."""
    return {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_ACCESS_KEY_ID": "shim",
        "AWS_SECRET_ACCESS_KEY": "shim",
        "AWS_REGION": options.region,
        "AWS_DEFAULT_REGION": options.region,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{options.aws_port}",
        "BUCKET": BUCKET,
        "DB_HOST": "127.0.0.1",
        "DB_PORT": str(options.db_port),
        "DB_NAME": "main",
        "DB_USER": "app",  # has the rights of functions on AWS
        "DB_ADMIN": "worker",  # owns the tables, with the same password
        "DB_PASS": "shim",
        "DB_TLS": "prefer",
        "no_proxy": os.environ["no_proxy"],
        "NO_PROXY": os.environ["NO_PROXY"],
    }


@contextmanager
def published(options: Options) -> Iterator[None]:
    """Keep the file while the shim runs: one `export` or `unset` a line.

    A shell can source it, and Python can read it line by line with shlex.
    """
    lines = [f"unset {name}" for name in UNSET]
    for name, value in variables(options).items():
        lines.append(f"export {name}={shlex.quote(value)}")
    new = FILE.with_suffix(".new")
    try:
        new.write_text("\n".join(lines) + "\n", encoding="utf-8")
        new.replace(FILE)  # readers never see half of it
        yield
    finally:
        new.unlink(missing_ok=True)
        FILE.unlink(missing_ok=True)
