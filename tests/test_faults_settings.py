"""What becomes of wrong settings, on real servers."""

from baking import DEADLINE, Project
from playground import (
    clicks,
    count_from,
    dead_letters,
    drain,
    drop,
    fault,
    is_postgres,
    rows_of,
    waiting,
    worker,
)

CONFIG = "table: clicks\ncolumns: [click_id, visitor, page, referrer, clicked_at]\n"
NO_NUMBER = "--poll_batch_size: 'many' is no whole number from 1 to 10"
# configuration file, environment, command line, what is told
MISTAKES: list[tuple[str, dict[str, str], str, str]] = [
    (CONFIG + "delimeter: ;", {}, "", "--delimeter=;"),
    (CONFIG, {}, "--delimeter=;", "--delimeter=;"),
    (CONFIG + "poll_batch_size: many", {}, "", NO_NUMBER),
    (CONFIG, {"POLL_BATCH_SIZE": "many"}, "", NO_NUMBER),
    (CONFIG, {}, "--poll_batch_size=many", NO_NUMBER),
    (CONFIG, {"AWS_ENDPOINT_URL_S3": "s3:4566"}, "", "'s3:4566' is no URL"),
    (CONFIG + "header: perhaps", {}, "", "header: 'perhaps'"),
    (CONFIG + "delimiter: [a, b]", {}, "", "delimiter can't be set to a list"),
    ("columns: [click_id", {}, "", "did not find expected ',' or ']'"),
    ("- table", {}, "", "doesn't appear to contain 'key: value' pairs"),
    (CONFIG, {"CONST_PATH": "nowhere.yml"}, "", "Unable to open config file: nowhere"),
    ("columns: [click_id]", {}, "", "table must be set: in the configuration file"),
    ("table: clicks", {}, "", "columns must be set: in the configuration file"),
    ("{}", {}, "", "table and columns must be set: in the configuration file"),
    (CONFIG, {"READ_QUEUE": ""}, "", "no queue to poll: set --read_queue"),
    (CONFIG, {}, "--read_queue=nowhere", "there is no queue nowhere: name another"),
    (CONFIG, {}, "--on_new_version=replace", "load_column is not set: name the column"),
]


@fault(
    "a setting that is unknown, missing or of the wrong type, in the configuration "
    "file, the environment or the command line",
    "one sentence, exit code not 0, no message is taken",
)
def test_mistake_is_told_in_a_sentence(shimmed: Project) -> None:
    shimmed.make("build", "TARGET=local")
    key = drop(shimmed, "waits.csv", clicks(1, first=190_000))
    config = shimmed.path / ".build/local/worker/config.yml"
    kept = config.read_text(encoding="utf-8")
    try:
        for text, environment, words, told in MISTAKES:
            config.write_text(text, encoding="utf-8")
            with worker(shimmed, "--drain", *words.split(), **environment) as wrong:
                assert wrong.process.wait(DEADLINE) == 2, wrong.said
            assert wrong.said.startswith("error: "), wrong.said
            assert wrong.said.count("\n") == 1, wrong.said
            assert told in wrong.said
    finally:
        config.write_text(kept, encoding="utf-8")
    assert waiting(shimmed) == [1, 0]
    drain(shimmed)
    assert rows_of(shimmed, key) == 1


@fault(
    "a setting in all three places",
    "the command line goes before the environment, which goes before the file",
)
def test_settings_come_from_file_then_environment_then_command_line(
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
        assert rows_of(shimmed, key) == 1


PASSWORD = 'hunter2-"quoted"-ü'
# Programs that make a database user with that password.
MARK = {
    "postgres": """
import os, psycopg, sys
names = {"host": "DB_HOST", "port": "DB_PORT", "dbname": "DB_NAME", "user": "DB_USER"}
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
    "success, failure, a wrong password, at `--log_level=DEBUG`",
    "no log and no traceback shows the password",
)
def test_password_shows_nowhere(shimmed: Project) -> None:
    program = MARK["postgres" if is_postgres(shimmed) else "mysql"]
    words = (".venv/bin/python", "-c", program, PASSWORD)
    shimmed.run(*words, env=shimmed.shim_environment())
    for first, log_format in ((195_000, "json"), (196_000, "text")):
        drop(shimmed, f"good-{log_format}.csv", clicks(3, first=first))
        drop(shimmed, f"poison-{log_format}.csv", "bad\n")
        log = ("--log_level=DEBUG", f"--log_format={log_format}")
        runs = ["--drain --retry_delay=0", "--event=tests/data/event.json"]
        for run, password in zip(runs, (PASSWORD, f"{PASSWORD}?"), strict=True):
            user = {"DB_USER": "marked", "DB_PASS": password}
            with worker(shimmed, *run.split(), *log, **user) as tried:
                tried.process.wait(DEADLINE)
            assert "hunter2" not in tried.said
            assert "Traceback" in tried.said
            is_wrong = "DatabaseAwayError: the database is away: " in tried.said
            assert is_wrong == (password != PASSWORD)
            assert ("botocore" in tried.said) or is_wrong
        assert count_from(shimmed, first, 10) == 3
    assert len(dead_letters(shimmed)) == 2
