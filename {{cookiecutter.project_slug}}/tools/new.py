"""Create a function from the files in tools/starter/<trigger>/.

They mirror the project. The word `starter` stands for the function's name, in the names
of the files and in their text; change them to start new functions in another way.
"""

import keyword
import re
from pathlib import Path

import yaml

from tools import build, deploy_config
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
RESERVED = {
    "run": "each build calls its function by this name",
    "secrets": "config/secrets-*.env hold secrets",
}


def create(func: str, trigger: str) -> int:
    """Write the function's files and its entry in `config/deploy.yml`; return 0.

    Args:
        func: name of the function.
        trigger: a key of `ENTRIES`.

    Raises:
        UserError: the name is taken or not allowed, there is no such trigger, or the
            entry cannot be added. Nothing has been written then.
    """
    check_name(func)
    check_trigger(func, trigger)
    new = read_starter(func, trigger)
    entry = ENTRIES[trigger].replace(PLACEHOLDER, func)
    new[DEPLOY] = add_entry(DEPLOY.read_text(encoding="utf-8"), func, entry)
    for path, text in new.items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    message = {
        "bucket": f"event FUNC={func} FILE=tests/data/sanity.csv",
        "schedule": f"send FUNC={func}",
    }.get(trigger, f"send FUNC={func} FILE=tests/data/event-{func}.json")
    print(
        f"Next: make test, make run FUNC={func}, and in another terminal make {message}"
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


def read_starter(func: str, trigger: str) -> dict[Path, str]:
    """Return the paths and the text of the new files.

    Raises:
        UserError: one of them exists.
    """
    found = {}
    starter = STARTER / trigger
    for path in build.list_files(starter):
        name = Path(str(path.relative_to(starter)).replace(PLACEHOLDER, func))
        if (ROOT / name).exists():
            raise UserError(f"FUNC={func} is taken: {name} exists")
        text = path.read_text(encoding="utf-8")
        found[ROOT / name] = text.replace(PLACEHOLDER, func)
    return found


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
