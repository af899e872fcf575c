"""Configuration file < environment < command line."""

from pathlib import Path

import pytest

import settings
from settings import SettingsError
from settings_page import PAGE, page


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a configuration file that sets the delimiter."""
    path = tmp_path / "config.yml"
    path.write_text('delimiter: ";"\ncolumns: [a, b]\n', encoding="utf-8")
    return path


def test_command_line_goes_before_environment_before_file(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = f"--const_path={config}"
    assert settings.read([]).delimiter == ","
    assert settings.read([file]).delimiter == ";"
    monkeypatch.setenv("DELIMITER", "|")
    assert settings.read([file]).delimiter == "|"
    assert settings.read([file, "--delimiter=/"]).delimiter == "/"


def test_variable_that_is_empty_counts_as_absent(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELIMITER", "")
    assert settings.read([f"--const_path={config}"]).delimiter == ";"


def test_list_comes_from_file_environment_and_command_line(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = f"--const_path={config}"
    assert list(settings.read([file]).columns) == ["a", "b"]
    monkeypatch.setenv("DB_COLUMNS", "[c, d]")
    assert list(settings.read([file]).columns) == ["c", "d"]
    assert list(settings.read([file, "--columns", "e", "f"]).columns) == ["e", "f"]


@pytest.mark.parametrize(
    ("written", "meant"), [(r"\t", "\t"), (r"\r\n", "\r\n"), ("§", "§"), ("→", "→")]
)
def test_backslash_escapes_are_read(written: str, meant: str) -> None:
    assert settings.read([f"--newline={written}"]).newline == meant


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--poll_batch_size=11"], "'11' is no whole number from 1 to 10"),
        (["--db_port=x"], "'x' is no whole number from 1 to 65535"),
        (["--db_tls=maybe"], "maybe"),
        (["--sqs_endpoint=127.0.0.1:4566"], "'127.0.0.1:4566' is no URL, as in http:"),
        (["--no_such_thing=1"], "--no_such_thing=1"),
        (["--const_path=nowhere.yml"], "nowhere.yml"),
    ],
)
def test_wrong_setting_is_named_with_its_value(args: list[str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        settings.read(args)


def test_unknown_key_of_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text("delimeter: ','\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="delimeter"):
        settings.read([f"--const_path={path}"])


def test_setting_that_is_needed_must_be_there(config: Path) -> None:
    needs = ("table", "columns")
    assert settings.read([f"--const_path={config}", "--table=t"], needs).table == "t"
    with pytest.raises(SettingsError, match="table must be set: in the config"):
        settings.read([f"--const_path={config}"], needs)


def test_help_lists_every_setting_with_its_environment_variable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # else a narrow terminal parts words
    with pytest.raises(SystemExit, match="0"):
        settings.read(["--help"])
    page = " ".join(capsys.readouterr().out.split())
    for group in settings.SETTINGS.values():
        for setting in group:
            assert f"--{setting.name}" in page
            assert f"[env var: {setting.env or setting.name.upper()}]" in page


def test_page_tells_of_all_settings() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: make settings"
