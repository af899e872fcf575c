"""Send a message to a function's queue."""

import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from tools import shim_resources
from tools.deploy_config import Config
from tools.environment import client, enter
from tools.errors import UserError
from tools.project import require_file, require_function


def send(func: str, body: str, file: Path, group: str, env: str) -> int:
    """Send one message, or what the function's schedule would send now; return 0.

    Args:
        func: the function whose queue receives it.
        body: the message, or empty.
        file: a file with the message instead, or an empty path.
        group: message group: of a FIFO queue, or a tenant's in a standard queue.
        env: an environment of `config/deploy.yml`; empty for the shim.

    Raises:
        UserError: there is no message or no such function, or the queue is missing.
    """
    require_function(func)
    environment = enter(env)
    function = environment.functions[func]
    text = read_body(func, function, body, file)
    if not env:
        shim_resources.update()
    url = environment.find_queue_url(func, "pending")
    options = {"MessageGroupId": group} if group else {}
    if function["fifo"]:
        # a new ID, so that SQS does not drop a message that you send again
        options = {
            "MessageGroupId": group or func,
            "MessageDeduplicationId": str(uuid4()),
        }
    sent = client("sqs").send_message(QueueUrl=url, MessageBody=text, **options)
    print(f"sent message {sent['MessageId']} to {function['queue']}")
    return 0


def read_body(func: str, function: Config, body: str, file: Path) -> str:
    """Return the message to send.

    Raises:
        UserError: there is none, or there are two.
    """
    example = f"tests/data/event-{func}.json"
    if body and file != Path():
        raise UserError("BODY= and FILE= are both set: use one of them")
    if body:
        return body
    if file == Path():
        if function["trigger"] == "schedule":
            return make_scheduled_message(func)
        raise UserError(f"BODY= and FILE= are missing: try FILE={example}")
    require_file("FILE", file, example)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"FILE={file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"FILE={file} is not UTF-8, and a message is text") from None
    if not text.strip():
        raise UserError(f"FILE={file} is empty, and SQS takes no empty message")
    return text


def make_scheduled_message(func: str) -> str:
    """Return the message that a schedule sends for this moment."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps({"schedule": func, "time": now})
