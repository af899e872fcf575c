"""A place for each function's images, empty while it is a Lambda."""

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_ecr as ecr

from common import Environment, tell


def add_resources(stack: Stack, environment: Environment) -> None:
    """Add the repositories."""
    for name in environment.functions:
        ecr.Repository(
            stack,
            name,
            repository_name=f"{environment.prefix}-{name}",
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            image_scan_on_push=True,
            encryption=ecr.RepositoryEncryption.AES_256,
            empty_on_delete=True,  # images can be built again
            removal_policy=RemovalPolicy.DESTROY,
            lifecycle_rules=[
                ecr.LifecycleRule(description="Keep the last ten", max_image_count=10)
            ],
        )
    images = {name: environment.image(name) for name in environment.containers}
    tell(stack, "Images", "Image of each function that is a container", images)
