"""Errors of PostgreSQL: which are due to values, and their names."""

import re
from typing import Any

SQLSTATE_LENGTH = 5
# Errors that are due to values: too many rows of a subquery, of data, of integrity, of
# functions, of a view's check, of a limit such as an index's, raised by PL/pgSQL.
VALUE_ERRORS = ("21", "22", "23", "2F", "38", "39", "44", "54", "P0")


def is_due_to_value(driver: Any, state: str) -> bool:
    """Return whether an error is due to a value, by its SQLSTATE.

    An unknown one is of a trigger or function of the user's.
    """
    if state.startswith(VALUE_ERRORS):
        return True
    try:
        driver.errors.lookup(state)
    except KeyError:
        return len(state) == SQLSTATE_LENGTH
    return False


def name_condition(driver: Any, state: str, place: str) -> str:
    """Return the name of an error, its SQLSTATE, and where it happened."""
    try:
        name = driver.errors.lookup(state).__name__
    except KeyError:
        name = "error"
    return f"{name} ({state}){place and f' at {place}'}"


def find_place(diag: Any) -> str:
    """Return the constraint, column or table of an error, unless a trigger raised it.

    A trigger may put values there.
    """
    context = diag.context or ""
    if "function" in context:
        return ""
    if diag.constraint_name or diag.column_name:
        return str(diag.constraint_name or diag.column_name)
    column = re.match(r'COPY [^"\n]+?, line \d+, column ([^"\n]+?): ', context)
    return column[1] if column else str(diag.table_name or "")
