"""Each example of docs/file-formats.md gives the same rows in both databases."""

from typing import Any

import pytest
import yaml

from baking import Project
from format_examples import CREATE, EXAMPLES, Example, Row
from formats_page import PAGE, page
from shim_helpers import drain, drop, fetch_rejects, on_each_database


def test_formats_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: make formats"


def as_text(value: Any) -> str | None:
    """Return a value of a driver as text, the same for each database."""
    if value is None:
        return None
    return str(int(value) if isinstance(value, bool) else value)


def fetch_orders(project: Project, table: str, settings: str) -> list[Row]:
    """Return the rows of a table of orders, as far as the settings name its columns."""
    names = [name for name in yaml.safe_load(settings)["columns"] if name != "-"]
    statement = f"SELECT {', '.join(names)} FROM {table} ORDER BY id"
    return [[as_text(value) for value in row] for row in project.query(statement)]


@on_each_database
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)
def test_example_gives_rows(shimmed: Project, example: Example) -> None:
    table = f"orders_{EXAMPLES.index(example)}"
    shimmed.query(CREATE.replace("orders", table))
    config = shimmed.path / f"{table}.yml"
    config.write_text(f"table: {table}\n{example.settings}\n", encoding="utf-8")
    key = drop(shimmed, f"{table}.csv", example.encode(example.file))
    drain(shimmed, f"--const_path={config.name}")
    assert fetch_orders(shimmed, table, example.settings) == example.rows
    assert fetch_rejects(shimmed, key) == example.rejects


@on_each_database
def test_column_name_may_have_dot(shimmed: Project) -> None:
    mark = '"' if shimmed.database == "postgres" else "`"
    names = ("Sepal.Length", "iris.species")
    columns = ", ".join(f"{mark}{name}{mark} VARCHAR(9)" for name in names)
    shimmed.query(f"CREATE TABLE iris ({columns})")
    drop(shimmed, "iris.csv", '5.1,"x"\n4.9,y\n')
    drain(shimmed, f"--table=iris --load_column= --columns {' '.join(names)}")
    drop(shimmed, "iris-2.csv", "iris.species,Sepal.Length\nz,5.0\n")
    statement = "--insert_statement='INSERT INTO {table} ({columns}) VALUES ({values})'"
    words = f"--table=iris --load_column= --header --columns {' '.join(names)}"
    drain(shimmed, f"{words} {statement}")
    rows = [["5.1", "x"], ["4.9", "y"], ["5.0", "z"]]
    assert shimmed.query("SELECT * FROM iris") == rows
