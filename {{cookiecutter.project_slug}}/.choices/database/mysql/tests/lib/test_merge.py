"""Merging by a key in MySQL: the statements of each setting."""

import re
from types import SimpleNamespace
from typing import Any

import pytest

from lib.database_errors import DatabaseError
from lib.merge import Merge
from tests.mock.driver import Server
from tests.tables import for_each

COLUMNS = ["id", "name", "at", "load_id"]
PRIMARY = [("PRIMARY", "ID", None)]


def make_merge(
    columns: list[str] = COLUMNS,
    keys: list[tuple[Any, ...]] = PRIMARY,
    table: str = "shop.clicks",
    **settings: Any,
) -> tuple[Server, Merge]:
    """Return a server whose table has these keys, and a merge into the table."""
    server = Server()
    server.results["information_schema.statistics"] = keys
    defaults = {
        "key": ["id"],
        "on_duplicate": "update",
        "order_by": None,
        "load_column": "load_id",
    }
    var = SimpleNamespace(**{**defaults, **settings})
    return server, Merge(server, table, columns, var)


def run(**settings: Any) -> list[str]:
    """Merge a batch; return the statements, each on one line."""
    server, merge = make_merge(**settings)
    merge.run()
    return [re.sub(r"\s+", " ", statement) for statement in server.statements]


def test_stages_number_rows() -> None:
    server, merge = make_merge()
    merge.prepare()
    _, drop, *creates = server.statements
    stages = [merge.stage, "newest_rows_to_merge"]
    assert drop == f"DROP TEMPORARY TABLE IF EXISTS {', '.join(stages)}"
    assert len(creates) == 2
    for name, create in zip(stages, creates, strict=True):
        assert create.startswith(f"CREATE TEMPORARY TABLE {name} (\n")
        assert "`position in file` BIGINT NOT NULL AUTO_INCREMENT" in create
        columns = "`id`, `name`, `at`, `load_id`"
        assert f"AS SELECT {columns} FROM `shop`.`clicks` WHERE" in create
    assert server.sent[0][1] == ("clicks", "shop")


def test_schema_is_the_connections_by_default() -> None:
    server, merge = make_merge(table="clicks")
    merge.prepare()
    assert server.sent[0][1] == ("clicks", None)


@for_each(
    "keys",
    [
        [],
        [("name", "name", None)],
        [("both", "id", None), ("both", "name", None)],
        # a prefix is no key of the whole value
        [("PRIMARY", "id", 10)],
    ],
)
def test_missing_key_is_explained(keys: list[tuple[Any, ...]]) -> None:
    server, merge = make_merge(keys=keys)
    message = (
        "^shop.clicks has no unique key of exactly id, which "
        "on_duplicate: update needs: add one, or change `key`$"
    )
    with pytest.raises(DatabaseError, match=message):
        merge.prepare()
    assert len(server.sent) == 1


def test_key_of_several_columns_fits_in_any_order() -> None:
    keys = [("name", "name", None), ("both", "at", None), ("both", "id", None)]
    server, merge = make_merge(keys=keys, key=["id", "AT"])
    merge.prepare()
    assert len(server.sent) == 4


@for_each(
    ("settings", "expected"),
    [
        ({}, (5, 2)),
        ({"on_duplicate": "ignore"}, (3, 0)),
        # nothing to update
        ({"columns": ["id"]}, (3, 0)),
    ],
)
def test_rows_written_and_updated_are_counted(
    settings: dict[str, Any], expected: tuple[int, int]
) -> None:
    server, merge = make_merge(**settings)
    server.results["INSERT INTO newest_rows_to_merge"] = [()] * 4
    server.results["UPDATE `shop`"] = [()] * 2
    server.results["INSERT INTO `shop`"] = [()] * 3
    assert merge.run() == expected
    assert server.statements[-2:] == [
        "DELETE FROM rows_to_merge",
        "DELETE FROM newest_rows_to_merge",
    ]


def test_ignore_keeps_first_row_of_key() -> None:
    newest, insert, *_ = run(on_duplicate="ignore", key=["id", "at"], order_by="at")
    assert "PARTITION BY `id`, `at` ORDER BY `position in file`)" in newest
    assert newest.endswith("= 1 OR `id` IS NULL OR `at` IS NULL")
    assert insert == (
        "INSERT INTO `shop`.`clicks` (`id`, `name`, `at`, `load_id`) "
        "SELECT new.`id`, new.`name`, new.`at`, new.`load_id` "
        "FROM newest_rows_to_merge AS new LEFT JOIN `shop`.`clicks` AS old "
        "ON old.`id` = new.`id` AND old.`at` = new.`at` "
        "WHERE old.`id` IS NULL ORDER BY new.`position in file`"
    )


def test_update_keeps_last_row_of_key() -> None:
    newest, update, *_ = run(columns=["id", "na`me", "load_id"])
    assert "PARTITION BY `id` ORDER BY `position in file` DESC)" in newest
    assert update == (
        "UPDATE `shop`.`clicks` AS old JOIN newest_rows_to_merge AS new "
        "ON old.`id` = new.`id` "
        "SET old.`na``me` = new.`na``me`, old.`load_id` = new.`load_id` "
        "WHERE CAST(CONCAT_WS(',', QUOTE(old.`id`), QUOTE(old.`na``me`)) AS BINARY) "
        "<> CAST(CONCAT_WS(',', QUOTE(new.`id`), QUOTE(new.`na``me`)) AS BINARY)"
    )


def test_update_keeps_newest_row_by_order() -> None:
    newest, update, *_ = run(columns=["id", "at"], order_by="at")
    text = "CAST(CONCAT_WS(',', QUOTE({0}.`id`), QUOTE({0}.`at`)) AS BINARY)"
    new, old = text.format("new"), text.format("old")
    assert f"ORDER BY `at` DESC, {new} DESC, `position in file` DESC)" in newest
    assert update.endswith(
        "WHERE new.`at` > old.`at` OR old.`at` IS NULL AND new.`at` IS NOT NULL "
        f"OR old.`at` <=> new.`at` AND {new} > {old}"
    )
