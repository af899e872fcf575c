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
    "taskDefinitionArn": "arn:of:the:task:7",
    "revision": 7,
    "status": "ACTIVE",
    "cpu": "256",
    "containerDefinitions": [{"name": "worker", "image": f"{REPOSITORY}:old"}],
}
PROGRAM = """\
from tools import sync
from tools.environment import enter

print(sync.update_service(enter("dev"), "worker"))
"""
FAKE_DOCKER = """\
#!/bin/sh
case "$1" in
  version) echo '{"Server": {"Arch": "amd64"}}';;
  *) echo "$*" >> "$CALLS";;
esac
"""


def test_sync_runs_a_new_image_in_the_service(baked: Project, tmp_path: Path) -> None:
    """The task's new revision differs from the old one in the image only.

    Once it was rolled back, the old one is kept.
    """
    docker, calls = tmp_path / "docker", tmp_path / "calls"
    docker.write_text(FAKE_DOCKER, encoding="utf-8")
    docker.chmod(0o755)
    tasks: dict[str, dict[str, Any]] = {"arn:of:the:task:7": TASK}
    running = ["arn:of:the:task:7"]
    updates: list[dict[str, Any]] = []
    tags = [{"key": "project", "value": "click-loader"}]

    def answer(request: Request) -> Answer:
        if request.action == "DescribeServices":
            service = {"serviceName": "worker", "status": "ACTIVE"}
            return as_json({"services": [service | {"taskDefinition": running[-1]}]})
        if request.action == "ListTaskDefinitions":
            return as_json({"taskDefinitionArns": sorted(tasks, reverse=True)})
        if request.action == "DescribeTaskDefinition":
            arn = request.parameters["taskDefinition"]
            mark = {"key": "rolled_back", "value": "make rollback"}
            more = [mark] if arn != running[-1] else []
            return as_json({"taskDefinition": tasks[arn], "tags": [*tags, *more]})
        if request.action == "DescribeImages":
            return as_json({"__type": "ImageNotFoundException"}, 400)
        if request.action == "GetAuthorizationToken":
            token = base64.b64encode(b"AWS:from-ecr").decode()
            return as_json({"authorizationData": [{"authorizationToken": token}]})
        if request.action == "RegisterTaskDefinition":
            new = {"taskDefinitionArn": "arn:of:the:task:8"}
            tasks["arn:of:the:task:8"] = request.parameters
            return as_json({"taskDefinition": new})
        assert request.action == "UpdateService", request
        updates.append(request.parameters)
        running.append(request.parameters["taskDefinition"])
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
        assert "worker runs the new code" in baked.run(*words, env=variables).stdout
        again = baked.run(*words, env=variables).stdout
        assert "worker runs this code already" in again
        running.append("arn:of:the:task:7")  # 'make rollback'
        kept = baked.run(*words, env=variables).stdout
        assert "worker keeps revision 7, because revision 8, which was rolled" in kept
    [_, new] = tasks.values()
    [container] = new.pop("containerDefinitions")
    ran = calls.read_text(encoding="utf-8")
    assert ran.endswith(f"\npush {container['image']}\n")
    assert "from-ecr" not in ran
    assert container["image"].startswith(f"{REPOSITORY}:")
    assert new == {"family": TASK["family"], "cpu": "256", "tags": tags}
    [update] = updates
    assert update["taskDefinition"] == "arn:of:the:task:8"
    assert (update["cluster"], update["service"]) == ("click-loader-dev", "worker")
