"""Where the time of a load goes: samples of every thread, taken from outside."""

import re
from collections import Counter
from pathlib import Path
from sysconfig import get_path

from bench.measuring import run

RATE = 200  # samples a second
FRAME = re.compile(r"(?P<function>\S+) \((?P<file>.*):(?P<line>\d+)\)")
NUMBERED = re.compile(r"^Thread-\d+ \(|\)$|[-_]\d+$")
# The innermost frame that one of these knows tells what a thread was doing.
ROOMS = {
    "read from S3": ("/botocore/", "/urllib3/", "/boto3/", "/s3transfer/"),
    "database": ("/psycopg", "/pymysql/", "/lib/rds.py"),
    "lines into rows": ("/lib/rows.py",),
    "rows counted, refusals": ("/lib/loads.py",),
}


def sample(words: list[str | Path], folder: Path, environment: dict[str, str]) -> str:
    """Run a program, sampled; return a section of Markdown.

    Only samples below a function `run` count. A thread that waits counts as well, for
    what it waits for.
    """
    stacks = folder / "stacks.txt"
    how = [f"--rate={RATE}", "--idle", "--threads", "--full-filenames", "--format=raw"]
    program = Path(get_path("scripts")) / "py-spy"
    try:
        run(
            [program, "record", *how, f"--output={stacks}", "--", *words],
            folder,
            environment,
        )
    except AssertionError as failure:
        return f"There is none: {str(failure).strip().splitlines()[-1]}"
    rooms: dict[str, Counter[str]] = {}
    places: Counter[str] = Counter()
    for line in stacks.read_text(encoding="utf-8").splitlines():
        frames, _, count = line.rpartition(" ")
        thread, *stack = frames.split(";")
        name = NUMBERED.sub("", thread.partition(": ")[2])
        is_main = name == "MainThread"
        is_at_work = any(frame.startswith("run (") for frame in stack) or not is_main
        if not name or not is_at_work:  # the interpreter starts, or imports
            continue
        room, place = _room(stack)
        rooms.setdefault(name, Counter())[room] += int(count)
        if is_main:
            places[place] += int(count)
    if not places:
        return "The load was too short to be sampled."
    return _tables(rooms, places)


def _room(stack: list[str]) -> tuple[str, str]:
    """Return what a thread was doing, and the line of it."""
    for frame in reversed(stack):
        for room, files in ROOMS.items():
            found = FRAME.fullmatch(frame)
            if found and any(part in found["file"] for part in files):
                path = "/".join(Path(found["file"]).parts[-2:])
                return room, f"{path}:{found['line']} {found['function']}"
    return "else", "else"


def _tables(rooms: dict[str, Counter[str]], places: Counter[str]) -> str:
    names = [*ROOMS, "else"]
    lines = [
        "| thread | " + " | ".join(names) + " |",
        "|---|" + "---:|" * len(names),
    ]
    whole = places.total()
    for thread, counts in rooms.items():
        shares = (f"{counts[name] / whole:.0%}" for name in names)
        lines.append(f"| {thread} | {' | '.join(shares)} |")
    lines += ["", "| line of the main thread | share |", "|---|---:|"]
    lines += [
        f"| `{place}` | {count / whole:.0%} |" for place, count in places.most_common(8)
    ]
    return "\n".join(lines)
