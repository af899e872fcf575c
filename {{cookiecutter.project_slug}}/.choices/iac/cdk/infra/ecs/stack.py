"""A Fargate service for each function whose runtime is container."""

from typing import Any

from aws_cdk import Aws, Stack
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_logs as logs
from constructs import Construct

from common import Environment, accept, tell


def add_resources(stack: Stack, environment: Environment) -> None:
    """Add the cluster and its services."""
    ecs.CfnCluster(
        stack,
        "main",
        cluster_name=environment.prefix,
        cluster_settings=[
            ecs.CfnCluster.ClusterSettingsProperty(
                name="containerInsights", value="enabled"
            )
        ],
    )
    for name, size in environment.functions.items():
        scope = Construct(stack, name)
        # there for each function, so that its logs outlive its move to Lambda
        log = logs.CfnLogGroup(
            scope,
            "log",
            log_group_name=f"/ecs/{environment.prefix}-{name}",
            retention_in_days=size["log_days"],
        )
        if name in environment.containers:
            service = add_service(scope, environment, name, log)
            add_scaling(Construct(scope, "scaling"), environment, name, service)
    names = list(environment.containers)
    tell(stack, "Services", "Functions that run as containers", names)


def add_service(
    scope: Construct, environment: Environment, name: str, log: logs.CfnLogGroup
) -> ecs.CfnService:
    """Add a function's service."""
    stack = Stack.of(scope)
    size = environment.containers[name]
    task = ecs.CfnTaskDefinition(
        scope,
        "task",
        family=f"{environment.prefix}-{name}",
        requires_compatibilities=["FARGATE"],
        network_mode="awsvpc",
        cpu=str(size["cpu"]),
        memory=str(size["memory"]),
        task_role_arn=environment.role_arn(name, "task"),
        execution_role_arn=environment.role_arn(name, "start"),
        runtime_platform=ecs.CfnTaskDefinition.RuntimePlatformProperty(
            operating_system_family="LINUX",
            cpu_architecture=environment.architecture.upper(),
        ),
        container_definitions=[container(stack, environment, name, log.ref)],
    )
    accept(
        task, "AwsSolutions-ECS2", "The environment holds the ARN of the secret only"
    )
    service = ecs.CfnService(
        scope,
        "service",
        service_name=name,
        cluster=environment.prefix,
        task_definition=task.ref,
        launch_type="FARGATE",  # how many tasks, autoscaling decides
        enable_execute_command=False,
        deployment_configuration=ecs.CfnService.DeploymentConfigurationProperty(
            deployment_circuit_breaker=(
                ecs.CfnService.DeploymentCircuitBreakerProperty(
                    enable=True, rollback=True
                )
            )
        ),
        network_configuration=ecs.CfnService.NetworkConfigurationProperty(
            awsvpc_configuration=ecs.CfnService.AwsVpcConfigurationProperty(
                subnets=environment.shared_list(stack, "subnets"),
                security_groups=[environment.shared(stack, "function-group")],
                assign_public_ip="DISABLED",
            )
        ),
    )
    service.add_resource_dependency(stack.node.find_child("main"))
    return service


def container(stack: Stack, environment: Environment, name: str, log: str) -> Any:
    """Return the definition of a function's container."""
    variables = environment.database_settings(stack, "/app/rds-ca.pem") | {
        "READ_QUEUE": environment.pending(name),
        "AWS_REGION": Aws.REGION,
        "GRACE": "110",  # within the stop timeout, after a last request for messages
    }
    definition = ecs.CfnTaskDefinition
    return definition.ContainerDefinitionProperty(
        name=name,
        image=environment.image(name),
        essential=True,
        readonly_root_filesystem=True,
        stop_timeout=120,  # the poller gives back what it cannot finish in time
        environment=[
            definition.KeyValuePairProperty(name=key, value=value)
            for key, value in variables.items()
        ],
        health_check=definition.HealthCheckProperty(  # ECS ignores that of the image
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
    scope: Construct, environment: Environment, name: str, service: ecs.CfnService
) -> None:
    """Keep each task's share of the waiting messages at backlog_per_task."""
    size = environment.containers[name]
    policy = scaling.CfnScalingPolicy
    target = scaling.CfnScalableTarget(
        scope,
        "tasks",
        service_namespace="ecs",
        scalable_dimension="ecs:service:DesiredCount",
        resource_id=f"service/{environment.prefix}/{service.attr_name}",
        min_capacity=size["min_tasks"],
        max_capacity=size["max_tasks"],
    )

    def metric(
        key: str, stat: str, namespace: str, metric_name: str, **dimensions: str
    ) -> Any:
        return policy.TargetTrackingMetricDataQueryProperty(
            id=key,
            return_data=False,
            metric_stat=policy.TargetTrackingMetricStatProperty(
                stat=stat,
                metric=policy.TargetTrackingMetricProperty(
                    namespace=namespace,
                    metric_name=metric_name,
                    dimensions=[
                        policy.TargetTrackingMetricDimensionProperty(
                            name=each, value=value
                        )
                        for each, value in dimensions.items()
                    ],
                ),
            ),
        )

    metrics = [
        policy.TargetTrackingMetricDataQueryProperty(
            id="backlog", expression="messages / FILL(tasks, 1)", return_data=True
        ),
        metric(
            "messages",
            "Maximum",
            "AWS/SQS",
            "ApproximateNumberOfMessagesVisible",
            QueueName=environment.pending(name),
        ),
        metric(
            "tasks",
            "Average",
            "ECS/ContainerInsights",
            "RunningTaskCount",
            ClusterName=environment.prefix,
            ServiceName=name,
        ),
    ]
    policy(
        scope,
        "backlog",
        policy_name=f"{environment.prefix}-{name}-backlog",
        policy_type="TargetTrackingScaling",
        scaling_target_id=target.ref,
        target_tracking_scaling_policy_configuration=(
            policy.TargetTrackingScalingPolicyConfigurationProperty(
                target_value=size["backlog_per_task"],
                scale_in_cooldown=300,
                scale_out_cooldown=60,
                customized_metric_specification=(
                    policy.CustomizedMetricSpecificationProperty(metrics=metrics)
                ),
            )
        ),
    )
