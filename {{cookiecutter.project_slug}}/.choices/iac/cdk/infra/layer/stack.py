"""The layer with the functions' packages, from `make build TARGET=layer`."""

from pathlib import Path

from aws_cdk import AssetHashType, RemovalPolicy, Stack
from aws_cdk import aws_lambda as lambda_

from infra.deployment import Deployment, add_output


def add_resources(stack: Stack, deployment: Deployment) -> None:
    """Add the layer."""
    platform = "local" if deployment.is_local else "aws"
    path = deployment.zip_path("layer", f"{platform}.zip")
    tag = Path(deployment.zip_path("layer", f"{platform}.tag"))
    layer = lambda_.LayerVersion(
        stack,
        "packages",
        layer_version_name=deployment.prefix,
        description="src/common/requirements-layer.txt",
        code=lambda_.Code.from_asset(
            path,
            # of what the zip is made of
            asset_hash=tag.read_text(encoding="utf-8"),
            asset_hash_type=AssetHashType.CUSTOM,
        ),
        compatible_runtimes=[lambda_.Runtime(f"python{deployment.python}")],
        compatible_architectures=[lambda_.Architecture.custom(deployment.architecture)],
        # a rollback needs it; tools/layers.py deletes old ones
        removal_policy=RemovalPolicy.RETAIN,
    )
    deployment.publish(stack, "layer", layer.layer_version_arn)
    add_output(stack, "Arn", "ARN of the layer's version", layer.layer_version_arn)
