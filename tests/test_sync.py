"""`make sync` with containers, on a stub of AWS: no emulator has their services."""

import base64
import os
from pathlib import Path
from typing import Any

from aws_stubs import Answer, Request, answering, as_json
from baking import Project

REPOSITORY = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/click-loader-dev/worker"
TASK = {
    "family": "click-loader-dev-worker",
    "taskDefinitionArn": "arn:of:the:old:revision",
    "revision": 7,
    "status": "ACTIVE",
    "cpu": "256",
    "containerDefinitions": [{"name": "worker", "image": f"{REPOSITORY}:old"}],
}
PROGRAM = """\
from tools import sync
from tools.environment import enter

print("is new:", sync.update_service(enter("dev"), "worker"))
"""
FAKE_DOCKER = """\
#!/bin/sh
case "$1" in
  version) echo '{"Server": {"Arch": "amd64"}}';;
  *) echo "$*" >> "$CALLS";;
esac
"""


def test_sync_runs_a_new_image_in_the_service(baked: Project, tmp_path: Path) -> None:
    """The task's new revision differs from the old one in the image only."""
    docker, calls = tmp_path / "docker", tmp_path / "calls"
    docker.write_text(FAKE_DOCKER, encoding="utf-8")
    docker.chmod(0o755)
    tasks: list[dict[str, Any]] = [TASK]
    updates: list[dict[str, Any]] = []
    tags = [{"key": "project", "value": "click-loader"}]

    def answer(request: Request) -> Answer:
        if request.action == "DescribeServices":
            arn = "arn:of:the:old:revision"
            return as_json({"services": [{"taskDefinition": arn}]})
        if request.action == "DescribeTaskDefinition":
            return as_json({"taskDefinition": tasks[-1], "tags": tags})
        if request.action == "DescribeImages":
            return as_json({"__type": "ImageNotFoundException"}, 400)
        if request.action == "GetAuthorizationToken":
            token = base64.b64encode(b"AWS:from-ecr").decode()
            return as_json({"authorizationData": [{"authorizationToken": token}]})
        if request.action == "RegisterTaskDefinition":
            tasks.append(request.parameters)
            new = {"taskDefinitionArn": "arn:of:the:new:revision"}
            return as_json({"taskDefinition": new})
        assert request.action == "UpdateService", request
        updates.append(request.parameters)
        return as_json({})

    with answering(answer) as url:
        variables = {
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_ENDPOINT_URL": url,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "CALLS": str(calls),
        }
        words = (".venv/bin/python", "-c", PROGRAM)
        assert "is new: True" in baked.run(*words, env=variables).stdout
        assert "is new: False" in baked.run(*words, env=variables).stdout
    [_, new] = tasks
    [container] = new.pop("containerDefinitions")
    ran = calls.read_text(encoding="utf-8")
    assert ran.endswith(f"\npush {container['image']}\n")
    assert "from-ecr" not in ran
    assert container["image"].startswith(f"{REPOSITORY}:")
    assert new == {"family": TASK["family"], "cpu": "256", "tags": tags}
    [update] = updates
    assert update["taskDefinition"] == "arn:of:the:new:revision"
    assert (update["cluster"], update["service"]) == ("click-loader-dev", "worker")
