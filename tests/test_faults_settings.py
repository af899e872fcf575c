"""What becomes of wrong settings, on real servers."""

import pytest

from baking import Project
from playground import fault


@fault("settings that are wrong", "one sentence, exit code not 0, no message is taken")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--on_new_version=replace", "load_column is not set"),
        ("--read_queue=nowhere", "there is no queue nowhere"),
    ],
)
def test_mistake_is_told_in_a_sentence(shimmed: Project, words: str, told: str) -> None:
    result = shimmed.make("run", "FUNC=worker", f"RUN_ARGS={words}", check=False)
    assert result.returncode != 0
    assert told in result.stdout
    assert "Traceback" not in result.stdout
