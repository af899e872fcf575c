"""A Fargate service for each function whose runtime is container."""

from typing import Any

from aws_cdk import (
    Aws,
    CfnCondition,
    CfnParameter,
    Fn,
    RemovalPolicy,
    Stack,
)
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.deployment import Deployment, acknowledge_rule, add_output
from tools.qualifier import name_parameter


def add_resources(stack: Stack, deployment: Deployment) -> None:
    """Add the cluster and its services."""
    ecs.CfnCluster(
        stack,
        "main",
        cluster_name=deployment.prefix,
        cluster_settings=[
            ecs.CfnCluster.ClusterSettingsProperty(
                name="containerInsights", value="enabled"
            )
        ],
    )
    for name, settings in deployment.functions.items():
        scope = Construct(stack, name)
        # for Lambdas, too: the logs of a container outlive its move to Lambda
        log = logs.CfnLogGroup(
            scope,
            "log",
            log_group_name=f"/ecs/{deployment.prefix}-{name}",
            retention_in_days=settings["log_days"],
        )
        if name in deployment.containers:
            service = add_service(scope, deployment, name, log)
            add_scaling(Construct(scope, "scaling"), deployment, name, service)
    names = list(deployment.containers)
    add_output(stack, "Services", "Functions that run as containers", names)


def add_service(
    scope: Construct, deployment: Deployment, name: str, log: logs.CfnLogGroup
) -> ecs.CfnService:
    """Add a function's service."""
    stack = Stack.of(scope)
    settings = deployment.containers[name]
    task = ecs.CfnTaskDefinition(
        scope,
        "task",
        family=f"{deployment.prefix}-{name}",
        requires_compatibilities=["FARGATE"],
        network_mode="awsvpc",
        cpu=str(settings["cpu"]),
        memory=str(settings["memory"]),
        task_role_arn=deployment.role_arn(name, "task"),
        execution_role_arn=deployment.role_arn(name, "start"),
        runtime_platform=ecs.CfnTaskDefinition.RuntimePlatformProperty(
            operating_system_family="LINUX",
            cpu_architecture=deployment.architecture.upper(),
        ),
        container_definitions=[container(stack, deployment, name, log.ref)],
    )
    # 'make rollback' needs it; tools/services.py deregisters old ones
    task.apply_removal_policy(RemovalPolicy.RETAIN)
    acknowledge_rule(
        task,
        "AwsSolutions-ECS2",
        "The environment holds names of secrets, and no secret",
    )
    service = ecs.CfnService(
        scope,
        "service",
        service_name=name,
        cluster=deployment.prefix,
        task_definition=choose_revision(scope, name, task),
        launch_type="FARGATE",  # without desired_count, which autoscaling sets
        enable_execute_command=False,
        propagate_tags="SERVICE",  # tasks cost money, and a budget counts by tag
        deployment_configuration=ecs.CfnService.DeploymentConfigurationProperty(
            deployment_circuit_breaker=(
                ecs.CfnService.DeploymentCircuitBreakerProperty(
                    enable=True, rollback=True
                )
            )
        ),
        network_configuration=ecs.CfnService.NetworkConfigurationProperty(
            awsvpc_configuration=ecs.CfnService.AwsVpcConfigurationProperty(
                subnets=deployment.subnets(stack),
                security_groups=deployment.security_groups(stack, name),
                assign_public_ip="DISABLED",
            )
        ),
    )
    service.add_resource_dependency(stack.node.find_child("main"))
    return service


def choose_revision(scope: Construct, name: str, task: ecs.CfnTaskDefinition) -> Any:
    """Return the task definition, or the one to keep if a newer one was rolled back.

    It is a parameter, so that a rollback leaves the template as it is.
    """
    kept = CfnParameter(scope, "kept", default="")
    kept.override_logical_id(name_parameter(name))
    is_given = Fn.condition_not(Fn.condition_equals(kept, ""))
    condition = CfnCondition(scope, "is-kept", expression=is_given)
    return Fn.condition_if(
        condition.logical_id, kept.value_as_string, task.ref
    ).to_string()


def container(stack: Stack, deployment: Deployment, name: str, log: str) -> Any:
    """Return the definition of a function's container."""
    variables = deployment.variables(stack, name, "/app/rds-ca.pem") | {
        "READ_QUEUE": deployment.functions[name]["queue"],
        "FUNCTION_NAME": f"{deployment.prefix}-{name}",  # in metrics
        "AWS_REGION": Aws.REGION,
        "GRACE": "110",  # seconds; leaves time for a last request before stop_timeout
    }
    definition = ecs.CfnTaskDefinition
    return definition.ContainerDefinitionProperty(
        name=name,
        image=deployment.image(name),
        essential=True,
        readonly_root_filesystem=True,
        stop_timeout=120,  # seconds; the maximum on Fargate
        environment=[
            definition.KeyValuePairProperty(name=key, value=value)
            for key, value in variables.items()
        ],
        health_check=definition.HealthCheckProperty(  # ECS ignores the image's own
            command=[
                "CMD-SHELL",
                "test -n \"$(find $HEARTBEAT -newermt '-30 seconds')\"",
            ],
            interval=10,
            timeout=5,
            retries=2,
            start_period=10,
        ),
        linux_parameters=definition.LinuxParametersProperty(
            init_process_enabled=True,
            capabilities=definition.KernelCapabilitiesProperty(drop=["ALL"]),
        ),
        log_configuration=definition.LogConfigurationProperty(
            log_driver="awslogs",
            options={
                "awslogs-group": log,
                "awslogs-region": Aws.REGION,
                "awslogs-stream-prefix": "task",
            },
        ),
    )


def add_scaling(
    scope: Construct, deployment: Deployment, name: str, service: ecs.CfnService
) -> None:
    """Scale so that there are backlog_per_task waiting messages for each task."""
    settings = deployment.containers[name]
    policy = scaling.CfnScalingPolicy
    target = scaling.CfnScalableTarget(
        scope,
        "tasks",
        service_namespace="ecs",
        scalable_dimension="ecs:service:DesiredCount",
        resource_id=f"service/{deployment.prefix}/{service.attr_name}",
        min_capacity=settings["min_tasks"],
        max_capacity=settings["max_tasks"],
    )
    policy(
        scope,
        "backlog",
        policy_name=f"{deployment.prefix}-{name}-backlog",
        policy_type="TargetTrackingScaling",
        scaling_target_id=target.ref,
        target_tracking_scaling_policy_configuration=(
            policy.TargetTrackingScalingPolicyConfigurationProperty(
                target_value=settings["backlog_per_task"],
                scale_in_cooldown=300,
                scale_out_cooldown=60,
                customized_metric_specification=(
                    policy.CustomizedMetricSpecificationProperty(
                        metrics=backlog_metrics(deployment, name)
                    )
                ),
            )
        ),
    )


def backlog_metrics(deployment: Deployment, name: str) -> list[Any]:
    """Return the queries that compute a function's waiting messages for each task."""
    query = scaling.CfnScalingPolicy.TargetTrackingMetricDataQueryProperty
    return [
        query(id="backlog", expression="messages / FILL(tasks, 1)", return_data=True),
        query(
            id="messages",
            return_data=False,
            metric_stat=metric_stat(
                "Maximum",
                "AWS/SQS",
                "ApproximateNumberOfMessagesVisible",
                QueueName=deployment.functions[name]["queue"],
            ),
        ),
        query(
            id="tasks",
            return_data=False,
            metric_stat=metric_stat(
                "Average",
                "ECS/ContainerInsights",
                "RunningTaskCount",
                ClusterName=deployment.prefix,
                ServiceName=name,
            ),
        ),
    ]


def metric_stat(stat: str, namespace: str, metric: str, **dimensions: str) -> Any:
    """Return a statistic of a CloudWatch metric."""
    policy = scaling.CfnScalingPolicy
    return policy.TargetTrackingMetricStatProperty(
        stat=stat,
        metric=policy.TargetTrackingMetricProperty(
            namespace=namespace,
            metric_name=metric,
            dimensions=[
                policy.TargetTrackingMetricDimensionProperty(name=key, value=value)
                for key, value in dimensions.items()
            ],
        ),
    )
