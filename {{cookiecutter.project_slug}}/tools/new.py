"""Makes a function: lays infra/starter/ over the project, under the function's name.

The tree mirrors the project. The word `starter` is the name's place, in the names of
files and in what they say; change the files to begin new functions in another way.
"""

import argparse
import keyword
import re
import sys
from pathlib import Path

import yaml

from build import NAME
from sizes import ROOT, Refusal, load, names

STARTER = ROOT / "infra" / "starter"
DEPLOY = ROOT / "config" / "deploy.yml"
PLACE = "starter"
RESERVED = {
    "run": "each build calls its function by this name",
    "secrets": "files of secrets in config/ are called so",
}


def refuse(name: str) -> None:
    """Do nothing, if a function can have this name.

    Raises:
        Refusal: it cannot; the message says why.
    """
    if not name:
        raise Refusal("FUNC= is missing: name the function, as in make new FUNC=tally")
    if not re.fullmatch(NAME, name):
        raise Refusal(
            f"FUNC={name} is no name for a function: use a-z, 0-9 and _, begin with a "
            "letter, and end after 20 characters"
        )
    if name in names():
        raise Refusal(f"FUNC={name} is taken: src/func/{name}.py is there")
    why = RESERVED.get(name)
    if keyword.iskeyword(name):
        why = "it is a word of Python"
    elif any((ROOT / "src").rglob(f"{name}.py")) or name in ("func", "lib"):
        why = "a part of each build is called so"
    if why:
        raise Refusal(f"FUNC={name} is reserved: {why}")


def files(name: str) -> dict[Path, str]:
    """Return the new files, and what is to be in them.

    Raises:
        Refusal: one of them is there.
    """
    found = {}
    for path in sorted(each for each in STARTER.rglob("*") if each.is_file()):
        if "__pycache__" in path.parts:
            continue
        place = Path(str(path.relative_to(STARTER)).replace(PLACE, name))
        if (ROOT / place).exists():
            raise Refusal(f"FUNC={name} is taken: {place} is there")
        text = path.read_text(encoding="utf-8")
        found[ROOT / place] = text.replace(PLACE, name)
    return found


def with_entry(text: str, name: str) -> str:
    """Return the text of config/deploy.yml with one function more.

    What is there stays as it is, comments too.

    Raises:
        Refusal: it is written in a way that does not take a line more.
    """
    expected = yaml.safe_load(text)
    known = expected.get("functions") or {}
    if name in known:
        return text
    lines = f"{text.rstrip()}\n".splitlines(keepends=True)
    places = [at for at, line in enumerate(lines) if re.match(r"functions:", line)]
    after = places[0] + 1 if places else len(lines)
    while after < len(lines) and lines[after].startswith((" ", "\n")):
        after += 1
    while after and not lines[after - 1].strip():
        after -= 1
    lines.insert(after, "  " + name + ": {}\n")
    result = re.sub(r"(?m)^functions: *\{ *\}", "functions:", "".join(lines))
    expected["functions"] = {**known, name: {}}
    try:
        is_right = yaml.safe_load(result) == expected
    except yaml.YAMLError:
        is_right = False
    if not is_right:
        raise Refusal(
            f"config/deploy.yml takes no line more for {name}: write what is below "
            "functions in lines of its own, and try again"
        )
    return result


def main() -> int:
    """Make the function; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    name = parser.parse_args().name
    try:
        refuse(name)
        new = files(name)
        load()
        deployed = DEPLOY.read_text(encoding="utf-8")
        new[DEPLOY] = with_entry(deployed, name)
    except Refusal as error:
        print(f"{error}.", file=sys.stderr)
        return 1
    for path, text in new.items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    print(
        f"Next: make test, make run FUNC={name}, and in another terminal "
        f"make event FUNC={name} FILE=tests/data/sanity.csv"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
