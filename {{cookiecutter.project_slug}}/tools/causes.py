"""Group the dead letters of a function by their cause."""

import json
import re
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple

from tools import dead_letters, logs, shim_resources
from tools.counts import count
from tools.environment import Environment, enter
from tools.errors import UserError
from tools.project import require_function

BODY_LIMIT = 200  # characters of an example
UNKNOWN = "unknown: the log has no line about it"
# In a function's log, the lines about messages that it has not done.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
PATTERN = '{ ($.outcome = "failed") || ($.outcome = "not started") }'
# What differs between messages that failed for the same reason.
OWN_PARTS = re.compile(
    r"s3://\S+|\b[0-9a-f]{8}-[-0-9a-f]{27}\b|(?<![(\d])(?<!\bs)\d+"  # keeps s3
)


class DeadLetter(NamedTuple):
    """A dead letter: its ID, when it was first sent, and the start of its body."""

    id: str
    sent: datetime
    text: str
    cause: str = ""

    @property
    def group(self) -> str:
        """A short name of its cause, the same whenever it is computed."""
        return sha256(self.cause.encode()).hexdigest()[:6]


def show(func: str, env: str, message: str) -> int:
    """Print the causes of dead letters with counts, or a message's body; return 0.

    Args:
        func: the function.
        env: an environment of `config/deploy.yml`; empty for the shim.
        message: the ID of a dead letter, or empty.

    Raises:
        UserError: there is no such function, queue or message.
    """
    require_function(func)
    environment = enter(env)
    if not env:
        shim_resources.update()
    if message:
        print(dead_letters.read_body(environment, func, message))
        return 0
    found = read_all(environment, func)
    queue = environment.queue_name(func, "dead-letter")
    if not found:
        print(f"{queue} has no messages.")
        return 0
    groups = group(found)
    letters = count(len(found), "dead letter")
    print(f"{queue}: {letters}, {count(len(groups), 'cause')}")
    for name, members in groups.items():
        example = max(members, key=lambda each: each.sent)
        print(
            f"\n{name}  {count(len(members), 'dead letter')}: {example.cause}\n"
            f"  such as {example.id}, sent {example.sent:%Y-%m-%dT%H:%M:%SZ}\n"
            f"  {example.text}"
        )
    words = f"FUNC={func}{f' ENV={env}' if env else ''}"
    first = next(iter(groups))
    print(
        f"\nAfter you have fixed a cause: make redrive {words} CAUSE={first}"
        f"\nTo delete instead: make purge {words} QUEUE=dead-letter CAUSE=…"
        f"\nTo see a body: make dead {words} MESSAGE=…"
    )
    return 0


def choose(environment: Environment, func: str, cause: str, message: str) -> set[str]:
    """Return the IDs of the dead letters that a user names.

    Args:
        environment: the one that was entered.
        func: the function.
        cause: the short name of a cause, or empty.
        message: the ID of a message, or empty.

    Raises:
        UserError: both are given, or no dead letter has this cause.
    """
    if message and cause:
        raise UserError("CAUSE= and MESSAGE= are both set: use one of them")
    if message:
        return {message}
    groups = group(read_all(environment, func))
    if cause not in groups:
        queue = environment.queue_name(func, "dead-letter")
        known = f"choose one of {', '.join(groups)}" if groups else "it is empty"
        raise UserError(f"CAUSE={cause} is no cause in {queue}: {known}")
    return {each.id for each in groups[cause]}


def read_all(environment: Environment, func: str) -> list[DeadLetter]:
    """Return all dead letters of a function with their causes; they stay there.

    The cause is what the function has logged about the message at last. In the shim it
    is the error of a dry run, so that you see the effect of a fix. Where that ends
    before the function does, it is the logged one, if there is one.

    Raises:
        UserError: the queue does not exist, or the function cannot be run.
    """
    url = environment.find_queue_url(func, "dead-letter")
    found, bodies = dict[str, DeadLetter](), dict[str, str]()
    with closing(dead_letters.receive_all(url)) as messages:
        for each in messages:
            name, body = each["MessageId"], each["Body"]
            sent = int(each["Attributes"]["SentTimestamp"]) / 1000
            text = f"{body[:BODY_LIMIT]}{'…' if len(body) > BODY_LIMIT else ''}"
            at = datetime.fromtimestamp(sent, UTC)
            found[name] = DeadLetter(name, at, " ".join(text.split()))
            if not environment.name:
                bodies[name] = body
    if not found:
        return []
    causes = read_causes(environment, func, found.values())
    if bodies:
        from tools import dry_run  # imports the function's settings

        for name, cause in dry_run.find_causes(func, bodies):
            if dry_run.UNFINISHED in cause and name in causes:
                causes[name] += " (at its last attempt)"
            else:
                causes[name] = cause
    return [
        each._replace(cause=generalize(causes.get(name, UNKNOWN)))
        for name, each in found.items()
    ]


def read_causes(
    environment: Environment, func: str, letters: Iterable[DeadLetter]
) -> dict[str, str]:
    """Return the last error that a function has logged about each message, if any."""
    start = min(each.sent for each in letters)
    names = {each.id for each in letters}
    causes: dict[str, str] = {}
    pattern = PATTERN if environment.is_on_aws else ""
    try:
        start_time = int(start.timestamp() * 1000)
        for event in logs.read_events(environment, func, start_time, pattern):
            try:
                line = json.loads(event["message"])
                name, outcome = line["messageId"], line["outcome"]
            except (ValueError, TypeError, KeyError):
                continue
            if name in names and outcome != "done":
                causes[name] = re.sub(
                    r"^message \S+ [a-z ]+: ", "", str(line["message"])
                )
    except logs.NoLogError:
        pass
    return causes


def generalize(cause: str) -> str:
    """Return an error on one line, without what differs between its messages."""
    return OWN_PARTS.sub("…", " ".join(cause.split()))


def group(letters: Iterable[DeadLetter]) -> dict[str, list[DeadLetter]]:
    """Return dead letters by the short names of their causes, largest first."""
    groups: dict[str, list[DeadLetter]] = {}
    for each in letters:
        groups.setdefault(each.group, []).append(each)
    return dict(sorted(groups.items(), key=lambda item: -len(item[1])))
