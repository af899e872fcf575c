"""Rows that are delivered again are rejected, ignored, or update the table's."""

import random

import pytest

from baking import Project
from shim_helpers import (
    drain,
    drop,
    fetch_rejects,
    is_postgres,
    on_each_database,
    take_dead_letters,
)

UPDATE = "--on_duplicate=update --key id"
IGNORE = "--on_duplicate=ignore --key id"
COLUMNS = "id seen name mail n"
FIRST = "1,1,a,m1,1\n2,1,b,m2,1\n"


@pytest.fixture
def people(shimmed: Project) -> Project:
    """A project with an empty table that has a key, another one, and a check."""
    shimmed.query("DROP TABLE IF EXISTS people")
    shimmed.query(
        "CREATE TABLE people (id INT, seen INT, name VARCHAR(9) NOT NULL, "
        "mail VARCHAR(9), n INT CHECK (n <> 13), note VARCHAR(9) DEFAULT 'new', "
        "load_number BIGINT, UNIQUE (id), UNIQUE (mail))"
    )
    return shimmed


def load(project: Project, name: str, text: str, words: str) -> tuple[str, str]:
    """Load a file into the table; return its key and the worker's output."""
    key = drop(project, f"people-{name}-{random.random()}.csv", text)
    settings = f"--table=people --max_reject_share=1 --retry_delay=0 {words}"
    return key, drain(project, f"{settings} --columns {COLUMNS}")


def rows(project: Project, columns: str = "id, seen, name") -> list[list[object]]:
    """Return the rows of the table."""
    return project.query(f"SELECT {columns} FROM people ORDER BY id, seen")


@on_each_database
def test_update_replaces_rows_by_key(people: Project) -> None:
    load(people, "first", FIRST, UPDATE)
    people.query("UPDATE people SET note = 'kept'")
    text = (
        "1,2,aa,m1,1\n3,1,c,m3,1\n3,1,cc,m3,1\n4,1,d,m2,1\n5,1,e,m5,13\n"
        "6,x,e,m6,1\n2,1,b,m2,1\n"
    )
    key, output = load(people, "more", text, f"{UPDATE} --load_column=load_number")
    assert '"loaded": 2, "rejected": 3, "updated": 1, "ignored": 2' in output
    assert [line for line, _ in fetch_rejects(people, key)] == [4, 5, 6]
    assert rows(people, "id, name, note") == [
        [1, "aa", "kept"],
        [2, "b", "kept"],
        [3, "cc", "new"],
    ]


@on_each_database
def test_ignore_keeps_first_row(people: Project) -> None:
    load(people, "first", FIRST, IGNORE)
    _, output = load(people, "more", "1,9,z,z,1\n7,1,g,\\N,1\n7,2,gg,\\N,1\n", IGNORE)
    assert '"loaded": 1, "rejected": 0, "ignored": 2' in output
    assert rows(people) == [[1, 1, "a"], [2, 1, "b"], [7, 1, "g"]]


@on_each_database
def test_rejects_duplicates_by_default(people: Project) -> None:
    load(people, "first", FIRST, "")
    key, _ = load(people, "more", "1,2,aa,m9,1\n3,1,c,m3,1\n", "")
    assert [line for line, _ in fetch_rejects(people, key)] == [1]
    assert rows(people) == [[1, 1, "a"], [2, 1, "b"], [3, 1, "c"]]


@on_each_database
def test_null_key_is_no_duplicate(people: Project) -> None:
    text = "\\N,1,a,\\N,1\n\\N,1,a,\\N,1\n"
    for words in (UPDATE, IGNORE):
        load(people, "null", text, words)
    assert people.query("SELECT count(*) FROM people") == [[4]]


@on_each_database
def test_order_of_files_makes_no_difference(people: Project) -> None:
    choices = random.Random(7)
    files = [
        "".join(
            f"{choices.randrange(20)},{choices.choice(['1', '2', '3', chr(92) + 'N'])},"
            f"{choices.choice('abAB')},\\N,{choices.choice(['1', '13', 'x'])}\n"
            for _ in range(60)
        )
        for _ in range(3)
    ]
    found = []
    for order in (files, files[::-1], files[1:] + files[:1]):
        people.query("DELETE FROM people")
        for text in order:
            load(people, "order", text, f"{UPDATE} --order_by=seen")
        found.append(rows(people, "id, seen, name, n"))
    assert found[0]
    assert found == found[:1] * len(found)


@on_each_database
def test_key_without_unique_key_fails(people: Project) -> None:
    _, output = load(people, "wrong", FIRST, "--on_duplicate=update --key id name")
    assert "people has no unique key of exactly id, name, which on_duplicate" in output
    assert rows(people) == []
    assert len(take_dead_letters(people)) == 1


@on_each_database
def test_partitions_are_merged(people: Project) -> None:
    people.query("DROP TABLE IF EXISTS people")
    parts = (
        "PARTITION BY RANGE (id)"
        if is_postgres(people)
        else "PARTITION BY RANGE (id) (PARTITION low VALUES LESS THAN (100))"
    )
    people.query(
        "CREATE TABLE people (id INT PRIMARY KEY, seen INT, name VARCHAR(9), "
        f"mail VARCHAR(9), n INT, load_number BIGINT) {parts}"
    )
    if is_postgres(people):
        people.query("CREATE TABLE low PARTITION OF people FOR VALUES FROM (0) TO (99)")
    load(people, "parts", FIRST, UPDATE)
    key, output = load(people, "parts", "1,2,z,m,1\n200,1,y,n,1\n3,1,c,o,1\n", UPDATE)
    assert '"loaded": 2, "rejected": 1, "updated": 1' in output
    assert [line for line, _ in fetch_rejects(people, key)] == [2]
    assert rows(people) == [[1, 2, "z"], [2, 1, "b"], [3, 1, "c"]]


@on_each_database
def test_many_rows_are_merged_in_bulk(people: Project) -> None:
    for seen in (1, 2):
        text = "".join(f"{number},{seen},n,\\N,1\n" for number in range(60_000))
        text += f"1,{seen},n,\\N,13\n"
        _, output = load(people, "many", text, UPDATE)
    assert '"loaded": 60000, "rejected": 1, "updated": 60000' in output
    assert people.query("SELECT min(seen), count(*) FROM people") == [[2, 60_000]]
    assert is_postgres(people) or "by INSERT, slowly" not in output
