"""Settings of a function that are valid alone can be wrong together."""

import pytest

from tools.tests.deploy_files import change, check, refuse, with_function

POLLERS = "provisioned_pollers"


@pytest.mark.parametrize(
    ("cpu", "others", "known"),
    [
        (256, (512, 1024, 2048), "512, 1024, 2048"),
        (512, (1024, 3072, 4096), "1024 to 4096 in steps of 1024"),
        (1024, (2048, 3072, 8192), "2048 to 8192 in steps of 1024"),
        (2048, (4096, 5120, 16384), "4096 to 16384 in steps of 1024"),
        (4096, (8192, 9216, 30720), "8192 to 30720 in steps of 1024"),
        (8192, (16384, 20480, 61440), "16384 to 61440 in steps of 4096"),
        (16384, (32768, 40960, 122880), "32768 to 122880 in steps of 8192"),
    ],
)
def test_memory_goes_with_cpu_of_container(
    cpu: int, others: tuple[int, ...], known: str
) -> None:
    declaration = f"trigger: queue, runtime: container, cpu: {cpu}, memory:"
    for memory in others:
        check(with_function("part", f"{declaration} {memory}"))
    for memory in (others[0] + 1, others[-1] - 1):
        problem = f"functions.part.memory is {memory} (part in local): use {known} for"
        found = refuse(with_function("part", f"{declaration} {memory}"))
        assert f"{problem} a container with cpu {cpu}" in found


@pytest.mark.parametrize(
    "declaration",
    [
        "memory: 10240",
        "batch_size: 10",
        "batch_size: 11, batch_window: 1",
        # 3 attempts, in each of which a message can start every five seconds
        "batch_size: 36, batch_window: 1",
        "batch_size: 6, timeout: 10",
        "batch_size: 6, timeout: 14",
        "batch_size: 2, timeout: 10, max_receives: 1",
        "batch_size: 100, batch_window: 1, runtime: container",
        "fifo: true, batch_size: 10",
        "reserved_concurrency: 10",
        "reserved_concurrency: 2, max_concurrency: 2",
        POLLERS + ": {min: 2, max: 2}",
        POLLERS + ": {min: 2, max: 9}, reserved_concurrency: 1",
        POLLERS + ": {min: 2, max: 9}, reserved_concurrency: -1",
        "min_tasks: 4",
        "runtime: container, reserved_concurrency: 1",
        "secrets: {API_KEY: partner/key}, environment: {API_KEY_2: x}",
    ],
)
def test_settings_at_the_limit_are_valid(declaration: str) -> None:
    check(with_function("part", f"trigger: queue, {declaration}"))


@pytest.mark.parametrize(
    ("declaration", "problem"),
    [
        ("memory: 10241", "memory is 10241 (part in local): use 128 to 10240 for a La"),
        ("batch_size: 11", "batch_size is 11 (part in local): use 10 or less, or a b"),
        (
            "batch_size: 37, batch_window: 1",
            "use 36 or less with timeout 60 and max_receives 3, because further",
        ),
        ("batch_size: 7, timeout: 14", "use 6 or less with timeout 14 and max_receiv"),
        ("batch_size: 3, timeout: 10, max_receives: 1", "use 2 or less with timeout"),
        ("fifo: true, batch_size: 11", "use 10 or less for a FIFO queue"),
        ("fifo: true, batch_window: 1", "write batch_window: 0 for a function with f"),
        ("max_concurrency: 11, reserved_concurrency: 10", "or max_concurrency (11) or"),
        (
            POLLERS + ": {min: 2, max: 9}, reserved_concurrency: 0",
            "reserved_concurrency is 0 (part in local): use -1, or 1 or more",
        ),
        (POLLERS + ": {min: 3, max: 2}", "use a min that is max or less"),
        ("min_tasks: 5", "min_tasks is 5 (part in local): use max_tasks (4) or less"),
        *(
            (
                "secrets: {API_KEY: a}, environment: {API_KEY" + suffix + ": b}",
                f"remove API_KEY{suffix} from environment, or API_KEY here",
            )
            for suffix in ("", "_FILE", "_SECRET")
        ),
    ],
)
def test_settings_beyond_the_limit_get_a_remedy(declaration: str, problem: str) -> None:
    found = refuse(with_function("part", f"trigger: queue, {declaration}"))
    assert problem in found


@pytest.mark.parametrize(
    ("shared", "local", "problem"),
    [
        (
            "trigger: queue, fifo: true",
            "trigger: schedule, schedule: rate(1 day)",
            "fifo is true (part in local): use it with trigger queue or topic, the "
            "trigger is schedule",
        ),
        (
            "trigger: queue",
            "trigger: schedule",
            "environments.local.functions.part.schedule is missing (part in local): "
            'add it, such as "cron(0 2 * * ? *)", or change the trigger',
        ),
        (
            "trigger: queue",
            "trigger: topic",
            "environments.local.functions.part.topic is missing (part in local): add "
            "a name or an ARN, or change the trigger",
        ),
    ],
)
def test_environment_needs_settings_of_its_trigger(
    shared: str, local: str, problem: str
) -> None:
    text = with_function("part", shared)
    own = "local: {functions: {part: {" + local + "}}}"
    assert problem in refuse(text.replace("local: {}", own))


def test_fifo_queue_needs_a_fifo_topic_of_others() -> None:
    arn = "arn:aws:sns:eu-west-1:111122223333:prices"
    declaration = f'trigger: topic, topic: "{arn}'
    check(with_function("part", f'{declaration}"'))
    check(with_function("part", f'{declaration}.fifo", fifo: true'))
    found = refuse(with_function("part", f'{declaration}", fifo: true'))
    assert f'functions.part.topic is "{arn}" (part in local): a FIFO queue' in found
    check(with_function("part", "trigger: topic, topic: prices, fifo: true"))


def test_setting_that_counts_is_named() -> None:
    """Not the one that an environment overrides."""
    text = change("memory: 512", "memory: 10241").replace(
        "  worker: {}", "  worker: {memory: 512}"
    )
    assert ": defaults.memory is 10241 (enrich in local): use 128" in refuse(text)
    text = change("{memory: 1024, ", "{memory: 10241, ")
    assert "environments.prod.functions.worker.memory is 10241 (w" in refuse(text)
