"""The programs behind the make targets: `.venv/bin/python -m tools --help`."""

import sys
from pathlib import Path

# Some commands run the functions' own modules, which import each other as in a build.
_SOURCES = Path(__file__).resolve().parents[1] / "src"
sys.path[:0] = [str(_SOURCES / "common"), str(_SOURCES)]
