"""How fast a Lambda function starts."""

import json
import zipfile
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from baking import Project, bake
from bench.measuring import Ended, Report, Result, rounds, run, slower

TIMES = 5  # as often as other ways are taken: starts are short, and vary
PROGRAM = Path(__file__).with_name("programs") / "invoke.py"
HANDLER = "import lambda_wrapper"
ALL = "import lambda_wrapper, settings, lib.rds, pymysql"
HEAVY = ("boto3", "botocore", "pymysql", "psycopg")
TEXT = """\
The zip of the Lambda and that of its layer are unpacked, as Lambda does it. Each value
is of a fresh process that writes no compiled files. The machine has the files in its
cache.

- *Import of the handler* is held against `python -c pass`.
- *Compiled files*: all that is imported until a function works, but for boto3: the
  handler, settings, driver and what they need. It is held against the same without the
  compiled files that zip and layer have.
- *First invocation*: the message is S3's test message, so that settings are read, and
  neither S3 nor the database is asked. It is held against the second one."""


def measure(rows: int, runs: int) -> Report:
    """Measure imports and first invocations of the built Lambda.

    Args:
        rows: not used here.
        runs: each way is taken `TIMES` as often.
    """
    with TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        project = bake(folder, database="mysql").share_installs()
        project.make("build")
        packed, bare = _unpack(project, folder / "packed"), folder / "bare"
        _unpack(project, bare)
        for path in bare.rglob("*.pyc"):
            path.unlink()
        ways = {
            "python": partial(_python, project, packed, "-c", "pass"),
            "handler": partial(_python, project, packed, "-c", HANDLER),
            "all": partial(_python, project, packed, "-c", ALL),
            "all, bare": partial(_python, project, bare, "-c", ALL),
            "invoke": partial(_python, project, packed, str(PROGRAM)),
        }
        found = rounds("starting", runs * TIMES, ways)
        loaded = _python(
            project,
            packed,
            "-c",
            f"{HANDLER}, sys; print(*(set({HEAVY}) & set(sys.modules)))",
        )
    seconds = {way: [each.seconds for each in found[way]] for way in ways}
    said = [json.loads(each.said.splitlines()[-1]) for each in found["invoke"]]
    results = [
        slower("import of the handler", seconds["handler"], seconds["python"], 4),
        Result(
            "of boto3 and drivers, loaded by the handler",
            [float(len(loaded.said.split()))],
            ("≤", 0),
            unit="modules",
        ),
        slower("compiled files", seconds["all"], seconds["all, bare"], 0.7),
        slower("first invocation", [a for a, _ in said], [b for _, b in said], None),
    ]
    return Report(results, TEXT)


def _unpack(project: Project, folder: Path) -> Path:
    """Unpack the zips of the Lambda and of its layer; return the folder."""
    for name in ("lambda/worker.zip", "layer/local.zip"):
        with zipfile.ZipFile(project.path / ".build" / name) as archive:
            archive.extractall(folder)
    return folder


def _python(project: Project, folder: Path, *words: str) -> Ended:
    """Run Python, with the unpacked Lambda and its layer on the path."""
    paths = {"PYTHONPATH": f"{folder}:{folder / 'python'}"}
    return run(
        [project.path / ".venv/bin/python", *words],
        folder,
        paths | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
