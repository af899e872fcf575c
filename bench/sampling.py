"""Sample a load to find where its time goes, with py-spy."""

import re
from collections import Counter
from pathlib import Path
from sysconfig import get_path

from bench.measuring import run

RATE = 200  # samples a second
FRAME = re.compile(r"(?P<function>\S+) \((?P<file>.*):(?P<line>\d+)\)")
NUMBERED = re.compile(r"^Thread-\d+ \(|\)$|[-_]\d+$")
# What a thread is doing: decided by the innermost frame in one of these files.
ACTIVITIES = {
    "read from S3": ("/botocore/", "/urllib3/", "/boto3/", "/s3transfer/"),
    "database": ("/psycopg", "/pymysql/", "/lib/rds.py", "/lib/store.py"),
    "lines into rows": ("/lib/rows.py", "/lib/records.py", "/lib/row_pattern.py"),
    "ledger and rejects": ("/lib/loads.py",),
}


def sample(
    words: list[str | Path], directory: Path, environment: dict[str, str]
) -> str:
    """Run a program under py-spy; return a section of Markdown.

    Only samples below a function `run` count. A waiting thread counts for what it
    waits for.
    """
    stacks = directory / "stacks.txt"
    options = [
        f"--rate={RATE}",
        "--idle",
        "--threads",
        "--full-filenames",
        "--format=raw",
    ]
    program = Path(get_path("scripts")) / "py-spy"
    try:
        run(
            [program, "record", *options, f"--output={stacks}", "--", *words],
            directory,
            environment,
        )
    except AssertionError as failure:
        return f"py-spy failed: {str(failure).strip().splitlines()[-1]}"
    activities: dict[str, Counter[str]] = {}
    positions: Counter[str] = Counter()
    for line in stacks.read_text(encoding="utf-8").splitlines():
        frames, _, count = line.rpartition(" ")
        thread, *stack = frames.split(";")
        name = NUMBERED.sub("", thread.partition(": ")[2])
        is_main = name == "MainThread"
        is_working = any(frame.startswith("run (") for frame in stack) or not is_main
        if not name or not is_working:  # while Python starts and imports
            continue
        activity, position = _activity(stack)
        activities.setdefault(name, Counter())[activity] += int(count)
        if is_main:
            positions[position] += int(count)
    if not positions:
        return "The load was too short to be sampled."
    return _tables(activities, positions)


def _activity(stack: list[str]) -> tuple[str, str]:
    """Return what a thread was doing, and at which line."""
    for frame in reversed(stack):
        for activity, files in ACTIVITIES.items():
            found = FRAME.fullmatch(frame)
            if found and any(part in found["file"] for part in files):
                path = "/".join(Path(found["file"]).parts[-2:])
                return activity, f"{path}:{found['line']} {found['function']}"
    return "other", "other"


def _tables(activities: dict[str, Counter[str]], positions: Counter[str]) -> str:
    names = [*ACTIVITIES, "other"]
    lines = [
        "| thread | " + " | ".join(names) + " |",
        "|---|" + "---:|" * len(names),
    ]
    total = positions.total()
    for thread, counts in activities.items():
        shares = (f"{counts[name] / total:.0%}" for name in names)
        lines.append(f"| {thread} | {' | '.join(shares)} |")
    lines += ["", "| line of the main thread | share |", "|---|---:|"]
    lines += [
        f"| `{position}` | {count / total:.0%} |"
        for position, count in positions.most_common(8)
    ]
    return "\n".join(lines)
