"""A Lambda for each function; queues feed those whose runtime is lambda."""

from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk.aws_s3_assets import Asset
from constructs import Construct

from infra.deployment import Deployment, acknowledge_rule, add_output
from infra.releases import add_releases


def add_resources(stack: Stack, deployment: Deployment) -> None:
    """Add the Lambdas, their aliases, logs and event source mappings."""
    layer = deployment.published(stack, "layer")
    mapped = [
        name
        for name, settings in deployment.functions.items()
        if settings["runtime"] == "lambda" or name in deployment.still_mapped
    ]
    for name in deployment.functions:
        scope = Construct(stack, name)
        function = add_function(scope, deployment, name, layers=[layer])
        live = lambda_.CfnAlias(
            scope,
            "live",
            function_name=function.ref,
            # the first one; tools/releases.py changes it, CloudFormation never does
            function_version="$LATEST",
            name="live",
        )
        if name in mapped:
            add_mapping(scope, deployment, name, live)
    add_releases(stack, deployment)
    names = {name: f"{deployment.prefix}-{name}" for name in deployment.functions}
    add_output(stack, "Functions", "Name of each Lambda", names)
    add_output(stack, "Mapped", "Functions whose queue feeds their Lambda", mapped)


def vpc_config(stack: Stack, deployment: Deployment, name: str) -> Any:
    """Return a Lambda's place in the VPC, or None for `local`, which has no VPC."""
    if deployment.is_local:
        return None
    return lambda_.CfnFunction.VpcConfigProperty(
        security_group_ids=deployment.security_groups(stack, name),
        subnet_ids=deployment.subnets(stack),
    )


def add_function(
    scope: Construct, deployment: Deployment, name: str, layers: list[str]
) -> lambda_.CfnFunction:
    """Add a Lambda with its log group."""
    stack = Stack.of(scope)
    settings = deployment.functions[name]
    variables = deployment.variables(stack, name, "/opt/rds-ca.pem")
    log = logs.CfnLogGroup(
        scope,
        "log",
        log_group_name=f"/aws/lambda/{deployment.prefix}-{name}",
        retention_in_days=settings["log_days"],
    )
    code = Asset(scope, "zip", path=deployment.zip_path("lambda", f"{name}.zip"))
    reserved = settings["reserved_concurrency"]
    function = lambda_.CfnFunction(
        scope,
        "function",
        function_name=f"{deployment.prefix}-{name}",
        description=f"src/func/{name}.py",
        role=deployment.role_arn(name, "execution"),
        runtime=f"python{deployment.python}",
        architectures=[deployment.architecture],
        handler="lambda_wrapper.handler",
        code=lambda_.CfnFunction.CodeProperty(
            s3_bucket=code.s3_bucket_name, s3_key=code.s3_object_key
        ),
        layers=layers,
        memory_size=settings["memory"],
        timeout=settings["timeout"],
        reserved_concurrent_executions=reserved if reserved >= 0 else None,
        environment=lambda_.CfnFunction.EnvironmentProperty(variables=variables),
        tracing_config=lambda_.CfnFunction.TracingConfigProperty(mode="Active"),
        vpc_config=vpc_config(stack, deployment, name),
    )
    acknowledge_rule(
        function, "AwsSolutions-L1", "The layer is built for the configured Python"
    )
    function.add_resource_dependency(log)
    lambda_.CfnEventInvokeConfig(
        scope,
        "asynchronous",
        function_name=function.ref,
        qualifier="$LATEST",
        maximum_retry_attempts=0,  # only the queue retries, by its redrive policy
        maximum_event_age_in_seconds=21600,
    )
    return function


def add_mapping(
    scope: Construct, deployment: Deployment, name: str, live: lambda_.CfnAlias
) -> None:
    """Let a function's queue feed the version of its Lambda that is live."""
    settings = deployment.functions[name]
    lambda_.CfnEventSourceMapping(
        scope,
        "pending",
        function_name=live.ref,
        event_source_arn=deployment.queue_arn(name),
        batch_size=settings["batch_size"],
        # Lambda refuses any for a FIFO queue, even 0
        maximum_batching_window_in_seconds=settings["batch_window"] or None,
        function_response_types=["ReportBatchItemFailures"],
        **scaling(settings),
    )


def scaling(settings: dict[str, Any]) -> dict[str, Any]:
    """Return how a mapping scales: with provisioned pollers, or up to a limit."""
    mapping = lambda_.CfnEventSourceMapping
    if pollers := settings.get("provisioned_pollers"):
        config = mapping.ProvisionedPollerConfigProperty(
            minimum_pollers=pollers["min"], maximum_pollers=pollers["max"]
        )
        return {"provisioned_poller_config": config}
    limit = mapping.ScalingConfigProperty(
        maximum_concurrency=settings["max_concurrency"]
    )
    return {"scaling_config": limit}
