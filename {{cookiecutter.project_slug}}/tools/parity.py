"""Send the saved events of functions through all four environments and compare.

The environments are the doubles of the unit tests, the command line, a Lambda behind a
queue, and the container. Except for the first, each has resources of its own in the
shim, see `tools.parity_shim`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import Any

from tools import build, images, parity_unit, saved_events, shim_lambda, shim_resources
from tools.end_state import NOTHING, EndState
from tools.environment import client, enter
from tools.errors import UserError
from tools.outcomes import Outcome, read_outcomes
from tools.parity_shim import ParityShim
from tools.project import BUILD, ROOT

PAGE = BUILD / "parity.md"
DEADLINE_SECONDS = 180


def compare(func: str) -> int:
    """Print the end states side by side; return 1 if they differ, else 0.

    Args:
        func: one function, or empty for all.

    Raises:
        UserError: there is no such function, or it has no saved event, the shim is not
            running, or an environment failed.
    """
    chosen = saved_events.choose_functions(func)
    enter("")
    shim_resources.update()
    build.build_for("", "local")
    has_engine = images.engine_answers()
    states = {name: run_environments(name, has_engine) for name in chosen}
    text = make_page(states, has_engine)
    PAGE.write_text(text, encoding="utf-8")
    print(text, end="")
    return int(any(find_differences(each) for each in states.values()))


def run_environments(func: str, has_engine: bool) -> dict[str, EndState]:
    """Return the end states of a function, by the names of the environments."""
    environments: dict[str, Callable[[ParityShim], list[Outcome]]] = {
        "command line": run_command_line,
        "Lambda": run_lambda,
        "container": run_container if has_engine else run_like_container,
    }
    saved = saved_events.list_events(func)
    states = {"unit context": parity_unit.run_unit_context(func, saved)}
    for name, empty_queue in environments.items():
        shim_name = f"parity-{name.lower().replace(' ', '-')}"
        with ParityShim(func, shim_name, saved) as shim:
            states[name] = shim.end_state(empty_queue(shim))
    return states


def run_command_line(shim: ParityShim) -> list[Outcome]:
    """Empty the queue with the command line; return the outcomes."""
    return run_tool("run", shim)


def run_container(shim: ParityShim) -> list[Outcome]:
    """Empty the queue with the image; return the outcomes."""
    return run_tool("container", shim)


def run_lambda(shim: ParityShim) -> list[Outcome]:
    """Empty the queue with the zips of function and layer; return the outcomes."""
    database = {"DB_NAME": shim.database} if shim.database else {}
    with shim_lambda.deployed(
        shim.name,
        BUILD / "lambda" / f"{shim.func}.zip",
        BUILD / "layer" / "local.zip",
        shim.queue_arn,
        statements=shim.statements,
        variables=shim_lambda.database_variables(shim.function)
        | shim.variables
        | database,
    ):
        deadline = monotonic() + DEADLINE_SECONDS
        while not (shim.is_empty() and shim.has_all(read_log(shim))):
            if shim.is_empty():
                shim_lambda.pass_on_log(shim.name)
            if monotonic() > deadline:
                raise UserError(
                    f"the Lambda of {shim.func} has not ended its messages in "
                    f"{DEADLINE_SECONDS} s: see .shim/aws.log"
                )
            sleep(0.1)
        return read_log(shim)


def read_log(shim: ParityShim) -> list[Outcome]:
    """Return the outcomes that a Lambda has logged so far."""
    logs = client("logs")
    pages = logs.get_paginator("filter_log_events")
    try:
        return read_outcomes(
            line
            for page in pages.paginate(logGroupName=f"/aws/lambda/{shim.name}")
            for event in page["events"]
            for line in event["message"].splitlines()
        )
    except logs.exceptions.ResourceNotFoundException:  # it has not run yet
        return []


def run_like_container(shim: ParityShim) -> list[Outcome]:
    """Empty the queue with the image's command on its build; return the outcomes."""
    dockerfile = images.DOCKERFILE.read_text(encoding="utf-8")
    entry = dockerfile.partition("\nENTRYPOINT ")[2].splitlines()[0]
    words = json.loads(entry)
    arguments = words[words.index("python") + 1 :]
    names = images.SHIM_VARIABLES
    variables = {name: os.environ[name] for name in names if name in os.environ}
    return run_command(
        [sys.executable, *arguments, *shim.settings],
        cwd=BUILD / "local" / shim.func,
        env=variables | shim.variables,
    )


def run_tool(command: str, shim: ParityShim) -> list[Outcome]:
    """Run another command of the tools; return the outcomes."""
    arguments = [
        command,
        f"--func={shim.func}",
        f"--run-args={' '.join(shim.settings)}",
    ]
    return run_command([sys.executable, "-m", "tools", *arguments], cwd=ROOT)


def run_command(command: list[str], **options: Any) -> list[Outcome]:
    """Run a command; return the outcomes that it has logged.

    Raises:
        UserError: it failed.
    """
    result = subprocess.run(command, capture_output=True, text=True, **options)
    output = f"{result.stdout}{result.stderr}"
    if result.returncode != 0:
        raise UserError(f"{' '.join(command)} failed:\n{output}")
    return read_outcomes(output.splitlines())


def find_differences(states: dict[str, EndState]) -> list[str]:
    """Return the labels of the facts that differ between environments."""
    lines = make_lines(states)
    return [label for label, *values in lines if len(set(values)) > 1]


def make_lines(states: dict[str, EndState]) -> list[list[str]]:
    """Return a line for each fact: its label, and a text for each environment."""
    facts = [each.facts() for each in states.values()]
    labels = dict.fromkeys(label for each in facts for label in each)
    return [[label, *(each.get(label, NOTHING) for each in facts)] for label in labels]


def make_page(states: dict[str, dict[str, EndState]], has_engine: bool) -> str:
    """Return the end states side by side in Markdown, with the verdicts."""
    note = (
        "The container is the image."
        if has_engine
        else "No Docker engine answers: instead of the container, the image's command "
        "ran on the image's build."
    )
    sections = [make_section(func, each) for func, each in states.items()]
    different = [func for func, each in states.items() if find_differences(each)]
    verdict = f"Different: {', '.join(different)}." if different else "All are equal."
    return "\n\n".join([*sections, f"{verdict} {note}"]) + "\n"


def make_section(func: str, states: dict[str, EndState]) -> str:
    """Return the part of the page about a function."""
    lines = [[each.replace("|", "\\|") for each in line] for line in make_lines(states)]
    head = [["", *states], ["---"] * (len(states) + 1)]
    widths = [max(map(len, column)) for column in zip(*head, *lines, strict=True)]
    table = "\n".join(make_row(line, widths) for line in [*head, *lines])
    different = find_differences(states)
    verdict = f"\n\nDifferent: {', '.join(different)}." if different else ""
    return f"## {func}\n\n{table}{verdict}"


def make_row(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(map(str.ljust, cells, widths))} |"
