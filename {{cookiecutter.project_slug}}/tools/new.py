"""Create a function from the files in tools/starter/<trigger>/.

They mirror the project. The word `starter` stands for the function's name, in the names
of the files and in their text; change them to start new functions in another way. With
TABLE= they are those of tools/starter/table/, and its migration gets the next number.
"""

import keyword
import re
from pathlib import Path

import yaml

from tools import build, deploy_config, migrations
from tools.errors import UserError
from tools.project import ROOT, functions

STARTER = ROOT / "tools" / "starter"
DEPLOY = ROOT / "config" / "deploy.yml"
# The entry of a new function in config/deploy.yml, by its trigger.
ENTRIES = {
    "bucket": "{}",
    "queue": "{trigger: queue}",
    "schedule": '{trigger: schedule, schedule: "cron(0 2 * * ? *)", timezone: UTC}',
    "topic": "{trigger: topic, topic: starter}",
}
PLACEHOLDER = "starter"
TABLE_PLACEHOLDER = "starter_table"
TABLE_STARTER = "table"
TEMPLATE_TABLES = ("loads", "rejects", "migrations")
RESERVED = {
    "run": "each build calls its function by this name",
    "secrets": "config/secrets-*.env hold secrets",
}


def create(func: str, trigger: str, table: str) -> int:
    """Write the function's files and its entry in `config/deploy.yml`; return 0.

    Args:
        func: name of the function.
        trigger: a key of `ENTRIES`.
        table: name of the table that it loads files into, or empty.

    Raises:
        UserError: a name is taken or not allowed, there is no such trigger, or the
            entry cannot be added. Nothing has been written then.
    """
    check_name(func)
    check_trigger(func, trigger)
    if table:
        check_table(table, trigger)
    new = read_starter(func, TABLE_STARTER if table else trigger, table)
    entry = ENTRIES[trigger].replace(PLACEHOLDER, func)
    new[DEPLOY] = add_entry(DEPLOY.read_text(encoding="utf-8"), func, entry)
    for path, text in new.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    message = {
        "bucket": f"event FUNC={func} FILE=tests/data/sanity.csv",
        "schedule": f"send FUNC={func}",
    }.get(trigger, f"send FUNC={func} FILE=tests/data/event-{func}.json")
    migrate = "make migrate, " if table else ""
    print(
        f"Next: make test, {migrate}make run FUNC={func}, and in another terminal make "
        f"{message}"
    )
    return 0


def check_name(func: str) -> None:
    """Check that a new function can have this name.

    Raises:
        UserError: it cannot.
    """
    if not func:
        raise UserError("FUNC= is missing: name the function, as in FUNC=tally")
    build.check_name(func)
    if func in functions():
        raise UserError(f"FUNC={func} is taken: src/func/{func}.py exists")
    reason = RESERVED.get(func)
    if keyword.iskeyword(func):
        reason = "it is a keyword of Python"
    elif any((ROOT / "src").rglob(f"{func}.py")) or func in ("func", "lib"):
        reason = "a module of each build has this name"
    if reason:
        raise UserError(f"FUNC={func} is reserved: {reason}")


def check_trigger(func: str, trigger: str) -> None:
    """Check that there is such a trigger, and no entry with another one.

    Raises:
        UserError: there is not.
    """
    if trigger not in ENTRIES:
        *others, last = ENTRIES
        raise UserError(
            f"TRIGGER={trigger} is unknown: choose {', '.join(others)} or {last}"
        )
    entry = (deploy_config.load(new=func)["functions"] or {}).get(func)
    if entry is not None and (known := entry.get("trigger", "bucket")) != trigger:
        raise UserError(
            f"TRIGGER={trigger} differs from the entry of {func} in config/deploy.yml: "
            f"choose TRIGGER={known}, or change the entry"
        )


def check_table(table: str, trigger: str) -> None:
    """Check that a new function can load files into a table of this name.

    Raises:
        UserError: it cannot.
    """
    if trigger != "bucket":
        raise UserError(
            f"TABLE={table} is for files in the bucket: leave out TRIGGER={trigger}, "
            "or TABLE"
        )
    if not re.fullmatch("[a-z][a-z0-9_]{0,49}", table):
        raise UserError(
            f"TABLE={table} is not a valid name for a table: use a-z, 0-9 and _, start "
            "with a letter, and use up to 50 characters"
        )
    if table in TEMPLATE_TABLES:
        raise UserError(
            f"TABLE={table} is taken: the template has a table of this name"
        )


def read_starter(func: str, starter: str, table: str) -> dict[Path, str]:
    """Return the paths and the text of the new files.

    Raises:
        UserError: one of them exists.
    """
    found = {}
    directory = STARTER / starter
    for path in build.list_files(directory):
        name = Path(fill_in(str(path.relative_to(directory)), func, table))
        if name.parts[0] == "migrations":
            number = len(migrations.list_files(ROOT / "migrations")) + 1
            name = name.with_name(f"{number:03}{name.name[3:]}")
        if (ROOT / name).exists():
            raise UserError(f"FUNC={func} is taken: {name} exists")
        found[ROOT / name] = fill_in(path.read_text(encoding="utf-8"), func, table)
    return found


def fill_in(text: str, func: str, table: str) -> str:
    """Replace the words that stand for the names of the function and its table."""
    parts = text.split(TABLE_PLACEHOLDER)
    return table.join(part.replace(PLACEHOLDER, func) for part in parts)


def add_entry(text: str, func: str, entry: str) -> str:
    """Return the text of `config/deploy.yml` with an entry for a function.

    Everything else in it is kept, comments and an entry of the function, too.

    Raises:
        UserError: its layout leaves no line for an entry.
    """
    expected = yaml.safe_load(text)
    known = expected.get("functions") or {}
    if func in known:
        return text
    lines = f"{text.rstrip()}\n".splitlines(keepends=True)
    line = f"{find_indentation(text)}{func}: {entry}\n"
    lines.insert(find_end_of_functions(lines), line)
    result = re.sub(r"(?m)^functions: *\{ *\}", "functions:", "".join(lines))
    expected["functions"] = {**known, func: yaml.safe_load(entry)}
    try:
        is_right = yaml.safe_load(result) == expected
    except yaml.YAMLError:
        is_right = False
    if not is_right:
        raise UserError(
            f"config/deploy.yml has no line for {func}: write each entry below "
            "functions on a line of its own, and try again"
        )
    return result


def find_indentation(text: str) -> str:
    """Return what precedes the first entry below `functions`, else two spaces."""
    comments = r"(?: *(?:#.*)?\n)*"
    first = re.search(rf"(?m)^functions:.*\n{comments}( +)[^ #\n]", text)
    return first[1] if first else "  "


def find_end_of_functions(lines: list[str]) -> int:
    """Return the index of the line after the last entry below `functions`."""
    starts = [at for at, line in enumerate(lines) if line.startswith("functions:")]
    end = starts[0] + 1 if starts else len(lines)
    while end < len(lines) and lines[end].startswith((" ", "\n")):
        end += 1
    while end and not lines[end - 1].strip():
        end -= 1
    return end
