"""Where settings come from: the build's file, own declarations, secrets, the help."""

from pathlib import Path
from typing import Any

import pytest
from box import BoxError

import settings_reader
from settings import Secret, Setting, SettingsError, url
from tests.tables import for_each


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the configuration file of a build in the current directory."""
    path = tmp_path / "config.yml"
    path.write_text("table: built\n", encoding="utf-8")
    monkeypatch.setattr(settings_reader, "CONFIG_FILE", path)
    monkeypatch.chdir(tmp_path)
    return path


def test_file_of_the_build_is_the_default(
    build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings_reader.read().table == "built"
    other, third = tmp_path / "other.yml", tmp_path / "third.yml"
    other.write_text("table: other", encoding="utf-8")
    third.write_text("table: third", encoding="utf-8")
    monkeypatch.setenv("CONST_PATH", str(other))
    assert settings_reader.read().table == "other"
    assert settings_reader.read([f"--const_path={third}"]).table == "third"
    monkeypatch.delenv("CONST_PATH")
    build.unlink()
    assert settings_reader.read().table is None


def test_file_in_current_directory_has_short_name(
    build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build.write_text("tabel: a", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"^config\.yml, line 1: unknown setting"):
        settings_reader.read()
    monkeypatch.chdir("/")
    with pytest.raises(SettingsError, match=f"^{str(build).removeprefix('/')}, line 1"):
        settings_reader.read()


def test_settings_are_read_only() -> None:
    var = settings_reader.read()
    with pytest.raises(BoxError):
        var.table = "other"


def test_all_missing_settings_are_named() -> None:
    with pytest.raises(SettingsError, match=r"^table and columns must be set: in the"):
        settings_reader.read(needs=("table", "columns", "delimiter"))


def test_replacing_versions_needs_load_column() -> None:
    args = ["--on_new_version=replace"]
    with pytest.raises(SettingsError, match="but load_column is not set"):
        settings_reader.read(args)
    var = settings_reader.read([*args, "--load_column=load_number"])
    assert var.on_new_version == "replace"


@for_each(
    ("own", "message"),
    [
        ([Setting("zone"), Setting("zone")], "setting zone is taken: choose another"),
        ([Setting("table"), Setting("table")], "setting table is taken: choose"),
        (
            [Setting("zone", env="AREA"), Setting("place", env="AREA")],
            "setting place has the variable AREA of zone: choose another with env=",
        ),
        (
            [Setting("table"), Setting("place", env="TABLE")],
            "setting place has the variable TABLE of table",
        ),
    ],
)
def test_own_settings_have_different_names(own: list[Setting], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settings_reader.read(own=own)


def test_own_setting_may_replace_one_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its values have the function's type, and are not checked with other files'."""
    own = [Setting("columns", int, 7), Setting("seen", env="DB_TABLE")]
    monkeypatch.setenv("DB_TABLE", "t")
    var = settings_reader.read(["--columns=8", "--on_duplicate=ignore"], own=own)
    assert (var.columns, var.seen) == (8, "t")


def even(text: str) -> int:
    """Parse an even number."""
    if int(text) % 2:
        raise ValueError(f"{text} is odd")
    return int(text)


@for_each(
    ("setting", "text", "expected"),
    [
        (Setting("size", float), "0.5", 0.5),
        (Setting("size", even), "4", 4),
        (Setting("size", int, is_list=True), "[1, 2]", (1, 2)),
        (Setting("size", int, is_list=True), "1,2", (1, 2)),
        (Setting("size", int, is_map=True), "a =1, b=2", (("a", 1), ("b", 2))),
        (Setting("size", str, is_map=True), "a=b=c", (("a", "b=c"),)),
        (Setting("size", bool), "ON", True),
        (Setting("size", choices=("a", "b")), "b", "b"),
        (Setting("size", str, is_list=True, allows_empty=True), "[]", ("",)),
        (Setting("size", str, is_list=True), "[]", ()),
    ],
)
def test_own_setting_has_its_type(
    monkeypatch: pytest.MonkeyPatch, setting: Setting, text: str, expected: Any
) -> None:
    monkeypatch.setenv("SIZE", text)
    found = settings_reader.read(own=[setting]).size
    assert (tuple(map(tuple, found)) if setting.is_map else found) == expected


@for_each(
    ("setting", "text", "message"),
    [
        (Setting("size", int), "x", "--size: 'x' is not a whole number"),
        (Setting("size", float), "x", "--size: 'x' is not a number"),
        (Setting("size", even), "3", "--size: 3 is odd"),
        (Setting("size", bool), "x", "--size: 'x' is neither true nor false"),
        (Setting("size", int, is_map=True), "a=x", "--size: a: 'x' is not a whole num"),
        (Setting("size", choices=("a", "b")), "c", "--size: 'c' is not one of a, b"),
        (Setting("size", env="SIZE"), "", "size must be set"),
    ],
)
def test_wrong_value_of_own_setting_is_named(
    setting: Setting, text: str, message: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        settings_reader.read([f"--size={text}"], needs=["size"], own=[setting])
    assert str(raised.value).startswith(message)


@for_each("default", ["7", 7])
def test_default_may_be_text(default: Any) -> None:
    assert settings_reader.read(own=[Setting("size", int, default)]).size == 7


def test_flag_without_a_value_is_its_own() -> None:
    own = [Setting("mode", flag="fast"), Setting("dry_run", bool, False)]
    var = settings_reader.read(["--mode", "--dry_run"], own=own)
    assert (var.mode, var.dry_run) == ("fast", True)


SECRETS = [
    Setting("first", Secret),
    Setting("plain"),
    Setting("second", Secret),
    Setting("third", Secret),
]


def test_each_secret_has_its_own_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret"
    path.write_bytes("pä$$\r\n".encode())
    monkeypatch.setenv("FIRST", "in the clear")
    monkeypatch.setenv("PLAIN_FILE", str(path))  # it is no secret
    monkeypatch.setenv("SECOND_FILE", str(path))
    monkeypatch.setenv("THIRD_SECRET", "shop/third")
    var = settings_reader.read(own=SECRETS, fetch_secret=lambda name, _: name.upper())
    assert (var.first, var.plain) == ("in the clear", None)
    assert (var.second, var.third) == ("pä$$", "SHOP/THIRD")
    for name in ("first", "second", "third"):
        assert repr(var[name]) == "'***'"


def test_secret_is_not_fetched_if_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THIRD_SECRET", "shop/third")
    var = settings_reader.read(
        ["--third=x"], own=SECRETS, fetch_secret=lambda *_: pytest.fail("it is fetched")
    )
    assert var.third == "x"
    assert settings_reader.read(own=SECRETS).third is None  # such as in the tests


def test_secret_file_must_be_utf_8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"\xff")
    monkeypatch.setenv("DB_PASS_FILE", str(path))
    with pytest.raises(SettingsError, match="cannot be read: it is not UTF-8"):
        settings_reader.read()


@for_each(
    ("args", "message"),
    [
        (["--tabel=hunter2"], "unknown setting --tabel: did you mean table?; --help"),
        (["--grace=1", "x", "--table=a", "hunter2"], "unexpected text after --grace:"),
        (["hunter2"], "unexpected text: put quotes around values with spaces; --help"),
    ],
)
def test_unknown_argument_is_named_without_its_value(
    args: list[str], message: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        settings_reader.read(args)
    assert str(raised.value).startswith(message)
    assert "hunter2" not in str(raised.value)


def test_help_describes_each_setting(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    own = [
        Setting("api_url", url, None, "URL of the API", required=True),
        Setting("api_key", Secret, "hunter2", "key of the API"),
        Setting("rate", float, 0.5, "50 % of all"),
        Setting("states", str, [], "states to load", is_list=True),
        Setting("dry_run", bool, False, "change nothing"),
        Setting("table", str, "seen", "table of what was seen"),
        Setting("zone", str, "", "time zone", choices=("UTC", "CET")),
    ]
    with pytest.raises(SystemExit, match="0"):
        settings_reader.read(["--help"], needs=["columns"], own=own)
    page = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in page.splitlines()]
    for line in (
        "function:",
        "--api_url API_URL URL of the API (required) [env var: API_URL]",
        "--api_key API_KEY key of the API [env var: API_KEY]",
        "--rate RATE 50 % of all (default: 0.5) [env var: RATE]",
        "--states STATES [STATES ...]",
        "--dry_run [true|false]",
        "--zone {UTC,CET} time zone [env var: ZONE]",
        "--once [true|false] stop after one batch of messages [env var: ONCE]",
        "--header [HEADER] true: the first row names the columns; skip: it is ignored; "
        "false: there is none (default: false) [env var: HEADER]",
    ):
        assert line in lines
    file = "--const_path CONST_PATH configuration file (default: config.yml of the "
    assert f"{file}build) [env var: CONST_PATH]" in " ".join(page.split())
    assert page.count("  --table ") == 1
    assert "Runs the function on the messages of a queue or on one event." in lines
    assert page.endswith(settings_reader.EPILOG)
    assert "hunter2" not in page
