"""A Lambda for each function; the queue feeds those whose runtime is lambda."""

from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk.aws_s3_assets import Asset
from constructs import Construct

from common import Environment, accept, tell
from sizes import ROOT


def add_resources(stack: Stack, environment: Environment) -> None:
    """Add the Lambdas, their logs, and what feeds them."""
    layer = environment.shared(stack, "layer")
    database = environment.database_settings(stack, "/opt/rds-ca.pem")
    network = place(stack, environment)
    mapped = [
        name
        for name, size in environment.functions.items()
        if size["runtime"] == "lambda" or name in environment.still_mapped
    ]
    for name, size in environment.functions.items():
        scope = Construct(stack, name)
        log = logs.CfnLogGroup(
            scope,
            "log",
            log_group_name=f"/aws/lambda/{environment.prefix}-{name}",
            retention_in_days=size["log_days"],
        )
        zipped = Asset(
            scope, "zip", path=str(ROOT / ".build" / "lambda" / f"{name}.zip")
        )
        reserved = size["reserved_concurrency"]
        function = lambda_.CfnFunction(
            scope,
            "function",
            function_name=f"{environment.prefix}-{name}",
            description=f"src/func/{name}.py",
            role=environment.role_arn(name, "execution"),
            runtime=f"python{environment.python}",
            architectures=[environment.architecture],
            handler="lambda_wrapper.handler",
            code=lambda_.CfnFunction.CodeProperty(
                s3_bucket=zipped.s3_bucket_name, s3_key=zipped.s3_object_key
            ),
            layers=[layer],
            memory_size=size["memory"],
            timeout=size["timeout"],
            reserved_concurrent_executions=reserved if reserved >= 0 else None,
            environment=lambda_.CfnFunction.EnvironmentProperty(variables=database),
            tracing_config=lambda_.CfnFunction.TracingConfigProperty(mode="Active"),
            vpc_config=network,
        )
        accept(function, "AwsSolutions-L1", "The layer is built for the Python named")
        function.add_resource_dependency(log)
        lambda_.CfnEventInvokeConfig(
            scope,
            "asynchronous",
            function_name=function.ref,
            qualifier="$LATEST",
            maximum_retry_attempts=0,  # the queue's redrive policy counts the attempts
            maximum_event_age_in_seconds=21600,
        )
        if name in mapped:
            feed(scope, environment, name, function)
    names = {name: f"{environment.prefix}-{name}" for name in environment.functions}
    tell(stack, "Functions", "Name of each Lambda", names)
    tell(stack, "Mapped", "Functions whose queue feeds the Lambda", mapped)


def place(stack: Stack, environment: Environment) -> Any:
    """Return where Lambdas are; the environment local has no network."""
    if environment.is_local:
        return None
    return lambda_.CfnFunction.VpcConfigProperty(
        security_group_ids=[environment.shared(stack, "function-group")],
        subnet_ids=environment.shared_list(stack, "subnets"),
    )


def feed(
    scope: Construct, environment: Environment, name: str, function: lambda_.CfnFunction
) -> None:
    """Let the queue feed a Lambda."""
    size = environment.functions[name]
    lambda_.CfnEventSourceMapping(
        scope,
        "pending",
        function_name=function.ref,
        event_source_arn=environment.arn("sqs", environment.pending(name)),
        batch_size=size["batch_size"],
        maximum_batching_window_in_seconds=size["batch_window"],
        function_response_types=["ReportBatchItemFailures"],
        scaling_config=lambda_.CfnEventSourceMapping.ScalingConfigProperty(
            maximum_concurrency=size["max_concurrency"]
        ),
    )
