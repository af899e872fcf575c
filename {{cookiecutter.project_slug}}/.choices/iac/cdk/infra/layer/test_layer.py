"""The layer: what is in it fits where it runs."""

from collections.abc import Callable
from typing import Any

Synthesise = Callable[..., Any]


def test_layer_is_for_the_python_and_the_machine_that_deploy_yml_names(
    synthesise: Synthesise,
) -> None:
    synthesise("local").has_resource_properties(
        "AWS::Lambda::LayerVersion",
        {
            "LayerName": "test-local",
            "CompatibleRuntimes": ["python3.13"],
            "CompatibleArchitectures": ["arm64"],
        },
    )
