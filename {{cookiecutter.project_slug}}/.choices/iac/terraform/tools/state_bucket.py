"""Find or create the S3 bucket that holds the Terraform state of an environment."""

import json
from typing import Any

from botocore.exceptions import ClientError

from tools import project
from tools.environment import client


def find(env: str) -> str | None:
    """Return the bucket's name, or None if this account has no such bucket."""
    name = _name_bucket(env)
    try:
        client("s3").head_bucket(Bucket=name, ExpectedBucketOwner=_find_account())
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchBucket"):
            return None
        raise
    return name


def create(env: str) -> str:
    """Create the bucket, or bring an existing one up to date; return its name.

    It is private, versioned and encrypted, and accepts TLS only.
    """
    name = _name_bucket(env)
    s3 = client("s3")
    _create_missing(s3, name)
    s3.put_public_access_block(
        Bucket=name,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        },
    )
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    aes = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3.put_bucket_encryption(
        Bucket=name, ServerSideEncryptionConfiguration={"Rules": [aes]}
    )
    policy = _make_tls_policy(name, s3.meta.partition)
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
    return name


def _name_bucket(env: str) -> str:
    return f"{project.answers().project_slug}-{env}-state-{_find_account()}"


def _find_account() -> str:
    return str(client("sts").get_caller_identity()["Account"])


def _create_missing(s3: Any, name: str) -> None:
    region = s3.meta.region_name
    # S3 refuses its default region as an explicit location
    location = {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        s3.head_bucket(Bucket=name)
    except ClientError:
        s3.create_bucket(Bucket=name, **(location if region != "us-east-1" else {}))


def _make_tls_policy(name: str, partition: str) -> dict[str, Any]:
    bucket = f"arn:{partition}:s3:::{name}"
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [bucket, f"{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}
