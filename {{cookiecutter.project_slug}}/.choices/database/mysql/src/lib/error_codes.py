"""Errors of MySQL and MariaDB: which are due to values, and their names."""

from functools import cache
from importlib import import_module
from typing import Any

from lib.rejects import Refusal

# Errors that are due to values: of columns, keys and partitions, of functions, of JSON
# and geometry.
VALUE_ERRORS = (
    *(1048, 1062, 1138, 1169, 1216, 1263, 1264, 1265, 1292, 1300, 1366, 1367, 1369),
    *(1406, 1452, 1467, 1526, 1557, 1569, 1586, 1644, 1645, 1690, 1748, 1761, 1762),
    *(1859, 3751, 3752, 3819, 3854, 4025),
    *(1242, 1256, 1258, 1259, 1301, 1365, 1411, 1441, 1958, 1977, 3020),
    *(3685, 3699),
    *(3140, 3141, 3143, 3144, 3146, 3147, 3156, 3157, 3903, 3904, 3905),
    *range(4036, 4045),
    *(1416, 3037, 3055, 3516, 3548, 3616, 3617),
)
# Triggers may choose a number for their own errors (`MYSQL_ERRNO`). Servers have none
# above this. pymysql reads those above 32,767 as negative.
LAST_OF_SERVER = 20_000


def read_refusal(error: Any) -> Refusal:
    """Return why rows were refused.

    Raises:
        Error: the error is not due to values.
    """
    if not _is_due_to_value(error_code(error)):
        raise error
    return Refusal(str(error.args[-1]), name_condition(error))


def name_condition(error: Any) -> str:
    """Return the name of an error, and its number."""
    code = error_code(error)
    return name_code(code) if code > 0 else type(error).__name__


def name_code(code: int) -> str:
    """Return the name of an error or a warning, and its number."""
    return f"{_names().get(code, 'error')} ({code})"


def error_code(error: BaseException) -> int:
    """Return the number of an error, or -1."""
    return error.args[0] if error.args and isinstance(error.args[0], int) else -1


@cache
def _names() -> dict[int, str]:
    errors = import_module("pymysql.constants.ER")
    return {code: name for name, code in vars(errors).items() if isinstance(code, int)}


def _is_due_to_value(code: int) -> bool:
    return code in VALUE_ERRORS or code > LAST_OF_SERVER or code < -1
