"""Run a function as the unit tests do, with doubles for AWS and the database."""

from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from context import CustomContext
from settings_reader import list_settings
from tests.context import void_context
from tools import end_state, parity_database, parity_shim, saved_events, shim_resources
from tools.deploy_config import Config
from tools.end_state import VERSION, EndState, Neutral, Tables
from tools.environment import client
from tools.saved_events import BUCKET, SavedEvent

MAX_RECEIVES = 3
DATABASE = "parity_unit"


def run_unit_context(func: str, saved: list[SavedEvent]) -> EndState:
    """Call a function with each message; return the end state.

    The double of the database runs no SQL. For a function that sends statements of its
    own, the shim's database takes its place.
    """
    function: Config = shim_resources.update()["functions"][func]
    with make_context(func, function) as context:
        state = run_messages(func, saved, function, context)
        if not context.rds.statements:
            return state
    parity_shim.prepare_database(func, DATABASE)
    since = datetime.now(UTC)
    try:
        arguments = (f"--db_name={DATABASE}",)
        rds = import_module("lib.rds")
        with make_context(func, function, *arguments, rds=rds) as context:
            state = run_messages(func, saved, function, context)
        tables = parity_shim.read_tables(func, DATABASE, since)
        return state._replace(tables=tables)
    finally:
        parity_database.drop(DATABASE)


def make_context(
    func: str, function: Config, *arguments: str, **libraries: Any
) -> CustomContext:
    """Return a unit test's context that knows the function's secrets."""
    own = list_settings(getattr(import_module(f"func.{func}"), "SETTINGS", []))
    names = {each.variable: name for name, each in own.items()}
    secrets = [
        f"--{names[variable]}={read_secret(secret)}"
        for variable, secret in function["secrets"].items()
        if variable in names
    ]
    return void_context(*secrets, *arguments, function=func, **libraries)


def read_secret(name: str) -> str:
    """Return the value of a secret in the shim."""
    found = client("secretsmanager").get_secret_value(SecretId=name)
    return str(found["SecretString"])


def run_messages(
    func: str, saved: list[SavedEvent], function: Config, context: CustomContext
) -> EndState:
    """Call a function with each message until it succeeds or is a dead letter."""
    run = import_module(f"func.{func}").run
    outcomes: dict[str, str] = {}
    failures = dead = 0
    messages, states = saved_events.put_objects(saved, BUCKET, context.s3)
    neutral = Neutral(dict.fromkeys(states, VERSION))
    before = read_objects(context.s3)
    for name, body in messages:
        outcomes[name] = "dead letter"
        for _ in range(MAX_RECEIVES):
            try:
                report = run(body, context)
            except Exception:
                failures += 1
            else:
                outcomes[name] = neutral.report(report)
                break
        else:
            dead += 1
    return EndState(
        outcomes,
        neutral.objects(end_state.changed(before, read_objects(context.s3))),
        {
            name: neutral.texts(read_sent(context, name))
            for name in function["sends_to"]
        },
        neutral.tables(read_tables(context)),
        messages=len(messages),
        failures=failures,
        dead=dead,
    )


def read_objects(s3: Any) -> dict[str, bytes]:
    """Return the current content of the double's objects."""
    latest = {key: each[-1] for (_, key), each in s3.versions.items() if each}
    return {key: body for key, body in latest.items() if body is not None}


def read_sent(context: CustomContext, func: str) -> list[str]:
    """Return the bodies that were sent to a function's queue."""
    queue = context.var.send_queues[func]
    return list(context.sqs.sent[queue])


def read_tables(context: CustomContext) -> Tables:
    """Return the rows of the double's tables, as `end_state.read_tables` does."""
    rds = context.rds
    if not hasattr(rds, "tables"):  # it is not the double
        return {}
    tables = {
        name: [dict(zip(rds.columns[name], row, strict=True)) for row in rows]
        for name, rows in rds.tables.items()
    }
    tables["rejects"] = [
        {"line": each.line, "content": each.text, "reason": each.reason}
        for each in rds.rejects
    ]
    tables["loads"] = [{} for _ in rds.ledger]
    return end_state.keep_comparable(tables, None)
