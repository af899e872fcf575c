"""Each wrong value of config/deploy.yml gets its line and a remedy."""

import sys
from typing import Any

import pytest

from tools import deploy_schema, setting_layers, yaml_document
from tools.project import ROOT
from tools.tests.deploy_files import (
    DEPLOY,
    EVERYTHING,
    EXISTING,
    change,
    check,
    refuse,
    replace_functions,
    with_environment,
    with_function,
)


def test_new_project_and_example_are_valid() -> None:
    check(DEPLOY)
    check(replace_functions(EVERYTHING))


def test_stacks_are_tested_with_valid_file() -> None:
    text = (ROOT / "infra" / "tests" / "deploy.yml").read_bytes()
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


@pytest.mark.parametrize(
    "text", ["bucket: company-files", *(EXISTING[:-1].split("    bucket")[:1])]
)
def test_shim_has_no_existing_resources(text: str) -> None:
    own = "local:\n" + "    " + text.strip()
    problem = "is for environments on AWS: remove it, because the shim has its own"
    assert problem in refuse(change("local: {}", own))


def test_first_problem_is_reported() -> None:
    """By line, and of one line that which is less deep."""
    text = change("memory: 512", "memory: 1").replace("zones: 2", "zones: 1")
    assert ": defaults.memory is 1: use" in refuse(text)
    text = with_function("part", "trigger: queue, sends_to: [5], x: 9")
    assert ": unknown key functions.part.x: choose one of" in refuse(text)


def test_rules_are_checked_without_jsonschema(monkeypatch: pytest.MonkeyPatch) -> None:
    """The container of the shim's emulator does not have it."""
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    check(change("memory: 512", "memory: 64"))
    assert "use 128 to 10240" in refuse(change("memory: 512", "memory: 10241"))


def test_secret_is_not_in_message() -> None:
    text = with_function("part", 'secrets: {API_KEY: "hunter2!"}')
    assert "hunter2" not in refuse(text)
