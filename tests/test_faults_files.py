"""What becomes of bad files and values, on real servers."""

from baking import Project
from playground import (
    clicks,
    count_from,
    dead_letters,
    drain,
    drop,
    fault,
    rejects_of,
    rows_of,
)


@fault("values that the database refuses", "rejects with reasons; the others stay")
def test_value_that_the_database_refuses_is_set_aside_and_the_others_stay(
    shimmed: Project,
) -> None:
    lines = clicks(2000, first=50_001).splitlines()
    lines[9] = f"50010,{'x' * 65},/,,2026-01-05 08:00:00"
    lines[999] = "fifty-one thousand,anna,/,,2026-01-05 08:00:00"
    lines[1000] = "51001,\\N,/,,2026-01-05 08:00:00"
    lines[1999] = "52000,anna,/,,2026-02-31 08:00:00"
    key = drop(shimmed, "refused.csv", "\n".join(lines))
    said = drain(shimmed)
    assert '"loaded": 1996' in said
    assert [line for line, _ in rejects_of(shimmed, key)] == [10, 1000, 1001, 2000]
    assert all(reason for _, reason in rejects_of(shimmed, key))
    assert count_from(shimmed, 50_001, 2000) == 1996


@fault(
    "more bad lines than `max_reject_share`",
    "nothing is loaded; the message ends in the dead-letter queue",
)
def test_file_with_too_many_bad_lines_fails_whole_and_ends_in_the_dead_letters(
    shimmed: Project,
) -> None:
    key = drop(shimmed, "hopeless.csv", clicks(3, first=60_001) + "bad\n" * 4)
    said = drain(shimmed, "--retry_delay=0")
    assert "4 of 7 lines are bad" in said
    assert said.count('"outcome": "failed"') == 3  # the receives that the queue allows
    assert rows_of(shimmed, key) == 0
    [dead] = dead_letters(shimmed)
    assert "hopeless.csv" in dead


@fault(
    "a new version of an object, `on_new_version: replace`",
    "its rows alone are in the table",
)
def test_new_version_replaces_the_rows_of_the_former_where_it_shall(
    shimmed: Project,
) -> None:
    words = "--on_new_version=replace --load_column=load_number"
    for first in (80_001, 80_101):
        drop(shimmed, "versions.csv", clicks(10, first=first))
        drain(shimmed, words)
    where = "click_id BETWEEN 80001 AND 80200"
    found = shimmed.query(f"SELECT min(click_id), count(*) FROM clicks WHERE {where}")
    assert found == [[80_101, 10]]
