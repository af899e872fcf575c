"""Draw docs/loops.svg: a terminal session with a project, recorded from a real run."""

import io
import shutil
import socket
import sys
from collections.abc import Callable
from time import monotonic

from rich.console import Console
from rich.text import Text

from baking import ROOT, TEMPLATE, Project, Running, bake

PICTURE = TEMPLATE / "docs" / "loops.svg"
DIRECTORY = ROOT / ".build" / "loops"
WIDTH = 96
# as rich's own template, without fonts from other hosts
FORMAT = """\
<svg viewBox="0 0 {terminal_width} {terminal_height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, Menlo, Consolas, monospace;
    font-size: {char_height}px;
    line-height: {line_height}px;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
<rect fill="#1b1f24" width="{terminal_width}" height="{terminal_height}" rx="8"/>
<g transform="translate(9, 9)" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def draw(project: Project) -> Console:
    """Run the targets; return a console that has recorded them."""
    console = Console(record=True, width=WIDTH, file=io.StringIO())

    def show(
        terminal: int, command: str, act: Callable[[], str], began: float | None = None
    ) -> None:
        began = began or monotonic()
        output = act()
        prompt = Text.assemble((f"{terminal} $ ", "bright_black"), (command, "bold"))
        taken = f"{monotonic() - began:.1f} s"
        prompt.append(taken.rjust(WIDTH - len(prompt)), "bright_black")
        console.print(prompt)
        console.print(Text.from_ansi(output.strip()), style="white", overflow="fold")
        console.print()

    def make(*words: str) -> str:
        return project.make(*words).stdout

    make("test")  # compiles the modules
    show(1, "make test", lambda: make("test"))
    shim = project.start("shim", "SHIM=process")
    with shim:
        show(2, "make shim", lambda: until(shim, "Next"))
        options = "RUN_ARGS=--log_format=text"
        began = monotonic()
        worker = project.start("run", "FUNC=worker", options)
        with worker:
            worker.wait_for("polling")
            event = "FILE=tests/data/large.csv"
            show(1, f"make event {event}", lambda: make("event", event))
            show(3, "make run FUNC=worker", lambda: until(worker, "loaded"), began)
        show(1, "make sanity_check", lambda: make("sanity_check"))
        show(1, "make parity | tail -n 1", lambda: make("parity").splitlines()[-1])
    return console


def until(running: Running, text: str) -> str:
    """Return a command's output once it has printed a text."""
    running.wait_for(text)
    return running.output


def main() -> None:
    """Draw the picture."""
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    console = draw(bake(DIRECTORY).share_installs())
    picture = console.export_svg(code_format=FORMAT, unique_id="loops")
    for private in (str(ROOT), socket.gethostname()):
        assert private not in picture, private
    PICTURE.write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except AssertionError as failure:
        sys.exit(f"\n{failure}")
