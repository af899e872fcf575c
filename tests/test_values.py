"""Values arrive in tables as they are in the file, or their rows become rejects."""

import csv
import io
import random
from typing import Any

import pytest

import value_cases
from baking import Project
from shim_helpers import (
    count_loaded,
    drain,
    drop,
    fetch_rejects,
    is_postgres,
    on_each_database,
    take_dead_letters,
)
from value_cases import KINDS, REJECT, Kind, results

INSERT = "INSERT INTO {table} ({columns}) VALUES ({values})"
ON_MYSQL = pytest.mark.parametrize("shimmed", ["mysql"], indirect=True)
ON_POSTGRES = pytest.mark.parametrize("shimmed", ["postgres"], indirect=True)


def create(project: Project, table: str, columns: str) -> None:
    """Create a table anew; on MySQL with a collation that compares bytes."""
    project.query(f"DROP TABLE IF EXISTS {table}")
    end = "" if is_postgres(project) else "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    project.query(f"CREATE TABLE {table} ({columns}) {end}")


def load(
    project: Project, table: str, columns: str, text: str, words: str = ""
) -> tuple[str, str]:
    """Load a file into a table; return its key and the worker's output.

    Args:
        project: whose shim runs.
        table: name of the table.
        columns: names of its columns, separated by spaces.
        text: the file.
        words: more settings.
    """
    key = drop(project, f"values-{random.random()}.csv", text)
    settings = f"--table={table} --max_reject_share=1 --retry_delay=0 {words}"
    settings += " --load_column="
    return key, drain(project, f"{settings} --columns {columns}")


def rejected(project: Project, key: str) -> list[int]:
    """Return the line numbers of a file's rejects."""
    return [line for line, _ in fetch_rejects(project, key)]


def write_csv(rows: list[list[str]], quotes: Any = csv.QUOTE_MINIMAL) -> str:
    r"""Return a CSV file; `\N` is never quoted."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n", quoting=quotes)
    writer.writerows(rows)
    return file.getvalue().replace('"\\N"', "\\N")


def test_values_page_is_up_to_date() -> None:
    found = value_cases.PAGE.read_text(encoding="utf-8")
    assert found == value_cases.page(), "run: make values"


@on_each_database
@pytest.mark.parametrize("way", ["plain", "quoted", "insert"])
def test_values_are_stored_as_given_or_rejected(shimmed: Project, way: str) -> None:
    at = 0 if is_postgres(shimmed) else 1
    kinds = [kind for kind in KINDS if kind.types[at]]
    names = [f"c{number}" for number in range(len(kinds))]
    types = [kind.types[at] for kind in kinds]
    columns = [f"{name} {each}" for name, each in zip(names, types, strict=True)]
    create(shimmed, "each_type", ", ".join(["k INT", *columns]))
    cases = [(kind, case) for kind in kinds for case in kind.cases]
    rows = [
        [str(number), *(case[0] if each is kind else r"\N" for each in kinds)]
        for number, (kind, case) in enumerate(cases)
    ]
    text = write_csv(rows, csv.QUOTE_ALL if way == "quoted" else csv.QUOTE_MINIMAL)
    words = f"--insert_statement='{INSERT}'" if way == "insert" else ""
    key, output = load(shimmed, "each_type", f"k {' '.join(names)}", text, words)
    bad = [line - 1 for line in rejected(shimmed, key)]
    found = {
        number: REJECT if number in bad else fetch_shown(shimmed, number, kinds, kind)
        for number, (kind, _) in enumerate(cases)
    }
    expected = {number: results(case)[at] for number, (_, case) in enumerate(cases)}
    names_of = {
        number: f"{kind.types[at]} {case}" for number, (kind, case) in enumerate(cases)
    }
    assert {names_of[number]: found[number] for number in found} == {
        names_of[number]: expected[number] for number in expected
    }, output


@on_each_database
def test_values_alone_give_the_same(shimmed: Project) -> None:
    path = shimmed.path / "alone.json"
    path.write_text(value_cases.list_alone(shimmed.database), encoding="utf-8")
    program = (".venv/bin/python", "-c", value_cases.ALONE)
    script = 'exec "$@" < alone.json'
    output = shimmed.run(
        "sh", "-c", script, "sh", *program, env=shimmed.shim_environment()
    )
    assert output.stdout == "compared\n"


def fetch_shown(
    project: Project, number: int, kinds: list[Kind], kind: Kind
) -> str | None:
    """Return the value that a case has in the table, as text."""
    shown = kind.shown[0 if is_postgres(project) else 1] % f"c{kinds.index(kind)}"
    found = project.query(f"SELECT {shown} FROM each_type WHERE k = {number}")
    if not found or found[0][0] is None:
        return None
    value = found[0][0]
    text = value.decode() if isinstance(value, bytes) else str(value)
    return text.rstrip() if kind.name == "padded text" else text


@ON_MYSQL
def test_null_is_no_default_on_mysql(shimmed: Project) -> None:
    create(
        shimmed,
        "defaults",
        "id BIGINT AUTO_INCREMENT PRIMARY KEY, "
        "at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, n INT NOT NULL DEFAULT 5",
    )
    text = (
        "0,2026-01-05,1\n\\N,2026-01-05,1\n3,\\N,1\n4,2026-01-05,\\N\n5,2026-01-05,1\n"
    )
    for words in ("", f"--insert_statement='{INSERT}'"):
        key, _ = load(shimmed, "defaults", "id at n", text, words)
        assert rejected(shimmed, key) == [2, 3, 4]
        assert shimmed.query("SELECT id FROM defaults ORDER BY id") == [[0], [5]]
        shimmed.query("DELETE FROM defaults")


@on_each_database
def test_generated_column_fails_with_its_name(shimmed: Project) -> None:
    create(shimmed, "sums", "a INT, b INT GENERATED ALWAYS AS (a + 1) STORED")
    _, output = load(shimmed, "sums", "a b", "1,5\n")
    assert "b is a generated column of sums: remove it from columns" in output
    assert len(take_dead_letters(shimmed)) == 1


@on_each_database
def test_function_that_yields_null_rejects_row(shimmed: Project) -> None:
    create(shimmed, "days", "k INT, day DATE")
    convert = (
        "to_date(%s, ''DD.MM.YYYY'')"
        if is_postgres(shimmed)
        else "STR_TO_DATE(%s, ''%%d.%%m.%%Y'')"
    ).replace("''", '"' if not is_postgres(shimmed) else "'\\''")
    statement = f"INSERT INTO {{table}} ({{columns}}) VALUES (%s, {convert})"
    text = "1,02.03.2012\n2,soon\n3,31.12.2012\n"
    key, output = load(
        shimmed, "days", "k day", text, f"--insert_statement='{statement}'"
    )
    assert rejected(shimmed, key) == [2], output
    found = shimmed.query("SELECT k, day FROM days ORDER BY k")
    assert [[k, str(day)] for k, day in found] == [[1, "2012-03-02"], [3, "2012-12-31"]]


@on_each_database
def test_own_statement_checks_plain_values(shimmed: Project) -> None:
    create(shimmed, "mixed", "k INT, day DATE, name VARCHAR(9)")
    statement = "INSERT INTO {table} ({columns}) VALUES (%s, %s, concat(upper(%s), 1))"
    text = "1,2026-01-05,a\n1.5,2026-01-05,b\n3,02/03/2012,c\n"
    key, output = load(
        shimmed, "mixed", "k day name", text, f"--insert_statement='{statement}'"
    )
    assert rejected(shimmed, key) == [2, 3], output
    assert shimmed.query("SELECT k, name FROM mixed") == [[1, "A1"]]


@ON_MYSQL
def test_insert_ignore_counts_duplicates_as_ignored(shimmed: Project) -> None:
    create(shimmed, "once", "id INT PRIMARY KEY, n INT")
    statement = INSERT.replace("INSERT", "INSERT IGNORE")
    words = f"--insert_statement='{statement}'"
    key, output = load(shimmed, "once", "id n", "1,1\n1,2\n2,x\n3,3\n", words)
    assert '"loaded": 2, "rejected": 1, "ignored": 1' in output
    assert count_loaded(shimmed, key) == 2
    assert shimmed.query("SELECT id, n FROM once ORDER BY id") == [[1, 1], [3, 3]]


@ON_POSTGRES
@pytest.mark.parametrize(
    "text", ["1,a\n2,skip\n3,c\n", "1,a\n2,skip\nx,b\n3,skip\n4,d\n"]
)
def test_rows_left_out_by_trigger_are_ignored(shimmed: Project, text: str) -> None:
    create(shimmed, "vetoed", "id INT, name TEXT")
    shimmed.query(
        "CREATE OR REPLACE FUNCTION veto() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF NEW.name = 'skip' THEN RETURN NULL; END IF; RETURN NEW; END $$"
    )
    shimmed.query(
        "CREATE TRIGGER veto BEFORE INSERT ON vetoed FOR EACH ROW "
        "EXECUTE FUNCTION veto()"
    )
    key, output = load(shimmed, "vetoed", "id name", text)
    found = shimmed.query("SELECT count(*) FROM vetoed")[0][0]
    assert f'"loaded": {found}, ' in output
    assert f'"ignored": {text.count("skip")}' in output
    assert count_loaded(shimmed, key) == found


@on_each_database
def test_values_cannot_forge_row_numbers(shimmed: Project) -> None:
    create(shimmed, "forged", "id INT PRIMARY KEY, note VARCHAR(40), CHECK (id <> 130)")
    texts = (
        "x, line 2",
        "COPY forged, line 3, column id",
        "a\nCOPY forged, line 900000000",
        "Row 2 at row 3",
    )
    rows = [[str(number), texts[number % 4]] for number in range(400)]
    rows[130][1] = rows[131][1] = "COPY forged, line 999999, column id"
    rows[131][0] = rows[250][0] = "7"
    rows[200][1] += "y" * 41
    lines = [
        1 + sum(row[1].count("\n") + 1 for row in rows[:at])
        for at in (130, 131, 200, 250)
    ]
    key, output = load(shimmed, "forged", "id note", write_csv(rows))
    assert rejected(shimmed, key) == lines, output
    assert shimmed.query("SELECT count(*) FROM forged") == [[396]]


@on_each_database
def test_check_rejects_only_bad_rows(shimmed: Project) -> None:
    create(shimmed, "checked", "a VARCHAR(5) CHECK (a <> '13'), b VARCHAR(5), n INT")
    text = "13,ok,1\n5,ok,2\nx,ok,3\n6,toolong,4\n7,ok,y\n"
    key, _ = load(shimmed, "checked", "a b n", text)
    assert rejected(shimmed, key) == [1, 4, 5]
    found = shimmed.query("SELECT a FROM checked ORDER BY n")
    assert found == [["5"], ["x"]]


@on_each_database
def test_duplicates_written_otherwise_are_found(shimmed: Project) -> None:
    create(shimmed, "spelled", "id INT, code CHAR(5) UNIQUE, name VARCHAR(2) UNIQUE")
    for text, expected in (
        ('1,"",a\n', []),
        ('2,"",b\n3,\\N,c\n', [1]),
        ("4,ab,d\n5,ab ,e\n", [2]),
        ("6,f,fg\n7,g,fg \n", [2]),
    ):
        key, _ = load(shimmed, "spelled", "id code name", text)
        assert rejected(shimmed, key) == expected
    found = shimmed.query("SELECT id FROM spelled ORDER BY id")
    assert found == [[1], [3], [4], [6]]


# What a trigger does if the column `what` has this text.
FAILING = {
    "postgres": {
        "no row": "SELECT id INTO STRICT NEW.id FROM touchy WHERE false",
        "many rows": "SELECT v INTO STRICT NEW.id FROM unnest(ARRAY[1, 2]) AS v",
        "subquery": "NEW.id := (SELECT v FROM unnest(ARRAY[1, 2]) AS v)",
        "own state": "RAISE EXCEPTION 'no' USING ERRCODE = 'AB123'",
        "own class": "RAISE EXCEPTION 'no' USING ERRCODE = 'ZZ000'",
        "plain": "RAISE EXCEPTION 'no'",
        "assert": "ASSERT false",
        "zero": "NEW.id := 1 / (NEW.id - NEW.id)",
        "range": "NEW.id := 2147483647 + NEW.id * 0 + 1",
        "cast": "NEW.id := NEW.what::int",
    },
    "mysql": {
        "subquery": "SET NEW.id = (SELECT 1 UNION SELECT 2)",
        "own state": "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'",
        "own number": "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 30001",
        "high number": "SIGNAL SQLSTATE 'ZZ000' SET MYSQL_ERRNO = 50001",
        "range": "SET NEW.id = 9223372036854775807 + NEW.id * 0 + 1",
        "zero": "SET NEW.id = 1 / (NEW.id - NEW.id)",
        "cast": "SET NEW.id = NEW.what",
    },
}


def create_touchy(project: Project) -> list[str]:
    """Create a table whose trigger fails for some texts; return these texts."""
    failing = FAILING[project.database]
    create(
        project,
        "touchy",
        "id INT, what VARCHAR(20)",
    )
    actions = " ".join(
        f"IF NEW.what = '{what}' THEN {action}; END IF;"
        for what, action in failing.items()
    )
    trigger = "CREATE TRIGGER touch BEFORE INSERT ON touchy FOR EACH ROW"
    if is_postgres(project):
        project.query(
            "CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {actions} RETURN NEW; END $$"
        )
        project.query(f"{trigger} EXECUTE FUNCTION touch()")
    else:
        project.query(f"{trigger} BEGIN {actions} END")
    return list(failing)


@on_each_database
@pytest.mark.parametrize("way", ["bulk", "insert"])
def test_any_error_of_a_value_rejects_its_row(shimmed: Project, way: str) -> None:
    texts = create_touchy(shimmed)
    rows = [[str(number), "good"] for number in range(3 * len(texts))]
    for number, text in enumerate(texts):
        rows[3 * number + 1][1] = text
    words = f"--insert_statement='{INSERT}'" if way == "insert" else ""
    key, output = load(shimmed, "touchy", "id what", write_csv(rows), words)
    found = rejected(shimmed, key)
    expected = [3 * number + 2 for number in range(len(texts))]
    assert [texts[line // 3] for line in found] == texts, output
    assert found == expected
    count = "SELECT count(*) FROM touchy WHERE what = 'good'"
    assert shimmed.query(count) == [[2 * len(texts)]]


@on_each_database
def test_row_that_fits_no_partition_or_index_is_rejected(
    shimmed: Project,
) -> None:
    if is_postgres(shimmed):
        shimmed.query("DROP TABLE IF EXISTS parts CASCADE")
        shimmed.query("CREATE TABLE parts (n INT, name TEXT) PARTITION BY LIST (n)")
        shimmed.query("CREATE TABLE part PARTITION OF parts FOR VALUES IN (1, 2)")
        shimmed.query("CREATE INDEX ON part (name)")
    else:
        shimmed.query("DROP TABLE IF EXISTS parts")
        shimmed.query(
            "CREATE TABLE parts (n INT, name VARCHAR(20)) PARTITION BY LIST (n) "
            "(PARTITION part VALUES IN (1, 2))"
        )
    long = "".join(random.Random(1).choices("abcdefgh", k=9000))
    key, _ = load(shimmed, "parts", "n name", f"1,a\n3,b\n2,{long}\n2,c\n")
    assert rejected(shimmed, key) == [2, 3]
    assert shimmed.query("SELECT name FROM parts ORDER BY name") == [["a"], ["c"]]


@ON_POSTGRES
def test_deferred_constraint_fails_file_by_name(shimmed: Project) -> None:
    create(
        shimmed,
        "deferred",
        "id INT CONSTRAINT one_id UNIQUE DEFERRABLE INITIALLY DEFERRED",
    )
    key, output = load(shimmed, "deferred", "id", "1\n2\n1\n")
    assert "UniqueViolation (23505) at one_id" in output
    assert count_loaded(shimmed, key) == 0
    assert shimmed.query("SELECT count(*) FROM deferred") == [[0]]
    assert len(take_dead_letters(shimmed)) == 1


@on_each_database
def test_column_name_may_have_dots(shimmed: Project) -> None:
    mark = '"' if is_postgres(shimmed) else "`"
    names = ("Sepal.Length", "a b", "50%", "é")
    columns = ", ".join(f"{mark}{name}{mark} INT" for name in names)
    schema = "public" if is_postgres(shimmed) else "main"
    create(shimmed, "dotted", f"{columns}, day DATE")
    words = " ".join(f"'{name}'" for name in names)
    text = "1,2,3,4,2026-01-05\nx,2,3,4,2026-01-05\n5,6,7,8,05.01.2026\n"
    for way in ("", f"--insert_statement='{INSERT}'"):
        key, _ = load(shimmed, f"{schema}.dotted", f"{words} day", text, way)
        assert rejected(shimmed, key) == [2, 3]
    selected = f"SELECT {mark}Sepal.Length{mark}, {mark}50%{mark} FROM dotted"
    assert shimmed.query(selected) == [[1, 3], [1, 3]]
