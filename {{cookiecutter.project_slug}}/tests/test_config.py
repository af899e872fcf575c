"""The configuration file of each function."""

from pathlib import Path

import pytest
import yaml

import settings

ROOT = Path(__file__).parents[1]
CONFIGS = [
    ROOT / "config" / f"{path.stem}.yml"
    for path in sorted((ROOT / "src" / "func").glob("[!_]*.py"))
]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_config_is_read_as_written(path: Path) -> None:
    var = settings.read([f"--const_path={path}"])
    for name, value in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        assert var[name] == (tuple(value) if isinstance(value, list) else value)
