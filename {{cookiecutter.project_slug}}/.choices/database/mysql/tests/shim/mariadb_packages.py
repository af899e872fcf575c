"""MariaDB's server from the packages of Debian or Ubuntu, without installing them.

apt downloads the packages and checks their signatures, as the user who runs it. They
are unpacked into a cache that all projects of the user share. Nothing else of the
system changes.
"""

import contextlib
import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.shim.processes import STATE
from tests.shim.stop import Stop

APT = {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
# Package lists that are of no use here.
NO_OTHER_LISTS = [
    "-oAcquire::Languages=none",
    *(
        f"-oAcquire::IndexTargets::{target}::DefaultEnabled=false"
        for target in (
            *("deb::DEP-11", "deb::CNF", "deb::Contents-deb", "deb-src::Sources"),
        )
    ),
]


class DownloadError(Exception):
    """The packages cannot be downloaded; the message is apt's."""


def is_supported() -> bool:
    """Return whether this system has apt and dpkg."""
    return all(map(shutil.which, ("apt-get", "apt-cache", "dpkg-deb")))


def program(name: str) -> list[str]:
    """Return the words that run a downloaded program, such as `sbin/mariadbd`."""
    libraries = {str(path.parent) for path in root().rglob("*.so.*")}
    path = f"LD_LIBRARY_PATH={os.pathsep.join(sorted(libraries))}"
    return ["env", path, str(root() / "usr" / name)]


def root() -> Path:
    """Return the directory of the unpacked packages, whether it exists yet or not."""
    release = platform.freedesktop_os_release()
    version = release.get("VERSION_ID") or release.get("VERSION_CODENAME", "")
    name = f"mariadb-{release['ID']}{version}-{platform.machine()}"
    return _cache() / name


def download(stop: Stop) -> None:
    """Download and unpack the packages, unless that was done before.

    Args:
        stop: ends the download when it is set.

    Raises:
        DownloadError: apt failed, or `stop` was set.
    """
    target = root()
    with _locked(target.with_name(f"{target.name}.lock"), stop):
        if _is_usable():
            return
        print(f"Downloading MariaDB (about 15 MB, once) to {target}", flush=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as work:
            new = Path(work) / "root"
            for package in _packages(Path(work), stop):
                words = ["dpkg-deb", "--extract", str(package), str(new)]
                subprocess.run(words, check=True)
            shutil.rmtree(target, ignore_errors=True)
            new.rename(target)


def _cache() -> Path:
    """Return the user's cache directory, or one in this checkout if it is read-only."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = Path(home) / "portable"
    with contextlib.suppress(OSError):
        if path.is_absolute():
            path.mkdir(parents=True, exist_ok=True)
            if os.access(path, os.W_OK):
                return path
    fallback = STATE / "cache"
    fallback.mkdir(parents=True, exist_ok=True)
    return fallback


def _is_usable() -> bool:
    """Return whether the server is there, with the libraries that it needs."""
    words = [*program("sbin/mariadbd"), "--no-defaults", "--version"]
    # Ctrl-C must not reach it: a usable server would look like a damaged one.
    result = subprocess.run(words, capture_output=True, start_new_session=True)
    return result.returncode == 0


def _packages(work: Path, stop: Stop) -> list[Path]:
    """Download the packages that this system lacks; return their files."""
    apt = _Apt(work, stop)
    try:
        return apt.download()
    except DownloadError:  # the system's package lists are missing or too old
        if stop.is_set():
            raise
    problem = apt.update()
    try:
        return apt.download()
    except DownloadError as error:
        raise DownloadError(problem or str(error)) from error


class _Apt:
    """apt with a private state: it takes no lock and writes below one directory.

    Args:
        work: the directory.
        stop: ends a download when it is set.
    """

    def __init__(self, work: Path, stop: Stop) -> None:
        self._work = work
        self._stop = stop
        self._options = [
            f"-oDir::Cache={work / 'cache'}",
            "-oDebug::NoLocking=true",
            "-oAPT::Sandbox::User=root",  # root's own cache is closed to user _apt
        ]
        (work / "cache" / "archives" / "partial").mkdir(parents=True)
        (work / "packages").mkdir()

    def update(self) -> str:
        """Download package lists of our own and use them; return what went wrong.

        A third party's list may be unreachable, while the packages come from Debian or
        Ubuntu. So a problem matters only if the packages cannot be downloaded.
        """
        lists = self._work / "lists"
        (lists / "partial").mkdir(parents=True)
        self._options += [f"-oDir::State::Lists={lists}", *NO_OTHER_LISTS]
        try:
            output = self._run("update")
        except DownloadError as error:
            return str(error)
        problems = re.findall(r"(?m)^W: (Failed to fetch .*)$", output)
        return str(problems[0]) if problems else ""

    def download(self) -> list[Path]:
        """Download the server, its client programs and the libraries they lack."""
        self._run("download", *self._missing_packages())
        return sorted((self._work / "packages").glob("*.deb"))

    def _missing_packages(self) -> list[str]:
        found = self._ask("apt-cache", "pkgnames", "mariadb-server-core").split()
        if not found:
            raise DownloadError("apt knows no package mariadb-server-core")
        server = min(found, key=len)  # some releases have the version in the name
        # "reinstall", because an installed package may lack the program all the same
        words = ("--simulate", "--no-install-recommends", "--reinstall", "install")
        client = server.replace("-server-", "-client-")
        plan = self._ask("apt-get", *words, server, client)
        return re.findall(r"(?m)^Inst (\S+)", plan)

    def _ask(self, program: str, *words: str) -> str:
        result = subprocess.run(
            [program, "-qq", *self._options, *words],
            env=os.environ | APT,
            capture_output=True,
            text=True,
        )
        if result.returncode != 0:
            raise DownloadError(_reason(result.stderr))
        return result.stdout

    def _run(self, *words: str) -> str:
        """Run apt-get with a progress bar; return what it prints."""
        reader, writer = os.pipe()
        with (self._work / "log").open("w+", encoding="utf-8") as log:
            options = [f"-oAPT::Status-Fd={writer}", *self._options]
            process = subprocess.Popen(
                ["apt-get", "-qq", *options, *words],
                env=os.environ | APT,
                cwd=self._work / "packages",
                pass_fds=[writer],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            os.close(writer)
            with os.fdopen(reader, encoding="utf-8") as status:
                for percent in _percentages(status):
                    _draw(percent)
                    if self._stop.is_set():
                        process.terminate()
            _draw(None)
            is_failure = process.wait() != 0
            log.seek(0)
            output = log.read()
        if is_failure:
            raise DownloadError(_reason(output))
        return output


def _percentages(status: Iterator[str] | Sequence[str]) -> Iterator[float]:
    """Yield the progress from apt's status lines: `dlstatus:1:20.5:Retrieving …`."""
    for line in status:
        kind, _, rest = line.partition(":")
        if kind == "dlstatus":
            yield float(rest.split(":")[1])


def _draw(percent: float | None) -> None:
    """Draw a progress bar on a terminal; None erases it."""
    if sys.stderr.isatty():
        done = round((percent or 0) / 2.5)
        bar = f"[{'#' * done:40}] {percent:3.0f} %" if percent is not None else ""
        print(f"\r\033[K{bar}", end="", file=sys.stderr, flush=True)


def _reason(output: str) -> str:
    errors = re.findall(r"(?m)^E: (.*)$", output)
    return str(errors[0]) if errors else "apt-get failed"


@contextlib.contextmanager
def _locked(path: Path, stop: Stop) -> Iterator[None]:
    """Hold a lock that other projects of this user take, too.

    Raises:
        DownloadError: `stop` was set.
    """
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if stop.wait(0.2):
                    raise DownloadError("stopped") from None
        yield
