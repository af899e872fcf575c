"""What the functions import besides their own code, as `make build` made it."""

from aws_cdk import Stack
from aws_cdk import aws_lambda as lambda_

from common import Environment, tell
from sizes import ROOT


def add_resources(stack: Stack, environment: Environment) -> None:
    """Add the layer."""
    runtime = lambda_.Runtime(f"python{environment.python}")
    zipped = ROOT / ".build" / "layer" / f"{environment.layer}.zip"
    layer = lambda_.LayerVersion(
        stack,
        "packages",
        layer_version_name=environment.prefix,
        description="src/common/requirements-layer.txt",
        code=lambda_.Code.from_asset(str(zipped)),
        compatible_runtimes=[runtime],
        compatible_architectures=[
            lambda_.Architecture.custom(environment.architecture)
        ],
    )
    environment.share(stack, "layer", layer.layer_version_arn)
    tell(stack, "Arn", "ARN of the layer's version", layer.layer_version_arn)
