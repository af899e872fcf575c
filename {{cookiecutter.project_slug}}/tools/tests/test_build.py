"""Builds put a function's parts side by side, the same parts to the same bytes."""

import io
import os
import re
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError

import pytest

from tools import build, deploy_config, packages, project
from tools.errors import UserError
from tools.tests.deploy_files import DEPLOY

FILES = {
    "config/deploy.yml": DEPLOY,
    "config/worker.yml": "table: clicks\n",
    "config/other.yml": "{}\n",
    "src/common/context.py": "CONTEXT = 1\n",
    "src/common/local_wrapper.py": "LOCAL = 1\n",
    "src/common/poller.py": "POLLER = 1\n",
    "src/common/lambda_wrapper.py": "LAMBDA = 1\n",
    "src/common/docker_wrapper": "FROM python\n",
    "src/common/requirements.txt": "psycopg==3\n",
    "src/common/requirements-layer.txt": "python-box==7\n",
    "src/lib/rows.py": "ROWS = 1\n",
    "src/lib/values.py": "VALUES = 1\n",
    "src/lib/formats/fixed/ebcdic.py": "EBCDIC = 1\n",
    "src/lib/notes.txt": "not code\n",
    "src/func/__init__.py": "",
    "src/func/worker.py": 'NEEDS = ("table",)\n\n\ndef run(): ...\n',
    "src/func/other.py": "def run(): ...\n",
}
COMMON = {
    *("config.yml", "context.py", "func/__init__.py", "func/worker.py"),
    *("lib/rows.py", "lib/values.py", "lib/formats/fixed/ebcdic.py"),
}
CERTIFICATES = b"certificates\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a project with two functions, which is built there."""
    for name, text in FILES.items():
        write(tmp_path / name, text)
    move_to(tmp_path, monkeypatch)
    return tmp_path


def write(path: Path, text: str) -> None:
    """Write a file into a directory that need not exist yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def move_to(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all paths of the build be below another root."""
    for name, value in vars(build).copy().items():
        if isinstance(value, Path):
            own = root / value.relative_to(project.ROOT)
            monkeypatch.setattr(build, name, own)
    monkeypatch.setattr(project, "ROOT", root)


class Installer:
    """Takes the place of uv and pip: it installs one package."""

    def __init__(self) -> None:
        self.calls: list[tuple[Path, str, str | None]] = []
        self.content = "BOX = 1\n"
        self.files = ["box/__init__.py"]

    def __call__(
        self, lock: Path, target: Path, *, python: str = "", machine: str | None = None
    ) -> None:
        """Install the package."""
        self.calls.append((lock, python, machine))
        for name in self.files:
            write(target / name, self.content)


@pytest.fixture
def installer(monkeypatch: pytest.MonkeyPatch) -> Installer:
    found = Installer()
    monkeypatch.setattr(packages, "install_packages", found)
    return found


def list_names(directory: Path) -> set[str]:
    """Return the paths of all files below a directory."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix() for path in files}


def read_zip(path: Path) -> dict[str, bytes]:
    """Return the content of a zip by its names, in their order."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def change(path: Path) -> None:
    """Append a comment to a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write("# changed\n")


# what is built


def test_local_build_has_wrapper_and_poller(root: Path) -> None:
    directory = build.build_local("worker")
    assert directory == root / ".build/local/worker"
    assert list_names(directory) == COMMON | {"local_wrapper.py", "poller.py"}
    for name, source in {
        "config.yml": "config/worker.yml",
        "context.py": "src/common/context.py",
        "func/worker.py": "src/func/worker.py",
        "lib/formats/fixed/ebcdic.py": "src/lib/formats/fixed/ebcdic.py",
    }.items():
        assert (directory / name).read_text(encoding="utf-8") == FILES[source]


def test_zip_of_lambda_has_its_wrapper(root: Path) -> None:
    artifact = build.build_lambda("worker")
    assert artifact.path == root / ".build/lambda/worker.zip"
    assert {*read_zip(artifact.path)} == COMMON | {"lambda_wrapper.py"}
    assert re.fullmatch(r"built \.build/lambda/worker\.zip, \d KB", artifact.describe())


def test_built_function_is_imported_as_func(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its wrapper needs `run`, and the declarations if there are any."""
    for name, needs in (("worker", ("table",)), ("other", ())):
        directory = build.build_local(name)
        monkeypatch.syspath_prepend(directory)
        for module in ("func", f"func.{name}"):
            monkeypatch.delitem(sys.modules, module, raising=False)
        import func

        assert func.run is sys.modules[f"func.{name}"].run
        assert needs == func.NEEDS
        assert func.SETTINGS == []
        assert re.fullmatch("[0-9a-f]{12}", func.__version__)
        for module in ("func", f"func.{name}"):
            monkeypatch.delitem(sys.modules, module)


def test_version_identifies_the_code(root: Path) -> None:
    def read_version() -> str:
        text = build.build_local("worker") / "func/__init__.py"
        return text.read_text(encoding="utf-8").splitlines()[0]

    before = read_version()
    assert read_version() == before
    change(root / "src/lib/rows.py")
    assert read_version() != before


def test_image_has_ca_bundle_but_lambda_does_not(root: Path) -> None:
    write(root / "config/rds-ca.pem", "certificates\n")
    directory = build.build_local("worker")
    assert (directory / "rds-ca.pem").read_bytes() == CERTIFICATES
    assert "rds-ca.pem" not in read_zip(build.build_lambda("worker").path)


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        ("", {"lambda/other.zip", "lambda/worker.zip", "layer/local.zip"}),
        ("lambda", {"lambda/other.zip", "lambda/worker.zip"}),
        ("layer", {"layer/local.zip"}),
        ("ecr", set()),
        ("ecs", set()),
        ("queue", set()),
    ],
)
@pytest.mark.usefixtures("installer")
def test_stack_gets_what_it_needs(stack: str, expected: set[str], root: Path) -> None:
    zips = {each.path for each in build.build_for(stack, "local")}
    assert zips == {root / ".build" / name for name in expected}
    assert all(path.is_file() for path in zips)
    built = {path.name for path in (root / ".build").glob("local/*") if path.is_dir()}
    assert built == ({"worker", "other"} if stack in ("", "ecr", "ecs") else set())


# what is refused


@pytest.mark.parametrize("name", ["a", "load2", "load_2_files", "x" * 20])
def test_name_of_a_function_is_accepted(name: str) -> None:
    build.check_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "Worker", "2nd", "_x", "x_", "a__b", "a-b", "../a", "é", "a\n", "x" * 21],
)
def test_other_name_is_refused(name: str, root: Path) -> None:
    for act in (build.check_name, build.require_settings, build.build_local):
        with pytest.raises(UserError, match=re.escape(f"FUNC={name} is not a valid")):
            act(name)
    assert list_names(root / ".build") == set()


def test_missing_settings_get_a_remedy(root: Path) -> None:
    settings = root / "config" / "worker.yml"
    assert build.require_settings("worker") == settings
    settings.unlink()
    with pytest.raises(UserError) as caught:
        build.build_lambda("worker")
    assert str(caught.value) == (
        "config/worker.yml is missing: write the function's settings there, or {} for "
        "none"
    )
    assert not (root / ".build" / "lambda").exists()


def test_size_of_a_zip_is_in_kb(root: Path) -> None:
    path = root / "large.zip"
    path.write_bytes(bytes(2 * 1024 * 1024))
    described = build.Artifact(path, " (up to date)").describe()
    assert described == "built large.zip, 2,048 KB (up to date)"


# the same bytes


@pytest.fixture
def restored_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("restored_umask", "installer")
def test_same_sources_give_the_same_bytes(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path, file times, the umask and the order of creation do not matter."""
    other = tmp_path / "else" / "where"

    def build_all() -> list[bytes]:
        zips = [build.build_lambda("worker"), build.build_layer("local")]
        build.build_local("worker")
        directory = project.ROOT / ".build"
        tags = [directory / "local/worker.tag", directory / "layer/local.tag"]
        return [path.read_bytes() for path in (*(each.path for each in zips), *tags)]

    first = build_all()
    move_to(other, monkeypatch)
    os.umask(0o077)
    for name, text in reversed(FILES.items()):
        write(other / name, text)
        os.utime(other / name, (0, 1))
    assert build_all() == first


def test_zip_is_sorted_and_not_compressed(root: Path) -> None:
    path = build.build_lambda("worker").path
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        assert archive.comment == b""
    names = [entry.filename for entry in entries]
    assert names == sorted(names)
    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in entries} == {0o644}
    assert list_names(path.parent) == {"worker.zip"}


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o711])
def test_programs_in_a_zip_can_be_run(mode: int, tmp_path: Path) -> None:
    write(tmp_path / "in/program", "#!/bin/sh\n")
    write(tmp_path / "in/text", "text\n")
    (tmp_path / "in/program").chmod(mode)
    (tmp_path / "in/text").chmod(0o677)  # its owner cannot run it
    result = build.pack(tmp_path / "in", tmp_path / "out/result.zip")
    with zipfile.ZipFile(result) as archive:
        modes = {each.filename: each.external_attr >> 16 for each in archive.infolist()}
    assert modes == {"program": 0o755, "text": 0o644}


def test_new_zip_replaces_the_old_one(root: Path) -> None:
    before = build.build_lambda("worker").path.read_bytes()
    change(root / "src/lib/rows.py")
    path = build.build_lambda("worker").path
    assert read_zip(path)["lib/rows.py"] == b"ROWS = 1\n# changed\n"
    assert path.read_bytes() != before


# up-to-date builds


def find_inodes() -> dict[str, int]:
    """Build both functions; return what identifies their directories."""
    return {name: build.build_local(name).stat().st_ino for name in ("worker", "other")}


def test_unchanged_build_is_left_alone(root: Path) -> None:
    """A poller may be running in the directory of a build."""
    before = find_inodes()
    os.utime(root / "config/other.yml", (0, 1))
    assert find_inodes() == before
    change(root / "config/other.yml")
    after = find_inodes()
    assert after["worker"] == before["worker"]
    assert after["other"] != before["other"]
    change(root / "src/lib/rows.py")
    again = find_inodes()
    assert again["worker"] != after["worker"]
    assert again["other"] != after["other"]


@pytest.mark.parametrize("name", ["src/lib/rows.py", "src/common/poller.py"])
def test_build_loses_files_that_are_gone(name: str, root: Path) -> None:
    build.build_local("worker")
    (root / name).unlink()
    names = list_names(build.build_local("worker"))
    assert Path(name).name not in {Path(each).name for each in names}
    assert names  # the rest is there


def test_files_of_equal_size_and_time_can_differ(tmp_path: Path) -> None:
    """The file times of some disks are coarse."""
    for name in ("old", "new", "same"):
        path = tmp_path / name / "rows.py"
        write(path, f"ROWS = {len(name)}\n")
        os.utime(path, (1, 1))
    assert build.is_same(tmp_path / "old", tmp_path / "new")
    assert not build.is_same(tmp_path / "old", tmp_path / "same")


def test_local_build_needs_no_other_disk(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is renamed when it is complete, which works within a disk only."""
    monkeypatch.setattr(tempfile, "tempdir", str(root / "absent"))
    assert build.build_local("worker").is_dir()


def test_caches_of_python_do_not_count(root: Path) -> None:
    directory = build.build_local("worker")
    before = (directory.stat().st_ino, read_tag(root))
    write(directory / "__pycache__/context.cpython-313.pyc", "compiled")
    write(directory / "lib/__pycache__/rows.cpython-313.pyc", "compiled")
    build.build_local("worker")
    assert (directory.stat().st_ino, read_tag(root)) == before


def test_builds_leave_nothing_else(root: Path) -> None:
    for _ in range(2):
        find_inodes()
        change(root / "src/lib/rows.py")
    names = {path.name for path in (root / ".build").rglob("*") if path.is_dir()}
    assert names == {"local", "worker", "other", "func", "lib", "formats", "fixed"}
    assert [path.name for path in (root / ".build").iterdir()] == ["local"]


# tags of images


def read_tag(root: Path, architecture: str = "arm64") -> str:
    """Return the tag of a function's image."""
    return build.read_tag("worker", architecture, root / ".build")


def test_tag_names_code_and_processor(root: Path) -> None:
    build.build_local("worker")
    tag = read_tag(root)
    assert re.fullmatch("[0-9a-f]{12}-arm64", tag)
    assert read_tag(root, "x86_64") == tag.replace("arm64", "x86_64")


@pytest.mark.parametrize(
    ("name", "is_part"),
    [
        ("src/func/worker.py", True),
        ("src/common/docker_wrapper", True),
        ("src/common/requirements.txt", True),
        ("config/worker.yml", True),
        ("src/func/other.py", False),
        ("src/common/requirements-layer.txt", False),
        ("src/common/lambda_wrapper.py", False),
        ("config/deploy.yml", False),
    ],
)
def test_tag_changes_with_what_the_image_is_made_of(
    name: str, is_part: bool, root: Path
) -> None:
    build.build_local("worker")
    before = read_tag(root)
    change(root / name)
    build.build_local("worker")
    assert (read_tag(root) != before) is is_part


def test_name_of_a_file_is_part_of_the_tag(root: Path) -> None:
    build.build_local("worker")
    before = read_tag(root)
    (root / "src/lib/rows.py").rename(root / "src/lib/lines.py")
    build.build_local("worker")
    assert read_tag(root) != before


def test_missing_tag_gets_a_remedy(root: Path) -> None:
    with pytest.raises(UserError) as caught:
        read_tag(root)
    problem = ".build/local/worker.tag is missing: run 'make build'"
    assert str(caught.value) == problem


# the layer


def test_layer_has_packages_for_this_python(root: Path, installer: Installer) -> None:
    artifact = build.build_layer("local")
    assert artifact.path == root / ".build/layer/local.zip"
    assert read_zip(artifact.path) == {"python/box/__init__.py": b"BOX = 1\n"}
    assert artifact.describe() == "built .build/layer/local.zip, 0 KB"
    assert installer.calls == [(build.LOCK, "", None)]


def test_layer_for_aws_has_ca_bundle_too(root: Path, installer: Installer) -> None:
    write(root / "config/rds-ca.pem", "certificates\n")
    path = build.build_layer("aws").path
    assert path == root / ".build/layer/aws.zip"
    content = read_zip(path)
    assert {*content} == {"python/box/__init__.py", "rds-ca.pem"}
    assert content["rds-ca.pem"] == CERTIFICATES
    assert installer.calls == [(build.LOCK, "3.13", "x86_64")]


def test_layer_is_compressed(root: Path, installer: Installer) -> None:
    installer.content = "BOX = 1\n" * 1000
    path = build.build_layer("local").path
    assert path.stat().st_size < len(installer.content) / 10
    assert build.Artifact(path).describe().endswith(", 0 KB")


def test_layer_leaves_out_what_depends_on_the_machine(
    root: Path, installer: Installer
) -> None:
    kept = ["box/box.py", "box-7.dist-info/METADATA", "other/speedups.so"]
    installer.files = [
        *kept,
        *("bin/tool", ".lock", "box/box.cpython-313.so", "box-7.dist-info/RECORD"),
        *("box-7.dist-info/INSTALLER", "box-7.dist-info/REQUESTED"),
        "box-7.dist-info/direct_url.json",
    ]
    names = {*read_zip(build.build_layer("local").path)}
    assert names == {f"python/{name}" for name in kept}


def test_layer_is_installed_again_only_if_changed(
    root: Path, installer: Installer
) -> None:
    build.build_layer("local")
    tag = root / ".build/layer/local.tag"
    before = tag.read_text(encoding="utf-8")
    assert re.fullmatch("[0-9a-f]{64}", before)
    tag.unlink()
    assert build.build_layer("local").describe().endswith(" KB (up to date)")
    assert tag.read_text(encoding="utf-8") == before
    change(build.LOCK)
    assert "up to date" not in build.build_layer("local").describe()
    assert tag.read_text(encoding="utf-8") != before
    assert len(installer.calls) == 2


@pytest.mark.parametrize("content", [b"", b"half of a zip"])
def test_corrupt_layer_is_built_again(
    content: bytes, root: Path, installer: Installer
) -> None:
    path = root / ".build/layer/local.zip"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert "up to date" not in build.build_layer("local").describe()
    assert zipfile.is_zipfile(path)
    assert len(installer.calls) == 1


def change_python(root: Path, _: pytest.MonkeyPatch) -> None:
    deploy = DEPLOY.replace('python: "3.13"', 'python: "3.12"')
    write(root / "config/deploy.yml", deploy)


def change_processor(root: Path, _: pytest.MonkeyPatch) -> None:
    deploy = DEPLOY.replace("architecture: x86_64", "architecture: arm64")
    write(root / "config/deploy.yml", deploy)


def change_bundle(root: Path, _: pytest.MonkeyPatch) -> None:
    write(root / "config/rds-ca.pem", "renewed\n")


def change_this_python(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version", "3.99")


def change_selection(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "LEFT_OUT", ())


@pytest.mark.parametrize(
    ("act", "platforms"),
    [
        (change_python, {"aws"}),
        (change_processor, {"aws"}),
        (change_bundle, {"aws"}),
        (change_this_python, {"local"}),
        (change_selection, {"aws", "local"}),
    ],
)
@pytest.mark.usefixtures("installer")
def test_layer_changes_with_what_it_is_made_of(
    act: Callable[[Path, pytest.MonkeyPatch], None],
    platforms: set[str],
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(root / "config/rds-ca.pem", "certificates\n")
    build.build_layer("aws")
    build.build_layer("local")
    act(root, monkeypatch)
    notes = {each: build.build_layer(each).note for each in ("aws", "local")}
    assert {each for each, note in notes.items() if not note} == platforms


def test_package_without_wheel_gets_a_remedy(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise UserError("The installation failed")

    monkeypatch.setattr(packages, "install_packages", fail)
    write(root / "config/rds-ca.pem", "certificates\n")
    with pytest.raises(UserError) as caught:
        build.build_layer("aws")
    assert str(caught.value) == (
        "The installation failed: if a package has no wheel for Python 3.13 on x86_64, "
        "choose others in config/deploy.yml"
    )
    with pytest.raises(UserError, match=r"\AThe installation failed\Z"):
        build.build_layer("local")


# the CA bundle


def test_ca_bundle_is_downloaded_once(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    requests: list[str] = []

    def urlopen(url: str, timeout: float) -> io.BytesIO:
        requests.append(url)
        assert 0 < timeout < 60
        return io.BytesIO(CERTIFICATES)

    monkeypatch.setattr(build, "urlopen", urlopen)
    for _ in range(2):
        path = build.ensure_ca_bundle()
        assert path == root / "config/rds-ca.pem"
        assert path.read_bytes() == CERTIFICATES
    assert requests == [build.CA_BUNDLE_URL]
    assert capsys.readouterr().out == (
        "downloaded config/rds-ca.pem, the CA bundle of RDS: commit it\n"
    )


def test_ca_bundle_without_network_gets_a_remedy(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def urlopen(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(build, "urlopen", urlopen)
    with pytest.raises(UserError) as caught:
        build.ensure_ca_bundle()
    assert str(caught.value) == (
        f"{build.CA_BUNDLE_URL} cannot be downloaded (<urlopen error no network>): "
        "save it as config/rds-ca.pem and commit it"
    )
    assert not (root / "config/rds-ca.pem").exists()


def test_python_and_processor_are_those_of_the_file(root: Path) -> None:
    config = deploy_config.load()
    assert build.read_python_version() == config["python"]
    assert build.read_architecture() == config["architecture"]
