"""A repository for each function's images, empty while the function is a Lambda."""

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_ecr as ecr

from infra.deployment import Deployment, add_output


def add_resources(stack: Stack, deployment: Deployment) -> None:
    """Add the repositories."""
    for name in deployment.functions:
        ecr.Repository(
            stack,
            name,
            repository_name=f"{deployment.prefix}-{name}",
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            image_scan_on_push=True,
            encryption=ecr.RepositoryEncryption.AES_256,
            empty_on_delete=True,  # the images can be built again
            removal_policy=RemovalPolicy.DESTROY,
            lifecycle_rules=[
                ecr.LifecycleRule(
                    description="Keep the last thirty builds",
                    tag_status=ecr.TagStatus.TAGGED,
                    tag_pattern_list=["*"],
                    max_image_count=30,
                ),
                # a build with provenance pushes such manifests, too; those of a tagged
                # image stay
                ecr.LifecycleRule(
                    description="Remove what has no tag",
                    tag_status=ecr.TagStatus.UNTAGGED,
                    max_image_age=Duration.days(7),
                ),
            ],
        )
    images = {name: deployment.image(name) for name in deployment.containers}
    add_output(stack, "Images", "Image of each container", images)
