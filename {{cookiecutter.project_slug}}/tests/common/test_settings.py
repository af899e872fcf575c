"""Settings: configuration file < environment < command line."""

import json
from argparse import ArgumentTypeError
from collections.abc import Sequence
from pathlib import Path

import pytest

import settings
import settings_reader
from settings import Secret, Setting, SettingsError, url
from tests.tables import for_each
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
    assert settings_reader.read([]).delimiter == ","
    assert settings_reader.read([file]).delimiter == ";"
    monkeypatch.setenv("DELIMITER", "|")
    assert settings_reader.read([file]).delimiter == "|"
    assert settings_reader.read([file, "--delimiter=/"]).delimiter == "/"


def test_empty_variable_counts_as_absent(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELIMITER", "")
    assert settings_reader.read([f"--const_path={config}"]).delimiter == ";"


def test_list_is_read_from_all_three_sources(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = f"--const_path={config}"
    assert list(settings_reader.read([file]).columns) == ["a", "b"]
    monkeypatch.setenv("DB_COLUMNS", "[c, d]")
    assert list(settings_reader.read([file]).columns) == ["c", "d"]
    assert list(settings_reader.read([file, "--columns", "e", "f"]).columns) == [
        "e",
        "f",
    ]


@for_each(
    ("text", "expected"), [(r"\t", "\t"), (r"\r\n", "\r\n"), ("§", "§"), ("→", "→")]
)
def test_backslash_escapes_are_replaced(text: str, expected: str) -> None:
    assert settings_reader.read([f"--newline={text}"]).newline == expected


@for_each(
    ("args", "message"),
    [
        (["--poll_batch_size=11"], "'11' is not a whole number from 1 to 10"),
        (["--db_port=x"], "--db_port: 'x' is not a whole number from 1 to 65535"),
        (["--db_tls=maybe"], "--db_tls: 'maybe' is not one of verify, prefer"),
        (["--once=maybe"], "--once: 'maybe' is neither true nor false"),
        (["--delimiter=\\→"], r"'\\' has an escape of no character: write a back"),
        (["--delimiter=\\ud800"], "has an escape of no character: write a backslash"),
        (["--once=--"], "--once: '--' is neither true nor false"),
        (["--header=--"], "--header: '--' is neither true, false nor skip"),
        (["--sqs_endpoint=127.0.0.1:4566"], "'127.0.0.1:4566' is not a URL such as"),
        (["--s3_endpoint=http://minio:9000\r"], r"'http://minio:9000\r' is not a URL"),
        (["--s3_endpoint=http://."], "'http://.' has a host name that boto3 refuses"),
        (["--send_queues=part"], "'part' is not a list such as part=part-pending"),
        (["--delimeter=;"], "unknown setting --delimeter: did you mean delimiter?"),
        (["--no_such_thing=1"], "unknown setting --no_such_thing;"),
        (["--Poll-Intervall=1"], "did you mean poll_interval?"),
        (["--table=a", "b"], "unexpected text after --table: put quotes around"),
        (["--table"], "--table: expected one argument"),
        (["--const_path=nowhere.yml"], "nowhere.yml cannot be read: No such file"),
    ],
)
def test_invalid_setting_is_named_with_value(args: list[str], message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        settings_reader.read(args)
    assert message in str(raised.value)


@for_each(
    "args",
    [
        ["--db_pas=hunter2"],
        ["--db_pas", "hunter2"],
        ["--db-pass=hunter2"],
        ["--db_pass", "a", "hunter2"],
        ["-phunter2"],
        ["db_pass=hunter2"],
        ["--", "hunter2"],
        ["--read_queue=q", "--db_pass", "--grace=1", "hunter2"],
        ["--s3_endpoint=http://anna:hunter2@my_minio:9000"],
        ["--sqs_endpoint=ftp://anna:hun/hunter2@minio"],
        ["--sqs_endpoint=http://anna:hun\nhunter2@minio"],
    ],
)
def test_mistake_shows_no_secret(args: list[str]) -> None:
    with pytest.raises(SettingsError) as raised:
        settings_reader.read(args)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("text", ["--", "-", "--grace", "()", " "])
def test_password_may_look_like_flag(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("DB_PASS", text)
    assert settings_reader.read().db_pass == text
    monkeypatch.delenv("DB_PASS")
    assert settings_reader.read([f"--db_pass={text}"]).db_pass == text


def test_invalid_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_COLUMNS", "")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "s3:4566")
    with pytest.raises(SettingsError, match=r"^AWS_ENDPOINT_URL_S3: 's3:4566' is not"):
        settings_reader.read([])


@for_each(
    ("text", "message"),
    [
        ("table: a\ndelimeter: ','", "2: unknown setting delimeter: did you mean deli"),
        ("null: NA", "1: unknown setting null: it is called null_field now"),
        ("~: NA", "1: unknown setting ~"),
        ("on: x", "1: unknown setting on"),
        ("1: x", "1: unknown setting 1"),
        ("[a, b]: x", "1: the key is a list instead of text"),
        ("? {a: b}\n: x", "1: the key is a mapping instead of text"),
        ("poll_interval: soon", "1: poll_interval: 'soon' is not a whole number from"),
        ("header: perhaps", "1: header: 'perhaps' is neither true, false nor skip"),
        ("db_tls: maybe", "1: db_tls: 'maybe' is not one of verify, prefer"),
        ("delimiter: [a, b]", "1: delimiter is a list: it takes one value"),
        ("table: {a: b}", "1: table is a mapping: use a text or a list of texts"),
        ("columns: [a, {b: c}]", "1: columns has a mapping in its list: use texts"),
        ("columns: [[a]]", "1: columns has a list in its list: use texts"),
        ("table: a\n\ntable: b", "3: table is already set in line 1"),
        ("table: a\ncolumns: [a\n", "2, column 10: not valid YAML: close each bracket"),
        ("a: b: c", "1, column 5: not valid YAML"),
        ("--- a\n--- b", "1, column 5: not valid YAML"),
        ("db_pass: !hunter2 x", "1, column 10: not valid YAML"),
        ("db_pass: !hunter2", "1, column 10: not valid YAML"),
        ("db_pass: &hunter2", "1, column 10: not valid YAML"),
        ("db_pass: *hunter2", "1, column 10: not valid YAML"),
        ("db_pass: a: hunter2", "1, column 11: not valid YAML"),
        ('db_pass: "hunter2', "1, column 10: not valid YAML"),
        ("db_pass: @hunter2", "1, column 10: not valid YAML"),
        ("db_pas: hunter2", "1: unknown setting db_pas: did you mean db_pass?"),
        ("db_pass: {hunter2: 1}", "1: db_pass is a mapping: use a text or a list"),
        ("db_pass: [hunter2]", "1: db_pass is a list: it takes one value"),
        ("- hunter2", " must have lines such as"),
        ("- table", " must have lines such as"),
        ("text", " must have lines such as"),
        ("a: \0", ": not valid YAML: "),
        ("a: " + 500 * "[", ": not valid YAML: "),
        ('a: "\\U00110000"', ": not valid YAML: "),
        ('a: "\\UFFFFFFFF"', ": not valid YAML: "),
        ('a: "\\uD83D"', ": not valid YAML: "),
    ],
)
def test_mistake_in_file_names_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as raised:
        settings_reader.read([f"--const_path={path}"])
    line = ", line " if message[0].isdigit() else ""
    assert f"config.yml{line}{message}" in str(raised.value)
    assert "hunter2" not in str(raised.value)


@for_each("text", ["no", "010", "012345", "12:34:56", "null", "1e3"])
def test_yaml_values_stay_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yml"
    path.write_text(
        f"table: {text}\nload_column: {text}\ncolumns: [id, {text}]\ndb_pass: {text}\n",
        encoding="utf-8",
    )
    var = settings_reader.read([f"--const_path={path}"])
    assert var.columns == ("id", text)
    assert (var.table, var.load_column, var.db_pass) == (text, text, text)


def test_surrogate_pair_of_json_is_one_character(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"table": "a😀"}), encoding="utf-8")
    assert settings_reader.read([f"--const_path={path}"]).table == "a😀"


@for_each("text", ["", "{}", "# nothing", "table:"])
def test_file_without_values_is_valid(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yml"
    path.write_text(text, encoding="utf-8")
    assert settings_reader.read([f"--const_path={path}"]).table is None


@for_each(
    ("text", "expected"), [("true", True), ("Yes", True), ("off", False), ("0", False)]
)
def test_flag_is_read_from_file(tmp_path: Path, text: str, expected: bool) -> None:
    path = tmp_path / "config.yml"
    path.write_text(f"drain: {text}", encoding="utf-8")
    assert settings_reader.read([f"--const_path={path}"]).drain is expected
    assert settings_reader.read([f"--const_path={path}", "--drain"]).drain
    assert not settings_reader.read([f"--const_path={path}", "--drain=false"]).drain


@for_each(
    ("args", "message"),
    [
        ("--on_duplicate=update", "on_duplicate is 'update', but key is not set"),
        (
            "--on_duplicate=ignore --key visitors --columns visitor",
            "key names 'visitors', which is not one of the columns: did you mean "
            "visitor?",
        ),
        (
            "--on_duplicate=ignore --key - --columns visitor -",
            "key names '-', which is not one of the columns",
        ),
        ("--order_by=day", "order_by is 'day', but on_duplicate is 'reject'"),
        (
            "--on_duplicate=update --key a --columns a --order_by=day",
            "order_by names 'day', which is not one of the columns",
        ),
        (
            "--on_duplicate=update --key a --columns a --insert_statement=x",
            "insert_statement is set, too: remove one of them",
        ),
    ],
)
def test_contradicting_duplicate_settings_are_named(args: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_reader.read(args.split())
    assert message in str(caught.value)


@for_each(
    ("name", "least", "most"),
    [
        ("poll_batch_size", 1, 10),  # limits of SQS
        ("poll_interval", 0, 20),
        ("retry_delay", 0, 900),
        ("stuck_after", 1, 12 * 3600),
        ("workers", 1, None),
        ("grace", 0, None),
        ("db_port", 1, 2**16 - 1),
        ("db_statement_timeout", 1, None),
        ("skip_lines", 0, None),
        ("trailer_lines", 0, None),
        ("max_uncompressed_mb", 1, None),
    ],
)
def test_number_is_within_its_limits(name: str, least: int, most: int | None) -> None:
    for number in [least] if most is None else [least, most]:
        assert settings_reader.read([f"--{name}={number}"])[name] == number
    for number in [least - 1] if most is None else [least - 1, most + 1]:
        with pytest.raises(SettingsError, match=f"is not a whole number from {least} "):
            settings_reader.read([f"--{name}={number}"])


@for_each(
    "text",
    [
        "http://127.0.0.1:4566",
        "https://sqs.eu-west-1.amazonaws.com",
        "http://MinIO:9000/path",
        "http://[::1]:4566",
        "http://anna:s3cret@minio.",
        f"http://{'a' * 63}.example",
    ],
)
def test_url_of_a_service_is_accepted(text: str) -> None:
    assert url(text) == text


@for_each(
    "text",
    [
        "minio",
        "ftp://minio",
        "http://",
        "http:///path",
        "http://minio:port",
        "http://minio:99999",
        "http://mi nio",
        "http://-minio",
        "http://minio-.example",
        "http://a..b",
        f"http://{'a' * 64}.example",
        f"http://{'a.' * 128}",
        "http://[::1",
    ],
)
def test_url_that_boto3_refuses_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        url(text)


@for_each(("text", "expected"), [("0", 0), ("1", 1), ("0.25", 0.25)])
def test_share_is_a_number_up_to_1(text: str, expected: float) -> None:
    args = [f"--max_reject_share={text}"]
    assert settings_reader.read(args).max_reject_share == expected


@for_each("text", ["-0.1", "1.1", "nan", "half", "50%"])
def test_other_share_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="is not a number from 0 to 1"):
        settings_reader.read([f"--max_reject_share={text}"])


@for_each("text", ["part", "part=", "=part-pending", "a=b,part"])
def test_queue_without_a_name_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="is not a list such as part=part-pending"):
        settings_reader.read([f"--send_queues={text}"])


def test_queues_are_a_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings_reader.read().send_queues == {}
    monkeypatch.setenv("SEND_QUEUES", "part=dev-part-pending, other=dev-other.fifo,")
    expected = {"part": "dev-part-pending", "other": "dev-other.fifo"}
    assert settings_reader.read().send_queues == expected


def test_missing_setting_is_an_error(config: Path) -> None:
    needs = ("table", "columns")
    assert (
        settings_reader.read([f"--const_path={config}", "--table=t"], needs).table
        == "t"
    )
    with pytest.raises(SettingsError, match="table must be set: in the config"):
        settings_reader.read([f"--const_path={config}"], needs)


OWN = [
    Setting("api_url", url, None, "URL of the API", env="API_URL", required=True),
    Setting("api_key", Secret, None, "key of the API"),
    Setting("days", int, 30, "days to keep"),
    Setting("states", str, [], "states to load", is_list=True),
    Setting("dry_run", bool, False, "change nothing"),
    Setting("table", str, "seen", "table of what was seen"),
]


def test_own_settings_have_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_URL", "https://api.example.com")
    monkeypatch.setenv("STATES", "open, closed")
    var = settings_reader.read(["--days=7", "--dry_run"], own=OWN)
    assert (var.api_url, var.days) == ("https://api.example.com", 7)
    assert (var.states, var.dry_run) == (("open", "closed"), True)
    assert (var.table, var.api_key) == ("seen", None)


@for_each(
    ("args", "message"),
    [
        ([], "^api_url must be set"),
        (["--api_url=x"], "--api_url: 'x' is not a URL"),
        (["--days=soon"], "--days: 'soon' is not a whole number"),
        (["--dayz=1"], "unknown setting --dayz: did you mean days?"),
    ],
)
def test_mistake_in_own_setting_is_named(args: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settings_reader.read(args, own=OWN)


@for_each(
    ("setting", "message"),
    [
        (Setting("region"), "the name of the function's setting region is taken"),
        (
            Setting("zone", env="AWS_REGION"),
            "zone has the variable AWS_REGION of regio",
        ),
        (Setting("api-url"), "cannot have the name 'api-url'"),
        (Setting("items"), "cannot have the name 'items'"),
        (Setting("class"), "cannot have the name 'class'"),
        (Setting("help"), "cannot have the name 'help'"),
        (Setting("path"), "variable PATH, which the system uses: choose another"),
    ],
)
def test_taken_name_is_an_error(setting: Setting, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settings_reader.read(own=[setting])


def test_unknown_need_is_an_error() -> None:
    with pytest.raises(SettingsError, match="setting tabel: did you mean table"):
        settings_reader.read(needs=("tabel",))


def test_secret_comes_from_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "password"
    path.write_text("pa$$word\n\n", encoding="utf-8")
    monkeypatch.setenv("DB_PASS_FILE", str(path))
    monkeypatch.setenv("API_KEY_FILE", str(path))
    var = settings_reader.read(["--api_url=http://a"], own=OWN)
    assert (var.db_pass, var.api_key) == ("pa$$word\n", "pa$$word\n")
    assert "pa$$word" not in repr(var)
    args = ["--api_url=http://a", "--db_pass=other"]
    assert settings_reader.read(args, own=OWN).db_pass == "other"


def test_secret_comes_from_secrets_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY_SECRET", "partner/api-key")
    var = settings_reader.read(
        ["--api_url=http://a", "--region=eu-west-1"],
        own=OWN,
        fetch_secret=lambda name, region: f"value of {name} in {region}",
    )
    assert var.api_key == "value of partner/api-key in eu-west-1"
    assert "partner" not in repr(var)


@pytest.mark.parametrize("other", ["DB_PASS", "DB_PASS_SECRET"])
def test_secret_has_one_source(monkeypatch: pytest.MonkeyPatch, other: str) -> None:
    for name in ("DB_PASS_FILE", other):
        monkeypatch.setenv(name, "x")
    with pytest.raises(SettingsError, match=f"{other}.* set: remove all but one"):
        settings_reader.read()


def test_unreadable_secret_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASS_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(
        SettingsError, match=r"DB_PASS_FILE is .*nowhere, which cannot "
    ):
        settings_reader.read()


def read_help(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    needs: tuple[str, ...] = (),
    own: Sequence[Setting] = (),
) -> str:
    """Return the page of `--help`, in one line."""
    monkeypatch.setenv("COLUMNS", "200")  # a narrow terminal would split words
    with pytest.raises(SystemExit, match="0"):
        settings_reader.read(["--help"], needs, own)
    return " ".join(capsys.readouterr().out.split())


def test_help_shows_what_the_function_needs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = read_help(capsys, monkeypatch, needs=("table",))
    for group in settings.SETTINGS.values():
        for setting in group:
            assert f"--{setting.name}" in page
            assert f"[env var: {setting.variable}]" in page


def test_help_hides_what_others_need(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = read_help(capsys, monkeypatch, own=OWN)
    for setting in OWN:
        assert f"{setting.help} " in page
    assert "URL of the API (required) [env var: API_URL]" in page
    assert "days to keep (default: 30) [env var: DAYS]" in page
    assert "--delimiter" not in page
    assert "--read_queue" in page


def test_settings_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_page(), "run: make settings"
