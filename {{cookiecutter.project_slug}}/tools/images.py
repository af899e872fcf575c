"""Build, run and push container images, and lint what they are made of."""

import base64
import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from botocore.exceptions import ClientError

from tools import (
    build,
    debugging,
    deploy_config,
    local_logs,
    shim_resources,
    source_package,
)
from tools.environment import client, enter
from tools.errors import UserError
from tools.project import ROOT, answers, require_function, split_arguments

DOCKERFILE = build.DOCKERFILE
COMPOSE_FILE = ROOT / "tests" / "docker-compose.yml"
# The shim's variables that a container is given.
SHIM_VARIABLES = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL"),
    *deploy_config.DATABASE_VARIABLES,
    *("NO_PROXY", "no_proxy", "READ_QUEUE"),
)
# Docker's names of processors that are often called otherwise.
PROCESSORS = {"x86_64": "amd64", "aarch64": "arm64"}
# Lets an engine run images of other processors, with QEMU.
EMULATOR = "tonistiigi/binfmt:qemu-v9.2.2"
HARDENING = (
    *("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
    *("--rm", "--network=host"),
)


def image(func: str, arch: str, docker_args: str) -> int:
    """Build the image of a function; return 0.

    Args:
        func: the function.
        arch: processor such as `arm64`, or empty for the Docker engine's.
        docker_args: more arguments of `docker build`.

    Raises:
        UserError: there is no such function, no Docker engine, or the build failed.
    """
    require_function(func)
    arguments = split_arguments("DOCKER_ARGS", docker_args)
    if any(each.startswith("--platform") for each in arguments):
        raise UserError("DOCKER_ARGS contains --platform: use ARCH=, as in ARCH=arm64")
    engine = require_engine()
    name = build_image(func, PROCESSORS.get(arch, arch) or engine, arguments)
    print(f"built {name}")
    return 0


def container(func: str, run_args: str, docker_args: str, debug: int) -> int:
    """Run the image of this checkout's current code against the shim.

    It is built first, if it has not been. Returns only if Docker cannot be started.

    Args:
        func: the function.
        run_args: the function's settings, as in `--poll_interval=10`.
        docker_args: more arguments of `docker run`.
        debug: port for the debugger, or 0. The image's Python then runs your files.

    Raises:
        UserError: there is no such function, no Docker engine, or no shim.
    """
    require_function(func)
    arguments = split_arguments("DOCKER_ARGS", docker_args)
    settings = split_arguments("RUN_ARGS", run_args)
    arch = require_engine()
    enter("")
    function = shim_resources.enter_function(func)
    name = name_image(func, arch)
    found = ["docker", "image", "inspect", name]
    if subprocess.run(found, capture_output=True).returncode != 0:
        build_image(func, arch, [])
    os.environ.setdefault("READ_QUEUE", function["queue"])
    shim_resources.set_visibility(function["queue"], bool(debug))
    names = (*SHIM_VARIABLES, *function["variables"])
    variables = [f"--env={each}" for each in names]
    command = ["docker", "run", f"--platform=linux/{arch}", *HARDENING, *variables]
    command.append(f"--label={local_logs.label(func)}")  # 'make logs' looks for it
    if debug:
        wrapper, const_path = source_package.WRAPPER, build.require_settings(func)
        program = ["python", str(wrapper), f"--const_path={const_path}"]
        settings = [*debugging.wrap(program, debug)[1:], *settings]
        command += debug_options(func)
    command += [*arguments, name, *settings]
    os.execvp("docker", command)  # noqa: S606 - no shell


def debug_options(func: str) -> list[str]:
    """Return options of `docker run` that mount your files where they are here.

    Raises:
        UserError: .venv has no debugger.
    """
    debugger = find_spec("debugpy")
    if not debugger or not debugger.submodule_search_locations:
        raise UserError(".venv is damaged, debugpy is missing: run 'make install'")
    paths = source_package.write(func)
    mounted = {path: path for path in (*paths, str(ROOT / "config"))}
    mounted[debugger.submodule_search_locations[0]] = "/debugger/debugpy"
    return [
        *(f"--volume={here}:{there}:ro" for here, there in mounted.items()),
        f"--env=PYTHONPATH={':'.join([*paths, '/packages', '/debugger'])}",
        # or `python -m` would import the copies in the working directory, /app
        "--env=PYTHONSAFEPATH=1",
        f"--user={os.getuid()}:{os.getgid()}",  # who may read your files
        "--entrypoint=python",
    ]


def build_image(func: str, arch: str, arguments: list[str]) -> str:
    """Build the image of a function for a processor; return its name.

    Raises:
        UserError: Docker failed.
    """
    name = name_image(func, arch)
    latest = f"{name.rpartition(':')[0]}:latest"
    tags = [f"--tag={name}", f"--tag={latest}"]
    run_build(func, f"linux/{arch}", [*tags, *arguments])
    return name


def run_build(func: str, platform: str, arguments: list[str]) -> None:
    """Run `docker build` on a function's local build.

    Raises:
        UserError: Docker failed.
    """
    command = ["docker", "build", f"--file={DOCKERFILE}", f"--build-arg=FUNC={func}"]
    command.append(f"--platform={platform}")
    if subprocess.run([*command, *arguments, str(ROOT)]).returncode == 0:
        return
    arch, engine = platform.rpartition("/")[2], find_engine()
    hint = ""
    if arch != engine:
        hint = (
            f": if this {engine} machine cannot run programs for {arch}, "
            f"'{' '.join(emulate(arch))}' lets it"
        )
    raise UserError(f"Docker could not build the image of {func}, see above{hint}")


def emulate(arch: str) -> list[str]:
    """Return the command that lets the Docker engine run images of a processor."""
    command = ["docker", "run", "--privileged", "--rm", EMULATOR]
    return [*command, "--install", arch]


def prepare_engine() -> None:
    """Let the engine of a CI machine build the images of containers, if there are any.

    Raises:
        UserError: QEMU cannot be installed.
    """
    config = deploy_config.load()
    arch = deploy_config.ARCHITECTURES[config["architecture"]].rpartition("/")[2]
    if find_engine() in ("", arch) or not deploy_config.uses_containers():
        return
    if subprocess.run(emulate(arch)).returncode != 0:
        raise UserError(f"QEMU cannot be installed for {arch}, see above")


def name_image(func: str, arch: str) -> str:
    """Build a function for its image; return the image's name.

    The tag has a hash of the content and the processor, so another checkout's image,
    or another processor's, is never taken for this one.
    """
    build.build_local(func)
    return f"{answers().project_slug}/{func}:{build.read_tag(func, arch)}"


def require_engine() -> str:
    """Check that a Docker engine answers; return its processor, such as `arm64`.

    Raises:
        UserError: none does.
    """
    arch = find_engine()
    if not arch:
        raise UserError("no Docker engine answers: run 'make doctor' for help")
    return arch


def engine_answers() -> bool:
    """Return whether a Docker engine answers."""
    return bool(find_engine())


def find_engine() -> str:
    """Return the processor of the Docker engine; empty if none answers."""
    if shutil.which("docker") is None:
        return ""
    command = ["docker", "version", "--format=json"]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode != 0:
        return ""
    return str(json.loads(found.stdout)["Server"]["Arch"])


def has_compose() -> bool:
    """Return whether Docker Compose is installed; checking a file needs no engine."""
    command = ["docker", "compose", "version"]
    return (
        shutil.which("docker") is not None
        and subprocess.run(command, capture_output=True).returncode == 0
    )


def lint() -> int:
    """Lint the Dockerfile, and the Compose file where there is Docker; return 0.

    Raises:
        UserError: one of them has a fault, printed above.
    """
    commands = [[str(Path(sys.executable).with_name("hadolint")), str(DOCKERFILE)]]
    if has_compose():
        compose = ["docker", "compose", f"--file={COMPOSE_FILE}", "config", "--quiet"]
        commands.append(compose)
    else:
        print("No Docker Compose here: tests/docker-compose.yml is not checked.")
    for command in commands:
        if subprocess.run(command).returncode != 0:
            raise UserError(f"{Path(command[0]).name} found faults, see above")
    return 0


def is_pushed(name: str) -> bool:
    """Return whether the registry has an image already."""
    repository, _, tag = name.partition("/")[2].rpartition(":")
    try:
        client("ecr").describe_images(
            repositoryName=repository, imageIds=[{"imageTag": tag}]
        )
    except ClientError as error:
        if error.response["Error"]["Code"] == "ImageNotFoundException":
            return False
        raise
    return True


def log_in(registry: str) -> None:
    """Log Docker in to ECR; the password goes through standard input."""
    [data] = client("ecr").get_authorization_token()["authorizationData"]
    token = base64.b64decode(data["authorizationToken"]).decode()
    user, _, password = token.partition(":")
    command = ["docker", "login", "--username", user, "--password-stdin", registry]
    subprocess.run(command, input=password.encode(), check=True)


def push(func: str, name: str) -> None:
    """Build the image of a function and push it, unless the registry has it.

    Args:
        func: the function.
        name: registry, name and tag of the image.

    Raises:
        UserError: there is no Docker engine, or the build failed.
        subprocess.CalledProcessError: the login or the push failed.
    """
    if is_pushed(name):
        print(f"{name} is already pushed", flush=True)
        return
    require_engine()
    log_in(name.partition("/")[0])
    build.build_local(func)
    platform = deploy_config.ARCHITECTURES[deploy_config.load()["architecture"]]
    run_build(func, platform, [f"--tag={name}"])
    subprocess.run(["docker", "push", name], check=True)
