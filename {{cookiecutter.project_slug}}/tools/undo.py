"""Undo a load, or load an object again in place of its earlier load."""

import json
import os
from contextlib import closing
from typing import Any

from lib.statements import quote_name, quote_table
from tools import confirmation, ledger, replay, shim_resources, sql
from tools.counts import count
from tools.environment import Environment, client, enter
from tools.errors import UserError
from tools.ledger import LoadEntry
from tools.migration_sessions import Session, StatementError
from tools.project import answers, require_function

LOCK = "SELECT loaded FROM loads WHERE number = {number} FOR UPDATE"
COUNT = "SELECT count(*) FROM {table} WHERE {column} = {number}"
DELETE = (
    "DELETE FROM {table} WHERE {column} = {number}",
    "DELETE FROM rejects WHERE number = {number}",
    "DELETE FROM loads WHERE number = {number}",
)


def undo(load: str, func: str, env: str, confirm: str) -> int:
    """Delete a load's rows, its rejects and its entry, in one transaction; return 0.

    The object then counts as never loaded.

    Args:
        load: number of the load.
        func: the function that made the load, if it has another name now.
        env: an environment of `config/deploy.yml`; empty for the shim.
        confirm: the number again, or empty to ask on the terminal.

    Raises:
        UserError: it is not confirmed, there is no such load, its rows do not have its
            number, or other rows have it.
    """
    environment = enter(env)
    if func:
        require_function(func)
    if not load:
        raise UserError("LOAD= is missing: 'make rejects' and 'make sql' show numbers")
    with sql.connect(environment) as execute:
        [entry] = ledger.find_loads(execute, load, "")
        func = ledger.choose_function(environment, [entry], func)
        column = require_column(ledger.read_settings(environment, func), func)
        names = quote_names(entry, column)
        [(found,)] = execute(COUNT.format(**names)).rows
    check_rows(entry, column, found)
    question = (
        f"This permanently deletes load {entry.number} of {entry.source} from "
        f"{entry.target}: {describe_rows(entry, found)}, "
        f"{count(entry.rejected, 'reject')}."
    )
    confirmation.require(question, load, "the load's number", confirm)
    try:
        with closing(open_session(environment)) as session:
            deleted = delete(session, entry, column)
    except StatementError as error:
        if error.is_unclear:
            raise UserError(
                f"the connection was lost ({error}), so it is unknown whether load "
                f"{load} was deleted: run the command again, which finds out"
            ) from None
        raise UserError(
            f"the database refuses, and nothing was deleted: {error}"
        ) from None
    print(
        f"deleted {describe_rows(entry, deleted)} of {entry.source} from {entry.target}"
    )
    return 0


def open_session(environment: Environment) -> Session:
    """Return a session of an environment's database."""
    if environment.is_on_aws:
        from tools.migration_data_api import DataApiSession

        return DataApiSession(sql.find_database(environment))
    from tools.migration_driver import DriverSession

    return DriverSession(os.environ["DB_NAME"])


def require_column(settings: Any, func: str) -> str:
    """Return the column that has the number of each row's load.

    Raises:
        UserError: the function does not fill one.
    """
    if not settings.load_column:
        raise UserError(
            f"the rows of {func} do not say which load they are of: set load_column in "
            f"config/{func}.yml, so that later loads can be undone"
        )
    return str(settings.load_column)


def quote_names(entry: LoadEntry, column: str) -> dict[str, Any]:
    """Return table, column and number for the statements about a load."""
    mark = '"' if answers().database == "postgres" else "`"
    return {
        "table": quote_table(entry.target, mark),
        "column": quote_name(column, mark),
        "number": entry.number,
    }


def check_rows(entry: LoadEntry, column: str, found: int) -> None:
    """Check that rows can be those of a load, of which later ones may replace some.

    Raises:
        UserError: they cannot.
    """
    if entry.loaded and not found:
        hint = "they were loaded without load_column, or deleted or replaced since"
    elif found > entry.loaded:
        hint = "set load_column to the column that has the number of the load"
    else:
        return
    raise UserError(
        f"{entry.target} has {count(found, 'row')} with {column} = {entry.number}, and "
        f"the load had {entry.loaded:,}, so nothing was deleted: {hint}"
    )


def describe_rows(entry: LoadEntry, found: int) -> str:
    """Return how many rows of a load are in the table, such as `1 of 3 rows`."""
    rows = count(entry.loaded, "row")
    return rows if found == entry.loaded else f"{found:,} of {rows}"


def delete(session: Session, entry: LoadEntry, column: str) -> int:
    """Delete a load in one transaction; return how many rows it had.

    Raises:
        UserError: it is gone, or its rows are others.
        StatementError: the database refuses; nothing was deleted, unless it is unclear.
    """
    names = quote_names(entry, column)
    session.begin()
    if not session.execute(LOCK.format(**names)):
        raise UserError(f"LOAD={entry.number} is gone: somebody else has undone it")
    [(found,)] = session.execute(COUNT.format(**names))
    check_rows(entry, column, found)
    for statement in DELETE:
        session.execute(statement.format(**names))
    session.commit()
    return int(found)


def reload(
    object: str,  # noqa: A002 - named as the variable is
    func: str,
    env: str,
) -> int:
    """Send a message by which a function replaces an earlier load; return 0.

    The function deletes the rows of the object's current version and loads it again, in
    one transaction of its own. The table never lacks the rows.

    Args:
        object: key of the object, or its URI.
        func: the function; by default the one that has loaded it.
        env: an environment of `config/deploy.yml`; empty for the shim.

    Raises:
        UserError: the object or its current version was never loaded, rows do not have
            the number of their load, or the function's trigger is not the bucket.
    """
    environment = enter(env)
    if func:
        require_function(func)
    if not object:
        raise UserError("OBJECT= is missing: use one such as worker/clicks.csv")
    if not env:
        shim_resources.update()
    with sql.connect(environment) as execute:
        loads = ledger.find_loads(execute, "", object)
    func = ledger.choose_function(environment, loads, func)
    loads = [each for each in loads if each.func == func] or loads
    if len({each.source for each in loads}) > 1:
        names = ", ".join(sorted({each.source for each in loads}))
        raise UserError(f"OBJECT={object} is in several buckets: use one of {names}")
    entry = loads[-1]
    if not entry.bucket:
        raise UserError(f"OBJECT={object} is a key of rows that are in no object")
    settings = ledger.read_settings(environment, func)
    replay.require_bucket(environment, func)
    require_column(settings, func)
    if settings.on_new_version == "append":
        show_kept(entry, loads)
    body = {"bucket": entry.bucket, "key": entry.key, "reload": True}
    url = environment.find_queue_url(func, "pending")
    sent = client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps(body))
    print(f"sent message {sent['MessageId']}: {func} will load {entry.source} again")
    return 0


def show_kept(entry: LoadEntry, loads: list[LoadEntry]) -> None:
    """Print which loads of an object stay when its current version is loaded again.

    Raises:
        UserError: that version was never loaded, so nothing would be replaced, or there
            is no such object.
    """
    current = replay.find_current(entry.bucket, entry.key)
    names = (current.version, current.etag)
    kept = [str(each.number) for each in loads if each.version not in names]
    if len(kept) == len(loads):
        raise UserError(
            f"the current version of {entry.source} was never loaded, so the rows of "
            f"load {', '.join(kept)} would stay: delete them with 'make undo LOAD="
            f"{kept[-1]}', then use 'make replay STATE=never'"
        )
    if kept:
        print(
            f"Rows of other versions stay: load {', '.join(kept)}. To delete them: "
            f"make undo LOAD={kept[-1]}"
        )
