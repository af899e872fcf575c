"""Run a function's files from `src/` instead of from a build."""

from tools.project import BUILD, ROOT

SOURCES = ROOT / "src"
WRAPPER = SOURCES / "common" / "local_wrapper.py"
PACKAGE = """\
import sys
from importlib.util import module_from_spec, spec_from_file_location

__version__ = "source"

_spec = spec_from_file_location("func.{func}", {path!r})
_module = sys.modules["func.{func}"] = module_from_spec(_spec)
_spec.loader.exec_module(_module)

run = _module.run
NEEDS = getattr(_module, "NEEDS", ())
SETTINGS = getattr(_module, "SETTINGS", [])
"""


def write(func: str) -> list[str]:
    """Write the package `func` of one function; return the directories to import from.

    It has no other function's module, as in a build.
    """
    directory = BUILD / "run" / func
    module = SOURCES / "func" / f"{func}.py"
    (directory / "func").mkdir(parents=True, exist_ok=True)
    text = PACKAGE.format(func=func, path=str(module))
    (directory / "func" / "__init__.py").write_text(text, encoding="utf-8")
    return [str(directory), str(SOURCES / "common"), str(SOURCES)]
