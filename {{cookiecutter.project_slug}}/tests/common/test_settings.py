"""Settings: configuration file < environment < command line."""

from pathlib import Path

import pytest

import settings
from settings import SettingsError
from tools.settings_page import PAGE, render_page


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a configuration file that sets the delimiter."""
    path = tmp_path / "config.yml"
    path.write_text('delimiter: ";"\ncolumns: [a, b]\n', encoding="utf-8")
    return path


def test_command_line_overrides_environment_and_file(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = f"--const_path={config}"
    assert settings.read([]).delimiter == ","
    assert settings.read([file]).delimiter == ";"
    monkeypatch.setenv("DELIMITER", "|")
    assert settings.read([file]).delimiter == "|"
    assert settings.read([file, "--delimiter=/"]).delimiter == "/"


def test_empty_variable_counts_as_absent(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELIMITER", "")
    assert settings.read([f"--const_path={config}"]).delimiter == ";"


def test_list_is_read_from_all_three_sources(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = f"--const_path={config}"
    assert list(settings.read([file]).columns) == ["a", "b"]
    monkeypatch.setenv("DB_COLUMNS", "[c, d]")
    assert list(settings.read([file]).columns) == ["c", "d"]
    assert list(settings.read([file, "--columns", "e", "f"]).columns) == ["e", "f"]


@pytest.mark.parametrize(
    ("text", "expected"), [(r"\t", "\t"), (r"\r\n", "\r\n"), ("§", "§"), ("→", "→")]
)
def test_backslash_escapes_are_replaced(text: str, expected: str) -> None:
    assert settings.read([f"--newline={text}"]).newline == expected


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--poll_batch_size=11"], "'11' is not a whole number from 1 to 10"),
        (["--db_port=x"], "'x' is not a whole number from 1 to 65535"),
        (["--db_tls=maybe"], "maybe"),
        (
            ["--sqs_endpoint=127.0.0.1:4566"],
            "'127.0.0.1:4566' is not a URL such as http:",
        ),
        (["--no_such_thing=1"], "--no_such_thing=1"),
        (["--const_path=nowhere.yml"], "nowhere.yml"),
    ],
)
def test_invalid_setting_is_named_with_value(args: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settings.read(args)


def test_unknown_key_in_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text("delimeter: ','\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="delimeter"):
        settings.read([f"--const_path={path}"])


def test_missing_setting_is_an_error(config: Path) -> None:
    needs = ("table", "columns")
    assert settings.read([f"--const_path={config}", "--table=t"], needs).table == "t"
    with pytest.raises(SettingsError, match="table must be set: in the config"):
        settings.read([f"--const_path={config}"], needs)


def test_help_lists_all_settings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # a narrow terminal would split words
    with pytest.raises(SystemExit, match="0"):
        settings.read(["--help"])
    page = " ".join(capsys.readouterr().out.split())
    for group in settings.SETTINGS.values():
        for setting in group:
            assert f"--{setting.name}" in page
            assert f"[env var: {setting.env or setting.name.upper()}]" in page


def test_settings_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_page(), "run: make settings"
