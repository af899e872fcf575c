"""Repositories scan images, and never change them."""

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


def test_containers_have_an_image_and_lambdas_none(synthesise: Synthesise) -> None:
    assert synthesise("small").find_outputs("Images")["Images"]["Value"] == "{}"
    images = str(synthesise("large").find_outputs("Images"))
    assert all(f"/test-large-{name}:" in images for name in FUNCTIONS)
