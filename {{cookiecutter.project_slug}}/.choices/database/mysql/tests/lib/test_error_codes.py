"""Errors of MySQL that are due to values, and their names."""

import pytest

from lib.error_codes import error_code, name_code, name_condition, read_refusal
from lib.rejects import Refusal
from tests.mock.driver import DataError, Error
from tests.tables import for_each

# https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
OF_VALUES = {
    # NULL, duplicate and foreign keys, partitions, ranges, types, lengths
    *(1048, 1062, 1138, 1169, 1216, 1263, 1264, 1265, 1292, 1300, 1366, 1367, 1369),
    *(1406, 1452, 1467, 1526, 1557, 1569, 1586, 1748, 1761, 1762, 1859),
    # CHECK constraints of MySQL and MariaDB
    *(3751, 3752, 3819, 3854, 4025),
    # SIGNAL of a trigger, functions and subqueries
    *(1242, 1256, 1258, 1259, 1301, 1365, 1411, 1441, 1644, 1645, 1690, 1958, 1977),
    *(3020, 3685, 3699),
    # JSON of MySQL and MariaDB
    *(3140, 3141, 3143, 3144, 3146, 3147, 3156, 3157, 3903, 3904, 3905),
    *(4036, 4037, 4038, 4039, 4040, 4041, 4042, 4043, 4044),
    # geometry
    *(1416, 3037, 3055, 3516, 3548, 3616, 3617),
}


def is_refusal(code: int) -> bool:
    """Return whether an error with this number refuses a row."""
    try:
        read_refusal(Error(code, "text"))
    except Error:
        return False
    return True


def test_errors_of_values_refuse_rows() -> None:
    assert {code for code in range(-1, 20_001) if is_refusal(code)} == OF_VALUES


@for_each("code", [20_001, 32_768, -2])
def test_numbers_of_triggers_refuse_rows(code: int) -> None:
    assert is_refusal(code)


def test_refusal_has_message_and_name() -> None:
    refusal = read_refusal(DataError(1406, "Data too long for 'abc'"))
    assert refusal == Refusal("Data too long for 'abc'", "DATA_TOO_LONG (1406)")


def test_other_errors_are_raised() -> None:
    error = Error(1146, "no table")
    with pytest.raises(Error) as raised:
        read_refusal(error)
    assert raised.value is error


@for_each(
    ("error", "code", "name"),
    [
        (Error(1062, "x"), 1062, "DUP_ENTRY (1062)"),
        (Error(1, "x"), 1, "error (1)"),
        (Error(0, "x"), 0, "Error"),
        (Error("x"), -1, "Error"),
        (DataError(), -1, "DataError"),
    ],
)
def test_error_is_named(error: Error, code: int, name: str) -> None:
    assert (error_code(error), name_condition(error)) == (code, name)


def test_unknown_number_is_an_error() -> None:
    assert name_code(9999) == "error (9999)"
