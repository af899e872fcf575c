"""Print the rejects of loads, or export their lines to correct them."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lib.chunks import TEXT_LIMIT
from tools import ledger, sql
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


class RejectedLine(NamedTuple):
    """A reject: its line in the file, the reason, and the start of its text."""

    line: int
    reason: str
    content: str


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
        UserError: there is no such load, or the file exists.
    """
    environment = enter(env)
    with sql.connect(environment) as execute:
        if not load and not object:
            if file != Path():
                raise UserError("FILE= needs LOAD= or OBJECT=: choose whose lines")
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
            return export(environment, file, loads, found)
        reasons: Counter[str] = Counter()
        for each, reject in found:
            reasons[reject.reason] += 1
            where = f"load {each.number}, line {reject.line}: {reject.reason}"
            print(f"{where}\n  {sql.format_value(reject.content)}")
        print(f"{reasons.total()} rejects of {', '.join({e.source for e in loads})}")
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
    file: Path,
    loads: list[LoadEntry],
    found: Iterator[tuple[LoadEntry, RejectedLine]],
) -> int:
    """Write rejected lines to a new file, in the format of the function; return 0.

    Raises:
        UserError: the file exists, or cannot be written.
    """
    func = loads[0].func
    newline = ledger.read_setting(environment, func, "newline") or "\n"
    encoding = ledger.read_setting(environment, func, "encoding") or "utf-8"
    count, cut = 0, list[str]()
    try:
        with file.open("x", encoding=encoding, newline="") as output:
            file.chmod(0o600)
            for _, reject in found:
                output.write(f"{reject.content}{newline}")
                count += 1
                if len(reject.content) >= TEXT_LIMIT:
                    cut.append(str(reject.line))
    except FileExistsError:
        raise UserError(f"FILE={file} exists: choose another name") from None
    except OSError as error:
        raise UserError(f"FILE={file} cannot be written: {error.strerror}") from None
    print(f"wrote {count} lines of {loads[0].source} to {file}")
    if cut:
        print(
            f"Only the first {TEXT_LIMIT} characters of a line are kept: complete line "
            f"{', '.join(cut)} from the original."
        )
    env = f" ENV={environment.name}" if environment.name else ""
    words = f"FILE={file} FUNC={func}{env}"
    print(f"Correct it, then load it as a file of its own: make event {words}")
    return 0
