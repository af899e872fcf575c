"""The rules of a function's settings in one environment, after they are merged."""

from collections.abc import Callable, Iterator

from tools.setting_layers import Config, locate, merge
from tools.yaml_document import Path, join, show

Problem = tuple[str, str]  # a setting, and what to write instead

RESERVE = 5  # seconds that a Lambda needs for a message, see its wrapper
# The memory in MiB that goes with each CPU size of Fargate.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html
FARGATE = {
    256: (512, 1024, 2048),
    512: range(1024, 4097, 1024),
    1024: range(2048, 8193, 1024),
    2048: range(4096, 16385, 1024),
    4096: range(8192, 30721, 1024),
    8192: range(16384, 61441, 4096),
    16384: range(32768, 122881, 8192),
}


def find_problems(
    config: Config, env: str, function: str
) -> Iterator[tuple[Path, str]]:
    """Yield the path of each wrong setting, and what is wrong with it.

    Args:
        config: the content of `config/deploy.yml`.
        env: an environment.
        function: the function.
    """
    settings = merge(config, env, function)
    rules: list[Callable[[Config], Iterator[Problem]]]
    rules = [_check_trigger, _check_names, _check_tasks]
    if settings["runtime"] == "lambda":
        rules += [_check_lambda, _check_batch]
    else:
        rules += [_check_size]
    for rule in rules:
        for key, remedy in rule(settings):
            path = locate(config, env, function, key)
            value = show(settings[key]) if key in settings else "missing"
            yield path, f"{join(path)} is {value} ({function} in {env}): {remedy}"


def _check_trigger(settings: Config) -> Iterator[Problem]:
    trigger = settings["trigger"]
    if trigger == "schedule" and "schedule" not in settings:
        yield "schedule", 'add it, such as "cron(0 2 * * ? *)", or change the trigger'
    if trigger == "topic" and "topic" not in settings:
        yield "topic", "add a name or an ARN, or change the trigger"
    if not settings["fifo"]:
        return
    if trigger not in ("queue", "topic"):
        yield "fifo", f"use it with trigger queue or topic, the trigger is {trigger}"
    topic = settings.get("topic", "")
    if trigger == "topic" and topic.startswith("arn:") and not topic.endswith(".fifo"):
        yield (
            "topic",
            "a FIFO queue needs the ARN of a FIFO topic, or write fifo: false",
        )


def _check_names(settings: Config) -> Iterator[Problem]:
    """Check that a setting has its value from one variable."""
    for name in settings["secrets"]:
        for variable in (name, f"{name}_FILE", f"{name}_SECRET"):
            if variable in settings["environment"]:
                yield "secrets", f"remove {variable} from environment, or {name} here"


def _check_lambda(settings: Config) -> Iterator[Problem]:
    if settings["memory"] > 10240:
        yield "memory", "use 128 to 10240 for a Lambda"
    reserved, most = settings["reserved_concurrency"], settings["max_concurrency"]
    pollers = settings.get("provisioned_pollers")
    if not pollers and reserved != -1 and reserved < most:
        yield "reserved_concurrency", f"use -1, or max_concurrency ({most}) or more"
    if pollers and reserved == 0:
        yield "reserved_concurrency", "use -1, or 1 or more"
    if pollers and pollers["min"] > pollers["max"]:
        yield "provisioned_pollers", "use a min that is max or less"


def _check_batch(settings: Config) -> Iterator[Problem]:
    """Check that a Lambda can start all messages of a batch before they are dead.

    An invocation starts messages while `RESERVE` seconds are left. The others return to
    the queue, and each time they spend one of their receives.
    """
    size, window = settings["batch_size"], settings["batch_window"]
    timeout, receives = settings["timeout"], settings["max_receives"]
    if settings["fifo"] and size > 10:
        yield "batch_size", "use 10 or less for a FIFO queue"
    if settings["fifo"] and window:
        yield "batch_window", "write batch_window: 0 for a function with fifo: true"
    if size > 10 and not window:
        yield "batch_size", "use 10 or less, or a batch_window of 1 or more"
    startable = receives * (timeout // RESERVE)
    if size > startable:
        yield (
            "batch_size",
            f"use {startable} or less with timeout {timeout} and max_receives "
            f"{receives}, because further messages would become dead letters without "
            "being started",
        )


def _check_size(settings: Config) -> Iterator[Problem]:
    sizes = FARGATE[settings["cpu"]]
    if settings["memory"] not in sizes:
        known = ", ".join(map(str, sizes))
        if isinstance(sizes, range):
            known = f"{sizes[0]} to {sizes[-1]} in steps of {sizes.step}"
        yield "memory", f"use {known} for a container with cpu {settings['cpu']}"


def _check_tasks(settings: Config) -> Iterator[Problem]:
    if settings["min_tasks"] > settings["max_tasks"]:
        yield "min_tasks", f"use max_tasks ({settings['max_tasks']}) or less"
