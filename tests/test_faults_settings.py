"""Faults of settings: unknown, missing or wrong ones, and secrets in logs."""

import json

from baking import DEADLINE, Project
from shim_helpers import (
    clicks,
    count_clicks,
    count_loaded,
    count_messages,
    drain,
    drop,
    fault,
    is_postgres,
    send_messages,
    start_worker,
    take_dead_letters,
)

CONFIG = "table: clicks\ncolumns: [click_id, visitor, page, referrer, clicked_at]\n"
NO_NUMBER = "poll_batch_size: 'many' is not a whole number from 1 to 10"
FILE = "config.yml, line"
# settings file, environment, command line, expected text
MISTAKES: list[tuple[str, dict[str, str], str, str]] = [
    (
        CONFIG + "delimeter: ;",
        {},
        "",
        f"{FILE} 3: unknown setting delimeter: did you mean delimiter?",
    ),
    (CONFIG, {}, "--delimeter=;", "unknown setting --delimeter: did you mean del"),
    (CONFIG + "null: NA", {}, "", f"{FILE} 3: unknown setting null: it is called null"),
    (CONFIG + "[a]: b", {}, "", f"{FILE} 3: the key is a list instead of text"),
    (CONFIG + "poll_batch_size: many", {}, "", f"{FILE} 3: {NO_NUMBER}"),
    (CONFIG, {"POLL_BATCH_SIZE": "many"}, "", "POLL_BATCH_SIZE: 'many' is not a whole"),
    (CONFIG, {}, "--poll_batch_size=many", f"--{NO_NUMBER}"),
    (CONFIG, {"AWS_ENDPOINT_URL_S3": "s3:4566"}, "", "'s3:4566' is not a URL"),
    (CONFIG + "header: perhaps", {}, "", f"{FILE} 3: header: 'perhaps' is neither"),
    (CONFIG + "delimiter: [a, b]", {}, "", f"{FILE} 3: delimiter is a list"),
    (CONFIG + "delimiter: {a: b}", {}, "", f"{FILE} 3: delimiter is a mapping"),
    ("columns: [click_id", {}, "", "config.yml, line 1, column 10: not valid YAML"),
    ("- table", {}, "", "config.yml must have lines such as"),
    (CONFIG, {"CONST_PATH": "nowhere.yml"}, "", "file nowhere.yml cannot be read: No"),
    (CONFIG, {"DB_PASS_FILE": "nowhere"}, "", "DB_PASS and DB_PASS_FILE are set: remo"),
    ("columns: [click_id]", {}, "", "table must be set: in the configuration file"),
    ("table: clicks", {}, "", "columns must be set: in the configuration file"),
    ("{}", {}, "", "table and columns must be set: in the configuration file"),
    (CONFIG, {"READ_QUEUE": ""}, "", "no queue to poll: set --read_queue"),
    (
        CONFIG,
        {},
        "--read_queue=nowhere",
        "there is no queue nowhere: correct --read_que",
    ),
    (CONFIG, {}, "--on_new_version=replace", "load_column is not set: set it to the "),
]


@fault(
    "an unknown, missing or wrongly typed setting, in the settings file, the "
    "environment or on the command line",
    "one sentence, as JSON where the log is JSON, and exit code 2; no message is "
    "received",
)
def test_wrong_setting_gets_one_sentence(shimmed: Project) -> None:
    key = drop(shimmed, "waits.csv", clicks(1, first=190_000))
    config = shimmed.path / "config/worker.yml"
    kept = config.read_text(encoding="utf-8")
    try:
        for text, environment, words, expected in MISTAKES:
            config.write_text(text, encoding="utf-8")
            with start_worker(
                shimmed, "--drain", *words.split(), **environment
            ) as wrong:
                assert wrong.process.wait(DEADLINE) == 2, wrong.output
            line = json.loads(wrong.output)
            assert line["level"] == "ERROR"
            assert expected in line["message"]
    finally:
        config.write_text(kept, encoding="utf-8")
    assert count_messages(shimmed) == [1, 0]
    drain(shimmed)
    assert count_loaded(shimmed, key) == 1


@fault(
    "secrets in mistaken settings: in a misspelt flag, key or variable, in a value of "
    "the wrong type, in an endpoint",
    "the message names the setting, and no log shows the secret",
)
def test_mistaken_secret_is_never_logged(shimmed: Project) -> None:
    config = shimmed.path / "config/worker.yml"
    kept = config.read_text(encoding="utf-8")
    bad_host = "http://anna:hunter2@my_minio:9000"
    try:
        for text, environment, words, expected in (
            (CONFIG, {}, "--db_pas=hunter2", "unknown setting --db_pas: did you mean"),
            (CONFIG, {}, "--db_pass a hunter2", "unexpected text after --db_pass"),
            (
                CONFIG + "db_pas: hunter2",
                {},
                "",
                "unknown setting db_pas: did you mean",
            ),
            (CONFIG + "db_pass: [hunter2]", {}, "", "db_pass is a list"),
            (CONFIG + "db_pass: !hunter2 1", {}, "", "not valid YAML"),
            (CONFIG, {"AWS_ENDPOINT_URL": bad_host}, "", "boto3 refuses"),
            (CONFIG, {}, f"--s3_endpoint={bad_host}", "--s3_endpoint: 'http://***@my"),
        ):
            config.write_text(text, encoding="utf-8")
            for level in ("INFO", "DEBUG"):
                more = (*words.split(), "--drain", f"--log_level={level}")
                with start_worker(shimmed, *more, **environment) as wrong:
                    assert wrong.process.wait(DEADLINE) == 2, wrong.output
                assert expected in wrong.output
                assert "hunter2" not in wrong.output
    finally:
        config.write_text(kept, encoding="utf-8")


@fault(
    "a setting in all three places",
    "the command line overrides the environment, which overrides the file",
)
def test_settings_override_in_order(
    shimmed: Project,
) -> None:
    for number, (delimiter, words, environment) in enumerate(
        [
            (",", "", {}),
            (";", "", {"DELIMITER": ";"}),
            ("|", " --delimiter='|'", {"DELIMITER": ";"}),
        ]
    ):
        line = clicks(1, first=9200 + number, delimiter=delimiter)
        key = drop(shimmed, f"delimiter-{number}.csv", line)
        shimmed.make("run", "FUNC=worker", f"RUN_ARGS=--drain{words}", env=environment)
        assert count_loaded(shimmed, key) == 1


PASSWORD = 'hunter2-"quoted"-ü'
# Programs that create a database user with that password.
CREATE_USER = {
    "postgres": """
import os, psycopg, sys
names = {"host": "DB_HOST", "port": "DB_PORT", "dbname": "DB_NAME", "user": "DB_ADMIN"}
where = {name: os.environ[variable] for name, variable in names.items()}
connection = psycopg.connect(password=os.environ["DB_PASS"], autocommit=True, **where)
connection.execute(f"CREATE USER marked PASSWORD '{sys.argv[1]}' IN ROLE worker")
""",
    "mysql": """
import pymysql, sys
connection = pymysql.connect(unix_socket=".shim/database/data/server.sock", user="root")
cursor = connection.cursor()
cursor.execute(f"CREATE USER marked@'127.0.0.1' IDENTIFIED BY '{sys.argv[1]}'")
cursor.execute("GRANT ALL ON main.* TO marked@'127.0.0.1'")
""",
}


@fault(
    "success, failure and a wrong password with `--log_level=DEBUG`",
    "no log line and no traceback shows the password",
)
def test_password_is_never_logged(shimmed: Project) -> None:
    program = CREATE_USER["postgres" if is_postgres(shimmed) else "mysql"]
    words = (".venv/bin/python", "-c", program, PASSWORD)
    shimmed.run(*words, env=shimmed.shim_environment())
    for first, log_format in ((195_000, "json"), (196_000, "text")):
        drop(shimmed, f"good-{log_format}.csv", clicks(3, first=first))
        send_messages(shimmed, '{"bucket": "raw", "key": "by-hand/nowhere.csv"}')
        log = ("--log_level=DEBUG", f"--log_format={log_format}")
        runs = ["--drain --retry_delay=0", "--event=tests/data/event.json"]
        for run, password in zip(runs, (PASSWORD, f"{PASSWORD}?"), strict=True):
            user = {"DB_USER": "marked", "DB_PASS": password}
            with start_worker(shimmed, *run.split(), *log, **user) as tried:
                tried.process.wait(DEADLINE)
            assert "hunter2" not in tried.output
            assert "Traceback" in tried.output
            is_wrong = (
                "DatabaseUnreachableError: the database cannot be reached: "
                in tried.output
            )
            assert is_wrong == (password != PASSWORD)
            assert ("botocore" in tried.output) or is_wrong
        assert count_clicks(shimmed, first, 10) == 3
    assert len(take_dead_letters(shimmed)) == 2
