"""Write docs/settings.md from the declarations in src/common/settings.py."""

from settings import SETTINGS, Setting
from tools.project import ROOT

PAGE = ROOT / "docs" / "settings.md"
HEAD = """\
# Settings

A setting comes from the command line (`--poll_interval=10`), else from the environment
(`POLL_INTERVAL=10`), else from `config/<function>.yml` (`poll_interval: 10`), else it
has its default. An empty variable counts as absent. `make settings` generates this page
from `src/common/settings.py`.

These settings exist for all functions. A function's own are in its file, and
`make run FUNC=worker RUN_ARGS=--help` lists them. A secret such as `db_pass` can also
come from [a file or AWS Secrets Manager](writing-functions.md#secrets).
"""
TABLE = """
## {title}

| setting | variable | default | meaning |
|---|---|---|---|
"""


def write() -> int:
    """Write the page; return 0."""
    PAGE.write_text(render_page(), encoding="utf-8")
    return 0


def render_page() -> str:
    """Return the page in Markdown."""
    parts = [HEAD]
    for title, settings in SETTINGS.items():
        parts += [TABLE.format(title=title), *map(render_row, settings)]
    return "".join(parts)


def render_row(setting: Setting) -> str:
    """Return the row of the table for a setting."""
    default, text = setting.default, setting.help
    if isinstance(default, list):
        default = ", ".join(default)
    shown = "" if default in (None, "", False, {}) else f"`{default}`"
    choices = [f"`{each}`" for each in setting.choices]
    suffix = f"; one of {', '.join(choices)}" if choices else ""
    suffix += "; required" if setting.required else ""
    return f"| `{setting.name}` | `{setting.variable}` | {shown} | {text}{suffix} |\n"
