"""The command line: `.venv/bin/python -m tools COMMAND [OPTIONS]`.

Most make targets are one of these commands. An option that you do not type is read from
the environment, where make puts its variables: `make logs FUNC=worker` and `tools logs
--func=worker` do the same. The exit code is 0 for success, 1 for an error and 64 for
wrong usage; `plan` returns 2 if there are changes.
"""

import errno
import os
import re
import sys
import traceback
from argparse import (
    ArgumentParser,
    ArgumentTypeError,
    RawDescriptionHelpFormatter,
)
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from tools import debugging
from tools.errors import UserError

# A file that is not writable, or a full disk.
NOT_A_BUG = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)


class Option(NamedTuple):
    """An option of a command: its name, and arguments of `add_argument`."""

    name: str
    help: str
    type: Any = str
    default: Any = ""
    choices: Sequence[str] | None = None
    is_flag: bool = False
    is_variable: bool = True

    @property
    def variable(self) -> str:
        """The variable of make and of the environment with the same meaning."""
        return self.name.replace("-", "_").upper() if self.is_variable else ""


class Command(NamedTuple):
    """A command: the function that runs it, as `module:function`, and its options."""

    name: str
    function: str
    help: str
    options: tuple[Option, ...] = ()


def parse_flag(text: str) -> bool:
    """Return whether a flag is set.

    Raises:
        ArgumentTypeError: its value is neither 1 nor 0.
    """
    if text not in ("0", "1"):
        raise ArgumentTypeError(f"{text!r} is neither 1 nor 0")
    return text == "1"


def parse_minutes(text: str) -> int:
    """Return a positive number of minutes.

    Raises:
        ArgumentTypeError: it is none.
    """
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 10**7):
        raise ArgumentTypeError(f"{text!r} is not a number of minutes, such as 60")
    return int(text)


def parse_time(text: str) -> datetime:
    """Return a date or a time, in UTC unless it says otherwise.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r} is not a time, such as 2026-01-31 or 2026-01-31T08:00: only "
            "logs and trace take minutes"
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def parse_rate(text: str) -> int:
    """Return a positive number of messages per second.

    Raises:
        ArgumentTypeError: it is none.
    """
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 10**6):
        raise ArgumentTypeError(f"{text!r} is not a number of messages, such as 100")
    return int(text)


FUNC = Option("func", "name of a function in src/func/")
WORKER = FUNC._replace(default="worker")
ENV = Option("env", "environment of config/deploy.yml; without it, the shim")
LOCAL = Option("env", "environment of config/deploy.yml", default="local")
TARGET = Option("target", "one stack of infra/; without it, all of them")
RUN_ARGS = Option("run-args", "settings of the function, as in '--poll_interval=10'")
DEBUG = Option("debug", "wait for a debugger: 1 or a port", debugging.parse_port)
LOAD = Option("load", "number of a load in the ledger")
OBJECT = Option("object", "key or s3:// URI of an object")
OUTPUT = Option("file", "file to write the lines to", Path, Path())
CAUSE = Option("cause", "only dead letters with this cause, as `dead` names it")
DEAD_LETTER = Option("message", "only the dead letter with this ID")
DOCKER_ARGS = Option("docker-args", "more arguments of Docker's command")

# No command imports a package before it runs: the first two work without any.
COMMANDS = (
    Command(
        "doctor",
        "doctor:check",
        "Check this machine, and print how to install what is missing.",
        (Option("env", "environment whose needs count as required"),),
    ),
    Command(
        "install",
        "install:install",
        "Create a virtual environment from its lock file.",
        (Option("venv", "its name", default=".venv", is_variable=False),),
    ),
    Command(
        "new",
        "new:create",
        "Create a function from tools/starter/.",
        (
            FUNC,
            Option("trigger", "what sends it messages", default="bucket"),
            Option("table", "table to load files into, with a migration"),
        ),
    ),
    Command(
        "test",
        "testing:test",
        "Run all unit tests, or those of a stack or of tools/.",
        (
            TARGET._replace(help="a stack of infra/, or tools; without it, unit tests"),
            Option("test-args", "arguments of pytest"),
            DEBUG,
        ),
    ),
    Command("watch", "testing:watch", "Run the unit tests whenever you save a file."),
    Command(
        "check_functions",
        "check_functions:check",
        "Check that functions take their I/O from the context.",
    ),
    Command("lint_containers", "images:lint", "Lint Dockerfile and Compose file."),
    Command("lint_infra", "iac:validate", "Check the stacks without an account."),
    Command("format_infra", "iac:format", "Format the stacks."),
    Command("cockpit", "run:cockpit", "Open the terminals in tmux.", (WORKER,)),
    Command(
        "run",
        "run:poll",
        "Poll a function's queue in the shim.",
        (
            FUNC,
            RUN_ARGS,
            Option("reload", "restart the poller when you save", is_flag=True),
            DEBUG,
        ),
    ),
    Command(
        "invoke",
        "run:invoke",
        "Run a function once on an event.",
        (
            FUNC,
            Option("event", "file with a message; default: its own", Path, Path()),
            Option("message", "ID of a dead letter to run it on instead"),
            ENV,
            RUN_ARGS,
            DEBUG,
        ),
    ),
    Command(
        "event",
        "event:put",
        "Put a file into the bucket.",
        (
            Option("file", "the file", Path, Path()),
            WORKER,
            ENV,
            Option("bucket", "another bucket than the environment's"),
        ),
    ),
    Command(
        "send",
        "send:send",
        "Send a message to a function's queue.",
        (
            FUNC,
            Option("body", "the message"),
            Option("file", "a file with the message", Path, Path()),
            Option("group", "message group"),
            ENV,
        ),
    ),
    Command(
        "sanity_check",
        "sanity_check:check",
        "Run functions end to end in the shim.",
        (FUNC,),
    ),
    Command("parity", "parity:compare", "Compare the four environments.", (FUNC,)),
    Command(
        "queue",
        "queues:show",
        "Show how many messages the queues hold.",
        (FUNC, ENV, Option("peek", "look at a waiting message", is_flag=True)),
    ),
    Command(
        "sql",
        "sql:run",
        "Run a statement, or open a prompt.",
        (Option("sql", "the statement; without it, a prompt"), ENV),
    ),
    Command(
        "migrate",
        "migrate:run",
        "Apply the files of migrations/ to the database.",
        (ENV, Option("statement", "continue an interrupted file at this statement")),
    ),
    Command(
        "logs",
        "logs:show",
        "Print what a function has logged.",
        (
            FUNC,
            ENV,
            Option("since", "how many minutes to go back", parse_minutes, 60),
            Option("follow", "go on until Ctrl-C", is_flag=True),
        ),
    ),
    Command(
        "trace",
        "trace:show",
        "Print what all functions have logged about a message.",
        (
            Option("message", "the message's ID"),
            ENV,
            Option("since", "how many minutes to go back", parse_minutes, 60),
        ),
    ),
    Command(
        "replay",
        "replay:replay",
        "Send messages for objects that are in the bucket.",
        (
            FUNC,
            ENV,
            Option("prefix", "of the objects' keys"),
            Option("since", "objects modified at this time or later", parse_time, None),
            Option("until", "objects modified before this time", parse_time, None),
            Option(
                "state",
                "what became of them: loaded, failed or never (loaded)",
                choices=("loaded", "failed", "never"),
            ),
            Option("rate", "messages per second", parse_rate, 100),
            Option("yes", "send the messages, instead of counting", is_flag=True),
        ),
    ),
    Command(
        "dead",
        "causes:show",
        "Group dead letters by cause.",
        (FUNC, ENV, Option("message", "print the body of the dead letter of this ID")),
    ),
    Command(
        "redrive",
        "queues:redrive",
        "Move dead letters back to the queue.",
        (
            FUNC,
            ENV,
            CAUSE,
            DEAD_LETTER,
            Option("body", "send this instead of the message's body"),
            Option("file", "a file with what to send instead", Path, Path()),
        ),
    ),
    Command(
        "purge",
        "queues:purge",
        "Delete all messages of a queue.",
        (
            FUNC,
            ENV,
            Option(
                "queue",
                "kind of the queue",
                default="pending",
                choices=("pending", "dead-letter"),
            ),
            CAUSE,
            DEAD_LETTER,
            Option("confirm", "the function's name, instead of asking"),
        ),
    ),
    Command(
        "undo",
        "undo:undo",
        "Delete the rows of a load, and its entry in the ledger.",
        (
            LOAD,
            FUNC,
            ENV,
            Option("confirm", "the number of the load, instead of asking"),
        ),
    ),
    Command(
        "reload",
        "undo:reload",
        "Load an object again in place of its earlier load.",
        (OBJECT, FUNC, ENV),
    ),
    Command(
        "rejects",
        "reject_lines:show",
        "Print rejected lines, or export them to correct them.",
        (LOAD, OBJECT, Option("reason", "only reasons with this text"), OUTPUT, ENV),
    ),
    Command("build", "deploy:build_stacks", "Build what is deployed.", (TARGET, ENV)),
    Command(
        "image",
        "images:image",
        "Build a function's container image.",
        (FUNC, Option("arch", "processor, such as arm64"), DOCKER_ARGS),
    ),
    Command(
        "container",
        "images:container",
        "Run a function's image against the shim.",
        (FUNC, RUN_ARGS, DOCKER_ARGS, DEBUG),
    ),
    Command(
        "rotate",
        "app_user:rotate",
        "Change the password of the functions' user.",
        (LOCAL,),
    ),
    Command("bootstrap", "iac:bootstrap", "Prepare an account, once.", (LOCAL,)),
    Command(
        "cost", "cost:show", "Estimate what an environment costs at rest.", (LOCAL,)
    ),
    Command(
        "plan",
        "deploy:plan",
        "Show what deploy would change.",
        (TARGET, LOCAL, Option("report", "file to write the plan to")),
    ),
    Command("deploy", "deploy:deploy", "Deploy all stacks or one.", (TARGET, LOCAL)),
    Command(
        "sync",
        "sync:sync",
        "Update the code of deployed functions.",
        (
            FUNC,
            LOCAL,
            Option("watch", "go on at each save, and print the logs", is_flag=True),
            DEBUG,
        ),
    ),
    Command(
        "rollback",
        "releases:rollback",
        "Run a function's previous version, or another one.",
        (
            FUNC,
            LOCAL,
            Option(
                "version", "number of a version or revision; default: the previous one"
            ),
        ),
    ),
    Command("destroy", "deploy:destroy", "Destroy what was deployed.", (TARGET, LOCAL)),
    Command(
        "prove",
        "prove:prove",
        "Deploy an environment, use and disturb it, destroy it, and print a report.",
        (
            WORKER,
            Option("file", "the file to load", Path, Path("tests/data/large.csv")),
            LOCAL,
            Option("confirm", "the environment's name, instead of asking"),
        ),
    ),
    Command("whoami", "environment:print_identity", "Print the AWS identity.", (ENV,)),
    Command(
        "server_settings",
        "server_settings:check",
        "Check settings of the database server that no session can change.",
        (ENV,),
    ),
    Command("settings", "settings_page:write", "Write docs/settings.md."),
    Command(
        "lock",
        "lock:lock",
        "Lock all packages again.",
        (
            Option(
                "check",
                "only check that locks fit their inputs",
                is_flag=True,
                is_variable=False,
            ),
            Option(
                "upgrade", "take the newest versions", is_flag=True, is_variable=False
            ),
        ),
    ),
    Command(
        "update",
        "update:update",
        "Merge a newer version of the template, or other answers.",
        (
            Option("version", "version, tag or commit; without it, the newest release"),
            Option("answers", "answers to change, as in 'database=mysql'"),
            Option("template", "URL or path of the template, if not as recorded"),
            Option(
                "project", "directory of a project", Path, Path(), is_variable=False
            ),
        ),
    ),
    Command("audit", "audit:audit", "Check packages for known vulnerabilities."),
    Command("sbom", "audit:sbom", "Write CycloneDX SBOMs below .build/."),
    Command(
        "comment",
        "plan_comment:post",
        "Post a plan to the pull request that CI checks.",
        (Option("report", "file that plan wrote", Path, Path()),),
    ),
    Command("ci_setup", "ci_setup:install", "Install what a CI machine lacks."),
)


class Parser(ArgumentParser):
    """A parser whose errors are one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Print the message and exit with `EX_USAGE` of sysexits.h."""
        self.exit(os.EX_USAGE, f"{self.prog}: {message}\n")


def make_parser() -> ArgumentParser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="tools", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        options = commands.add_parser(
            command.name, help=command.help, description=command.help
        )
        options.set_defaults(function=command.function)
        for option in command.options:
            add_option(options, option)
    return parser


def add_option(parser: ArgumentParser, option: Option) -> None:
    """Add an option to the parser of a command."""
    if option.is_flag:
        parser.add_argument(
            f"--{option.name}",
            help=option.help,
            nargs="?",
            type=parse_flag,
            const=True,
            default=False,
        )
        return
    parser.add_argument(
        f"--{option.name}",
        help=option.help,
        type=option.type,
        default=option.default,
        choices=option.choices,
    )


def main(arguments: Sequence[str]) -> int:
    """Run a command; return the exit code.

    A `UserError` and the errors of AWS are printed as a sentence. Any other error is a
    bug, with its traceback.
    """
    options = vars(make_parser().parse_args(add_variables(arguments)))
    module, _, name = options.pop("function").partition(":")
    try:
        run = getattr(import_module(f"tools.{module}"), name)
        return int(run(**options) or 0)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # as of `make logs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        sentence = explain(error, options.get("env", ""))
        if not sentence:
            raise
        # AWS's own messages have a period or not
        print(f"{capitalize(sentence).rstrip('.')}.", file=sys.stderr)
        return 1


def add_variables(arguments: Sequence[str]) -> list[str]:
    """Return the arguments, after those that the environment gives for the command.

    The variables are removed from the environment: a program that a command starts has
    options of its own.
    """
    variables = {option.variable for each in COMMANDS for option in each.options} - {""}
    values = {name: os.environ.pop(name, "") for name in variables}
    options = [
        f"--{option.name}={values[option.variable]}"
        for command in COMMANDS
        if [command.name] == list(arguments[:1])
        for option in command.options
        if values.get(option.variable)
    ]
    typed = [each for each in arguments[1:] if not re.fullmatch("--[a-z-]+=", each)]
    return [*arguments[:1], *options, *typed]


def capitalize(sentence: str) -> str:
    """Return a sentence with a capital letter, unless it starts with a path or name."""
    first_word = sentence.partition(" ")[0]
    if not first_word.isalpha():
        return sentence
    return f"{sentence[0].upper()}{sentence[1:]}"


def explain(error: Exception, env: str) -> str | None:
    """Return the sentence that a user needs, or None where the error is a bug."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, ImportError) and is_own(error):
        return f".venv is damaged, {error}: run 'make install'"
    if isinstance(error, OSError) and error.errno in NOT_A_BUG:
        return f"{error.filename or 'a file'} cannot be used: {error.strerror}"
    if "botocore" in sys.modules:
        from tools import environment

        return environment.explain(error, env)
    return None


def is_own(error: ImportError) -> bool:
    """Return whether tools or their packages, and not your code, import in vain."""
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    sources = [file for file in files if not file.startswith("<frozen")]
    parts = Path(sources[-1]).parts
    return parts[-2] == "tools" or "site-packages" in parts


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
