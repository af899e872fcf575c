"""The saved events of functions, and the objects that they name.

A function's events are `tests/data/event-<function>.json` and
`event-<function>-<case>.json`. Those that name no function, such as `event.json`, are
the example's. See docs/testing.md.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

from lib import events
from tools.errors import UserError
from tools.project import ROOT, functions, require_function

DATA = ROOT / "tests" / "data"
SAMPLE = DATA / "sanity.csv"
BUCKET = "raw"  # in the events
# Objects of this name are left out, to see what happens without them.
MISSING = "missing"
EXAMPLE = "worker"


class SavedEvent(NamedTuple):
    """A saved message."""

    name: str
    body: str

    @property
    def objects(self) -> list[events.S3Object]:
        """The objects that it names; none if it is no message about objects."""
        try:
            return events.objects(self.body)
        except events.EventError:
            return []


def list_events(func: str) -> list[SavedEvent]:
    """Return the saved events of a function, in the order of their names."""
    return [
        SavedEvent(path.stem, path.read_text(encoding="utf-8"))
        for path in sorted(DATA.glob("event*.json"))
        if find_owner(path.stem) == func
    ]


def choose_functions(func: str) -> list[str]:
    """Return one function, or all that have a main event; print which have none.

    Args:
        func: the function, or empty for all.

    Raises:
        UserError: there is no such function, or it has no main event.
    """
    if func:
        require_function(func)
    chosen = []
    for name in [func] if func else functions():
        missing = f"{name} has no saved event: write tests/data/event-{name}.json"
        if main_event(name):
            chosen.append(name)
        elif func:
            raise UserError(missing)
        else:
            print(f"Skipped: {missing}.", flush=True)
    return chosen


def main_event(func: str) -> SavedEvent | None:
    """Return `event-<function>.json`, or the example's `event.json`."""
    names = (f"event-{func}", "event")
    return next((each for each in list_events(func) if each.name in names), None)


def find_owner(name: str) -> str:
    """Return the function that an event belongs to.

    Args:
        name: of the event's file, without its suffix.
    """
    owners = [each for each in functions() if re.match(f"event-{each}(-|$)", name)]
    return max(owners, key=len, default=EXAMPLE)


class Prepared(NamedTuple):
    """Events whose objects are in a bucket, and the versions and ETags of these."""

    events: list[SavedEvent]
    states: set[str]


def put_objects(saved: list[SavedEvent], bucket: str, s3: Any) -> Prepared:
    """Put the objects that events name, and all files of `tests/data/bucket/`.

    Args:
        saved: the events.
        bucket: name of the bucket.
        s3: client of S3.

    Returns:
        The events with this bucket, and with the objects' versions and ETags.
    """
    folder = DATA / "bucket"
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        key = path.relative_to(folder).as_posix()
        s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
    put: dict[str, Any] = {}
    changed = []
    for name, body in saved:
        for each in SavedEvent(name, body).objects:
            if each.key not in put:
                put[each.key] = _put_object(each.key, bucket, s3)
            body = _replace_state(body, each, put[each.key])
        for quote in ('"', '\\"'):
            body = body.replace(f"{quote}{BUCKET}{quote}", f"{quote}{bucket}{quote}")
        changed.append(SavedEvent(name, body))
    states = {
        each[name].strip('"')
        for each in put.values()
        for name in ("VersionId", "ETag")
        if name in each
    }
    return Prepared(changed, states)


def _put_object(key: str, bucket: str, s3: Any) -> dict[str, str]:
    """Put an object: the file of its name in `tests/data/`, or the sample."""
    name = Path(key).name
    if name.startswith(MISSING):
        return {}
    file = DATA / name
    content = (file if file.is_file() else SAMPLE).read_bytes()
    return dict(s3.put_object(Bucket=bucket, Key=key, Body=content))


def _replace_state(body: str, named: events.S3Object, put: dict[str, str]) -> str:
    """Return the text of an event with the version and the ETag of its object."""
    if named.version:
        body = body.replace(named.version, put.get("VersionId", ""))
    if named.etag:
        body = body.replace(named.etag, put.get("ETag", "").strip('"'))
    return body
