"""Read `migrations/NNN_name.sql`, and the template's own files in `tools/migrations/`.

The template's come first: its next version may add some, whatever you have added.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import sqlparse
from sqlparse.tokens import Comment, Whitespace

from tools import migration_database
from tools.errors import UserError
from tools.project import ROOT

DIRECTORIES = ("tools/migrations", "migrations")
NAME = re.compile(r"([0-9]{3})_[a-z0-9_]{1,100}\.sql")
NO_TRANSACTION = "-- no transaction"
LONGEST = 65_536  # characters of a statement, the Data API's limit
TRANSACTION_WORDS = ("BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT")


class Statement(NamedTuple):
    """A statement: its text, its first word in capitals, and the line it begins in."""

    text: str
    word: str
    line: int


class Migration(NamedTuple):
    """A file of statements.

    Attributes:
        name: its path in the project.
        checksum: SHA-256 of its content, as `sha256sum` prints it.
        statements: its statements, without comments and semicolons around them.
        is_transaction: whether all of them, or none, take effect.
    """

    name: str
    checksum: str
    statements: list[Statement]
    is_transaction: bool

    @property
    def number(self) -> int:
        """The number that its name begins with."""
        return int(Path(self.name).name[:3])

    @property
    def directory(self) -> str:
        """One of `DIRECTORIES`."""
        return str(Path(self.name).parent)

    def checksum_of_first(self, count: int) -> str:
        """Return a checksum of the first statements."""
        texts = [each.text for each in self.statements[:count]]
        return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def read_all(root: Path = ROOT) -> list[Migration]:
    """Return the files in the order in which they are applied.

    Raises:
        UserError: the name of a file is wrong, or the file is.
    """
    directories = [root / name for name in DIRECTORIES]
    return [read(path, root) for each in directories for path in list_files(each)]


def list_files(directory: Path) -> list[Path]:
    """Return the files of a directory by their numbers, 001 and on.

    Raises:
        UserError: a file has another name, or two have the same number, or one is
            missing.
    """
    if not directory.is_dir():
        return []
    entries = sorted(directory.iterdir())
    paths = [path for path in entries if path.name[0] != "." and path.suffix != ".md"]
    place = f"{directory.parent.name}/" if directory.parent.name == "tools" else ""
    for number, path in enumerate(paths, start=1):
        name = f"{place}{directory.name}/{path.name}"
        match = NAME.fullmatch(path.name)
        if not match or not path.is_file():
            raise UserError(
                f"{name} is not a migration's name: use a number of three digits, and "
                "a-z, 0-9 and _, as in 002_add_country.sql"
            )
        if int(match[1]) == number - 1 and number > 1:
            raise UserError(
                f"{name} and {paths[number - 2].name} have the same number: rename the "
                f"one that is not applied anywhere yet, to {number:03}_…"
            )
        if int(match[1]) != number:
            raise UserError(
                f"{name} is out of order: number {number:03} is missing, so restore "
                f"that file, or rename this one to {number:03}_…"
            )
    return paths


def read(path: Path, root: Path) -> Migration:
    """Return a file.

    Raises:
        UserError: it is not a text in UTF-8, or has no statements, or ends its
            transaction.
    """
    name = path.relative_to(root).as_posix()
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{name} is not in UTF-8, at byte {error.start}: save it in UTF-8"
        ) from None
    if "\0" in text:
        raise UserError(f"{name} contains a NUL byte: save it as text in UTF-8")
    is_transaction = migration_database.HAS_TRANSACTIONS
    if text.lstrip().lower().startswith(NO_TRANSACTION):
        is_transaction = False
    statements = list(split(text))
    if not statements:
        raise UserError(f"{name} has no statement: write one, or delete the file")
    for statement in statements:
        check_statement(name, statement)
    checksum = hashlib.sha256(content).hexdigest()
    return Migration(name, checksum, statements, is_transaction)


def split(text: str) -> Iterator[Statement]:
    """Yield the statements of a text."""
    at = 0
    for part in sqlparse.split(text):
        at = text.index(part, at)
        before = 0
        # the library's types lack this function
        for kind, value in sqlparse.lexer.tokenize(part):  # type: ignore[no-untyped-call]
            if kind not in Comment and kind not in Whitespace and value != ";":
                statement = part[before:].rstrip("; \t\r\n")
                line = text.count("\n", 0, at + before) + 1
                yield Statement(statement, value.split()[0].upper(), line)
                break
            before += len(value)
        at += len(part)


def check_statement(name: str, statement: Statement) -> None:
    """Check that a statement is none of those that a migration cannot have.

    Raises:
        UserError: it is one.
    """
    place = f"line {statement.line} of {name}"
    if len(statement.text) > LONGEST:
        raise UserError(
            f"{place} has a statement of {len(statement.text):,} characters, and the "
            f"Data API accepts {LONGEST:,}: split it"
        )
    if statement.word in TRANSACTION_WORDS:
        hint = ""
        if statement.word == "END":
            hint = "; or a body was cut here: see 'Write a file' in docs/migrations.md"
        raise UserError(
            f"{place} has {statement.word}: remove it, because each file has a "
            f"transaction of its own where the database allows it{hint}"
        )
    if statement.word == "DELIMITER" or statement.text.startswith("\\"):
        raise UserError(
            f"{place} has a command of the database's client: write statements only, "
            "since BEGIN … END is recognized without DELIMITER"
        )
