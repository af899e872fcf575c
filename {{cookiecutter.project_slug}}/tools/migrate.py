"""Apply the files of `migrations/` to an environment's database, once and in order.

The table `migrations` has a row for each file: its checksum, how many of its statements
are applied, and its state. One process at a time applies files. Another one waits.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from typing import NamedTuple

from tools import migration_database, migrations
from tools.counts import count
from tools.errors import UserError
from tools.migration_sessions import Session, StatementError
from tools.migrations import Migration

APPLIED = "applied"
# In a file that is not a transaction:
STOPPED = "stopped"  # between two statements
RUNNING = "running"  # in a statement, or killed in it
# A transaction includes these with the row that counts them, in every database.
CHANGES_OF_ROWS = ("INSERT", "UPDATE", "DELETE", "REPLACE")
WAIT_SECONDS = 900  # for another process, and for tables that are in use

OpenSession = Callable[[], Session]


class Record(NamedTuple):
    """A row of the table `migrations`, see `Runner`."""

    name: str
    checksum: str
    statements: int
    state: str


def run(env: str, statement: str) -> int:
    """Show which files are not applied to an environment yet, and apply them; return 0.

    Args:
        env: an environment of `config/deploy.yml`; empty for the shim.
        statement: number of the statement that continues a file which was interrupted.

    Raises:
        UserError: a file is wrong, or has failed.
    """
    from tools.environment import enter  # imports boto3, which the shim does not need

    files = migrations.read_all()
    at = parse_number(statement)
    environment = enter(env)
    if environment.is_on_aws:
        from tools.migration_data_api import DataApiSession
        from tools.sql import find_database

        database = find_database(environment)
        Runner(lambda: DataApiSession(database), environment.name).apply(files, at)
    else:
        apply_to_shim(files, os.environ["DB_NAME"], environment.name, at)
    return 0


def apply_to_shim(
    files: Sequence[Migration], database: str, env: str = "", at: int = 0
) -> None:
    """Apply files to a database of the shim.

    Args:
        files: all files.
        database: name of the database.
        env: the environment, for messages.
        at: see `run`.

    Raises:
        UserError: a file has failed.
    """
    from tools.migration_driver import DriverSession

    Runner(lambda: DriverSession(database), env).apply(files, at)


def parse_number(text: str) -> int:
    """Return the number that a statement is given by, 0 if none is.

    Raises:
        UserError: it is not a number.
    """
    if not text:
        return 0
    if text.isascii() and text.isdecimal() and 0 < int(text) < 10**6:
        return int(text)
    raise UserError(
        f"STATEMENT={text} is not the number of a statement: use one as in STATEMENT=2"
    )


class Runner:
    """Applies files to a database.

    Args:
        open_session: opens a session of it.
        env: the environment, for messages; empty for the shim.
    """

    def __init__(self, open_session: OpenSession, env: str) -> None:
        self._open = open_session
        self._place = f"ENV={env}" if env else "the shim"
        self._command = f"'make migrate{f' ENV={env}' if env else ''}'"

    def apply(self, files: Sequence[Migration], at: int = 0) -> None:
        """Apply the files that are not applied yet.

        Args:
            files: all files, in their order.
            at: number of the statement that continues an interrupted file, or 0.

        Raises:
            UserError: the table `migrations` does not fit the files, or one has failed.
        """
        with ExitStack() as stack:
            self._lock = stack.enter_context(closing(self._open()))
            self._session = stack.enter_context(closing(self._open()))
            try:
                self._wait_for_lock()
                self._session.execute(migration_database.CREATE_HISTORY)
                records = self._read_records()
                pending = self._choose(files, records)
                starts = self._find_starts(pending, records, at)
            except StatementError as error:
                raise UserError(f"the database refuses: {error}") from None
            self._show(pending, len(files))
            for migration in pending:
                if migration.is_transaction:
                    self._apply_as_whole(migration)
                else:
                    self._apply_by_statement(migration, starts.get(migration.name))
                print(f"applied {migration.name}", flush=True)

    def _wait_for_lock(self) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        is_waiting = False
        while not migration_database.try_lock(self._lock):
            if not is_waiting:
                print(f"Waiting: another process migrates {self._place}", flush=True)
            if time.monotonic() > deadline:
                raise UserError(
                    f"another process has migrated {self._place} for "
                    f"{WAIT_SECONDS // 60} minutes: see what it does, and try again"
                )
            is_waiting = True
            time.sleep(0.5)
        self._keep_lock()

    def _keep_lock(self) -> None:
        """Check that the lock is ours, and keep its transaction from ending.

        Raises:
            UserError: it has ended.
        """
        try:
            self._lock.execute(migration_database.KEEP_LOCK)
        except StatementError as error:
            raise UserError(
                f"the lock that keeps others from migrating {self._place} was lost "
                f"({error}): run {self._command} again"
            ) from None

    def _read_records(self) -> dict[str, Record]:
        found = self._session.execute(
            "SELECT name, checksum, statements, state FROM migrations"
        )
        records = [Record(name, sum_, int(n), state) for name, sum_, n, state in found]
        return {each.name: each for each in records if "/" in each.name}

    def _choose(
        self, files: Sequence[Migration], records: dict[str, Record]
    ) -> list[Migration]:
        """Return the files to apply.

        Raises:
            UserError: an applied file has changed, or a file comes too late, or the
                database has files that are not here.
        """
        pending = [each for each in files if not is_applied(each, records)]
        for migration in files:
            if is_applied(migration, records):
                self._require_unchanged(migration, records[migration.name])
        unknown = sorted(records.keys() - {each.name for each in files})
        if unknown and not pending:
            print(f"{self._place} is ahead of these files: it has {', '.join(unknown)}")
        elif unknown:
            raise UserError(
                f"{self._place} has {unknown[0]}, which is not here, so nothing was "
                "applied: restore the file from git, or merge the branch that has it"
            )
        for migration in pending:
            later = [
                each
                for each in files
                if each.directory == migration.directory
                and each.number > migration.number
                and is_applied(each, records)
            ]
            if later:
                raise UserError(
                    f"{migration.name} comes too late: {later[-1].name} is applied to "
                    f"{self._place} already, so give this one the next number"
                )
        return pending

    def _require_unchanged(self, migration: Migration, record: Record) -> None:
        if migration.checksum == record.checksum:
            return
        hint = "" if "=" in self._place else ", or restart the shim to begin anew"
        raise UserError(
            f"{migration.name} has changed since it was applied to {self._place}: "
            f"restore it from git, and write the change into a new file{hint}"
        )

    def _find_starts(
        self, pending: Sequence[Migration], records: dict[str, Record], at: int
    ) -> dict[str, int]:
        """Return how many statements are applied already, by the name of the file.

        Raises:
            UserError: a file was interrupted and `at` does not say where to continue,
                or the statements that are applied have changed.
        """
        started = [each for each in pending if each.name in records]
        if at and not any(records[each.name].state == RUNNING for each in started):
            raise UserError(
                f"STATEMENT={at} is not needed: no file of {self._place} was "
                "interrupted"
            )
        return {
            each.name: self._find_start(each, records[each.name], at)
            for each in started
        }

    def _find_start(self, migration: Migration, record: Record, at: int) -> int:
        done = record.statements
        is_shorter = done + (record.state == RUNNING) > len(migration.statements)
        if is_shorter or migration.checksum_of_first(done) != record.checksum:
            raise UserError(
                f"{migration.name} is applied up to statement {done}, and what was "
                "applied has changed: restore these statements, and change later ones "
                "only"
            )
        if record.state == STOPPED:
            return done
        if at not in (done + 1, done + 2):
            raise UserError(self._explain_interruption(migration, done))
        return at - 1

    def _explain_interruption(self, migration: Migration, done: int) -> str:
        statement = describe(migration, done)
        return (
            f"{migration.name} was interrupted in {statement}, and "
            f"{count(done, 'statement')} before it took effect: look whether this one "
            f"took effect or still runs, then continue with {self._command[:-1]} "
            f"STATEMENT={done + 2}' if it did, and with STATEMENT={done + 1} to run it "
            "again"
        )

    def _explain_loss(
        self, migration: Migration, number: int, error: StatementError
    ) -> str:
        return (
            f"the connection was lost in {describe(migration, number)} of "
            f"{migration.name} ({error}): run {self._command} again, which finds out "
            "what was applied"
        )

    def _show(self, pending: Sequence[Migration], total: int) -> None:
        if not pending:
            print(
                f"{self._place} has all {count(total, 'file')}: nothing to apply",
                flush=True,
            )
            return
        print(f"{self._place}: {len(pending)} of {count(total, 'file')} to apply")
        for each in pending:
            print(f"  {each.name}: {count(len(each.statements), 'statement')}")
        print(end="", flush=True)

    def _apply_as_whole(self, migration: Migration) -> None:
        """Apply a file in one transaction, again while its tables are in use."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            self._keep_lock()
            error, done = self._try_transaction(migration)
            if error is None:
                return
            if error.is_unclear:
                raise UserError(self._explain_loss(migration, done, error))
            if not error.is_lock_timeout or time.monotonic() > deadline:
                raise UserError(
                    f"{migration.name} failed at {describe(migration, done)}: {error}, "
                    "so nothing of this file was applied: correct it and run "
                    f"{self._command} again"
                )
            self._wait_for_tables(migration, done)

    def _try_transaction(
        self, migration: Migration
    ) -> tuple[StatementError | None, int]:
        """Return the error of a transaction, if any, and the statements before it."""
        done = 0
        try:
            self._session.begin()
            if migration_database.IN_TRANSACTION:
                self._session.execute(migration_database.IN_TRANSACTION)
            # first, since a second process could not insert it too
            self._insert(migration, migration.checksum, APPLIED)
            for statement in migration.statements:
                self._session.execute(statement.text)
                done += 1
            self._session.commit()
        except StatementError as error:
            with suppress(StatementError):
                self._session.roll_back()
            return error, min(done, len(migration.statements) - 1)
        return None, done

    def _apply_by_statement(self, migration: Migration, start: int | None) -> None:
        """Apply a file that is not a transaction.

        Args:
            migration: the file.
            start: how many statements are applied already, if it was begun.
        """
        if start is None:
            self._insert(migration, migration.checksum_of_first(0), STOPPED, 0)
        for number in range(start or 0, len(migration.statements)):
            self._keep_lock()
            self._apply_statement(migration, number)
        self._update(migration, len(migration.statements), APPLIED)

    def _apply_statement(self, migration: Migration, number: int) -> None:
        """Apply a statement, again while its tables are in use.

        Raises:
            UserError: it failed, or it is unknown whether it did.
        """
        deadline = time.monotonic() + WAIT_SECONDS
        changes_rows = migration.statements[number].word in CHANGES_OF_ROWS
        apply = self._change_rows if changes_rows else self._change_table
        while True:
            try:
                apply(migration, number)
                return
            except StatementError as error:
                if error.is_unclear and changes_rows:
                    raise UserError(
                        self._explain_loss(migration, number, error)
                    ) from None
                if error.is_unclear:
                    raise UserError(
                        f"{self._explain_interruption(migration, number)} ({error})"
                    ) from None
                self._record_failure(migration, number)
                if not error.is_lock_timeout or time.monotonic() > deadline:
                    self._forget_unless_begun(migration, number)
                    raise UserError(
                        f"{migration.name} failed at {describe(migration, number)}: "
                        f"{error}, and {count(number, 'statement')} before it took "
                        "effect: correct the file from there on and run "
                        f"{self._command} again, which continues there"
                    ) from None
            self._wait_for_tables(migration, number)

    def _change_table(self, migration: Migration, number: int) -> None:
        """Run a statement that the database commits by itself."""
        self._update(migration, number, RUNNING)
        self._session.execute(migration.statements[number].text)
        self._update(migration, number + 1, STOPPED)

    def _change_rows(self, migration: Migration, number: int) -> None:
        """Run a statement in one transaction with the row that counts it."""
        self._session.begin()
        self._session.execute(migration.statements[number].text)
        self._update(migration, number + 1, STOPPED)
        self._session.commit()

    def _record_failure(self, migration: Migration, number: int) -> None:
        """Record that a statement has failed, and so has changed nothing."""
        with suppress(StatementError):
            self._session.roll_back()
            self._update(migration, number, STOPPED)

    def _forget_unless_begun(self, migration: Migration, number: int) -> None:
        """Let a file be changed in any way if none of its statements is applied."""
        if number == 0:
            with suppress(StatementError):
                self._session.execute(
                    f"DELETE FROM migrations WHERE name = '{migration.name}'"
                )

    def _wait_for_tables(self, migration: Migration, number: int) -> None:
        statement = describe(migration, number)
        print(f"Waiting for tables that are in use, in {statement}", flush=True)
        time.sleep(1)

    def _insert(
        self, migration: Migration, checksum: str, state: str, done: int | None = None
    ) -> None:
        statements = len(migration.statements) if done is None else done
        self._session.execute(
            "INSERT INTO migrations (name, checksum, statements, state) VALUES "
            f"('{migration.name}', '{checksum}', {statements}, '{state}')"
        )

    def _update(self, migration: Migration, done: int, state: str) -> None:
        is_applied = state == APPLIED
        checksum = (
            migration.checksum if is_applied else migration.checksum_of_first(done)
        )
        self._session.execute(
            f"UPDATE migrations SET checksum = '{checksum}', statements = {done}, "
            f"state = '{state}', changed_at = CURRENT_TIMESTAMP "
            f"WHERE name = '{migration.name}'"
        )


def is_applied(migration: Migration, records: dict[str, Record]) -> bool:
    """Return whether all of a file is applied."""
    record = records.get(migration.name)
    return record is not None and record.state == APPLIED


def describe(migration: Migration, number: int) -> str:
    """Return which statement of a file this is, and where."""
    line = migration.statements[number].line
    return f"statement {number + 1} of {len(migration.statements)} (line {line})"
