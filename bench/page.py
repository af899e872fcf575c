"""Write the page of results and its charts."""

import re
from pathlib import Path
from statistics import median

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.measuring import Chart, Report, Result, format_number

NOTES = Path(__file__).with_name("notes.md")
STYLE = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.figsize": (6, 3.5),
    "grid.alpha": 0.3,
    "svg.fonttype": "none",
    "svg.hashsalt": "portable",
}
HEAD = """\
# Speed

Written by `make bench`, which keeps the sections that it does not measure.

Only ratios count, because a machine's speed changes from minute to minute. The ways
that are compared take turns within one run, round by round, in {runs} rounds unless a
section says otherwise. *Ratio* is the median over the rounds, *spread* the smallest and
the largest value. A ratio of speeds above 1 means that ours is faster, and so does a
ratio of times below 1. Each section comes from one run, and so does each database's
part of the loads.
"""


def table(results: list[Result]) -> str:
    """Return results as a Markdown table."""
    names = "what | ours | original way | limit | ratio | spread | target | met"
    lines = [f"| {names} |", "|---|---:|---:|---:|---:|---|---|---|"]
    for each in results:
        spread = (
            f"{format_number(min(each.values))} to {format_number(max(each.values))}"
        )
        ratio = f"{format_number(median(each.values))} {each.unit}".strip()
        sign, bound = each.target or ("", "")
        target = f"{sign} {bound} {each.unit}".strip() if sign else ""
        cells = (each.what, each.ours, each.original, each.limit, ratio, spread)
        lines.append(f"| {' | '.join((*cells, target, each.verdict))} |")
    return "\n".join(lines)


def write(directory: Path, reports: dict[str, Report], runs: int) -> Path:
    """Write the page and its charts into a directory; return the page.

    Sections that are on the page already and in no report stay as they are.
    """
    directory.mkdir(parents=True, exist_ok=True)
    page = directory / "bench.md"
    notes = NOTES.read_text(encoding="utf-8")
    sections = _read_sections(page.read_text(encoding="utf-8") if page.exists() else "")
    for title in _read_sections(notes):
        sections.pop(title, None)
    for name, report in reports.items():
        parts = [f"\nMeasured on {report.machine}.\n", table(report.results) + "\n"]
        for file, chart in report.charts.items():
            picture = f"bench-{file}.svg"
            draw(chart, directory / picture)
            parts.append(f"![{chart.title}]({picture})\n")
        sections[name.capitalize()] = "\n".join([*parts, f"{report.text}\n\n"])
    text = "".join(f"## {title}\n{section}" for title, section in sections.items())
    page.write_text(f"{HEAD.format(runs=runs)}\n{text}{notes}", encoding="utf-8")
    return page


def _read_sections(text: str) -> dict[str, str]:
    """Return the sections of a page by their titles."""
    _, *pieces = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)
    return dict(zip(pieces[::2], pieces[1::2], strict=True))


def draw(chart: Chart, file: Path) -> None:
    """Draw a chart as SVG; the same values give the same bytes."""
    with mpl.rc_context(STYLE):
        figure = Figure(layout="constrained")
        axes = figure.add_subplot()
        for name, points in chart.lines.items():
            axes.plot(*zip(*points, strict=True), marker="o", label=name)
        x, y = chart.scales
        axes.set(xscale=x, yscale=y)
        axes.margins(y=0.1)
        if x == "linear":
            axes.set_xticks([at for at, _ in points])
        if y == "linear":
            axes.set_ylim(bottom=0)
        axes.set(title=chart.title, xlabel=chart.x, ylabel=chart.y)
        axes.legend()
        figure.savefig(file, metadata={"Date": None})
