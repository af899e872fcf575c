"""Repositories: images are scanned, never change, and are named."""

from collections.abc import Callable
from typing import Any

from sizes import names

Synthesise = Callable[..., Any]


def test_images_are_scanned_and_never_change(synthesise: Synthesise) -> None:
    template = synthesise()
    template.resource_count_is("AWS::ECR::Repository", len(names()))
    template.all_resources_properties(
        "AWS::ECR::Repository",
        {
            "ImageTagMutability": "IMMUTABLE",
            "ImageScanningConfiguration": {"ScanOnPush": True},
        },
    )


def test_each_container_has_an_image_and_a_lambda_needs_none(
    synthesise: Synthesise,
) -> None:
    assert synthesise("small").find_outputs("Images")["Images"]["Value"] == "{}"
    images = str(synthesise("large").find_outputs("Images"))
    assert all(f"/test-large-{name}:" in images for name in names())
