"""Writes docs/settings.md from the one declaration of settings."""

from pathlib import Path

from settings import SETTINGS, Setting

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
HEAD = """\
# Settings

Each comes from the command line (`--poll_interval=10`), else from the environment
(`POLL_INTERVAL=10`), else from `config/<function>.yml` (`poll_interval: 10`), else it
is the default. An empty variable counts as absent. They are declared in
`src/common/settings.py`, of which `make settings` makes this page.
"""
TABLE = """
## {title}

| setting | variable | default | what it is |
|---|---|---|---|
"""


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    for title, settings in SETTINGS.items():
        parts += [TABLE.format(title=title), *map(line, settings)]
    return "".join(parts)


def line(setting: Setting) -> str:
    """Return a setting's line of the table."""
    name, _, default, text, env, words = setting
    shown = "" if default in (None, "", False) else f"`{default}`"
    chosen = words.get("choices")
    among = f"; one of {', '.join(f'`{each}`' for each in chosen)}" if chosen else ""
    return f"| `{name}` | `{env or name.upper()}` | {shown} | {text}{among} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
