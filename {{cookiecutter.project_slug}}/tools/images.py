"""Builds, runs and pushes container images, and lints what they are made of."""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
from botocore.exceptions import ClientError

from tools import build, deploy_config, environment, shim_resources
from tools.errors import UserError
from tools.project import ROOT, answers, require_function, split_arguments

DOCKERFILE = ROOT / "src" / "common" / "docker_wrapper"
COMPOSE_FILE = ROOT / "tests" / "docker-compose.yml"
# The shim's variables that a container is given.
SHIM_VARIABLES = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL"),
    *("DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASS", "DB_TLS"),
    *("NO_PROXY", "no_proxy", "READ_QUEUE"),
)
HARDENING = (
    *("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
    *("--rm", "--network=host"),
)


def image(func: str, arch: str, docker_args: str) -> int:
    """Build the image of a function; return 0.

    Args:
        func: the function.
        arch: processor such as `arm64`, or empty for this machine's.
        docker_args: more arguments of `docker build`.

    Raises:
        UserError: there is no such function, no Docker engine, or the build failed.
    """
    require_function(func)
    require_engine()
    arguments = split_arguments("DOCKER_ARGS", docker_args)
    if arch:
        arguments.append(f"--platform=linux/{arch}")
    name = build_image(func, arguments)
    print(f"built {name}")
    return 0


def container(func: str, args: str, docker_args: str) -> int:
    """Run the image of this checkout's current code against the shim.

    It is built first, if it has not been. Returns only if Docker cannot be started.

    Args:
        func: the function.
        args: the function's settings, as in `--poll_interval=10`.
        docker_args: more arguments of `docker run`.

    Raises:
        UserError: there is no such function, no Docker engine, or no shim.
    """
    require_function(func)
    arguments = split_arguments("DOCKER_ARGS", docker_args)
    settings = split_arguments("RUN_ARGS", args)
    require_engine()
    environment.enter("")
    shim_resources.create_missing(func)
    name = image_name(func)
    found = ["docker", "image", "inspect", name]
    if subprocess.run(found, capture_output=True).returncode != 0:
        build_image(func, [])
    os.environ.setdefault("READ_QUEUE", f"{func}-pending")
    variables = [f"--env={each}" for each in SHIM_VARIABLES]
    command = ["docker", "run", *HARDENING, *variables, *arguments, name, *settings]
    os.execvp("docker", command)  # noqa: S606 - no shell


def build_image(func: str, arguments: list[str]) -> str:
    """Build the image of a function; return its name.

    Raises:
        UserError: Docker failed.
    """
    name = image_name(func)
    latest = f"{name.rpartition(':')[0]}:latest"
    run_build(func, [f"--tag={name}", f"--tag={latest}", *arguments])
    return name


def run_build(func: str, arguments: list[str]) -> None:
    """Run `docker build` on a function's local build.

    Raises:
        UserError: Docker failed.
    """
    command = ["docker", "build", f"--file={DOCKERFILE}", f"--build-arg=FUNC={func}"]
    if subprocess.run([*command, *arguments, str(ROOT)]).returncode != 0:
        raise UserError(f"Docker could not build the image of {func}, see above")


def image_name(func: str) -> str:
    """Return the name of a function's image; its tag is a hash of what is in it.

    So another checkout's image is never taken for this one's.
    """
    content = hashlib.sha256(build.digest(build.build_local(func)).encode())
    for path in (DOCKERFILE, ROOT / "src" / "common" / "requirements.txt"):
        content.update(path.read_bytes())
    return f"{answers().project_slug}/{func}:{content.hexdigest()[:12]}"


def require_engine() -> None:
    """Check that a Docker engine answers.

    Raises:
        UserError: none does.
    """
    if not engine_answers():
        raise UserError("no Docker engine answers: run 'make doctor' for help")


def engine_answers() -> bool:
    """Return whether a Docker engine answers."""
    return (
        shutil.which("docker") is not None
        and subprocess.run(["docker", "info"], capture_output=True).returncode == 0
    )


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
        boto3.client("ecr").describe_images(
            repositoryName=repository, imageIds=[{"imageTag": tag}]
        )
    except ClientError as error:
        if error.response["Error"]["Code"] == "ImageNotFoundException":
            return False
        raise
    return True


def log_in(registry: str) -> None:
    """Log Docker in to ECR; the password goes through standard input."""
    [data] = boto3.client("ecr").get_authorization_token()["authorizationData"]
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
    run_build(func, [f"--platform={platform}", f"--tag={name}"])
    subprocess.run(["docker", "push", name], check=True)
