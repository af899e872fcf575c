"""The layer fits the Lambdas that use it."""

from collections.abc import Callable
from typing import Any

Synthesise = Callable[..., Any]


def test_layer_matches_python_and_architecture(synthesise: Synthesise) -> None:
    synthesise("local").has_resource_properties(
        "AWS::Lambda::LayerVersion",
        {
            "LayerName": "test-local",
            "CompatibleRuntimes": ["python3.13"],
            "CompatibleArchitectures": ["arm64"],
        },
    )


def test_layer_is_kept_for_a_rollback(synthesise: Synthesise) -> None:
    kept = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
    synthesise().has_resource("AWS::Lambda::LayerVersion", kept)
