"""Write the project's docs/file-formats.md from the examples that the tests load."""

from pathlib import Path
from textwrap import fill

from format_examples import EXAMPLES, Example

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "{{cookiecutter.project_slug}}" / "docs" / "file-formats.md"
HEAD = """\
# My file looks like this

Find the example that looks like your file, and copy its settings to
`config/worker.yml`. You can combine them. Tests load each example into PostgreSQL and
into MySQL or MariaDB, with the same result. [Settings](settings.md) describes all
settings, and [loading files](loading-files.md) what else happens to your files.

| my file has | lines that differ from the defaults | loaded | rejected |
|---|---|---|---|
"""


def page() -> str:
    """Return the page as Markdown."""
    return HEAD + "".join(map(_row, EXAMPLES)) + "".join(map(_section, EXAMPLES))


def _row(example: Example) -> str:
    title = example.title
    anchor = "".join(c for c in title.lower() if c.isalnum() or c in " -")
    others = [
        line for line in example.settings.split("\n") if "columns:" not in line[:8]
    ]
    lines = "<br>".join(f"`{line}`" for line in others).replace("|", "\\|")
    counts = f"{len(example.rows)} | {len(example.rejects)}"
    return f"| [{title}](#{anchor.replace(' ', '-')}) | {lines} | {counts} |\n"


def _section(example: Example) -> str:
    file = example.file.removesuffix("\n").replace("\r", "").replace("\t", "→")
    text = fill(example.note, 88, break_long_words=False, break_on_hyphens=False)
    note = f"\n{text}\n" if text else ""
    return (
        f"\n## {example.title}\n\n```text\n{file}\n```\n\n"
        f"```yaml\n{example.settings}\n```\n{note}"
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
