"""Find loads in the ledger, and the settings of the functions that made them."""

import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple
from unittest import mock

import settings_reader
from settings import SettingsError
from tools import build
from tools.environment import Environment
from tools.errors import UserError
from tools.project import answers
from tools.sql import Execute

SELECT = """
SELECT number, target, bucket, object_key, version, loads.function, loaded, rejected
FROM loads WHERE {condition} ORDER BY number
"""


class LoadEntry(NamedTuple):
    """An entry of the ledger: a version of an object, or rows under a key."""

    number: int
    target: str
    bucket: str
    key: str
    version: str
    function: str
    loaded: int
    rejected: int

    @property
    def func(self) -> str:
        """The function's name in `src/func/`."""
        return self.function.rpartition(".")[2]

    @property
    def source(self) -> str:
        """The object's URI, or the key of rows that are in no object."""
        return f"s3://{self.bucket}/{self.key}" if self.bucket else self.key


def find_loads(execute: Execute, load: str, uri: str) -> list[LoadEntry]:
    """Return the load of a number, or those of an object in all its versions.

    Args:
        execute: runs a statement.
        load: number of a load, or empty.
        uri: key of an object, or its URI.

    Raises:
        UserError: none or both are given, or there is no such load.
    """
    if bool(load) == bool(uri):
        raise UserError(
            "name either a load or an object: LOAD=17, or OBJECT=worker/clicks.csv"
        )
    bucket, key = split_uri(uri)
    condition = f"number = {parse_number(load)}" if load else ""
    if uri:
        condition = f"object_key = {literal(key)}"
    if bucket:
        condition += f" AND bucket = {literal(bucket)}"
    rows = execute(SELECT.format(condition=condition)).rows
    if not rows:
        hint = "list loads with make sql SQL='SELECT number, object_key FROM loads'"
        if load:
            raise UserError(f"LOAD={load} is not in the ledger: {hint}")
        raise UserError(
            f"OBJECT={uri} is not in the ledger: load it with 'make event' or 'make "
            f"replay STATE=never', or {hint}"
        )
    return [LoadEntry._make([*row[:6], row[6] or 0, row[7] or 0]) for row in rows]


def has_key(execute: Execute, key: str) -> bool:
    """Return whether an object of any bucket is in the ledger."""
    return bool(execute(SELECT.format(condition=f"object_key = {literal(key)}")).rows)


def parse_number(load: str) -> int:
    """Return the number of a load.

    Raises:
        UserError: it is not a number.
    """
    if not (load.isascii() and load.isdecimal() and int(load) < 2**63):
        raise UserError(f"LOAD={load} is not the number of a load, such as 17")
    return int(load)


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of an object; no bucket where only the key is given."""
    if not uri.startswith("s3://"):
        return "", uri
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def literal(text: str) -> str:
    """Return a text as SQL that has no quotes to escape."""
    digits = text.encode().hex()
    if answers().database == "postgres":
        return f"convert_from(decode('{digits}', 'hex'), 'UTF8')"
    return f"CONVERT(X'{digits}' USING utf8mb4)"


def choose_function(
    environment: Environment, loads: Sequence[LoadEntry], func: str
) -> str:
    """Return the function that has made loads.

    Args:
        environment: the one that was entered.
        loads: the loads.
        func: this function, which may have another name since, or empty.

    Raises:
        UserError: another function has made them, or several have.
    """
    made = sorted({each.func for each in loads})
    names = " and ".join(made)
    if not func and len(made) > 1:
        raise UserError(f"{loads[0].source} was loaded by {names}: choose one by FUNC=")
    if func and func not in made and made[0] in environment.functions:
        raise UserError(f"{loads[0].source} was loaded by {names}, not by FUNC={func}")
    return func or made[0]


def read_settings(environment: Environment, func: str) -> Any:
    """Return the settings of a function in an environment, as `context.var` has them.

    Secrets have no real value.

    Raises:
        UserError: a setting is wrong, or there is no such function in this project any
            more.
    """
    if func not in environment.functions:
        raise UserError(f"the load is of {func}, which is no function of src/func/")
    own = getattr(import_module(f"func.{func}"), "SETTINGS", [])
    args = [f"--const_path={build.require_settings(func)}"]
    variables = environment.functions[func]["variables"]
    try:
        # your shell's variables are not those of the function
        with mock.patch.dict(os.environ, variables, clear=True):
            return settings_reader.read(args, (), own, lambda name, _: name)
    except SettingsError as error:
        raise UserError(str(error)) from None
