"""Compare this template's speed with the code that it replaces and with the limit."""

import argparse
import json
import signal
import sys
from collections.abc import Callable
from importlib import import_module

from baking import ROOT
from bench.loading import DEFAULT_ROWS
from bench.measuring import Report, as_json, from_json

PARTS = ("loading", "polling", "starting", "loops")
DEFAULT_RUNS = 3


def number_from(low: int) -> Callable[[str], int]:
    """Return a parser of whole numbers from `low` on."""

    def read(text: str) -> int:
        if text.isdecimal() and int(text) >= low:
            return int(text)
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number from {low} on"
        )

    return read


def main() -> None:
    """Run the benchmarks, print the tables, and write the page.

    Only a run with the default numbers writes to `docs/`.
    """
    variables = (
        f"[ROWS={DEFAULT_ROWS}] [RUNS={DEFAULT_RUNS}] [ONLY='{' '.join(PARTS)}']"
    )
    parser = argparse.ArgumentParser(
        prog="bench", usage=f"make bench {variables}", description=__doc__
    )
    parser.add_argument("--rows", type=number_from(1000), default=DEFAULT_ROWS)
    parser.add_argument("--runs", type=number_from(1), default=DEFAULT_RUNS)
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS)
    options = parser.parse_args()
    directory = ROOT / ".build" / "bench" / f"{options.rows}-{options.runs}"
    directory.mkdir(parents=True, exist_ok=True)
    reports: dict[str, Report] = {}
    for part in PARTS:
        file = directory / f"{part}.json"
        if part in options.only:
            report = import_module(f"bench.{part}").measure(options.rows, options.runs)
            file.write_text(json.dumps(as_json(report)), encoding="utf-8")
        if file.exists():
            reports[part] = from_json(json.loads(file.read_text(encoding="utf-8")))
    from bench import page  # only now: matplotlib would add to the memory of workers

    for part in options.only:
        print(f"{part}\n{page.table(reports[part].results)}\n")
    is_default = (options.rows, options.runs) == (DEFAULT_ROWS, DEFAULT_RUNS)
    written = page.write(
        ROOT / "docs" if is_default else directory, reports, options.runs
    )
    print(f"written to {written.relative_to(ROOT)}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that servers stop
    try:
        main()
    except AssertionError as failure:
        sys.exit(f"\nbench: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
