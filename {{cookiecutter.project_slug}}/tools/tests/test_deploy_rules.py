"""Declarations of functions in config/deploy.yml that are wrong get a remedy."""

import pytest

from tools.tests.deploy_files import (
    EVERYTHING,
    change,
    check,
    refuse,
    replace_functions,
    with_function,
)


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


def test_topic_is_fifo_for_all_or_none() -> None:
    functions = EVERYTHING + "  part: {trigger: topic, topic: orders}\n"
    text = replace_functions(functions.replace("  part: {trigger: queue}\n", ""))
    assert "the topic orders is FIFO for only one of orders and part" in refuse(text)


def test_queues_and_topics_of_others_can_be_fifo_for_one() -> None:
    topic = "arn:aws:sns:eu-west-1:111122223333:orders.fifo"
    for trigger in ("queue", f'topic, topic: "{topic}"'):
        functions = (
            "  part: {trigger: " + trigger + ", fifo: true}\n"
            "  worker: {trigger: " + trigger + "}\n"
        )
        check(change("  worker: {}\n", functions))


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
    ("region", "zones"),
    [
        ("us-east-1", 5),
        ("us-west-2", 4),
        ("ap-northeast-2", 4),
        ("eu-west-1", 3),
        ("us-west-1", 2),
    ],
)
def test_region_has_the_zones(region: str, zones: int) -> None:
    text = change("zones: 3", "zones: 2")
    check(text.replace("zones: 2", f"zones: {zones}"), region)
    problem = refuse(text.replace("zones: 2", f"zones: {zones + 1}"), region)
    if zones < 5:  # of which the schema allows no more
        assert f"use {zones} or less, because {region} has {zones}" in problem


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


def test_defaults_are_checked_as_functions_are() -> None:
    wrong = "timezone: Europe/Wien"
    shared = change("memory: 512", f"{wrong}\n  memory: 512")
    assert ': defaults.timezone is "Europe/Wien": the cl' in refuse(shared)
    own = change("zones: 2", "zones: 2\n    defaults: {" + wrong + "}")
    assert ": environments.dev.defaults.timezone is" in refuse(own)


def test_database_can_have_a_fixed_size() -> None:
    check(change("min_capacity: 0\n", "min_capacity: 2\n"))


def test_value_of_variable_can_have_lines() -> None:
    for declaration in (
        r'trigger: queue, environment: {TEXT: "a\nb"}',
        r'prefix: in/, environment: {TEXT: "\tłódź"}',
    ):
        check(with_function("part", declaration))


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
    declaration = "environment: {" + variable
    assert problem in refuse(with_function("part", declaration + ": x}"))
    check(with_function("part", declaration + "_1: x}"))
