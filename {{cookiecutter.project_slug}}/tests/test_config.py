"""The defaults of each function."""

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
def test_defaults_are_read_as_they_are_written(path: Path) -> None:
    found = settings.read([f"--const_path={path}"])
    for name, value in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        assert found[name] == (tuple(value) if isinstance(value, list) else value)
