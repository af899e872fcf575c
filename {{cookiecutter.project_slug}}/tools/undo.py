"""Undo a load, or load an object again in place of its earlier load."""

import json
import os
from contextlib import closing

from lib.statements import quote_name, quote_table
from tools import confirmation, ledger, shim_resources, sql
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
        func: the function whose `load_column` has the number; by default the one that
            made the load.
        env: an environment of `config/deploy.yml`; empty for the shim.
        confirm: the number again, or empty to ask on the terminal.

    Raises:
        UserError: it is not confirmed, there is no such load, or its rows do not have
            its number.
    """
    environment = enter(env)
    if func:
        require_function(func)
    if not load:
        raise UserError("LOAD= is missing: 'make rejects' and 'make sql' show numbers")
    with sql.connect(environment) as execute:
        [entry] = ledger.find_loads(execute, load, "")
    column = require_column(environment, func or entry.func)
    question = (
        f"This permanently deletes load {entry.number} of {entry.source} from "
        f"{entry.target}: {entry.loaded} rows, {entry.rejected} rejects."
    )
    confirmation.require(question, load, "the load's number", confirm)
    try:
        with closing(open_session(environment)) as session:
            deleted = delete(session, entry, column)
    except StatementError as error:
        raise UserError(
            f"the database refuses, and nothing was deleted: {error}"
        ) from None
    print(f"deleted {deleted} rows of {entry.source} from {entry.target}")
    return 0


def open_session(environment: Environment) -> Session:
    """Return a session of an environment's database."""
    if environment.is_on_aws:
        from tools.migration_data_api import DataApiSession

        return DataApiSession(sql.find_database(environment))
    from tools.migration_driver import DriverSession

    return DriverSession(os.environ["DB_NAME"])


def require_column(environment: Environment, func: str) -> str:
    """Return the column that has the number of each row's load.

    Raises:
        UserError: the function does not fill one.
    """
    column = ledger.read_setting(environment, func, "load_column")
    if not column:
        raise UserError(
            f"the rows of {func} do not say which load they are of: set load_column in "
            f"config/{func}.yml, so that later loads can be undone"
        )
    return str(column)


def delete(session: Session, entry: LoadEntry, column: str) -> int:
    """Delete a load in one transaction; return how many rows it had.

    Raises:
        UserError: it is gone, or its rows have no number.
        StatementError: the database refuses; nothing was deleted.
    """
    mark = '"' if answers().database == "postgres" else "`"
    names = {
        "table": quote_table(entry.target, mark),
        "column": quote_name(column, mark),
        "number": entry.number,
    }
    session.begin()
    if not session.execute(LOCK.format(**names)):
        raise UserError(f"LOAD={entry.number} is gone: somebody else has undone it")
    [(rows,)] = session.execute(COUNT.format(**names))
    if entry.loaded and not rows:
        raise UserError(
            f"no row of {entry.target} has {column} = {entry.number}, although "
            f"{entry.loaded} were loaded: nothing was deleted. They were loaded "
            "without load_column, or later loads have replaced them"
        )
    for statement in DELETE:
        session.execute(statement.format(**names))
    session.commit()
    return int(rows)


def reload(
    object: str,  # noqa: A002 - named as the variable is
    func: str,
    env: str,
) -> int:
    """Send a message by which a function replaces an earlier load; return 0.

    The function deletes the rows of the object's current version and loads it again, in
    one transaction of its own. So nobody sees the table without the rows. A version
    that was not loaded before is loaded as usual.

    Args:
        object: key of the object, or its URI.
        func: the function; by default the one that has loaded it.
        env: an environment of `config/deploy.yml`; empty for the shim.

    Raises:
        UserError: the object was never loaded, or rows do not have the number of their
            load.
    """
    environment = enter(env)
    if func:
        require_function(func)
    if not object:
        raise UserError("OBJECT= is missing: use one such as worker/clicks.csv")
    if not env:
        shim_resources.update()
    with sql.connect(environment) as execute:
        entry = ledger.find_loads(execute, "", object)[-1]
    if not entry.bucket:
        raise UserError(f"OBJECT={object} is a key of rows that are in no object")
    func = func or entry.func
    require_column(environment, func)
    body = {"bucket": entry.bucket, "key": entry.key, "reload": True}
    url = environment.find_queue_url(func, "pending")
    sent = client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps(body))
    print(
        f"sent message {sent['MessageId']} to {environment.queue_name(func, 'pending')}"
        f", by which {func} loads {entry.source} again"
    )
    return 0
