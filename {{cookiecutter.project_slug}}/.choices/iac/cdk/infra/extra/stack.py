"""Your own resources. README.md beside this file has an example."""

from aws_cdk import Stack

from infra.deployment import Deployment


def add_resources(stack: Stack, deployment: Deployment) -> None:
    """Add nothing yet."""
