"""Merging by a key in PostgreSQL: the statements of each setting."""

import re
from types import SimpleNamespace
from typing import Any

import pytest

from lib.database_errors import DatabaseError
from lib.merge import Merge
from tests.mock.driver import Server
from tests.tables import for_each

COLUMNS = ["id", "name", "at", "load_id"]


def make_merge(
    columns: list[str] = COLUMNS, keys: int = 1, **settings: Any
) -> tuple[Server, Merge]:
    """Return a server whose table has so many fitting keys, and a merge into it."""
    server = Server()
    server.results["pg_index"] = [(keys,)]
    defaults = {
        "key": ["id"],
        "on_duplicate": "update",
        "order_by": None,
        "load_column": "load_id",
    }
    var = SimpleNamespace(**{**defaults, **settings})
    return server, Merge(server, '"shop"."clicks"', columns, var)


def join(statement: str) -> str:
    """Return a statement on one line."""
    return re.sub(r"\s+", " ", statement).strip()


def run(**settings: Any) -> list[str]:
    """Merge a batch; return the statements."""
    server, merge = make_merge(**settings)
    server.results["FROM written"] = [(3, 1)]
    merge.run()
    return [join(statement) for statement in server.statements]


def test_stage_numbers_rows() -> None:
    server, merge = make_merge()
    merge.prepare()
    _, create, number = map(join, server.statements)
    assert create == (
        "CREATE TEMPORARY TABLE rows_to_merge ON COMMIT DROP AS "
        'SELECT "id", "name", "at", "load_id" FROM "shop"."clicks" WITH NO DATA'
    )
    assert number.startswith('ALTER TABLE rows_to_merge ADD "position in file" BIGINT')
    assert merge.stage == "rows_to_merge"
    assert server.sent[0][1] == ('"shop"."clicks"', ["id"], ["id"])


def test_missing_key_is_explained() -> None:
    server, merge = make_merge(keys=0, key=["id", "at"])
    message = (
        "^shop.clicks has no unique key of exactly id, at, which "
        "on_duplicate: update needs: add one, or change `key`$"
    )
    with pytest.raises(DatabaseError, match=message):
        merge.prepare()
    assert len(server.sent) == 1


def test_several_keys_fit() -> None:
    server, merge = make_merge(keys=2)
    merge.prepare()
    assert len(server.sent) == 3


@for_each(
    ("settings", "expected"),
    [
        ({}, (3, 1)),
        ({"on_duplicate": "ignore"}, (2, 0)),
        # nothing to update
        ({"columns": ["id"]}, (2, 0)),
    ],
)
def test_rows_written_and_updated_are_counted(
    settings: dict[str, Any], expected: tuple[int, int]
) -> None:
    server, merge = make_merge(**settings)
    server.results["FROM written"] = [(3, 1)]
    server.results["DO NOTHING"] = [(), ()]
    assert merge.run() == expected
    assert server.statements[-1] == "TRUNCATE rows_to_merge"
    assert len(server.statements) == 2


def test_ignore_keeps_first_row_of_key() -> None:
    [statement, _] = run(on_duplicate="ignore", key=["id", "at"])
    assert statement == (
        'INSERT INTO "shop"."clicks" ("id", "name", "at", "load_id") '
        "OVERRIDING SYSTEM VALUE "
        'SELECT "id", "name", "at", "load_id" FROM rows_to_merge '
        'ORDER BY "position in file" ON CONFLICT ("id", "at") DO NOTHING'
    )


def test_update_keeps_last_row_of_key() -> None:
    [statement, _] = run(key=["id", "at"])
    alone = 'CASE WHEN "id" IS NULL OR "at" IS NULL THEN "position in file" END'
    assert f'DISTINCT ON ("id", "at", {alone})' in statement
    assert f'ORDER BY "id", "at", {alone}, "position in file" DESC )' in statement
    assert 'SELECT stored."id", stored."at" FROM newest' in statement
    assert 'ON CONFLICT ("id", "at") DO UPDATE' in statement


def test_update_changes_other_columns() -> None:
    [statement, _] = run(columns=["id", 'na"me', "load_id"])
    assert (
        'SET "na""me" = EXCLUDED."na""me", "load_id" = EXCLUDED."load_id" '
        'WHERE ROW(stored."id", stored."na""me")::text COLLATE "C" <> '
        'ROW(EXCLUDED."id", EXCLUDED."na""me")::text COLLATE "C" RETURNING' in statement
    )


def test_update_keeps_newest_row_by_order() -> None:
    [statement, _] = run(columns=["id", "at"], order_by="at")
    new, old = 'ROW(EXCLUDED."id", EXCLUDED."at")', 'ROW(stored."id", stored."at")'
    assert (
        '"at" DESC NULLS LAST, ROW(new."id", new."at")::text COLLATE "C" DESC, '
        '"position in file" DESC' in statement
    )
    assert (
        'WHERE EXCLUDED."at" > stored."at" OR stored."at" IS NULL '
        'AND EXCLUDED."at" IS NOT NULL '
        'OR stored."at" IS NOT DISTINCT FROM EXCLUDED."at" '
        f'AND {new}::text COLLATE "C" > {old}::text COLLATE "C" RETURNING' in statement
    )
