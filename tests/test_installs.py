"""Locks fit their inputs, and virtual environments are installed from them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from baking import ROOT, TEMPLATE, Project, bake, wait_until
from locks import ANSWERS, OWN

sys.path.insert(0, str(TEMPLATE))

from tools import audit
from tools.errors import UserError
from tools.install import LOCKS as VENVS
from tools.lock import LOCKS, check_locks, read_input, read_lock
from tools.packages import GLIBC, UV_GLIBC, select_packages

PYTHON = os.environ.get("PYTHON", "python3")
PATHS = [lock.path for lock in LOCKS]
USES_PIP = {"PIP_KEYRING_PROVIDER": "import"}  # uv cannot take it over
IDS = ["-".join(answers.values()) for answers in ANSWERS]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with an installed `.venv`."""
    project = bake(tmp_path_factory.mktemp("installed"), **ANSWERS[0])
    install(project)
    return project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project that nothing is installed in."""
    return bake(tmp_path, **ANSWERS[0])


def install(
    project: Project,
    venv: str = ".venv",
    env: dict[str, str] | None = None,
    check: bool = True,
) -> str:
    """Install a virtual environment as `make` does; return what is printed."""
    command = (PYTHON, "-m", "tools", "install", "--venv", venv)
    return project.run(*command, env=env, check=check).stdout


def evaluate(project: Project, program: str, env: dict[str, str] | None = None) -> str:
    """Run a Python program in a project's environment; return what it prints."""
    return project.run(".venv/bin/python", "-c", program, env=env).stdout


# Locks


@pytest.mark.parametrize("answers", ANSWERS, ids=IDS)
def test_locks_fit_inputs(tmp_path: Path, answers: dict[str, str]) -> None:
    check_locks(bake(tmp_path, **answers).path, LOCKS)


def test_own_locks_fit_inputs() -> None:
    check_locks(ROOT, OWN)


@pytest.mark.parametrize("answers", ANSWERS, ids=IDS)
def test_locks_name_no_machine(tmp_path: Path, answers: dict[str, str]) -> None:
    folder = bake(tmp_path, **answers).path
    for path in [
        *(folder / name for name in PATHS),
        *(ROOT / lock.path for lock in OWN),
    ]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"://|file:| /|--index|--find-links", text), path
    node = folder / "infra" / "package-lock.json"
    assert not node.exists() or "resolved" not in node.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "pytest==9.2.0",
            "pytest==9.1.0",
            "pytest is 9.2.0, its input says 9.1.0",
        ),
        ("yamllint==1.38.0\n", "", "yamllint is in no input"),
        ("yamllint==", "absent==1.0\nyamllint==", "absent is missing"),
    ],
)
def test_changed_input_is_reported(
    project: Project, before: str, after: str, message: str
) -> None:
    source = project.path / "tests" / "requirements.in"
    text = source.read_text(encoding="utf-8")
    assert before in text
    source.write_text(text.replace(before, after), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        check_locks(project.path, LOCKS)


def test_missing_hash_is_reported(project: Project) -> None:
    path = project.path / "tools" / "requirements.txt"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"\s+(--hash\S+|\\)", "", text), encoding="utf-8")
    with pytest.raises(UserError, match="uv has no hash"):
        check_locks(project.path, LOCKS)


@pytest.mark.parametrize(
    ("database", "foreign"), [("postgres", "pymysql"), ("mysql", "psycopg")]
)
def test_lock_has_no_foreign_driver(
    tmp_path: Path, database: str, foreign: str
) -> None:
    folder = bake(tmp_path, database=database).path
    for name in PATHS:
        assert foreign not in {each.name for each in read_lock(folder / name)}, name


def test_image_layer_and_venv_agree(project: Project) -> None:
    layer, image, venv = (
        {each.name: each.version for each in read_lock(project.path / name)}
        for name in PATHS[:3]
    )
    assert layer.items() <= image.items() <= venv.items()


def test_template_locks_with_a_projects_uv() -> None:
    own = read_input(ROOT / "requirements.in")["uv"]
    assert read_input(TEMPLATE / "tools" / "requirements.in") == {"uv": own}


@pytest.mark.parametrize("ci", ["github", "gitlab", "circleci"])
def test_renovate_maintains_each_lock(tmp_path: Path, ci: str) -> None:
    folder = bake(tmp_path, ci=ci).path
    settings = json.loads((folder / "renovate.json").read_text(encoding="utf-8"))
    patterns = settings["pip-compile"]["managerFilePatterns"]
    for name in PATHS:
        assert any(re.search(pattern.strip("/"), name) for pattern in patterns), name
    for lock in LOCKS:
        header = (folder / lock.path).read_text(encoding="utf-8").split("\n")[1]
        assert header.endswith(f" --output-file={lock.path} {' '.join(lock.inputs)}")


@pytest.mark.long
@pytest.mark.parametrize("answers", ANSWERS, ids=IDS)
def test_lock_keeps_versions(tmp_path: Path, answers: dict[str, str]) -> None:
    project = bake(tmp_path, **answers)
    install(project)
    before = {name: (project.path / name).read_bytes() for name in PATHS}
    project.run(".venv/bin/python", "-m", "tools", "lock")
    assert before == {name: (project.path / name).read_bytes() for name in PATHS}


# Virtual environments


def test_install_leaves_newest_stamp(installed: Project) -> None:
    stamp = (installed.path / ".venv" / "pyvenv.cfg").stat().st_mtime_ns
    locks = [installed.path / "tests" / "requirements.txt"]
    assert all(path.stat().st_mtime_ns < stamp for path in locks)
    installed.run(".venv/bin/python", "-m", "pytest", "--version")


def test_killed_install_is_incomplete(project: Project) -> None:
    stamp = project.path / ".venv" / "pyvenv.cfg"
    command = [PYTHON, "-m", "tools", "install"]
    process = subprocess.Popen(command, cwd=project.path, start_new_session=True)
    wait_until(stamp.exists, "the environment's configuration")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert stamp.stat().st_mtime == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_install_is_repeated(project: Project, number: int) -> None:
    """Make deletes the time stamp of an environment whose install it interrupts."""
    stamp = project.path / ".venv" / "pyvenv.cfg"
    with project.start("install") as install:
        install.wait_until(stamp.exists)
        os.killpg(install.process.pid, number)
        install.process.wait()
    project.make("install")
    assert (project.path / ".venv" / "bin" / "pytest").exists()


def test_simultaneous_installs_both_succeed(project: Project) -> None:
    with project.start("install") as first, project.start("install") as second:
        assert [each.process.wait(120) for each in (first, second)] == [0, 0]
        output = first.output + second.output
    assert output.count("Installing .venv") == 1, output
    assert "Waiting: another process installs packages" in output


def test_install_updates_in_place(installed: Project) -> None:
    python = ".venv/bin/python"
    inode = (installed.path / ".venv" / "pyvenv.cfg").stat().st_ino
    site = Path(evaluate(installed, "import pytest; print(pytest.__path__[0])").strip())
    shutil.rmtree(site)
    for info in site.parent.glob("pytest-*.dist-info"):
        shutil.rmtree(info)
    info = site.parent / "extra-1.0.dist-info"
    info.mkdir()
    for name, text in {
        "METADATA": "Metadata-Version: 2.1\nName: extra\nVersion: 1.0\n",
        "RECORD": "extra-1.0.dist-info/METADATA,,\nextra-1.0.dist-info/RECORD,,\n",
        "INSTALLER": "pip\n",
    }.items():
        (info / name).write_text(text, encoding="utf-8")
    install(installed)
    installed.run(python, "-m", "pytest", "--version")
    assert not (info / "METADATA").exists()
    assert (installed.path / ".venv" / "pyvenv.cfg").stat().st_ino == inode


def test_install_replaces_missing_python(installed: Project) -> None:
    python = installed.path / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python")
    install(installed)
    installed.run(python, "-m", "pytest", "--version")


def test_any_target_replaces_missing_python(project: Project) -> None:
    project.make("install")
    for name in ("python", "python3"):
        (project.path / ".venv" / "bin" / name).unlink()
    project.make("test")


@pytest.mark.long
def test_ensure_replaces_missing_python(installed: Project) -> None:
    install(installed, ".venv-shim")
    python = installed.path / ".venv-shim" / "bin" / "python"
    python.unlink()
    program = "from tools.install import ensure; ensure('.venv-shim')"
    assert "Installing .venv-shim" in installed.run(PYTHON, "-c", program).stdout
    assert "Installing" not in installed.run(PYTHON, "-c", program).stdout
    installed.run(python, "-c", "import boto3")


def test_install_restores_deleted_files(project: Project) -> None:
    project.make("install")
    [package] = (project.path / ".venv").rglob("site-packages/botocore")
    shutil.rmtree(package)
    result = project.make("run", "FUNC=worker", check=False)
    assert result.stdout.startswith(".venv is damaged, No module named 'botocore")
    assert "run 'make install'.\n" in result.stdout
    assert "Traceback" not in result.stdout
    project.make("install")
    assert (package / "__init__.py").exists()


@pytest.mark.parametrize("name", ["uv", "python"])
def test_install_replaces_broken_program(project: Project, name: str) -> None:
    project.make("install")
    program = project.path / ".venv" / "bin" / name
    program.unlink()
    program.write_bytes(b"\x7fELF")
    program.chmod(0o755)
    output = project.make("install").stdout
    assert "Using pip" not in output
    project.make("test")


def test_missing_pytest_names_the_remedy(project: Project) -> None:
    project.make("install")
    [package] = (project.path / ".venv").rglob("site-packages/pytest")
    shutil.rmtree(package)
    output = project.make("test", check=False).stdout
    assert output.startswith(".venv is damaged, pytest is gone: run 'make install'.")


def test_missing_module_of_a_function_is_a_bug(baked: Project) -> None:
    """Its traceback shows where your code imports it."""
    settings = baked.path / "src" / "common" / "settings.py"
    settings.write_text(f"import absent\n{settings.read_text(encoding='utf-8')}")
    output = baked.make("settings", check=False).stdout
    assert "Traceback" in output
    assert "damaged" not in output


def test_install_follows_link(project: Project) -> None:
    shared = project.path.parent / "shared"
    (project.path / ".venv").symlink_to(shared)
    install(project)
    assert (shared / "pyvenv.cfg").stat().st_mtime > 0
    project.run(".venv/bin/python", "-m", "pytest", "--version")


@pytest.mark.parametrize("venv", [".venv-shim", ".venv-infra", ".venv-audit"])
@pytest.mark.long
def test_other_environments_are_installed(installed: Project, venv: str) -> None:
    install(installed, venv)
    assert (installed.path / venv / "pyvenv.cfg").stat().st_mtime > 0


@pytest.mark.long
def test_cdk_is_installed(tmp_path: Path) -> None:
    project = bake(tmp_path, **ANSWERS[1])
    install(project, ".venv-infra")
    path = f"{project.path}/.venv-infra/bin:{os.environ['PATH']}"
    cdk = ".venv-infra/node_modules/.bin/cdk"
    assert project.run(cdk, "--version", env={"PATH": path}).stdout.startswith("2.")


@pytest.mark.parametrize("venv", VENVS)
def test_environments_are_not_linted(installed: Project, venv: str) -> None:
    """Packages have YAML files that are no files of the project."""
    file = installed.path / venv / "lib" / "package.yml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("a:   1\n", encoding="utf-8")
    installed.run(".venv/bin/python", "-m", "yamllint", "--strict", ".")
    assert not installed.run("git", "status", "--short", venv).stdout
    file.unlink()


def test_unknown_environment_is_refused(project: Project) -> None:
    output = install(project, ".venv-other", check=False)
    assert output.startswith("'.venv-other' is not a virtual environment")


def test_missing_ensurepip_names_the_remedy(project: Project) -> None:
    program = (
        "import sys; sys.modules['ensurepip'] = None; from tools import install; "
        "install.find_bundled_pip = lambda: None; install.install()"
    )
    done = project.run(PYTHON, "-c", program, check=False)
    assert "UserError" in done.stdout
    assert "apt-get install python3-venv" in done.stdout


@pytest.mark.long
def test_odd_path_works(tmp_path: Path) -> None:
    project = bake(tmp_path / "a$x\"' b", **ANSWERS[0])
    install(project)
    project.run(".venv/bin/python", "-m", "pytest", "--version")
    project.run(".venv/bin/ruff", "--version")


def test_colon_in_path_is_refused(tmp_path: Path) -> None:
    output = install(bake(tmp_path / "a:b"), check=False)
    assert "contains ':'" in output
    assert "Traceback" not in output


def test_home_need_not_be_writable(project: Project) -> None:
    output = install(project, env={"HOME": "/dev/null", "XDG_CACHE_HOME": ""})
    assert "is not writable" in output
    assert "Traceback" not in output
    project.run(".venv/bin/python", "-m", "pytest", "--version")


def test_unreachable_index_is_one_sentence(project: Project) -> None:
    nowhere = "http://127.0.0.1:1/simple"
    env = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": nowhere, "PIP_RETRIES": "0"}
    env |= {"PIP_FIND_LINKS": "", "XDG_CACHE_HOME": str(project.path.parent)}
    output = install(project, env=env, check=False)
    assert output.rstrip().endswith("installation failed with exit code 1, see above.")
    assert "Traceback" not in output
    assert (project.path / ".venv" / "pyvenv.cfg").stat().st_mtime == 0


def falsify_hashes(lock: Path) -> None:
    """Replace the hashes of a lock by wrong ones."""
    text = lock.read_text(encoding="utf-8")
    lock.write_text(re.sub(r"sha256:\w+", f"sha256:{'0' * 64}", text))


@pytest.mark.long
def test_pip_replaces_missing_uv(project: Project, tmp_path: Path) -> None:
    """Packages without a wheel are built with the locked setuptools."""
    falsify_hashes(project.path / "tools" / "requirements.txt")
    output = install(project, env={"XDG_CACHE_HOME": str(tmp_path / "empty")})
    assert "Using pip" in output
    assert not (project.path / ".venv" / "bin" / "uv").exists()
    project.run(".venv/bin/python", "-m", "pytest", "--version")
    path = project.path / "tools" / "requirements-build.txt"
    version = {each.name: each.version for each in read_lock(path)}["setuptools"]
    for name in ("docopt", "pytest_watch"):
        [metadata] = (project.path / ".venv").rglob(f"{name}-*.dist-info/WHEEL")
        assert f"Generator: setuptools ({version})" in metadata.read_text()


def test_pip_checks_hashes_of_setuptools(project: Project) -> None:
    falsify_hashes(project.path / "tools" / "requirements-build.txt")
    output = install(project, env=USES_PIP, check=False)
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in output
    assert output.rstrip().endswith("installation failed with exit code 1, see above.")


INDEX = """\
import json, os
from tools.packages import convert_index_settings
os.environ.pop("SSL_CERT_FILE", None)
print(json.dumps(convert_index_settings()))
"""


def test_uv_gets_pips_index(installed: Project, tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://user:word@index.example/simple\n"
        "extra-index-url =\n  https://one.example\n  https://two.example\n"
        "cert = /etc/ca.pem\n[install]\ntrusted-host = index.example\n",
        encoding="utf-8",
    )
    env = {"PIP_CONFIG_FILE": str(config), "PIP_FIND_LINKS": "/wheels /more"}
    env |= {"UV_INDEX": "https://mine.example", "PIP_CERT": "/etc/other.pem"}
    found = json.loads(evaluate(installed, INDEX, env))
    assert found == {
        "UV_DEFAULT_INDEX": "https://user:word@index.example/simple",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_INSECURE_HOST": "index.example",
        "SSL_CERT_FILE": "/etc/other.pem",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


def test_pip_is_used_where_uv_cannot(installed: Project) -> None:
    program = "from tools.packages import find_uv; print(find_uv())"
    assert evaluate(installed, program).strip().endswith(".venv/bin/uv")
    assert evaluate(installed, program, USES_PIP).strip() == "None"


INSTALL = """
from pathlib import Path
from tools.packages import install_packages
lock, directory = Path({lock!r}), Path({directory!r})
install_packages(lock, directory, python={python!r}, machine={machine!r})
"""
LAYER_LOCK = "src/common/requirements-layer.txt"
LAMBDAS = [
    *(("3.11", "x86_64"), ("3.12", "x86_64"), ("3.13", "x86_64")),
    *(("3.12", "arm64"), ("3.13", "arm64")),
]


@pytest.mark.parametrize(
    ("python", "machine", "uses_uv"),
    [
        *((python, machine, True) for python, machine in LAMBDAS),
        *(("3.11", "x86_64", False), ("3.13", "x86_64", False)),
        ("3.13", "arm64", False),
    ],
)
def test_layer_has_wheels_for_lambda(
    installed: Project, tmp_path: Path, python: str, machine: str, uses_uv: bool
) -> None:
    mysql = TEMPLATE / ".choices" / "database" / "mysql" / LAYER_LOCK
    locks = {LAYER_LOCK: tmp_path / "postgres", str(mysql): tmp_path / "mysql"}
    for lock, directory in locks.items():
        where = {"lock": lock, "directory": str(directory)}
        program = INSTALL.format(**where, python=python, machine=machine)
        evaluate(installed, program, {} if uses_uv else USES_PIP)
    processor = {"x86_64": "x86_64", "arm64": "aarch64"}[machine]
    suffix = f"cpython-{python.replace('.', '')}-{processor}-linux-gnu"
    assert (tmp_path / "postgres" / "psycopg_binary" / f"pq.{suffix}.so").exists()
    for directory in locks.values():
        assert (directory / "yaml" / f"_yaml.{suffix}.so").exists()
        assert not list(directory.rglob("*.pyc"))
    assert (tmp_path / "mysql" / "pymysql").exists()


@pytest.mark.parametrize("uses_uv", [True, False], ids=["uv", "pip"])
def test_layer_of_the_shim_fits_this_machine(
    installed: Project, tmp_path: Path, uses_uv: bool
) -> None:
    where = {"lock": LAYER_LOCK, "directory": str(tmp_path)}
    program = INSTALL.format(**where, python="", machine=None)
    evaluate(installed, program, {} if uses_uv else USES_PIP)
    shown = "import sysconfig; print(sysconfig.get_config_var('SOABI'))"
    suffix = evaluate(installed, shown).strip()
    assert (tmp_path / "psycopg_binary" / f"pq.{suffix}.so").exists()


@pytest.mark.parametrize(
    ("python", "newest"), [("3.11", 26), ("3.12", 34), ("3.13", 34)]
)
def test_pip_accepts_all_wheels_of_lambdas_glibc(
    installed: Project, python: str, newest: int
) -> None:
    program = (
        "from tools.packages import list_platforms; "
        f"print(*list_platforms({python!r}, 'arm64'))"
    )
    assert evaluate(installed, program).split() == [
        *(f"manylinux_2_{minor}_aarch64" for minor in range(newest, 16, -1)),
        "manylinux2014_aarch64",
    ]


def test_pip_gets_the_packages_of_lambdas_python() -> None:
    lock = (TEMPLATE / ".choices/database/postgres" / LAYER_LOCK).read_text("utf-8")
    for python, is_needed in {"3.12": True, "3.13": False}.items():
        text = select_packages(lock, python)
        assert ("\ntyping-extensions==" in text) is is_needed
        assert "\npsycopg-binary==" in text
        assert "\ntzdata" not in text
        assert " ; " not in text


def test_layer_knows_each_python_of_lambda() -> None:
    schema = json.loads((TEMPLATE / "config/deploy.schema.json").read_text("utf-8"))
    assert set(schema["properties"]["python"]["enum"]) == set(GLIBC)
    assert set(GLIBC.values()) == set(UV_GLIBC)


def test_layer_without_a_wheel_names_the_remedy(tmp_path: Path) -> None:
    """Amazon Linux 2, below Python 3.11, is too old for psycopg's wheels for arm64."""
    project = bake(tmp_path, database="postgres").share_installs()
    (project.path / "config" / "rds-ca.pem").touch()
    deploy = project.path / "config" / "deploy.yml"
    text = deploy.read_text(encoding="utf-8")
    text = text.replace('python: "3.13"', 'python: "3.11"')
    text = text.replace("architecture: x86_64", "architecture: arm64")
    deploy.write_text(text, encoding="utf-8")
    result = project.make("build", "TARGET=layer", "ENV=prod", check=False)
    assert result.returncode != 0
    assert (
        "if a package has no wheel for Python 3.11 on arm64, choose others in "
        "config/deploy.yml." in result.stdout
    )
    assert "Traceback" not in result.stdout


# Every Python and platform that the locks promise

PLATFORMS = (
    *("x86_64-manylinux_2_28", "aarch64-manylinux_2_28"),
    *("x86_64-apple-darwin", "aarch64-apple-darwin"),
)


@pytest.fixture(scope="module")
def locks(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The locks of all answers; many answers have the same."""
    folder = tmp_path_factory.mktemp("locks")
    projects = [
        bake(folder / name, **each) for name, each in zip(IDS, ANSWERS, strict=True)
    ]
    found = [project.path / name for project in projects for name in PATHS]
    return list({path.read_bytes(): path for path in found}.values())


@pytest.mark.long
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_locks_install_everywhere(
    tmp_path: Path, installed: Project, locks: list[Path], python: str, platform: str
) -> None:
    uv = installed.path / ".venv" / "bin" / "uv"
    options = ["--dry-run", "--quiet", "--require-hashes", "--no-deps"]
    options += [f"--python-version={python}", f"--python-platform={platform}"]
    for path in locks:
        target = ("--target", tmp_path / "target")
        installed.run(uv, "pip", "install", *target, *options, "-r", path)


# Git's hook


@pytest.fixture
def checked(installed: Project, tmp_path: Path) -> Project:
    """A project with stub targets, whose environment is another project's."""
    project = bake(tmp_path / "git", **ANSWERS[0])
    simplify(project, installed)
    return project


def simplify(project: Project, installed: Project) -> None:
    """Replace a project's targets by some that print their names and directory."""
    venv = installed.path / ".venv"
    (project.path / "Makefile").write_text(
        f".venv/bin/python:\n\t@ln -sfn '{venv}' .venv\n"
        "format lint-code lint-infra test:\n\t@echo $@ in '$(CURDIR)' >> ../checked\n",
        encoding="utf-8",
    )
    (project.path / ".venv").symlink_to(venv)


def git(folder: Path, *arguments: str, check: bool = True) -> str:
    """Run git in a directory; return what it prints."""
    user = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    user += ["-c", "protocol.file.allow=always"]
    done = subprocess.run(
        ["git", *user, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0 or not check, done.stdout
    return done.stdout


def install_hook(project: Project, env: dict[str, str] | None = None) -> str:
    program = "from tools.git_hook import install_hook; install_hook()"
    return project.run(PYTHON, "-c", program, env=env).stdout


def checks(folder: Path) -> list[str]:
    """Return the checks that ran in a directory."""
    log = folder.parent / "checked"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [line.split()[0] for line in lines if line.endswith(f" in {folder}")]


ALL = ["format", "lint-code", "lint-infra", "test"]
CODE = [each for each in ALL if each != "lint-infra"]


def test_hook_checks_each_commit(checked: Project) -> None:
    assert install_hook(checked) == ""
    assert install_hook(checked) == ""
    git(checked.path, "add", ".")
    git(checked.path, "commit", "--quiet", "--message=first")
    assert checks(checked.path) == ALL


def test_hook_stops_a_commit(checked: Project) -> None:
    install_hook(checked)
    makefile = checked.path / "Makefile"
    makefile.write_text(makefile.read_text().replace("@echo", "@false"))
    git(checked.path, "add", ".")
    output = git(checked.path, "commit", "--message=first", check=False)
    assert "Failed" in output
    assert git(checked.path, "log", check=False).startswith("fatal")


def test_hook_checks_in_worktree(checked: Project) -> None:
    install_hook(checked)
    git(checked.path, "add", ".")
    git(checked.path, "commit", "--quiet", "--message=first")
    tree = checked.path.parent / "tree"
    git(checked.path, "worktree", "add", "--quiet", str(tree))
    assert not (tree / ".venv").exists()
    (tree / "new.py").touch()
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "--message=second")
    assert checks(tree) == CODE


def test_hook_checks_in_submodule(checked: Project, installed: Project) -> None:
    git(checked.path, "add", ".")
    git(checked.path, "commit", "--quiet", "--message=first")
    outer = checked.path.parent / "outer"
    outer.mkdir()
    git(outer, "init", "--quiet")
    git(outer, "submodule", "--quiet", "add", str(checked.path), "inner")
    inner = Project(outer / "inner")
    simplify(inner, installed)
    assert install_hook(inner) == ""
    (inner.path / "new.py").touch()
    git(inner.path, "add", ".")
    git(inner.path, "commit", "--quiet", "--message=second")
    assert checks(inner.path) == CODE


@pytest.fixture
def nested(checked: Project) -> Project:
    """A project in a subdirectory of a repository."""
    outer = checked.path.parent
    shutil.rmtree(checked.path / ".git")
    git(outer, "init", "--quiet")
    return checked


def test_hook_checks_subdirectory(nested: Project) -> None:
    outer = nested.path.parent
    install_hook(nested)
    (outer / "foreign").touch()
    git(outer, "add", "foreign")
    git(outer, "commit", "--quiet", "--message=foreign")
    assert checks(nested.path) == []
    git(outer, "add", nested.path.name)
    git(outer, "commit", "--quiet", "--message=own")
    assert checks(nested.path) == ALL


def test_hook_serves_two_projects(nested: Project, installed: Project) -> None:
    second = bake(nested.path.parent, **ANSWERS[0], project_slug="second")
    shutil.rmtree(second.path / ".git", ignore_errors=True)
    simplify(second, installed)
    install_hook(nested)
    install_hook(second)
    git(second.path.parent, "add", ".")
    git(second.path.parent, "commit", "--quiet", "--message=both")
    assert checks(nested.path) == checks(second.path) == ALL


def test_ignored_project_gets_no_hook(nested: Project) -> None:
    outer = nested.path.parent
    (outer / ".gitignore").write_text("*\n", encoding="utf-8")
    assert install_hook(nested) == ""
    assert not (outer / ".git" / "hooks" / "pre-commit").exists()


def test_foreign_hook_is_kept(checked: Project) -> None:
    hook = checked.path / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\n", encoding="utf-8")
    assert "tools/pre-commit.sh" in install_hook(checked)
    assert hook.read_text(encoding="utf-8") == "#!/bin/sh\n"


def test_hooks_path_is_kept(checked: Project) -> None:
    git(checked.path, "config", "core.hooksPath", "/nowhere")
    assert "core.hooksPath is /nowhere" in install_hook(checked)


def test_unwritable_hooks_are_reported(checked: Project) -> None:
    hooks = checked.path / ".git" / "hooks"
    shutil.rmtree(hooks, ignore_errors=True)
    hooks.touch()
    output = install_hook(checked)
    assert output.count("\n") == 1
    assert "Traceback" not in output


def test_hook_works_without_home(checked: Project) -> None:
    install_hook(checked)
    git(checked.path, "add", ".")
    env = os.environ | {"HOME": "/dev/null", "GIT_AUTHOR_NAME": "me"}
    env |= {"GIT_AUTHOR_EMAIL": "me@example.org", "XDG_CACHE_HOME": ""}
    env |= {"GIT_COMMITTER_NAME": "me", "GIT_COMMITTER_EMAIL": "me@example.org"}
    subprocess.run(["git", "commit", "-qm", "x"], cwd=checked.path, env=env, check=True)
    assert checks(checked.path) == ALL


# Audit


@pytest.mark.long
def test_audit_without_network_says_so(installed: Project) -> None:
    install(installed, ".venv-audit")
    env = dict.fromkeys(("HTTPS_PROXY", "https_proxy"), "http://127.0.0.1:1")
    done = installed.run(".venv/bin/python", "-m", "tools", "audit", env=env)
    assert "Not checked, PyPI is unreachable" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.long
def test_sbom_lists_what_ships(installed: Project) -> None:
    install(installed, ".venv-audit")
    command = (".venv/bin/python", "-m", "tools", "sbom")
    installed.run(*command)
    folder = installed.path / ".build" / "sbom"
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    installed.run(*command)
    assert first == {path.name: path.read_bytes() for path in folder.iterdir()}
    layer, image = (
        {each["name"] for each in json.loads(first[f"{name}.cdx.json"])["components"]}
        for name in ("layer", "image")
    )
    assert {"psycopg", "psycopg-binary", "pyyaml"} < layer < image
    assert "tzdata" not in image  # only Windows installs it
    assert "boto3" in image - layer


def test_vulnerability_outweighs_unreachable_index(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One lock that cannot be checked does not hide what another one contains."""
    flaw = {"id": "CVE-1", "fix_versions": ["1.1"]}
    found = {"name": "box", "version": "1.0", "vulns": [flaw]}
    answers = {LOCKS[0].path: [found]}
    monkeypatch.setattr(audit.install, "ensure", lambda _: None)
    monkeypatch.setattr(audit, "ask_pypi", answers.get)
    with pytest.raises(UserError, match=r"box 1\.0: CVE-1, fixed in 1\.1"):
        audit.audit()
    assert f"PyPI is unreachable: {LOCKS[1].path}" in capsys.readouterr().out


def test_unreachable_index_is_no_audit_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit.install, "ensure", lambda _: None)
    monkeypatch.setattr(audit, "ask_pypi", lambda _: None)
    audit.audit()
    assert "0 packages were checked" in capsys.readouterr().out
