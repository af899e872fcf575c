"""Create a function from the files in tools/starter/.

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
PLACEHOLDER = "starter"
RESERVED = {
    "run": "each build calls its function by this name",
    "secrets": "config/secrets-*.env hold secrets",
}


def create(func: str) -> int:
    """Write the function's files and its entry in `config/deploy.yml`; return 0.

    Raises:
        UserError: the name is taken or not allowed, or the entry cannot be added.
            Nothing has been written then.
    """
    check_name(func)
    new = read_starter(func)
    deploy_config.load()
    new[DEPLOY] = add_entry(DEPLOY.read_text(encoding="utf-8"), func)
    for path, text in new.items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    print(
        f"Next: make test, make run FUNC={func}, and in another terminal "
        f"make event FUNC={func} FILE=tests/data/sanity.csv"
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


def read_starter(func: str) -> dict[Path, str]:
    """Return the paths and the text of the new files.

    Raises:
        UserError: one of them exists.
    """
    found = {}
    for path in build.list_files(STARTER):
        name = Path(str(path.relative_to(STARTER)).replace(PLACEHOLDER, func))
        if (ROOT / name).exists():
            raise UserError(f"FUNC={func} is taken: {name} exists")
        text = path.read_text(encoding="utf-8")
        found[ROOT / name] = text.replace(PLACEHOLDER, func)
    return found


def add_entry(text: str, func: str) -> str:
    """Return the text of `config/deploy.yml` with an entry for a function.

    Everything else in it is kept, comments too.

    Raises:
        UserError: its layout leaves no line for an entry.
    """
    expected = yaml.safe_load(text)
    known = expected.get("functions") or {}
    if func in known:
        return text
    lines = f"{text.rstrip()}\n".splitlines(keepends=True)
    lines.insert(find_end_of_functions(lines), f"  {func}: " + "{}\n")
    result = re.sub(r"(?m)^functions: *\{ *\}", "functions:", "".join(lines))
    expected["functions"] = {**known, func: {}}
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


def find_end_of_functions(lines: list[str]) -> int:
    """Return the index of the line after the last entry below `functions`."""
    starts = [at for at, line in enumerate(lines) if line.startswith("functions:")]
    end = starts[0] + 1 if starts else len(lines)
    while end < len(lines) and lines[end].startswith((" ", "\n")):
        end += 1
    while end and not lines[end - 1].strip():
        end -= 1
    return end
