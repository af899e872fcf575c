"""Measure how fast a Lambda function starts."""

import json
import zipfile
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from baking import Project, bake
from bench.measuring import Finished, Report, Result, compare_seconds, run, run_rounds

TIMES = 5  # rounds for each round of other benchmarks: short times vary
PROGRAM = Path(__file__).with_name("programs") / "invoke.py"
HANDLER = "import lambda_wrapper"
ALL = "import lambda_wrapper, settings, lib.rds, pymysql"
HEAVY = ("boto3", "botocore", "pymysql", "psycopg")
TEXT = """\
The zips of the Lambda and its layer are unpacked, as Lambda does it. Each value comes
from a new process that writes no compiled files. The files are in the machine's cache.

- *Import of the handler* is compared with `python -c pass`.
- *All imports*: everything that a function imports until it works, except boto3: the
  handler, settings, the driver and what they need. The zips have no compiled files, and
  the limit is the same imports with them.
- *First invocation*: the message is S3's test message, so the settings are read, but
  neither S3 nor the database is used. Compared with the second invocation."""


def measure(rows: int, runs: int) -> Report:
    """Measure imports and first invocations of the built Lambda.

    Args:
        rows: not used.
        runs: number of rounds; each has every way `TIMES` times.
    """
    with TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        project = bake(directory, database="mysql").share_installs()
        project.make("build")
        packed = _unpack(project, directory / "packed")
        compiled = _unpack(project, directory / "compiled")
        _python(project, compiled, "-m", "compileall", "-q", str(compiled))
        ways = {
            "python": partial(_python, project, packed, "-c", "pass"),
            "handler": partial(_python, project, packed, "-c", HANDLER),
            "all": partial(_python, project, packed, "-c", ALL),
            "all, compiled": partial(_python, project, compiled, "-c", ALL),
            "invoke": partial(_python, project, packed, str(PROGRAM)),
        }
        found = run_rounds("starting", runs * TIMES, ways)
        loaded = _python(
            project,
            packed,
            "-c",
            f"{HANDLER}, sys; print(*(set({HEAVY}) & set(sys.modules)))",
        )
    seconds = {way: [each.seconds for each in found[way]] for way in ways}
    seconds_of_two = [
        json.loads(each.output.splitlines()[-1]) for each in found["invoke"]
    ]
    results = [
        compare_seconds(
            "import of the handler", seconds["handler"], seconds["python"], 5
        ),
        Result(
            "modules of boto3 and drivers in the handler",
            [float(len(loaded.output.split()))],
            ("≤", 0),
            unit="modules",
        ),
        compare_seconds("all imports", seconds["all"], seconds["all, compiled"], None),
        compare_seconds(
            "first invocation",
            [a for a, _ in seconds_of_two],
            [b for _, b in seconds_of_two],
            None,
        ),
    ]
    return Report(results, TEXT)


def _unpack(project: Project, directory: Path) -> Path:
    """Unpack the zips of the Lambda and of its layer; return the directory."""
    for name in ("lambda/worker.zip", "layer/local.zip"):
        with zipfile.ZipFile(project.path / ".build" / name) as archive:
            archive.extractall(directory)
    return directory


def _python(project: Project, directory: Path, *words: str) -> Finished:
    """Run Python, with the unpacked Lambda and its layer on the path."""
    paths = {"PYTHONPATH": f"{directory}:{directory / 'python'}"}
    return run(
        [project.path / ".venv/bin/python", *words],
        directory,
        paths | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
