"""Send messages for objects that are in the bucket already, as its trigger did."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from time import monotonic, sleep
from typing import Any, NamedTuple
from uuid import uuid4

from lib.events import NULL_VERSION, S3Object
from tests.shim import bootstrap
from tools import dead_letters, shim_resources, sql
from tools.counts import count
from tools.deploy_config import Config
from tools.environment import Environment, client, enter
from tools.errors import UserError
from tools.project import BUILD, ROOT, require_function

STATES = ("loaded", "failed", "never")
BATCH = 10  # messages of a request, SQS's limit
ASKED = 400  # objects in a statement, of which the Data API accepts 65,536 characters
ATTEMPTS = 5  # to send messages that SQS has not accepted
BAR = 30  # characters
# Its identifiers are hashes, so they need no quotes of their own.
FIND_LOADED = """
SELECT object_id FROM loads WHERE object_id IN ({ids})
AND loads.function IN ('{func}', 'func.{func}')
"""


class Listed(NamedTuple):
    """The current version of an object."""

    bucket: str
    key: str
    version: str
    etag: str
    size: int
    modified: datetime

    @property
    def ids(self) -> tuple[str, str]:
        """The names that the ledger may have for it, by its version and its ETag."""
        by_version = S3Object(self.bucket, self.key, self.version, self.etag)
        return by_version.id, by_version._replace(version="").id


class Selection(NamedTuple):
    """Which objects to replay: those of a prefix, a suffix and a time."""

    bucket: str
    prefix: str
    suffix: str
    since: datetime | None
    until: datetime | None

    def __str__(self) -> str:
        times = {"SINCE": self.since, "UNTIL": self.until}
        words = [f", {name}={format_time(at)}" for name, at in times.items() if at]
        return f"s3://{self.bucket}/{self.prefix}*{self.suffix}{''.join(words)}"

    def has(self, listed: Listed) -> bool:
        """Whether an object's time is selected."""
        return (self.since is None or listed.modified >= self.since) and (
            self.until is None or listed.modified < self.until
        )


Page = list[Listed]
Filter = Callable[[Page], Page]


class Marker:
    """How far a replay has come, in a file that outlives this process.

    Args:
        identity: what makes a replay the same one when it is typed again.
    """

    def __init__(self, *identity: Any) -> None:
        name = sha256(json.dumps(identity, default=str).encode()).hexdigest()[:12]
        self.path = BUILD / "replay" / f"{name}.json"
        self.after, self.sent = "", 0
        if self.path.exists():
            found = json.loads(self.path.read_text(encoding="utf-8"))
            self.after, self.sent = found["after"], found["sent"]

    def write(self, after: str, more: int) -> None:
        """Record the last key of the messages that SQS has accepted."""
        self.after, self.sent = after, self.sent + more
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"after": self.after, "sent": self.sent})
        new = self.path.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        new.replace(self.path)  # a kill leaves the old file or the new one

    def delete(self) -> None:
        """Forget the replay, which is complete."""
        self.path.unlink(missing_ok=True)

    def __str__(self) -> str:
        path = self.path.relative_to(ROOT)
        sent = count(self.sent, "message")
        return f"after {self.after}, {sent} sent before (see {path})"


def replay(
    func: str,
    env: str,
    prefix: str,
    since: datetime | None,
    until: datetime | None,
    state: str,
    rate: int,
    yes: bool,
) -> int:
    """Send a message for each object that matches, or only count them; return 0.

    A replay that was interrupted goes on after the last message that SQS has accepted,
    when it is typed again. At most one batch is then sent twice.

    Args:
        func: the function, whose trigger is the bucket.
        env: an environment of `config/deploy.yml`; empty for the shim.
        prefix: of the objects' keys, with or without the function's own prefix.
        since: the earliest time of modification.
        until: the time of modification from which on objects are left out.
        state: one of `STATES`, or empty for all.
        rate: messages per second.
        yes: whether to send them.

    Raises:
        UserError: the function has another trigger or no ledger, the times select
            nothing, or SQS or the database refuses.
    """
    require_function(func)
    if since and until and since >= until:
        raise UserError(
            f"SINCE={format_time(since)} is not before UNTIL={format_time(until)}: "
            "exchange them"
        )
    environment = enter(env)
    if not env:
        shim_resources.update()
    function = environment.functions[func]
    require_bucket(environment, func)
    key_prefix = full_prefix(function, prefix)
    bucket = environment.find_bucket()
    selection = Selection(bucket, key_prefix, function["suffix"], since, until)
    url = environment.find_queue_url(func, "pending")
    marker = Marker(env, func, *selection, state)
    with open_filter(environment, func, state) as has_state:

        def keep(page: Page) -> Page:
            return has_state([each for each in page if selection.has(each)])

        if marker.after:
            print(f"This replay was interrupted and goes on {marker}.")
        found = selected = 0
        for page in list_pages(selection, marker.after):
            found += len(page)
            selected += len(keep(page))
        print(
            f"{selected:,} of {count(found, 'object')} selected: {selection}"
            f"{f', STATE={state}' if state else ''}",
            flush=True,
        )
        if not yes or not (selected or marker.after):
            advise(func, function, state, selected)
            return 0
        objects = (
            each for page in list_pages(selection, marker.after) for each in keep(page)
        )
        make_body = choose_form(environment)
        try:
            send_all(url, objects, make_body, marker, Pace(rate, selected))
        except KeyboardInterrupt:
            print(f"\nInterrupted: the same command goes on {marker}.")
            return 130
    marker.delete()
    print(f"Sent {count(marker.sent, 'message')} to {function['queue']}.")
    return 0


def require_bucket(environment: Environment, func: str) -> None:
    """Require that objects trigger a function.

    Raises:
        UserError: something else does.
    """
    trigger = environment.functions[func]["trigger"]
    if trigger != "bucket":
        raise UserError(
            f"FUNC={func} has the trigger {trigger}, so no objects are sent to it: use "
            f"'make send FUNC={func}'"
        )


def full_prefix(function: Config, prefix: str) -> str:
    """Return the prefix of keys that the function is sent and that is asked for."""
    own = str(function["prefix"])
    if f"{prefix}/" == own:
        return own
    return prefix if prefix.startswith(own) else own + prefix


def advise(func: str, function: Config, state: str, selected: int) -> None:
    """Say how to send the messages, and what the function may then do."""
    if not selected:
        print("Nothing was sent.")
        return
    print(f"Nothing was sent: YES=1 sends a message for each to {function['queue']}.")
    if function["database"] and state in ("", "loaded"):
        print(
            f"If {func} uses the ledger, it leaves out each version that was loaded. "
            "Undo a load first, or use STATE=never."
        )


def find_current(bucket: str, key: str) -> Listed:
    """Return the current version of an object.

    Raises:
        UserError: there is no such object.
    """
    page = next(list_pages(Selection(bucket, key, "", None, None), ""))
    if not page or page[0].key != key:
        raise UserError(f"s3://{bucket}/{key} is not in the bucket any more")
    return page[0]


def list_pages(selection: Selection, after: str) -> Iterator[Page]:
    """Yield the objects of a selection in pages of up to 1000, in the order of keys.

    Those of all times are among them. The versions are listed, because the ledger and
    AWS's messages name them.

    Args:
        selection: the objects.
        after: key to begin after, or empty.
    """
    request = {"Bucket": selection.bucket, "Prefix": selection.prefix}
    if after:
        request["KeyMarker"] = after
    paginator = client("s3").get_paginator("list_object_versions")
    for page in paginator.paginate(**request):
        listed = (
            Listed(
                selection.bucket,
                each["Key"],
                "" if each["VersionId"] == NULL_VERSION else each["VersionId"],
                each["ETag"].strip('"'),
                each["Size"],
                each["LastModified"],
            )
            for each in page.get("Versions", [])
            if each["IsLatest"] and each["Key"] > after
        )
        yield [each for each in listed if each.key.endswith(selection.suffix)]


@contextlib.contextmanager
def open_filter(environment: Environment, func: str, state: str) -> Iterator[Filter]:
    """Yield a function that returns the objects of a page that have a state.

    Raises:
        UserError: the function has no database, or it cannot be reached.
    """
    if not state:
        yield lambda page: page
        return
    if not environment.functions[func]["database"]:
        raise UserError(
            f"STATE={state} needs the ledger, and {func} has no database: leave it out"
        )
    failed: set[tuple[str, str]] = set()
    if state == "failed":
        failed = dead_letters.list_objects(environment, func)
    with sql.connect(environment) as execute:

        def keep(page: Page) -> Page:
            page = [each for each in page if not failed or is_named(each, failed)]
            if not page or (state == "failed" and not failed):
                return []
            loaded = set[str]()
            for at in range(0, len(page), ASKED):
                names = (name for each in page[at : at + ASKED] for name in each.ids)
                ids = ", ".join(f"'{name}'" for name in names)
                result = execute(FIND_LOADED.format(ids=ids, func=func))
                loaded |= {name for (name,) in result.rows}
            is_wanted = state == "loaded"
            return [
                each
                for each in page
                if bool(loaded.intersection(each.ids)) is is_wanted
            ]

        yield keep


def is_named(listed: Listed, named: set[tuple[str, str]]) -> bool:
    """Whether messages name an object, or this very version of it."""
    states = ("", listed.version, listed.etag)
    return any((listed.key, each) in named for each in states)


def choose_form(environment: Environment) -> Callable[[Listed], str]:
    """Return a function that makes the message which the trigger sends for an object.

    On AWS that is EventBridge's event. Fields that only S3 knows, such as the
    requester, are left out. The shim's own rule sends some fields, and the emulator
    knows no versions.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """
    if not environment.name:
        return make_shim_message
    account = client("sts").get_caller_identity()["Account"]
    meta = client("s3").meta

    def make_body(listed: Listed) -> str:
        named = {"key": listed.key, "size": listed.size, "etag": listed.etag}
        if listed.version and environment.is_on_aws:
            named["version-id"] = listed.version
        event = {
            "version": "0",
            "id": str(uuid4()),
            "detail-type": "Object Created",
            "source": "aws.s3",
            "account": account,
            "time": format_time(listed.modified),
            "region": meta.region_name,
            "resources": [f"arn:{meta.partition}:s3:::{listed.bucket}"],
            "detail": {
                "version": "0",
                "bucket": {"name": listed.bucket},
                "object": named,
            },
        }
        return json.dumps(event)

    return make_body


def make_shim_message(listed: Listed) -> str:
    """Return the message of the shim's own rule for an object."""
    values = {
        "time": format_time(listed.modified),
        "bucket": {"name": listed.bucket},
        "key": listed.key,
        "size": listed.size,
    }
    text = bootstrap.EVENT
    for name, value in values.items():
        text = text.replace(f"<{name}>", json.dumps(value), 1)
    return text


def format_time(time: datetime) -> str:
    """Return a time as events have it."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


class Pace:
    """Keeps messages to a rate, and shows how many were sent.

    Args:
        rate: messages per second.
        total: how many there are.
    """

    def __init__(self, rate: int, total: int) -> None:
        self.batch = min(BATCH, rate)
        self._rate, self._total, self._sent = rate, total, 0
        self._started = self._shown_at = monotonic()

    def record(self, sent: int) -> None:
        """Count messages that were sent, and wait until more may be."""
        self._sent += sent
        self._show()
        due = self._started + self._sent / self._rate
        if self._sent < self._total:
            sleep(max(0, due - monotonic()))

    def _show(self) -> None:
        is_last, now = self._sent >= self._total, monotonic()
        text = f"{self._sent:,} of {self._total:,}"
        if sys.stdout.isatty():
            share = min(1, self._sent / self._total)
            bar = ("#" * int(share * BAR)).ljust(BAR, ".")
            print(f"\r[{bar}] {text}", end="\n" if is_last else "", flush=True)
        elif is_last or now - self._shown_at >= 10:
            self._shown_at = now
            print(f"sent {text}", flush=True)


def send_all(
    url: str,
    objects: Iterable[Listed],
    make_body: Callable[[Listed], str],
    marker: Marker,
    pace: Pace,
) -> None:
    """Send a message for each object, in batches.

    Raises:
        UserError: SQS does not accept some.
    """
    batch: Page = []
    for each in objects:
        batch.append(each)
        if len(batch) == pace.batch:
            send_batch(url, [make_body(each) for each in batch])
            marker.write(batch[-1].key, len(batch))
            pace.record(len(batch))
            batch = []
    if batch:
        send_batch(url, [make_body(each) for each in batch])
        marker.write(batch[-1].key, len(batch))
        pace.record(len(batch))


def send_batch(url: str, bodies: list[str]) -> None:
    """Send up to ten messages, and those again that SQS has not accepted.

    Raises:
        UserError: it has not accepted them after `ATTEMPTS`.
    """
    reason = ""
    for attempt in range(ATTEMPTS):
        sleep(attempt)
        entries = [
            {"Id": str(number), "MessageBody": body}
            for number, body in enumerate(bodies)
        ]
        answer = client("sqs").send_message_batch(QueueUrl=url, Entries=entries)
        failed = answer.get("Failed", [])
        if not failed:
            return
        bodies = [bodies[int(each["Id"])] for each in failed]
        reason = failed[0].get("Message") or failed[0]["Code"]
    raise UserError(
        f"SQS has not accepted {count(len(bodies), 'message')} ({reason}): the same "
        "command sends them again and goes on"
    )
