"""IAM roles of the functions.

Each function has the roles of a Lambda and of a container, so that it can move between
the two without waiting for IAM. The role of Application Auto Scaling is not here: AWS
creates it when the first service is registered, and accepts no other.
"""

from typing import Any

from aws_cdk import Aws, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.deployment import Deployment, acknowledge_rule, add_output

ANY = "*"


def add_resources(stack: Stack, deployment: Deployment) -> None:
    """Add three roles for each function, and those of services."""
    lambda_ = iam.ServicePrincipal("lambda.amazonaws.com")
    tasks = iam.ServicePrincipal(
        "ecs-tasks.amazonaws.com",
        conditions={
            "ArnLike": {"aws:SourceArn": deployment.arn("ecs", ANY)},
            "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
        },
    )
    execution = {}
    for name, settings in deployment.functions.items():
        scope = Construct(stack, name)
        function = f"{deployment.prefix}-{name}"
        work = parse(settings["statements"])
        execution[name] = iam.Role(
            scope,
            "execution",
            role_name=f"{function}-execution",
            description=f"Execution role of the Lambda {name}",
            assumed_by=lambda_,
            inline_policies={
                "work": iam.PolicyDocument(
                    statements=work + lambda_statements(deployment, name)
                )
            },
        )
        iam.Role(
            scope,
            "task",
            role_name=f"{function}-task",
            description=f"Task role of the container {name}",
            assumed_by=tasks,
            inline_policies={"work": iam.PolicyDocument(statements=work)},
        )
        iam.Role(
            scope,
            "start",
            role_name=f"{function}-start",
            description=f"Task execution role of the container {name}",
            assumed_by=tasks,
            inline_policies={
                "start": iam.PolicyDocument(
                    statements=start_statements(deployment, name)
                )
            },
        )
        acknowledge_wildcards(scope, deployment, name)
    add_scheduler(stack, deployment)
    add_release(stack, deployment)
    if deployment.spec["has_proxy"]:
        add_proxy(stack, deployment)
    arns = {name: role.role_arn for name, role in execution.items()}
    add_output(stack, "Execution", "ARN of each Lambda's execution role", arns)


def add_scheduler(stack: Stack, deployment: Deployment) -> None:
    """Add the role of the schedules, if there are any."""
    statements = parse(deployment.spec["schedule_statements"])
    if not statements:
        return
    iam.Role(
        stack,
        "scheduler",
        role_name=f"{deployment.prefix}-scheduler",
        description="Role of the schedules",
        assumed_by=iam.ServicePrincipal(
            "scheduler.amazonaws.com",
            conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
        ),
        inline_policies={"send": iam.PolicyDocument(statements=statements)},
    )


def add_release(stack: Stack, deployment: Deployment) -> None:
    """Add the role of CodeDeploy, if a function has releases."""
    statements = parse(deployment.spec["release_statements"])
    if not statements:
        return
    groups = deployment.arn("codedeploy", f"deploymentgroup:{deployment.prefix}/*")
    role = iam.Role(
        stack,
        "release",
        role_name=f"{deployment.prefix}-release",
        description="Role of CodeDeploy, which shifts batches to new versions",
        assumed_by=iam.ServicePrincipal(
            "codedeploy.amazonaws.com",
            conditions={
                "ArnLike": {"aws:SourceArn": groups},
                "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
            },
        ),
        inline_policies={"shift": iam.PolicyDocument(statements=statements)},
    )
    alarms = deployment.arn("cloudwatch", f"alarm:{deployment.prefix}-*")
    reason = "A release may watch the alarms of its environment"
    acknowledge_rule(role, "AwsSolutions-IAM5", reason, alarms)


def add_proxy(stack: Stack, deployment: Deployment) -> None:
    """Add the role of the database's proxy."""
    statements = parse([deployment.spec["proxy_statement"]])
    iam.Role(
        stack,
        "proxy",
        role_name=f"{deployment.prefix}-proxy",
        description="Role of the database's proxy",
        assumed_by=iam.ServicePrincipal(
            "rds.amazonaws.com",
            conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
        ),
        inline_policies={"read": iam.PolicyDocument(statements=statements)},
    )


def log_arn(deployment: Deployment, service: str, name: str) -> str:
    """Return the ARN of the log streams of a function on /aws/lambda or /ecs."""
    return deployment.arn("logs", f"log-group:{service}/{deployment.prefix}-{name}:*")


def parse(statements: list[dict[str, Any]]) -> list[iam.PolicyStatement]:
    """Return statements of `tools/grants.py` for CDK."""
    return [iam.PolicyStatement.from_json(each) for each in statements]


def lambda_statements(deployment: Deployment, name: str) -> list[iam.PolicyStatement]:
    """Return the statements that a function needs on Lambda only."""
    function = deployment.arn("lambda", f"function:{deployment.prefix}-{name}")
    return [
        allow(
            "WriteLogs",
            log_arn(deployment, "/aws/lambda", name),
            "logs:CreateLogStream",
            "logs:PutLogEvents",
        ),
        allow(
            "TraceAndAttachToVpc",
            ANY,  # these actions support no resources
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:UnassignPrivateIpAddresses",
            "xray:PutTelemetryRecords",
            "xray:PutTraceSegments",
        ),
        # Lambda itself attaches the function to the VPC; its code needs no EC2
        iam.PolicyStatement(
            sid="DenyEc2ToCode",
            effect=iam.Effect.DENY,
            actions=["ec2:*"],
            resources=[ANY],
            # with and without a version
            conditions={
                "ArnEquals": {"lambda:SourceFunctionArn": [function, f"{function}:*"]}
            },
        ),
    ]


def start_statements(deployment: Deployment, name: str) -> list[iam.PolicyStatement]:
    """Return the statements that ECS needs to start a function's container."""
    return [
        allow(
            "PullImage",
            deployment.arn("ecr", f"repository/{deployment.prefix}-{name}"),
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:GetDownloadUrlForLayer",
        ),
        # this action supports no resources
        allow("LogInToRegistry", ANY, "ecr:GetAuthorizationToken"),
        allow(
            "WriteLogs",
            log_arn(deployment, "/ecs", name),
            "logs:CreateLogStream",
            "logs:PutLogEvents",
        ),
    ]


def acknowledge_wildcards(scope: Construct, deployment: Deployment, name: str) -> None:
    """Acknowledge each wildcard in the policies of a function."""
    reasons = {
        log_arn(deployment, "/aws/lambda", name): "Lambda names the log streams",
        log_arn(deployment, "/ecs", name): "ECS names the log streams",
        ANY: "These actions support no resources",
    }
    for statement in deployment.functions[name]["statements"]:
        for resource in statement["Resource"]:
            if ANY in resource:
                reasons[resource] = "config/deploy.yml declares it"
    for resource, reason in reasons.items():
        acknowledge_rule(scope, "AwsSolutions-IAM5", reason, resource)


def allow(sid: str, resource: str, *actions: str) -> iam.PolicyStatement:
    """Return a statement that allows actions on a resource."""
    return iam.PolicyStatement(sid=sid, actions=list(actions), resources=[resource])
