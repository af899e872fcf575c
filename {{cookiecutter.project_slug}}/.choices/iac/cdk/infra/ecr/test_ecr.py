"""Repositories scan images, and never change them."""

import json
from collections.abc import Callable
from typing import Any

from infra.conftest import FUNCTIONS

Synthesise = Callable[..., Any]


def test_images_are_scanned_and_immutable(synthesise: Synthesise) -> None:
    template = synthesise()
    template.resource_count_is("AWS::ECR::Repository", len(FUNCTIONS))
    template.all_resources_properties(
        "AWS::ECR::Repository",
        {
            "ImageTagMutability": "IMMUTABLE",
            "ImageScanningConfiguration": {"ScanOnPush": True},
        },
    )


def test_tagged_images_do_not_expire_because_of_others(synthesise: Synthesise) -> None:
    repositories = synthesise().find_resources("AWS::ECR::Repository").values()
    for each in repositories:
        text = each["Properties"]["LifecyclePolicy"]["LifecyclePolicyText"]
        kept = {
            rule["selection"]["tagStatus"]: rule["selection"]["countNumber"]
            for rule in json.loads(text)["rules"]
        }
        assert kept == {"tagged": 30, "untagged": 7}


def test_containers_have_an_image_and_lambdas_none(synthesise: Synthesise) -> None:
    assert synthesise("small").find_outputs("Images")["Images"]["Value"] == "{}"
    images = str(synthesise("large").find_outputs("Images"))
    assert all(f"/test-large-{name}:" in images for name in FUNCTIONS)
