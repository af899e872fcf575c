"""Builds and pushes images of functions, for the registry of an account."""

import base64
import subprocess

import boto3
from botocore.exceptions import ClientError

from sizes import ARCHITECTURES, load


def is_pushed(image: str) -> bool:
    """Tell whether the registry has an image already."""
    name, _, tag = image.partition("/")[2].rpartition(":")
    try:
        boto3.client("ecr").describe_images(
            repositoryName=name, imageIds=[{"imageTag": tag}]
        )
    except ClientError as error:
        if error.response["Error"]["Code"] == "ImageNotFoundException":
            return False
        raise
    return True


def log_in(registry: str) -> None:
    """Let Docker into the registry; the password is not among the words."""
    [data] = boto3.client("ecr").get_authorization_token()["authorizationData"]
    token = base64.b64decode(data["authorizationToken"]).decode()
    user, _, password = token.partition(":")
    words = ["docker", "login", "--username", user, "--password-stdin", registry]
    subprocess.run(words, input=password.encode(), check=True)


def push(function: str, image: str) -> None:
    """Build an image from the function's local build, and push it.

    Args:
        function: its name.
        image: its registry, name and tag; nothing is done if the registry has it.

    Raises:
        FileNotFoundError: there is no Docker.
        Refusal: `config/deploy.yml` is wrong.
        subprocess.CalledProcessError: Docker failed.
    """
    if is_pushed(image):
        print(f"{image} is there already", flush=True)
        return
    log_in(image.partition("/")[0])
    platform = ["--platform", ARCHITECTURES[load()["architecture"]]]
    words = ["--file", "src/common/docker_wrapper", "--build-arg", f"FUNC={function}"]
    build = ["docker", "build", *platform, *words, "--tag", image, "."]
    subprocess.run(build, check=True)
    subprocess.run(["docker", "push", image], check=True)
