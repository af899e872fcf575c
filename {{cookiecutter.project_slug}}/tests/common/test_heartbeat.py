"""The heartbeat: what is stuck is logged, and a file is touched while nothing is."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import heartbeat
from heartbeat import Heartbeat
from settings import SETTINGS, SettingsError

INTERVAL = heartbeat.INTERVAL


@pytest.fixture(autouse=True)
def _short_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.001)


class Beats:
    """What is stuck at each beat. At its end, `has_ended` is set.

    A beat can be a function, which is called first: then nothing is stuck.
    """

    def __init__(self, *beats: list[str] | Callable[[], object]) -> None:
        self._beats = list(beats)
        self.has_ended = threading.Event()

    def __call__(self) -> list[str]:
        """Return what is stuck now."""
        if not self._beats:
            self.has_ended.set()
            return []
        beat = self._beats.pop(0)
        if isinstance(beat, list):
            return beat
        beat()
        return []

    def run(self, path: Path | None = None) -> None:
        """Run a heartbeat until the end of the beats."""
        with Heartbeat(str(path) if path else None, self):
            assert self.has_ended.wait(10)


def test_interval_is_as_documented() -> None:
    """The health check of the image relies on it."""
    [setting] = [each for each in SETTINGS["queue"] if each.name == "heartbeat"]
    assert f"touch every {INTERVAL} seconds" in setting.help


def test_change_of_what_is_stuck_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    Beats(["a"], ["a"], ["a", "b"], ["a", "b"], [], ["a"]).run()
    assert caplog.messages == ["stuck: a", "stuck: a, b", "stuck: a"]


def test_file_is_touched_at_start_and_while_nothing_is_stuck(tmp_path: Path) -> None:
    path, seen = tmp_path / "heartbeat", []

    def look() -> None:
        seen.append(path.exists())
        path.unlink(missing_ok=True)

    Beats(look, look, look).run(path)
    assert seen == [True, True, True]


def test_file_is_not_touched_while_something_is_stuck(tmp_path: Path) -> None:
    path, seen = tmp_path / "heartbeat", []
    has_ended = threading.Event()

    def find_stuck() -> list[str]:
        seen.append(path.exists())
        path.unlink(missing_ok=True)
        if len(seen) == 3:
            has_ended.set()
        return ["a"]

    with Heartbeat(str(path), find_stuck):
        assert has_ended.wait(10)
    assert seen[:3] == [True, False, False]


def test_file_that_cannot_be_touched_any_more_is_left(tmp_path: Path) -> None:
    """The health check sees that it is old."""
    directory = tmp_path / "tmp"
    directory.mkdir()
    path = directory / "heartbeat"

    def remove() -> None:
        path.unlink()
        directory.rmdir()

    Beats(remove, []).run(path)
    assert not directory.exists()


def test_end_stops_the_thread() -> None:
    before = set(threading.enumerate())
    beats = Beats()
    with Heartbeat(None, beats):
        [thread] = set(threading.enumerate()) - before
        assert thread.name == "heartbeat"  # in a dump of all stacks
        assert thread.daemon  # a process that hangs can still exit
    thread.join(10)
    assert not thread.is_alive()


def test_unwritable_file_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(
            SettingsError, match=r"no/where cannot be written \(No such file"
        ),
        Heartbeat(f"{tmp_path}/no/where", Beats()),
    ):
        pass
