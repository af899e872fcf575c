"""Rules for the columns of a table in PostgreSQL."""

import pytest

from lib import values
from lib.column_rules import read_rules
from lib.database_errors import DatabaseError
from tests.mock.driver import Server


def test_dates_and_times_have_rules() -> None:
    server = Server()
    server.results["pg_attribute"] = [
        ("day", False, "date"),
        ("at", False, "timestamp without time zone"),
        ("at", False, "my_domain"),
        ("seen", False, "timestamp with time zone"),
        ("opens", False, "time without time zone"),
        ("closes", False, "time with time zone"),
        ("name", False, "text"),
    ]
    columns = ("day", "at", "seen", "opens", "closes", "name")
    assert read_rules(server, '"shop"."clicks"', columns) == {
        "day": values.DATE,
        "at": values.UTC_TIMESTAMP,
        "seen": values.TIMESTAMP_WITH_OFFSET,
        "opens": values.TIME,
        "closes": values.TIME_WITH_OFFSET,
    }
    [(_, parameters)] = server.sent
    assert parameters == ('"shop"."clicks"', list(columns))


def test_generated_column_is_refused() -> None:
    server = Server()
    server.results["pg_attribute"] = [("total", True, "integer")]
    message = "^total is a generated column of shop.clicks: remove it from columns$"
    with pytest.raises(DatabaseError, match=message):
        read_rules(server, '"shop"."clicks"', ["total"])
