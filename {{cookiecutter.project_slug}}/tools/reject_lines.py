"""Print the rejects of loads, or export their lines to correct them."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lib.chunks import TEXT_LIMIT
from tools import event, ledger, sql
from tools.counts import count
from tools.environment import Environment, enter
from tools.errors import UserError
from tools.ledger import LoadEntry
from tools.sql import Execute

PAGE = 100  # rows, which are within the Data API's megabyte
SUMMARY = """
SELECT number, object_key, loads.function, reason,
    count(*) AS rejects, min(line) AS first_line
FROM rejects JOIN loads USING (number)
GROUP BY number, object_key, loads.function, reason
ORDER BY number DESC, count(*) DESC, reason LIMIT {limit}
"""
LINES = """
SELECT line, reason, content FROM rejects
WHERE number = {number} AND line > {line} ORDER BY line LIMIT {limit}
"""
# How `lib.chunks.make_readable` writes bytes that are no text.
ESCAPED = re.compile(r"\\x[0-9a-f]{2}")


class RejectedLine(NamedTuple):
    """A reject: its line in the file, the reason, and the start of its text."""

    line: int
    reason: str
    content: str

    @property
    def is_whole(self) -> bool:
        """Whether the text is the line as it was in the file."""
        return len(self.content) < TEXT_LIMIT and not ESCAPED.search(self.content)


def show(
    load: str,
    object: str,  # noqa: A002 - named as the variable is
    reason: str,
    file: Path,
    env: str,
) -> int:
    """Print the rejects of a load, or write their lines to a file; return 0.

    Without a load and an object, the newest reasons are printed, with counts.

    Args:
        load: number of a load, or empty.
        object: key or URI of an object instead.
        reason: only rejects whose reason has this text.
        file: the file to write, or an empty path.
        env: an environment of `config/deploy.yml`; empty for the shim.

    Raises:
        UserError: there is no such load, or the file cannot be written.
    """
    environment = enter(env)
    with sql.connect(environment) as execute:
        if not load and not object:
            if reason or file != Path():
                raise UserError(
                    "REASON= and FILE= need LOAD= or OBJECT=: choose whose lines"
                )
            sql.print_result(execute(SUMMARY.format(limit=PAGE)))
            return 0
        loads = ledger.find_loads(execute, load, object)
        found = (
            (each, reject)
            for each in loads
            for reject in read_lines(execute, each.number)
            if reason in reject.reason
        )
        if file != Path():
            return export(environment, execute, file, loads, found)
        reasons: Counter[str] = Counter()
        for each, reject in found:
            reasons[reject.reason] += 1
            where = f"load {each.number}, line {reject.line}: {reject.reason}"
            print(f"{where}\n  {sql.format_value(reject.content)}")
        sources = ", ".join({each.source for each in loads})
        print(f"{count(reasons.total(), 'reject')} of {sources}")
    return 0


def read_lines(execute: Execute, number: int) -> Iterator[RejectedLine]:
    """Yield the rejects of a load in the order of their lines."""
    line = -1
    while True:
        statement = LINES.format(number=number, line=line, limit=PAGE)
        page = [RejectedLine(*row) for row in execute(statement).rows]
        yield from page
        if len(page) < PAGE:
            return
        line = page[-1].line


def export(
    environment: Environment,
    execute: Execute,
    file: Path,
    loads: list[LoadEntry],
    found: Iterator[tuple[LoadEntry, RejectedLine]],
) -> int:
    """Write rejected lines to a new file, in the format of the function; return 0.

    Raises:
        UserError: they are of several loads, or there are none, or the file cannot be
            written, or loading it would delete rows of another one.
    """
    if len(loads) > 1:
        numbers = ", ".join(str(each.number) for each in loads)
        raise UserError(f"FILE= takes the lines of one load: choose LOAD= of {numbers}")
    [load] = loads
    settings = ledger.read_settings(environment, load.func)
    function = environment.functions[load.func]
    if function["trigger"] == "bucket":
        key = event.make_key(function, load.func, file)
        if settings.on_new_version == "replace" and ledger.has_key(execute, key):
            raise UserError(
                f"FILE={file} would be {key}, which is loaded, and on_new_version: "
                "replace would delete its rows: choose another name"
            )
    rejects = [reject for _, reject in found]
    if not rejects:
        raise UserError(f"load {load.number} has no such rejects: nothing was written")
    text = "".join(f"{each.content}{settings.newline}" for each in rejects)
    write_new(file, encode(text, settings.encoding))
    print(f"wrote {count(len(rejects), 'line')} of {load.source} to {file}")
    cut = [str(each.line) for each in rejects if not each.is_whole]
    if cut:
        print(
            f"Only the first {TEXT_LIMIT:,} characters of a line are kept, and what is "
            f"no text as \\x and two digits: take line {', '.join(cut)} from the "
            "original."
        )
    if around := describe_surroundings(settings):
        print(f"Add, as in the original: {around}.")
    if function["trigger"] == "bucket":
        env = f" ENV={environment.name}" if environment.name else ""
        words = f"FILE={file} FUNC={load.func}{env}"
        print(f"Correct it, then load it as a file of its own: make event {words}")
    return 0


def encode(text: str, encoding: str) -> bytes:
    """Return lines in the encoding of a function's files.

    Raises:
        UserError: it does not have all of their characters.
    """
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        raise UserError(
            f"encoding {encoding} has no {text[error.start]!r}, which is in these "
            "lines: set the encoding with which they were loaded"
        ) from None


def write_new(file: Path, data: bytes) -> None:
    """Write a file that only you can read.

    Raises:
        UserError: it exists, or cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600, exist_ok=False)
        try:
            file.write_bytes(data)
        except OSError:
            file.unlink()
            raise
    except FileExistsError:
        raise UserError(f"FILE={file} exists: choose another name") from None
    except OSError as error:
        raise UserError(f"FILE={file} cannot be written: {error.strerror}") from None


def describe_surroundings(settings: Any) -> str:
    """Return which lines a function expects that are no rows, or an empty text."""
    parts = []
    if settings.skip_lines:
        parts.append(f"{count(settings.skip_lines, 'line')} at the start")
    if settings.header != "false":
        parts.append("the header")
    if settings.trailer_lines:
        parts.append(f"{count(settings.trailer_lines, 'line')} at the end")
    return ", ".join(parts)
