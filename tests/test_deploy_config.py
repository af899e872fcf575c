"""config/deploy.yml is checked, and each error names its line and a remedy."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from baking import TEMPLATE, Project, bake

sys.path.insert(0, str(TEMPLATE))

from tools import deploy_rules, deploy_schema, setting_layers, yaml_document
from tools.errors import UserError

DEPLOY = TEMPLATE / "config" / "deploy.yml"
SCHEMA = TEMPLATE / "config" / "deploy.schema.json"
FUNCTIONS = ["enrich", "fanout", "nightly", "orders", "part", "worker"]
# The example of all declarations.
EVERYTHING = """
functions:
  worker: {}
  fanout: {prefix: incoming/, suffix: .csv, sends_to: [part], batch_size: 1}
  part: {trigger: queue}
  enrich:
    trigger: queue
    reads: [incoming/]
    writes: [enriched/]
    environment: {API_URL: "https://api.example.com", LIMIT: 5, DB_TABLE: clicks}
    secrets: {API_KEY: partner/api-key}
    database: false
    internet: true
    allow:
      - actions: ["dynamodb:PutItem"]
        resources: ["arn:{partition}:dynamodb:{region}:{account}:table/{prefix}-seen"]
      - {actions: ["cloudwatch:PutMetricData"], resources: ["*"]}
  nightly: {trigger: schedule, schedule: "cron(0 2 * * ? *)", timezone: Europe/Vienna}
  orders: {trigger: topic, topic: orders, fifo: true}
"""


def check(text: str, region: str = "eu-west-1") -> None:
    """Check a configuration as a project with `FUNCTIONS` does."""
    document = yaml_document.parse(text.encode(), "config/deploy.yml")
    deploy_schema.check(document, FUNCTIONS, region)


def change(right: str, wrong: str) -> str:
    """Return the template's configuration with a part replaced."""
    text = DEPLOY.read_text(encoding="utf-8")
    assert right in text
    return text.replace(right, wrong, 1)


def with_function(function: str, declaration: str, env: str = "") -> str:
    """Return the template's configuration with an entry of a function.

    Args:
        function: the function, other than `worker`.
        declaration: its settings in YAML's flow style, without the braces.
        env: the environment of the entry; empty for all.
    """
    entry = f"{function}: {{{declaration}}}"
    if env == "local":
        return change("local: {}", f"local: {{functions: {{{entry}}}}}")
    return change("  worker: {}", f"  {entry}")


def refuse(text: str, region: str = "eu-west-1") -> str:
    """Return the error about a configuration, which names the file."""
    with pytest.raises(UserError) as caught:
        check(text, region)
    problem = str(caught.value)
    assert problem.startswith("config/deploy.yml")
    assert "\n" not in problem
    return problem


def replace_functions(functions: str) -> str:
    """Return the template's configuration with other functions."""
    return change("functions:\n  worker: {}\n", functions.lstrip("\n"))


def test_template_and_example_are_valid() -> None:
    check(DEPLOY.read_text(encoding="utf-8"))
    check(replace_functions(EVERYTHING))


def test_stacks_are_tested_with_valid_file() -> None:
    text = (TEMPLATE / "infra" / "tests" / "deploy.yml").read_bytes()
    document = yaml_document.parse(text, "infra/tests/deploy.yml")
    deploy_schema.check(document, document.content["functions"], "eu-west-1")


def test_anchors_and_merge_keys_are_allowed() -> None:
    text = change("  dev:\n", "  dev: &dev\n")
    check(text + "  test:\n    <<: *dev\n    zones: 3\n")
    wrong = text + "  test:\n    <<: *dev\n    zones: 7\n"
    line = wrong.count("\n")
    assert refuse(wrong).startswith(
        f"config/deploy.yml:{line}: environments.test.zones"
    )


@pytest.mark.parametrize("text", ["", "- a\n", "text\n", "{}\n", "a: 1\n---\nb: 2\n"])
def test_file_of_another_form_gets_one_sentence(text: str) -> None:
    refuse(text)


def test_key_can_have_characters_of_latin_1() -> None:
    check(with_function("part", "prefix: Größe ÿ/, reads: [é/], writes: [ñ/]"))


def test_numbers_can_have_a_fraction_and_a_sign() -> None:
    check(change("max_capacity: 16", "max_capacity: 16.50"))
    check(change("max_capacity: 16", "max_capacity: +16"))


def test_schema_validates_in_editor(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("check-jsonschema")
    example = tmp_path / "deploy.yml"
    example.write_text(replace_functions(EVERYTHING), encoding="utf-8")
    files = (DEPLOY, TEMPLATE / "infra" / "tests" / "deploy.yml", example)
    subprocess.run([program, "--check-metaschema", SCHEMA], check=True)
    subprocess.run([program, "--schemafile", SCHEMA, *files], check=True)
    first = DEPLOY.read_text(encoding="utf-8").splitlines()[0]
    assert first == f"# yaml-language-server: $schema={SCHEMA.name}"


def test_schema_explains_each_key() -> None:
    schema = setting_layers.read_schema()
    own = schema["$defs"]["environment"]["properties"]
    parts: list[dict[str, Any]] = [schema, own["database"], own["network"]]
    parts += [schema["$defs"]["environment"], schema["$defs"]["function"]]
    for part in parts:
        for name, key in part["properties"].items():
            assert key["description"].endswith("."), name
    without = {"prefix", "schedule", "topic", "provisioned_pollers", "release"}
    function = schema["$defs"]["function"]["properties"]
    assert setting_layers.read_defaults().keys() == function.keys() - without


def test_written_defaults_are_those_of_schema() -> None:
    written = yaml.safe_load(DEPLOY.read_text(encoding="utf-8"))["defaults"]
    defaults = setting_layers.read_defaults()
    assert written == {key: defaults[key] for key in written}


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        # YAML
        ("defaults:", "defaults: [", ":9: invalid YAML: expected ',' or ']'"),
        ("defaults:", "defaults: !x", ": invalid YAML: could not determine"),
        ("zones: 2", "zones: 2026-13-01", ": invalid YAML: month must be in 1..12"),
        ("zones: 2", r'zones: "\UFFFFFFFF"', ": invalid YAML: "),
        ("zones: 2", "zones: 2\n    zones: 3", ":33: the key zones is also in line 32"),
        ("  dev:", "  no:", ":30: the key no is true or false in YAML, not text"),
        ("  worker: {}", "  null: {}", 'write "null" in quotes'),
        ("  worker: {}", "  1: {}", "the key 1 is a number in YAML"),
        ("  worker: {}", "  [a]: {}", "a key is a list or a mapping: use text"),
        # keys
        ("functions:", "fnctions:", "unknown key fnctions: the closest one is funct"),
        ("  dev:", "  Dev1:", "environments.Dev1 is not a valid name: use 1 to 8 of"),
        ("  local: {}", "", "environments lacks local: add it"),
        ("zones: 2", "zoens: 2", "unknown key environments.dev.zoens: the closest"),
        ("    zones: 2\n", "", "environments.dev lacks zones: add it"),
        ("zones: 2", "zones: 2\n    nat: true", "dev.nat: write internet: true for"),
        (
            "zones: 2",
            "zones: 2\n    memory: 512",
            "dev.memory: write it below defaults",
        ),
        ("cpu: 256", "cqu: 256", "unknown key defaults.cqu: the closest one is cpu"),
        (
            "cpu: 256",
            "sends_to: [part]",
            "defaults.sends_to is a list: write it for single",
        ),
        ("worker: {}", "worker: {memroy: 9}", "functions.worker.memroy: the closest"),
        ("worker: {}", "worker: {x: 9}", "worker.x: choose one of trigger, prefix"),
        ("worker: {}", "wroker: {}", "there is no src/func/wroker.py: the closest"),
        ("worker: {}", "2nd: {}", "functions.2nd is not a valid name: use 1 to 20"),
        # types
        ("worker: {}", "worker: large", 'functions.worker is "large": use a mapping'),
        ("functions:\n  worker: {}", "functions: []", "functions is a list: use a map"),
        ("defaults:", "defaults: 3\nx:", "defaults is 3: use a mapping of settings"),
        ("is_protected: false", 'is_protected: "yes"', 'is "yes": use true or false'),
        ("is_protected: false", "is_protected: 1", "is 1: use true or false"),
        ("memory: 512", "memory: 512.0", "defaults.memory is 512.0: use a whole num"),
        ("memory: 512", 'memory: "512"', 'is "512": use a whole number from 128 to'),
        ("memory: 512", "memory: true", "is true: use a whole number"),
        ("memory: 512", "memory:", "defaults.memory is empty: use a whole number"),
        ("max_capacity: 2\n", "max_capacity: .inf\n", "use a number from 1 to 256 in"),
        ("max_capacity: 2\n", "max_capacity: .nan\n", "use a number from 1 to 256 in"),
        # numbers that are others in YAML
        ("timeout: 60", "timeout: 060", "defaults.timeout is 060, which is 48 in YAML"),
        ("timeout: 60", "timeout: 010", "defaults.timeout is 010, which is 8 in YAML"),
        ("timeout: 60", "timeout: 1:30", "timeout is 1:30, which is 90 in YAML: use d"),
        ("timeout: 60", "timeout: 0x20", "timeout is 0x20, which is 32 in YAML: use d"),
        ("timeout: 60", "timeout: 0b11110", "is 0b11110, which is 30 in YAML"),
        ("timeout: 60", "timeout: 1_0_0", "timeout is 1_0_0, which is 100 in YAML"),
        ("zones: 2", "zones: 0_2", "environments.dev.zones is 0_2, which is 2 in"),
        ("max_capacity: 16", "max_capacity: 1_6.5", "is 1_6.5, which is 16.5 in YAML"),
        ("max_capacity: 16", "max_capacity: 1:30.5", "1:30.5, which is 90.5 in YAML"),
        (
            "worker: {}",
            "worker: {memory: 02000}",
            "worker.memory is 02000, which is 10",
        ),
        ("worker: {}", "worker: {suffix: 1:30}", "or quotes if it is text"),
        ("worker: {}", "worker: &a {x: [*a]}", "unknown key functions.worker.x"),
        # values
        ('python: "3.13"', "python: 3.13", 'use "3.11", "3.12" or "3.13"'),
        ('"3.13"', '"3.10"', 'python is "3.10": use "3.11", "3.12" or "3.13"'),
        ("x86_64  #", "vax  #", 'architecture is "vax": use x86_64 or arm64'),
        ("runtime: lambda", "runtime: moon", 'is "moon": use lambda or container'),
        ("memory: 512", "memory: 64", "is 64: use a whole number from 128 to"),
        ("timeout: 60", "timeout: 9", "is 9: use 10 to 900 whole seconds, because"),
        ("timeout: 60", "timeout: 901", "is 901: use 10 to 900 whole seconds"),
        ("max_receives: 3", "max_receives: 0", "from 1 to 1000"),
        ("oldest_message: 3600", "oldest_message: 0", "from 60 to 1209600"),
        ("log_days: 30", "log_days: 31", "log_days is 31: use 1, 3, 5, 7, 14, 30,"),
        ("batch_size: 1 ", "batch_size: 10001 ", "from 1 to 10000"),
        ("batch_window: 0", "batch_window: 301", "from 0 to 300"),
        ("max_concurrency: 10", "max_concurrency: 1", "from 2 to 1000"),
        ("max_concurrency: 10", "max_concurrency: 1001", "from 2 to 1000"),
        ("_concurrency: -1", "_concurrency: -2", "use a whole number of -1 or more"),
        ("cpu: 256", "cpu: 300", "cpu is 300: use 256, 512, 1024, 2048, 4096, 8192"),
        ("min_tasks: 1", "min_tasks: 0", "defaults.min_tasks is 0: use a whole num"),
        ("min_tasks: 1", "min_tasks: 5", "use max_tasks (4) or less"),
        ("backlog_per_task: 100", "backlog_per_task: 0", "of 1 or more"),
        ("zones: 2", "zones: 1", "zones is 1: use a whole number from 2 to 5"),
        ("instances: 1", "instances: 0", "from 1 to 16"),
        ("min_capacity: 0\n", "min_capacity: 0.3\n", "from 0 to 256 in steps of 0.5"),
        ("max_capacity: 16", "max_capacity: 256.5", "from 1 to 256 in steps of 0.5"),
        ("max_capacity: 2\n", "max_capacity: 0.5\n", "from 1 to 256 in steps of 0.5"),
        ("min_capacity: 0\n", "min_capacity: 3\n", "use max_capacity, which is 2, or"),
        ("backup_days: 14", "backup_days: 36", "from 1 to 35"),
        ("backup_days: 14", "backup_days: 14\n      proxy: 1", "use true or false"),
        (
            "backup_days: 1\n",
            "backup_days: 1\n      proxy: true\n",
            "a min_capacity of",
        ),
        ("10.0.0.0/16", "10.0.0.0/15", "use a network from /16 to /24"),
        ("10.0.0.0/16", "10.0.0.0/25", "use a network from /16 to /24"),
        ("10.0.0.0/16", "10.0.0.0", "use a network from /16 to /24"),
        ("10.0.0.0/16", "10.0.1.0/16", "use 10.0.0.0/16, where this network begins"),
        ("10.0.0.0/16", "10.0.0.256/24", "use four numbers from 0 to 255"),
        ("10.0.0.0/16", "11.0.0.0/16", "use a private range: in 10.0.0.0/8"),
        ("10.0.0.0/16", "172.32.0.0/16", "use a private range"),
        # recipients and budget
        *(
            (f"zones: {zones}", f"zones: {zones}\n    {wrong}", problem)
            for zones, wrong, problem in (
                (2, "alarms: {}", "dev.alarms is a mapping: use {email: team@examp"),
                (2, "alarms: a@example.com", "use {email: team@example.com} or {topic"),
                (2, "alarms: {email: me}", 'alarms.email is "me": use one e-mail add'),
                (2, "alarms: {email: [a@b.com]}", "alarms.email is a list: use one"),
                (2, "alarms: {topic: alarms}", 'alarms.topic is "alarms": use the AR'),
                (
                    2,
                    'alarms: {topic: "arn:aws:sns:eu-west-1:123456789012:a.fifo"}',
                    "use the ARN of a standard topic of SNS, such as",
                ),
                (2, "alarms: {mail: a@b.com}", "alarms.mail: the closest one is email"),
                (
                    2,
                    'alarms: {email: a@b.com, topic: "arn:aws:sns:a:123456789012:a"}',
                    "dev.alarms is a mapping: use {email: team@example.com} or {topic",
                ),
                (
                    2,
                    "alarms: {email: a@b.com}\n    budget: 5",
                    "budget is 5: use {month",
                ),
                (2, "budget: {alert_at: 50}", "dev.budget lacks monthly_usd: add it"),
                (2, "raw_file_days: 0", "from 1 to 36500"),
                (2, "raw_file_days: for ever", 'raw_file_days is "for ever": use a wh'),
                (2, "budget: {monthly_usd: 0}", "use a number of 1 or more"),
                (2, "budget: {monthly_usd: 9, alert_at: 0}", "from 1 to 1000"),
                (
                    3,
                    "budget: {monthly_usd: 9}",
                    "prod.budget notifies no one: add alarms: {email: team@examp",
                ),
            )
        ),
        # values that are wrong together
        ("batch_size: 1 ", "batch_size: 37 ", "use 10 or less, or a batch_window of"),
        ("memory: 512", "memory: 10241", "is 10241 (enrich in local): use 128 to"),
        ("reserved_concurrency: -1", "reserved_concurrency: 9", "use -1, or max_conc"),
        ("reserved_concurrency: -1", "reserved_concurrency: 0", "use -1, or max_conc"),
        ("runtime: lambda", "runtime: container\n  min_tasks: 9", "also in line"),
        ("y: 1024, o", "y: 1024, runtime: container, cpu: 4096, o", "use 8192 to 307"),
        ("y: 1024, o", "y: 3000, runtime: container, o", "use 512, 1024, 2048 for a"),
        ("y: 1024, o", "y: 1536, runtime: container, o", "use 512, 1024, 2048 for a"),
        ("y: 1024, o", "y: 1024, runtime: container, min_tasks: 5, o", "use max_tasks"),
    ],
)
def test_wrong_setting_gets_a_remedy(right: str, wrong: str, problem: str) -> None:
    assert problem in refuse(change(right, wrong))


@pytest.mark.parametrize(
    ("declaration", "problem"),
    [
        ("trigger: moon", 'trigger is "moon": use bucket, queue, schedule or topic'),
        # keys that go with another trigger
        ("trigger: queue, prefix: a/", "prefix is only for trigger bucket, but the"),
        ("trigger: queue, suffix: .csv", "suffix is only for trigger bucket"),
        ("schedule: rate(1 day)", "schedule is only for trigger schedule, but the"),
        ("timezone: Europe/Vienna", "timezone is only for trigger schedule"),
        ("topic: orders", "topic is only for trigger topic, but the trigger is bucket"),
        ("fifo: true", "fifo is only for trigger queue or topic, but the trigger is"),
        ("trigger: schedule", "part.schedule is missing (part in local): add it, such"),
        ("trigger: topic", "functions.part.topic is missing (part in local): add a"),
        # prefixes
        ("prefix: /a", "use the beginning of the keys, such as incoming/, without a"),
        ("prefix: a*", "without a leading /, *, ?"),
        ('reads: ["a?"]', "part.reads[0] is"),
        ('reads: ["${aws:username}/"]', "functions.part.reads[0] is"),
        ("writes: out/", "functions.part.writes is"),
        ("writes: [a/, a/]", "use a list of different prefixes, such as [incoming/]"),
        ('writes: ["a\\\\"]', "functions.part.writes[0] is"),
        ('suffix: "*.csv"', "use the end of the keys, such as .csv, without *"),
        ('prefix: "a/\\n"', "functions.part.prefix has a line break or a control"),
        # characters that no policy may have
        ("prefix: łódź/", "part.prefix has the character U+0142: use U+0020 to U+00FF"),
        ("suffix: .数据", "part.suffix has the character U+6570: use U+0020 to U+00FF"),
        ("reads: [a/, 数据/]", "functions.part.reads[1] has the character U+6570"),
        (
            "writes: [a€/]",
            "writes[0] has the character U+20AC: use U+0020 to U+00FF, b",
        ),
        ("writes: [a😀/]", "functions.part.writes[0] has the character U+1F600: use"),
        (
            'allow: [{actions: ["a:B"], resources: ["arn:aws:s3:::x/ő*"]}]',
            "part.allow[0].resources[0] has the character U+0151: use U+0020 to",
        ),
        # schedules
        ("trigger: schedule, schedule: 0 2 * * *", "use cron(…) with six fields"),
        ("trigger: schedule, schedule: cron(0 2 * * *)", "use six fields, cron(minute"),
        ('trigger: schedule, schedule: "cron(0 2 * * * *)"', "write ? for either day"),
        ('trigger: schedule, schedule: "cron(0 2 ? * ? *)"', "write ? for either day"),
        (
            'trigger: schedule, schedule: "cron(0 24 * * ? *)"',
            "hour is 24: use 0 to 23",
        ),
        ('trigger: schedule, schedule: "cron(0 2 ? * 0 *)"', "1 to 7 or SUN to SAT"),
        (
            'trigger: schedule, schedule: "cron(5- 2 ? * 1 *)"',
            "the minute is 5-: use 0",
        ),
        (
            'trigger: schedule, schedule: "cron(*/0 2 ? * 1 *)"',
            "the minute is */0: use",
        ),
        *(
            (f'trigger: schedule, schedule: "cron({fields})"', f"the {field} is ")
            for fields, field in (
                ("50-10 2 * * ? *", "minute"),
                ("0,* 2 * * ? *", "minute"),
                ("*,* 2 * * ? *", "minute"),
                ("0/60 2 * * ? *", "minute"),
                ("? 2 * * ? *", "minute"),
                ("0 22-2 * * ? *", "hour"),
                ("0 2 99W * ? *", "day"),
                ("0 2 0W * ? *", "day"),
                ("0 2 L-99 * ? *", "day"),
                ("0 2 L-31 * ? *", "day"),
                ("0 2 ?,1 * ? *", "day"),
                ("0 2 1 DEC-JAN ? *", "month"),
                ("0 2 ? * XYZ#1 *", "weekday"),
                ("0 2 ? * XYZL *", "weekday"),
                ("0 2 ? * MON#6 *", "weekday"),
                ("0 2 ? * FRI-MON *", "weekday"),
                ("0 2 * * ? 2030-2027", "year"),
            )
        ),
        (
            "trigger: schedule, schedule: rate(1 hours)",
            "use rate(1 hour) or rate(5 min",
        ),
        ("trigger: schedule, schedule: rate(0 days)", "use rate(1 hour)"),
        ("trigger: schedule, schedule: rate(5 weeks)", "minutes, hours or days"),
        (
            'trigger: schedule, schedule: "at(2027-02-30T02:00:00)"',
            "use a time such as",
        ),
        (
            'trigger: schedule, schedule: "at(2027-1-1T2:0:0)"',
            "use a time such as at(2027-01-31T02:00:00)",
        ),
        (
            "trigger: schedule, schedule: rate(1 day), timezone: Europe/Wien",
            'timezone is "Europe/Wien": the closest one is Europe/',
        ),
        (
            "trigger: schedule, schedule: rate(1 day), timezone: europe/vienna",
            "the closest one is Europe/Vienna",
        ),
        (
            "trigger: schedule, schedule: rate(1 day), timezone: x",
            "use one such as Europe/Vienna",
        ),
        (
            "trigger: schedule, schedule: rate(1 day), timezone: localtime",
            'part.timezone is "localtime": use one such as Europe/Vienna',
        ),
        (
            "trigger: schedule, schedule: rate(1 day), timezone: Factory",
            'part.timezone is "Factory": ',
        ),
        # topics
        ("trigger: topic, topic: alarms", "topic is alarms, which the project's alar"),
        ("trigger: topic, topic: orders.fifo", "gets its .fifo from fifo: true"),
        ('trigger: topic, topic: "a b"', "use a name of letters, digits, - and _"),
        ('trigger: topic, topic: "arn:aws:sqs:x:1:a"', "or the ARN of a topic"),
        (
            'trigger: topic, fifo: true, topic: "arn:aws:sns:eu-west-1:111122223333:a"',
            "a FIFO queue needs the ARN of a FIFO topic",
        ),
        ('trigger: topic, topic: "arn:aws:sns:eu-west-1:1:orders"', "or the ARN of a"),
        ('trigger: topic, topic: "arn:aws:sns:{rgion}:{account}:a"', "or the ARN of a"),
        ('trigger: queue, fifo: "yes"', 'fifo is "yes": use true or false'),
        (
            "trigger: queue, fifo: true, batch_size: 11",
            "use 10 or less for a FIFO queue",
        ),
        ("trigger: queue, fifo: true, batch_window: 1", "write batch_window: 0 for a"),
        # receivers
        ("sends_to: [moon]", "sends_to names moon, but there is no src/func/moon.py"),
        ("sends_to: [wroker]", "src/func/wroker.py: the closest one is worker"),
        ("sends_to: part", "use a list of different functions, such as [part]"),
        # variables
        ("environment: {api_url: x}", "is not a valid name: use A-Z, 0-9 and _, begin"),
        ("environment: {AWS_REGION: x}", "AWS_*, DB_*, LAMBDA_*, BUCKET, SEND_QUEUES"),
        ("environment: {DB_PASS: x}", "environment.DB_PASS is not a valid name"),
        ("environment: {DB_PASS_FILE: x}", "environment.DB_PASS_FILE is not a valid"),
        ("environment: {LAMBDA_TASK_ROOT: x}", "LAMBDA_TASK_ROOT is not a valid name"),
        ("environment: {BUCKET: x}", "environment.BUCKET is not a valid name"),
        ("environment: {SEND_QUEUES: x}", "environment.SEND_QUEUES is not a valid"),
        ("environment: {READ_QUEUE: x}", "environment.READ_QUEUE is not a valid name"),
        ("environment: {PATH: x}", "variables of the system, such as PATH and HOME, a"),
        ("environment: {CONST_PATH: x}", "environment.CONST_PATH is not a valid name"),
        ("secrets: {HOME: x}", "secrets.HOME is not a valid name"),
        ("environment: {FLAG: yes}", "environment.FLAG is true: use text, in quotes"),
        ("environment: {DAY: 2027-01-31}", 'DAY is "2027-01-31": use text, in quotes'),
        ("environment: {VERSION: 1.10}", "VERSION is 1.10: write it in quotes"),
        ("environment: {MODE: 0777}", "environment.MODE is 0777: write it in quotes"),
        ("environment: [A]", "use a mapping of variables to values, such as"),
        ("secrets: {api_key: x}", "secrets.api_key is not a valid name: use A-Z"),
        ("secrets: {DB_PASS: x}", "secrets.DB_PASS is not a valid name"),
        ("secrets: {API_KEY: 5}", "API_KEY is not valid: use the name of a secret"),
        (
            'environment: {API_KEY: x}, secrets: {API_KEY: "partner/api-key"}',
            "remove API_KEY from environment, or API_KEY here",
        ),
        (
            'environment: {API_KEY_FILE: x}, secrets: {API_KEY: "partner/api-key"}',
            "remove API_KEY_FILE from environment, or API_KEY here",
        ),
        # permissions
        ('allow: [{actions: ["s3:*"], resources: ["*"]}]', "declare exact actions"),
        ('allow: [{actions: ["*"], resources: ["*"]}]', "declare exact actions"),
        ('allow: [{actions: [], resources: ["*"]}]', "use a list of different actions"),
        ('allow: [{actions: ["s3:GetObject"]}]', "part.allow[0] lacks resources: add"),
        ('allow: [{actions: ["a:B"], resources: [x]}]', "use an ARN such as arn:{part"),
        ('allow: {actions: ["a:B"]}', "use a list of mappings with actions and res"),
        (
            'allow: [{actions: ["a:B"], resources: ["arn:{partiton}:a:::b"]}]',
            "there is no placeholder partiton: the closest one is partition",
        ),
        ("database: no thanks", 'database is "no thanks": use true or false'),
        ("provisioned_pollers: 4", "use a mapping such as {min: 2, max: 10}"),
        ("provisioned_pollers: {min: 2}", "provisioned_pollers lacks max: add it"),
        ("provisioned_pollers: {min: 1, max: 9}", "use a whole number from 2 to 200"),
        ("provisioned_pollers: {min: 2, max: 9999}", "whole number from 2 to 2000"),
        ("provisioned_pollers: {min: 9, max: 2}", "use a min that is max or less"),
        (
            "provisioned_pollers: {min: 2, max: 9}, max_concurrency: 5",
            "max_concurrency does not go with provisioned_pollers (part in local): rem",
        ),
        ("internet: 1", "internet is 1: use true or false"),
        ("release: canary", "use a mapping such as {canary: 10, minutes: 10}"),
        ("release: {canary: 10}", "release lacks minutes: add it"),
        ("release: {canary: 0, minutes: 9}", "use a whole number from 1 to 99"),
        ("release: {canary: 100, minutes: 9}", "use a whole number from 1 to 99"),
        ("release: {canary: 9, minutes: 0}", "use a whole number from 1 to 2880"),
        ("release: {canary: 9, minutes: 2881}", "use a whole number from 1 to 2880"),
        (
            "runtime: container, release: {canary: 9, minutes: 9}",
            "release is only for runtime lambda, but the runtime is container: remove",
        ),
    ],
)
@pytest.mark.parametrize("env", ["", "local"])
def test_wrong_declaration_gets_a_remedy(
    declaration: str, problem: str, env: str
) -> None:
    found = refuse(with_function("part", declaration, env))
    assert problem.replace("functions.part", "part") in found
    assert ("environments.local" in found) == bool(env) or "is missing" in found
    text = with_function("part", declaration, env)
    [line] = [n for n, each in enumerate(text.splitlines(), 1) if "part: {" in each]
    assert found.startswith(f"config/deploy.yml:{line}:")


def test_default_release_does_not_bother_containers() -> None:
    release = "release: {canary: 10, minutes: 10}"
    check(change("runtime: lambda ", f"{release}\n  runtime: container "))


EXISTING = """\
    network:
      vpc: vpc-0123456789abcdef0
      subnets: [subnet-0123456789abcdef0, subnet-0123456789abcdef1]
      security_group: sg-0123456789abcdef0
    bucket: company-files
    database: {host: db.example.internal, port: 5432, name: shop, secret: shop/db}
"""


def with_environment(right: str = "", wrong: str = "") -> str:
    """Return a configuration with existing resources, with a part replaced."""
    assert right in EXISTING
    text = DEPLOY.read_text(encoding="utf-8") + "  test:\n"
    return text + EXISTING.replace(right, wrong, 1)


def test_existing_resources_are_valid() -> None:
    check(with_environment())
    check(with_environment("shop/db", "rds!cluster-0123"))
    arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:rds!cluster-01-AbC2eF"
    check(with_environment("shop/db}", f'"{arn}", is_protected: true}}'))


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        (
            "    network:",
            "    zones: 2\n    network:",
            "zones is 2: remove it, because n",
        ),
        ("vpc: vpc-", "vpc: v", "use the ID of a VPC, such as vpc-0123456789abcdef0"),
        (", subnet-0123456789abcdef1", "", "use a list of 2 to 16 different subnets"),
        ("[subnet-", "[s", "use the ID of a subnet, such as subnet-0123456789abcdef0"),
        ("group: sg-", "group: ", "use the ID of a security group, such as sg-0123456"),
        (
            "      vpc: vpc-0123456789abcdef0\n",
            "",
            "environments.test.network lacks vpc",
        ),
        ("company-files", "s3://files", 'bucket is "s3://files": use the name of a b'),
        ("host: db", "host: https://db", "use a host's name, such as db.example.inter"),
        (
            "port: 5432",
            "port: 0",
            "database.port is 0: use a whole number from 1 to 65",
        ),
        ("name: shop,", "name: a/b,", 'database.name is "a/b": use 1 to 64 letters'),
        ("secret: shop/db", "secret: pass word", "use the name or the ARN of a secret"),
        (", secret: shop/db", "", "environments.test.database lacks secret: add it"),
        ("host: db.example.internal, ", "", "test.database lacks host: add it"),
        (
            "host: ",
            "proxy: true, host: ",
            "database.proxy is true: remove it, because h",
        ),
        (
            "host: ",
            "max_capacity: 2, host: ",
            "max_capacity is 2: remove it, because h",
        ),
        (EXISTING[: EXISTING.index("    bucket")], "", "environments.test lacks cidr"),
        (
            EXISTING[: EXISTING.index("    bucket")],
            "    cidr: 10.0.0.0/16\n    zones: 2\n",
            "an existing database, which a new network does not reach: add network",
        ),
    ],
)
def test_wrong_existing_resource_gets_a_remedy(
    right: str, wrong: str, problem: str
) -> None:
    assert problem in refuse(with_environment(right, wrong))


def test_stacks_of_existing_resources_are_skipped(baked: Project) -> None:
    (baked.path / "config" / "deploy.yml").write_text(with_environment(), "utf-8")
    program = (
        "from tools.deploy_config import choose_stacks as c; print(*c('test', ''))"
    )
    output = baked.run(".venv/bin/python", "-c", program).stdout
    assert output.splitlines() == [
        "Skipped, because config/deploy.yml names existing resources: network, aurora.",
        "role queue bucket extra layer lambda ecr ecs monitoring",
    ]
    for action in ("plan", "deploy", "destroy"):
        result = baked.make(action, "TARGET=aurora", "ENV=test", check=False)
        assert result.returncode != 0
        assert (
            "test has no TARGET=aurora, because config/deploy.yml names an existing "
            "one: choose one of role, queue, " in result.stdout.replace("Test", "test")
        )


@pytest.mark.parametrize(
    "text", ["bucket: company-files", *(EXISTING[:-1].split("    bucket")[:1])]
)
def test_shim_has_no_existing_resources(text: str) -> None:
    own = "local:\n" + "    " + text.strip()
    problem = "is for environments on AWS: remove it, because the shim has its own"
    assert problem in refuse(change("local: {}", own))


def test_secret_is_not_in_message() -> None:
    text = with_function("part", 'secrets: {API_KEY: "hunter2!"}')
    assert "hunter2" not in refuse(text)


def test_topic_is_fifo_for_all_or_none() -> None:
    functions = EVERYTHING + "  part: {trigger: topic, topic: orders}\n"
    text = replace_functions(functions.replace("  part: {trigger: queue}\n", ""))
    assert "the topic orders is FIFO for only one of orders and part" in refuse(text)


def test_trigger_can_differ_per_environment() -> None:
    text = with_function("part", "trigger: schedule, schedule: rate(1 day)")
    check(text.replace("local: {}", "local: {functions: {part: {trigger: queue}}}"))


def test_receiver_can_be_the_function_itself() -> None:
    check(with_function("part", "trigger: queue, sends_to: [part]"))


def test_merged_values_are_checked_in_each_environment() -> None:
    problem = refuse(change("y: 1024, o", "y: 1024, max_concurrency: 20, r"))
    assert "unknown key environments.prod.functions.worker.rldest_message" in problem
    text = change("reserved_concurrency: -1", "reserved_concurrency: 10")
    check(text)
    text = text.replace("y: 1024, o", "y: 1024, max_concurrency: 20, o")
    assert "defaults.reserved_concurrency is 10 (worker in prod): use" in refuse(text)


@pytest.mark.parametrize(
    ("region", "zones"), [("us-east-1", 5), ("us-west-1", 2), ("eu-west-1", 3)]
)
def test_region_has_the_zones(region: str, zones: int) -> None:
    text = change("zones: 3", "zones: 2")
    check(text.replace("zones: 2", f"zones: {zones}"), region)
    if zones < 5:
        wrong = text.replace("zones: 2", f"zones: {zones + 1}")
        assert f"use {zones} or less, because {region} has {zones}" in refuse(
            wrong, region
        )


def test_project_fits_zones_of_its_region(tmp_path: Path) -> None:
    fewest = min(deploy_rules.ZONES, key=deploy_rules.ZONES.__getitem__)
    project = bake(tmp_path, aws_region=fewest)
    check((project.path / "config" / "deploy.yml").read_text("utf-8"), fewest)


@pytest.mark.parametrize(
    "schedule",
    [
        "cron(0 2 * * ? *)",
        "cron(0/15 8-18 ? JAN-MAR,12 MON-FRI 2027/2)",
        "cron(0 8 L * ? *)",
        "cron(0 8 L-3 * ? *)",
        "cron(0 8 15W * ? *)",
        "cron(0 8 ? * FRIL *)",
        "cron(0 8 ? * 6#3 *)",
        "cron(*/5 * ? * mon 2027-2030)",
        "cron(0,30,40-50/5 10-10 1,15 * ? *)",
        "cron(0 8 ? * mon#1 *)",
        "rate(1 minute)",
        "rate(15 minutes)",
        "rate(10 days)",
        "at(2027-01-31T02:00:00)",
    ],
)
def test_schedule_of_aws_is_valid(schedule: str) -> None:
    check(with_function("part", f'trigger: schedule, schedule: "{schedule}"'))


@pytest.mark.parametrize(
    "topic",
    [
        "orders",
        "arn:aws:sns:eu-west-1:111122223333:orders",
        "arn:{partition}:sns:{region}:{account}:{prefix}-orders",
        "arn:{partition}:sns:{region}:{account}:partner-{prefix}.fifo",
    ],
)
def test_topic_can_have_all_placeholders(topic: str) -> None:
    check(with_function("part", f'trigger: topic, topic: "{topic}"'))


@pytest.mark.parametrize(
    "variable",
    [
        *("PATH", "HOME", "USER", "LANG", "TZ", "PWD", "SHELL", "TERM"),
        *("HOSTNAME", "PYTHONPATH", "LD_LIBRARY_PATH", "CONST_PATH"),
        "FUNCTION_NAME",
    ],
)
def test_variable_of_the_system_is_refused(variable: str) -> None:
    problem = f"{variable} is not a valid name: use A-Z"
    assert problem in refuse(with_function("part", f"environment: {{{variable}: x}}"))
    check(with_function("part", f"environment: {{{variable}_1: x}}"))


def test_targets_that_read_the_file_check_it(baked: Project) -> None:
    config = baked.path / "config" / "deploy.yml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("max_capacity: 16", "max_capacity: 16.2"))
    problem = "config/deploy.yml:48: environments.prod.database.max_capacity is 16.2: "
    for words in ("lint-code", "new FUNC=tally", "build ENV=dev", "plan ENV=dev"):
        result = baked.make(*words.split(), check=False)
        assert result.returncode != 0
        assert problem in result.stdout
        assert "Traceback" not in result.stdout


def test_missing_schema_is_explained(baked: Project) -> None:
    (baked.path / "config" / "deploy.schema.json").unlink()
    result = baked.make("build", "ENV=prod", check=False)
    assert result.returncode != 0
    assert "config/deploy.schema.json is missing: restore it from git." in result.stdout
    assert "Traceback" not in result.stdout
