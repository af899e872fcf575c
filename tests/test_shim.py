"""How the shim starts, what it refuses, and that nothing stays when it has stopped."""

import io
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from baking import (
    DEADLINE,
    Project,
    Running,
    bake,
    clean_environment,
    free_port,
    skip,
    wait_until,
)
from shim_helpers import (
    DATABASES,
    client,
    count_messages,
    on_each_database,
    queue_url,
    require_server,
)

FULL_DISK = "mount -t tmpfs -o size=1m none .shim"
DOWNLOAD = "from tests.shim import mariadb_packages as packages, stop; "
DOWNLOAD += "packages.download(stop.Stop())"
LOCATE = """
import json, sys
from tests.shim.mariadb_packages import program, root
print(json.dumps([program(sys.argv[1]), f"{root()}/usr"]))
"""
SHOW_ROOT = "from tests.shim.mariadb_packages import root; print(root())"
WITHOUT_SERVER = """
import sys
from tests.shim import database, stop, supervisor
database._installed = lambda *names: None
sys.exit(supervisor.run(sys.argv[1:], stop.Stop()))
"""


@pytest.fixture(params=DATABASES)
def stopped(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """A project for each database, whose shim is not running."""
    require_server(request.param)
    return bake(tmp_path, database=request.param).share_installs()


def ports() -> list[str]:
    """Return free ports, as arguments of make."""
    return [f"AWS_PORT={free_port()}", f"DB_PORT={free_port()}"]


def options() -> str:
    """Return arguments of the program itself: local processes on free ports."""
    return f"--mode=process --aws-port={free_port()} --db-port={free_port()}"


def run_shim(
    project: Project, *words: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `make shim` to its end, as local processes on free ports."""
    arguments = ("shim", "SHIM=process", *ports(), *words)
    return project.make(*arguments, env=environment, check=False)


def listens(port: str) -> bool:
    """Return whether a server listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


def ports_of(environment: dict[str, Any]) -> list[str]:
    """Return the ports of a shim."""
    return [environment["AWS_ENDPOINT_URL"].rpartition(":")[2], environment["DB_PORT"]]


def leftovers(project: Project) -> list[str]:
    """Return what is in `.shim` besides logs and downloads."""
    found = {path.name for path in (project.path / ".shim").iterdir()}
    return sorted(name for name in found if not name.endswith(".log"))


def processes_of(project: Project) -> list[str]:
    """Return the command lines that name the project's directory."""
    listed = subprocess.check_output(["ps", "-eo", "args=", "-ww"], text=True)
    return [line for line in listed.splitlines() if str(project.path) in line]


def test_ctrl_c_stops_servers_and_removes_files(stopped: Project) -> None:
    for _ in ("once", "again"):
        with stopped.shim() as environment:
            assert all(map(listens, ports_of(environment)))
        assert not any(map(listens, ports_of(environment)))
        assert leftovers(stopped) == []


@pytest.mark.parametrize("moment", ["pids", "aws.log", "database"])
def test_ctrl_c_before_ready_leaves_nothing(stopped: Project, moment: str) -> None:
    with stopped.start("shim", "SHIM=process", *ports()) as shim:
        shim.wait_until((stopped.path / ".shim" / moment).exists)
        os.killpg(shim.process.pid, signal.SIGINT)
        shim.process.wait(DEADLINE)
    assert "The shim was stopped before it was ready.\n" in shim.output
    assert "Traceback" not in shim.output
    assert leftovers(stopped) == []
    assert processes_of(stopped) == []


def test_sigterm_stops_the_target_of_for(stopped: Project) -> None:
    words = ("shim", "SHIM=process", *ports(), "FOR=run FUNC=worker")
    with stopped.start(*words) as shim:
        shim.wait_until(lambda: "polling http" in shim.output)
        pids = json.loads((stopped.path / ".shim" / "pids").read_text(encoding="utf-8"))
        pid = next(iter(pids))  # the shim lists itself first
        os.kill(int(pid), signal.SIGTERM)
        shim.process.wait(DEADLINE)
    assert leftovers(stopped) == []
    wait_until(lambda: not processes_of(stopped), "the end of the poller")


@contextmanager
def namespace_or_skip() -> Iterator[list[str]]:
    """Yield the words that let a command mount file systems; skip if none do."""
    words = ["unshare", "--mount", "--map-root-user"]
    if (
        not shutil.which("unshare")
        or subprocess.run([*words, "true"], capture_output=True).returncode
    ):
        skip("this machine does not let users mount a file system")
    yield words


def test_full_disk_is_reported_before_anything_starts(stopped: Project) -> None:
    (stopped.path / ".shim").mkdir()
    script = f"{FULL_DISK} && python3 tests/shim/shim.py {options()}; ls .shim"
    with namespace_or_skip() as words:
        output = stopped.run(*words, "sh", "-c", script).stdout
    assert output.startswith("shim: the shim needs 250 MB in ")
    assert output.count("\n") == 1


@pytest.mark.parametrize("blocks", [0, 40])
def test_write_that_fails_is_reported_in_a_line(stopped: Project, blocks: int) -> None:
    script = f"ulimit -f {blocks}; exec make shim SHIM=process {' '.join(ports())}"
    result = stopped.run("sh", "-c", script, check=False)
    [line] = [each for each in result.stdout.splitlines() if "make: ***" not in each]
    assert line.startswith("shim: ")
    assert result.returncode != 0
    assert leftovers(stopped) == []
    assert processes_of(stopped) == []


def test_emulator_leaves_no_temporary_files(stopped: Project, tmp_path: Path) -> None:
    temporary = stopped.path / ".shim" / "tmp"
    with stopped.shim() as environment:
        [port, _] = ports_of(environment)
        assert [path.name for path in temporary.iterdir()] == [f"ministack-{port}.pid"]
        invoke_lambda(stopped)
        assert any(path.is_dir() for path in temporary.iterdir())
    assert not temporary.exists()
    assert not (Path(tempfile.gettempdir()) / f"ministack-{port}.pid").exists()


def invoke_lambda(project: Project) -> None:
    """Create a Lambda function in the shim and run it once."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("code.py", "def handler(event, context):\n    return 42\n")
    role = client(project, "iam").create_role(
        RoleName="answer", AssumeRolePolicyDocument='{"Statement": []}'
    )
    service = client(project, "lambda")
    service.create_function(
        FunctionName="answer",
        Runtime="python3.13",
        Role=role["Role"]["Arn"],
        Handler="code.handler",
        Code={"ZipFile": code.getvalue()},
    )
    answer = service.invoke(FunctionName="answer")
    assert answer["Payload"].read() == b"42"


def test_loopback_bypasses_proxies(stopped: Project) -> None:
    proxy = f"http://127.0.0.1:{free_port()}"
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy"), proxy)
    result = run_shim(stopped, "FOR=sanity_check", **proxies)
    assert "10 rows in, 10 rows out" in result.stdout


def test_environment_file_keeps_entries_of_no_proxy(stopped: Project) -> None:
    words = ["make", "shim", "SHIM=process", *ports()]
    environment = clean_environment({"NO_PROXY": "intranet.example, localhost"})
    file = stopped.path / ".shim" / "shim.env"
    with Running(stopped.path, words, environment) as shim:
        shim.wait_until(file.exists)
        lines = file.read_text(encoding="utf-8").splitlines()
    for name in ("no_proxy", "NO_PROXY"):
        assert f"export {name}=intranet.example,localhost,127.0.0.1" in lines


def test_shell_and_python_read_environment_alike(stopped: Project) -> None:
    entry = "intranet's $HOME"
    words = ["make", "shim", "SHIM=process", *ports()]
    file = stopped.path / ".shim" / "shim.env"
    code = f". {file}; env"
    with Running(stopped.path, words, clean_environment({"no_proxy": entry})) as shim:
        shim.wait_until(file.exists)
        text = file.read_text(encoding="utf-8")
        by_shell = subprocess.check_output(["sh", "-c", code], env={}, text=True)
    for line in text.splitlines():
        [command, word] = shlex.split(line)
        assert command in ("export", "unset")
        assert command == "unset" or word in by_shell.splitlines()
    assert f"no_proxy={entry},127.0.0.1,localhost" in by_shell.splitlines()


@on_each_database
def test_shims_of_two_checkouts_run_side_by_side(
    shimmed: Project, tmp_path: Path
) -> None:
    other = bake(tmp_path, project_slug="other", database="postgres").share_installs()
    with other.shim():
        shimmed.make("sanity_check")
        assert other.query("SELECT count(*) FROM clicks") == [[0]]


@pytest.mark.parametrize("shimmed", ["mysql"], indirect=True)
def test_mysql_server_keeps_temporary_files_inside(shimmed: Project) -> None:
    [[folder]] = shimmed.query("SELECT @@tmpdir")
    assert Path(folder).is_relative_to(shimmed.path)


@pytest.mark.parametrize("variable", ["AWS_PORT", "DB_PORT"])
def test_port_in_use_is_named(stopped: Project, variable: str) -> None:
    words = {"AWS_PORT": str(free_port()), "DB_PORT": str(free_port())}
    with socket.create_server(("127.0.0.1", int(words[variable]))):
        pairs = [f"{name}={value}" for name, value in words.items()]
        result = stopped.make("shim", "SHIM=process", *pairs, check=False)
    assert result.returncode != 0
    assert f"port {words[variable]} of 127.0.0.1 is in use" in result.stdout
    assert f"make shim {variable}=" in result.stdout


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("AWS_PORT=http", "AWS_PORT=http is not a port: choose a number from 1"),
        ("DB_PORT=65536", "DB_PORT=65536 is not a port"),
        ("AWS_PORT=15432", "AWS_PORT and DB_PORT are both 15432"),
        ("SHIM=moon", "SHIM=moon is unknown: choose docker or process"),
        ("FOR=help 'oops", "FOR=help 'oops has No closing quotation: fix its quotes"),
        ("FOR=help; touch x", "FOR has 'help;', which is neither a make target nor"),
        ("FOR=$(touch x)", "FOR has '$(touch', which is neither a make target nor"),
        ("FOR=--eval=$(shell touch x)", "which is neither a make target nor"),
        ("FOR=help func=worker", "FOR has 'func=worker', which is neither"),
    ],
)
def test_wrong_value_is_refused(baked: Project, word: str, message: str) -> None:
    result = baked.make("shim", word, check=False)
    assert result.returncode != 0
    assert result.stdout.startswith("shim: ")
    assert message in result.stdout
    assert not (baked.path / "x").exists()
    assert "Ready" not in result.stdout


def test_exit_code_is_that_of_the_targets(stopped: Project) -> None:
    assert run_shim(stopped, "FOR=help").returncode == 0
    failed = run_shim(stopped, "FOR=event FILE=absent.csv")
    assert failed.returncode != 0
    assert "absent.csv" in failed.stdout


@on_each_database
def test_second_shim_of_a_checkout_is_refused(shimmed: Project) -> None:
    result = shimmed.make("shim", "SHIM=process", check=False)
    assert result.returncode != 0
    assert "this checkout's shim runs already" in result.stdout
    assert all(map(listens, ports_of(shimmed.shim_environment())))
    shimmed.make("sanity_check")


def test_next_shim_kills_servers_of_a_killed_one(stopped: Project) -> None:
    words = ("shim", "SHIM=process", *ports())
    file = stopped.path / ".shim" / "shim.env"
    with stopped.start(*words) as shim:
        shim.wait_until(file.exists)
        os.killpg(shim.process.pid, signal.SIGKILL)
    file.unlink()
    with stopped.start(*words) as shim:
        shim.wait_until(file.exists)
        stopped.make("sanity_check")


def test_shim_works_with_umask_077(stopped: Project) -> None:
    script = f"umask 077; make shim SHIM=process FOR=sanity_check {' '.join(ports())}"
    assert "10 rows in, 10 rows out" in stopped.run("sh", "-c", script).stdout


@pytest.mark.parametrize("character", ["$", '"', "`", "\\"])
def test_postgres_refuses_a_path_with_shell_characters(
    tmp_path: Path, character: str
) -> None:
    folder = tmp_path / f"a{character}b"
    folder.mkdir()
    project = bake(folder, database="postgres").share_installs()
    result = run_shim(project)
    [line] = [each for each in result.stdout.splitlines() if "make: ***" not in each]
    assert line.startswith("shim: PostgreSQL cannot run in ")
    assert f"contains {character}: move the project" in line
    assert leftovers(project) == []


@pytest.mark.parametrize(
    ("database", "name"),
    [("postgres", "with space"), ("mysql", "with space"), ("mysql", "a$b\"c'd`e")],
)
def test_shim_runs_in_an_unusual_path(tmp_path: Path, database: str, name: str) -> None:
    require_server(database)
    folder = tmp_path / name
    folder.mkdir()
    project = bake(folder, database=database).share_installs()
    assert "10 rows in, 10 rows out" in run_shim(project, "FOR=sanity_check").stdout


@on_each_database
def test_added_function_sends_no_message_to_the_others(
    shimmed: Project,
) -> None:
    function = shimmed.path / "src" / "func" / "second.py"
    function.write_text("def run(event, context):\n    return event\n")
    try:
        shimmed.make("send", "FUNC=second", "BODY=hello")
        client(shimmed, "s3").put_object(Bucket="raw", Key="second/a", Body=b"")
        wait_until(
            lambda: count_messages(shimmed, "second-pending")[0] == 2, "both messages"
        )
        assert count_messages(shimmed) == [0, 0]
    finally:
        function.unlink()
        client(shimmed, "events").remove_targets(Rule="second", Ids=["queue"])
        client(shimmed, "events").delete_rule(Name="second")
        for name in ("second-pending", "second-dead-letter"):
            client(shimmed, "sqs").delete_queue(QueueUrl=queue_url(shimmed, name))


def test_docker_mode_installs_no_servers(baked: Project) -> None:
    (baked.path / ".venv-shim").unlink()
    nowhere = {"DOCKER_HOST": f"tcp://127.0.0.1:{free_port()}"}
    result = baked.make("shim", "SHIM=docker", *ports(), env=nowhere, check=False)
    assert "shim: no Docker engine with Compose answers" in result.stdout
    assert not (baked.path / ".venv-shim").exists()


def need_apt() -> None:
    """Skip a test on systems without apt."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        skip("this system has no apt")


@pytest.mark.parametrize("lists", ["of the system", "missing"])
def test_mysql_shim_downloads_a_server_once(tmp_path: Path, lists: str) -> None:
    need_apt()
    project = bake(tmp_path, database="mysql").share_installs()
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    if lists == "missing":
        config = tmp_path / "apt.conf"
        config.write_text('Dir::State::Lists "/nonexistent/lists";\n')
        environment["APT_CONFIG"] = str(config)
    output = []
    for _ in ("once", "again"):
        arguments = (*options().split(), "--for=sanity_check")
        words = ("python3", "-c", WITHOUT_SERVER, *arguments)
        output.append(project.run(*words, env=environment).stdout)
    assert "Downloading MariaDB (about 15 MB, once) to " in output[0]
    assert "Downloading" not in output[1]
    assert all("10 rows in, 10 rows out" in each for each in output)
    assert "%" not in output[0].partition("Ready")[0]  # the bar is for terminals


def test_installed_mysql_server_wins_over_download(tmp_path: Path) -> None:
    """The installed programs note their use, and run the downloaded ones."""
    need_apt()
    project = bake(tmp_path / "project", database="mysql").share_installs()
    project.run("python3", "-c", DOWNLOAD)
    log = tmp_path / "log"
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in ("sbin/mariadbd", "bin/mariadb-install-db"):
        command, base = json.loads(project.run("python3", "-c", LOCATE, name).stdout)
        script = directory / Path(name).name
        script.write_text(
            f"#!/bin/sh\necho {name} >> {shlex.quote(str(log))}\n"
            f'exec {shlex.join(command)} "$@" --basedir={base}\n'
        )
        script.chmod(0o755)
    cache = tmp_path / "cache"
    path = f"{directory}:{os.environ['PATH']}"
    result = run_shim(project, "FOR=sanity_check", PATH=path, XDG_CACHE_HOME=str(cache))
    assert "10 rows in, 10 rows out" in result.stdout
    assert "Downloading" not in result.stdout
    assert not (cache / "portable").exists()
    used = log.read_text(encoding="utf-8").splitlines()
    assert used == ["bin/mariadb-install-db", "sbin/mariadbd"]


def test_projects_download_a_server_together(tmp_path: Path) -> None:
    need_apt()
    project = bake(tmp_path, database="mysql")
    cache = tmp_path / "cache"
    environment = clean_environment({"XDG_CACHE_HOME": str(cache)})
    words = ["python3", "-c", DOWNLOAD]
    with (
        Running(project.path, words, environment) as one,
        Running(project.path, words, environment) as other,
    ):
        codes = [each.process.wait(DEADLINE) for each in (one, other)]
    assert codes == [0, 0], one.output + other.output
    assert (one.output + other.output).count("Downloading MariaDB") == 1
    names = [path.name for path in (cache / "portable").iterdir()]
    assert len(names) == 2  # the server and the lock


def test_download_that_fails_names_the_remedy(tmp_path: Path) -> None:
    need_apt()
    project = bake(tmp_path, database="mysql")
    environment = without_packages(tmp_path)
    words = ("python3", "-c", WITHOUT_SERVER, *options().split())
    result = project.run(*words, env=environment, check=False)
    assert result.returncode == 1
    [_, line] = result.stdout.splitlines()
    assert line.startswith("shim: the packages of MariaDB cannot be downloaded (")
    assert "apt-get install mariadb-server" in line


def without_packages(folder: Path) -> dict[str, str]:
    """Return variables with an empty cache in a folder, and no way to a package."""
    config = folder / "apt.conf"
    config.write_text(
        'Dir::State::Lists "/nonexistent/lists";\n'
        f'Acquire::http::Proxy "http://127.0.0.1:{free_port()}";\n'
        f'Acquire::https::Proxy "http://127.0.0.1:{free_port()}";\n'
    )
    return {"XDG_CACHE_HOME": str(folder), "APT_CONFIG": str(config)}


def test_download_that_fails_keeps_what_was_there(tmp_path: Path) -> None:
    need_apt()
    project = bake(tmp_path, database="mysql")
    environment = without_packages(tmp_path)
    root = Path(project.run("python3", "-c", SHOW_ROOT, env=environment).stdout.strip())
    (root / "usr").mkdir(parents=True)
    result = project.run("python3", "-c", DOWNLOAD, env=environment, check=False)
    assert "DownloadError: " in result.stdout
    assert (root / "usr").is_dir()


def test_cache_that_is_not_writable_has_a_fallback(tmp_path: Path) -> None:
    project = bake(tmp_path, database="mysql")
    environment = {"XDG_CACHE_HOME": "/dev/null/cache"}
    output = project.run("python3", "-c", SHOW_ROOT, env=environment).stdout
    assert output.startswith(str(project.path / ".shim" / "cache"))


def test_missing_mysql_server_names_the_remedy(tmp_path: Path) -> None:
    project = bake(tmp_path, database="mysql")
    words = (sys.executable, "-c", WITHOUT_SERVER, *options().split())
    nothing = {"PATH": str(tmp_path / "nothing")}
    result = project.run(*words, env=nothing, check=False)
    assert result.returncode == 1
    [line] = result.stdout.splitlines()
    assert line.startswith("shim: this machine has no MySQL or MariaDB server: install")
    assert "brew install mysql" in line
