"""Roles of the functions.

All of a function's are there whatever runs it, so that it can move between Lambda and
containers without waiting for IAM. Application Auto Scaling has a role of its own, which
AWS makes when the first service is registered, and takes no other.
"""

from aws_cdk import Aws, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from environment import Environment, tell


def add_resources(stack: Stack, environment: Environment) -> None:
    """Add three roles for each function."""
    lambdas = iam.ServicePrincipal("lambda.amazonaws.com")
    tasks = iam.ServicePrincipal(
        "ecs-tasks.amazonaws.com",
        conditions={
            "ArnLike": {"aws:SourceArn": environment.arn("ecs", "*")},
            "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
        },
    )
    execution = {}
    for name in environment.functions:
        scope = Construct(stack, name)
        execution[name] = iam.Role(
            scope,
            "execution",
            role_name=f"{environment.prefix}-{name}-execution",
            description=f"What the Lambda {name} may do",
            assumed_by=lambdas,
            inline_policies={
                "work": policy(work(environment, name) + as_lambda(environment, name))
            },
        )
        iam.Role(
            scope,
            "task",
            role_name=f"{environment.prefix}-{name}-task",
            description=f"What the container {name} may do",
            assumed_by=tasks,
            inline_policies={"work": policy(work(environment, name))},
        )
        iam.Role(
            scope,
            "start",
            role_name=f"{environment.prefix}-{name}-start",
            description=f"What ECS may do to start the container {name}",
            assumed_by=tasks,
            inline_policies={"start": policy(start(environment, name))},
        )
    arns = {name: role.role_arn for name, role in execution.items()}
    tell(stack, "Execution", "ARN of each Lambda's role", arns)


def work(environment: Environment, name: str) -> list[iam.PolicyStatement]:
    """Return what a function does, wherever it runs."""
    return [
        allow(
            "TakeMessages",
            environment.arn("sqs", environment.pending(name)),
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:GetQueueUrl",
            "sqs:ReceiveMessage",
        ),
        allow(
            "ReadObjects",
            f"{environment.bucket_arn}/{name}/*",
            "s3:GetObject",
            "s3:GetObjectVersion",
        ),
        # else an object that is gone would be one that is forbidden
        allow("SeeWhatIsGone", environment.bucket_arn, "s3:ListBucket"),
    ]


def as_lambda(environment: Environment, name: str) -> list[iam.PolicyStatement]:
    """Return what a Lambda does besides."""
    function = f"{environment.prefix}-{name}"
    return [
        log(environment, f"/aws/lambda/{function}"),
        allow(
            "TraceAndJoinTheNetwork",
            "*",  # these have no resources to name
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:UnassignPrivateIpAddresses",
            "xray:PutTelemetryRecords",
            "xray:PutTraceSegments",
        ),
        # Lambda itself joins the network; the code in it need not
        iam.PolicyStatement(
            sid="OnlyLambdaJoinsTheNetwork",
            effect=iam.Effect.DENY,
            actions=["ec2:*"],
            resources=["*"],
            conditions={
                "ArnEquals": {
                    "lambda:SourceFunctionArn": environment.arn(
                        "lambda", f"function:{function}"
                    )
                }
            },
        ),
    ]


def start(environment: Environment, name: str) -> list[iam.PolicyStatement]:
    """Return what ECS does to start a container."""
    function = f"{environment.prefix}-{name}"
    return [
        allow(
            "PullTheImage",
            environment.arn("ecr", f"repository/{function}"),
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:GetDownloadUrlForLayer",
        ),
        # it has no resource to name
        allow("EnterTheRegistry", "*", "ecr:GetAuthorizationToken"),
        log(environment, f"/ecs/{function}"),
    ]


def log(environment: Environment, group: str) -> iam.PolicyStatement:
    """Let a log group be written."""
    arn = environment.arn("logs", f"log-group:{group}:*")
    return allow("Log", arn, "logs:CreateLogStream", "logs:PutLogEvents")


def allow(sid: str, resource: str, *actions: str) -> iam.PolicyStatement:
    """Allow actions on a resource."""
    return iam.PolicyStatement(sid=sid, actions=list(actions), resources=[resource])


def policy(statements: list[iam.PolicyStatement]) -> iam.PolicyDocument:
    """Return a policy."""
    return iam.PolicyDocument(statements=statements)
