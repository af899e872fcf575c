"""Create an environment's IAM policies in its account, and check its boundary."""

import json
from collections.abc import Mapping
from typing import Any

from tools import function_specs
from tools.environment import client
from tools.errors import UserError
from tools.policies import BOUNDARY, FILES, Document, fill
from tools.project import answers

VERSIONS = 5  # that IAM keeps of a policy


def create(env: str, **more: str) -> None:
    """Create the policies of an environment, or update those that differ.

    Args:
        env: an environment of `config/deploy.yml`, which has been entered.
        more: values of placeholders that only one IaC tool has.

    Raises:
        UserError: a policy is too long.
    """
    spec = function_specs.resolve(env)
    values = find_values(spec, env) | more
    for name, document in fill(spec, FILES.glob("*.json"), values).items():
        arn = f"arn:{values['partition']}:iam::{values['account']}:policy/{name}"
        print(f"{name}: {put(arn, name, document)}", flush=True)


def check_boundary(env: str) -> None:
    """Check that the permissions boundary exists, and warn if it is not up to date.

    Args:
        env: an environment of `config/deploy.yml`, which has been entered.

    Raises:
        UserError: there is none.
    """
    spec = function_specs.resolve(env)
    values = find_values(spec, env)
    [(name, document)] = fill(spec, [FILES / f"{BOUNDARY}.json"], values).items()
    arn = f"arn:{values['partition']}:iam::{values['account']}:policy/{name}"
    found = find_document(arn)
    remedy = f"let an administrator run 'make bootstrap ENV={env}'"
    if found is None:
        raise UserError(f"there is no permissions boundary {name}: {remedy}")
    if found != document:
        print(
            f"The permissions boundary {name} is not what infra/policies/ and "
            "config/deploy.yml say, so AWS may deny what functions declare: "
            f"{remedy}.",
            flush=True,
        )


def find_values(spec: Mapping[str, Any], env: str) -> dict[str, str]:
    """Return the values of the placeholders in the account that was entered."""
    sts = client("sts")
    account = str(sts.get_caller_identity()["Account"])
    return {
        "partition": sts.meta.partition,
        "region": sts.meta.region_name,
        "account": account,
        "project": answers().project_slug,
        "environment": env,
        "prefix": spec["prefix"].removesuffix("-"),
        "bucket": spec["bucket"].replace("{account}", account),
    }


def find_document(arn: str) -> Document | None:
    """Return the document of a managed policy, or None if there is no such policy."""
    iam = client("iam")
    try:
        policy = iam.get_policy(PolicyArn=arn)["Policy"]
    except iam.exceptions.NoSuchEntityException:
        return None
    version = iam.get_policy_version(
        PolicyArn=arn, VersionId=policy["DefaultVersionId"]
    )
    document: Document = version["PolicyVersion"]["Document"]
    return document


def put(arn: str, name: str, document: Document) -> str:
    """Create or update a managed policy; return what was done, for the user.

    The oldest of five versions makes room for a new one.
    """
    iam, text = client("iam"), json.dumps(document)
    found = find_document(arn)
    if found == document:
        return "unchanged"
    if found is None:
        iam.create_policy(PolicyName=name, PolicyDocument=text)
        return "created"
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    old = [each for each in versions if not each["IsDefaultVersion"]]
    if len(versions) >= VERSIONS:
        oldest = min(old, key=lambda each: int(each["VersionId"].removeprefix("v")))
        iam.delete_policy_version(PolicyArn=arn, VersionId=oldest["VersionId"])
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=text, SetAsDefault=True)
    return "updated"
