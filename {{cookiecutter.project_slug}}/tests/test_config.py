"""The configuration file of each function."""

from importlib import import_module
from pathlib import Path

import pytest
import yaml

import settings_reader

ROOT = Path(__file__).parents[1]
CONFIGS = [
    ROOT / "config" / f"{path.stem}.yml"
    for path in sorted((ROOT / "src" / "func").glob("[!_]*.py"))
]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_config_is_valid(path: Path) -> None:
    function = import_module(f"func.{path.stem}")
    # the environment may set those that are required
    own = [each._replace(required=False) for each in getattr(function, "SETTINGS", [])]
    var = settings_reader.read([f"--const_path={path}"], own=own)
    assert var.keys() >= (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).keys()
