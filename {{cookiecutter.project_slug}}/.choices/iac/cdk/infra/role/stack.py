"""Roles of the functions.

All of a function's are there whatever runs it, so that it can move between Lambda and
containers without waiting for IAM. Application Auto Scaling has a role of its own,
which AWS makes when the first service is registered, and takes no other.
"""

from aws_cdk import Aws, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from common import Environment, accept, tell

ANY = "*"


def add_resources(stack: Stack, environment: Environment) -> None:
    """Add three roles for each function."""
    lambdas = iam.ServicePrincipal("lambda.amazonaws.com")
    tasks = iam.ServicePrincipal(
        "ecs-tasks.amazonaws.com",
        conditions={
            "ArnLike": {"aws:SourceArn": environment.arn("ecs", ANY)},
            "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
        },
    )
    execution = {}
    for name in environment.functions:
        scope = Construct(stack, name)
        function = f"{environment.prefix}-{name}"
        objects = f"{environment.bucket_arn}/{name}/*"
        lambda_logs = environment.arn("logs", f"log-group:/aws/lambda/{function}:*")
        task_logs = environment.arn("logs", f"log-group:/ecs/{function}:*")
        work = [
            allow(
                "TakeMessages",
                environment.arn("sqs", environment.pending(name)),
                "sqs:ChangeMessageVisibility",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
                "sqs:GetQueueUrl",
                "sqs:ReceiveMessage",
            ),
            allow("ReadObjects", objects, "s3:GetObject", "s3:GetObjectVersion"),
            # else an object that is gone would be one that is forbidden
            allow("SeeWhatIsGone", environment.bucket_arn, "s3:ListBucket"),
        ]
        in_lambda = [
            allow("Log", lambda_logs, "logs:CreateLogStream", "logs:PutLogEvents"),
            allow(
                "TraceAndJoinTheNetwork",
                ANY,  # these have no resources to name
                "ec2:AssignPrivateIpAddresses",
                "ec2:CreateNetworkInterface",
                "ec2:DeleteNetworkInterface",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSubnets",
                "ec2:UnassignPrivateIpAddresses",
                "xray:PutTelemetryRecords",
                "xray:PutTraceSegments",
            ),
            only_lambda_joins_the_network(
                environment.arn("lambda", f"function:{function}")
            ),
        ]
        start = [
            allow(
                "PullTheImage",
                environment.arn("ecr", f"repository/{function}"),
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:GetDownloadUrlForLayer",
            ),
            # it has no resource to name
            allow("EnterTheRegistry", ANY, "ecr:GetAuthorizationToken"),
            allow("Log", task_logs, "logs:CreateLogStream", "logs:PutLogEvents"),
        ]
        execution[name] = iam.Role(
            scope,
            "execution",
            role_name=f"{function}-execution",
            description=f"What the Lambda {name} may do",
            assumed_by=lambdas,
            inline_policies={"work": iam.PolicyDocument(statements=work + in_lambda)},
        )
        iam.Role(
            scope,
            "task",
            role_name=f"{function}-task",
            description=f"What the container {name} may do",
            assumed_by=tasks,
            inline_policies={"work": iam.PolicyDocument(statements=work)},
        )
        iam.Role(
            scope,
            "start",
            role_name=f"{function}-start",
            description=f"What ECS may do to start the container {name}",
            assumed_by=tasks,
            inline_policies={"start": iam.PolicyDocument(statements=start)},
        )
        for resource, reason in {
            objects: "A function reads all that lands below its prefix",
            lambda_logs: "Lambda names the streams",
            task_logs: "ECS names the streams",
            ANY: "These actions have no resource to name",
        }.items():
            accept(scope, "AwsSolutions-IAM5", reason, resource)
    arns = {name: role.role_arn for name, role in execution.items()}
    tell(stack, "Execution", "ARN of each Lambda's role", arns)


def allow(sid: str, resource: str, *actions: str) -> iam.PolicyStatement:
    """Allow actions on a resource."""
    return iam.PolicyStatement(sid=sid, actions=list(actions), resources=[resource])


def only_lambda_joins_the_network(function: str) -> iam.PolicyStatement:
    """Let Lambda itself join the network, but not the code in it."""
    return iam.PolicyStatement(
        sid="OnlyLambdaJoinsTheNetwork",
        effect=iam.Effect.DENY,
        actions=["ec2:*"],
        resources=[ANY],
        conditions={"ArnEquals": {"lambda:SourceFunctionArn": function}},
    )
