"""What the docs tell is what the tests and the code do."""

from matrix import PAGE, page


def test_table_of_faults_is_that_of_the_tests() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: make faults"
