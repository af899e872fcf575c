"""Forks itself as it is told, by lines of JSON; each fork becomes a program.

It is run by a project's Python: most of a worker's start is to import these.
"""

import gc
import json
import os
import runpy
import sys
from contextlib import suppress
from importlib import import_module

IMPORTED = ("boto3", "box", "configargparse", "psycopg", "pymysql")


def become(
    folder: str, words: list[str], environment: dict[str, str], log: str
) -> None:
    """Run a program in a folder, as if it had been started there.

    Raises:
        SystemExit: it has ended.
    """
    os.chdir(folder)
    for number, name in enumerate((os.devnull, log, log)):
        os.dup2(os.open(name, os.O_RDWR | os.O_APPEND), number)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv, sys.path[0] = words, os.path.dirname(words[0])
    runpy.run_path(words[0], run_name="__main__")
    raise SystemExit


def main() -> None:
    """Answer each line: a fork's process id, or what became of one."""
    for name in IMPORTED:
        with suppress(ImportError):  # of the drivers there is one
            import_module(name)
    boto3 = sys.modules["boto3"]
    where = {"region_name": "eu-west-1", "endpoint_url": "http://localhost"}
    boto3.Session().client("s3", **where)  # which imports some more
    gc.collect()
    gc.freeze()  # else each fork looks through all of it, and thereby copies it
    for line in sys.stdin:
        word, *given = json.loads(line)
        answer: int | None
        if word == "poll":
            pid, status = os.waitpid(given[0], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        elif answer := os.fork():
            os.setpgid(answer, answer)
        else:
            become(*given)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
