"""Makes the bucket of an environment's state, once."""

import argparse
import json
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from place import sentence


def bucket_name(project: str, environment: str) -> str:
    """Return the name of the bucket, whether it is there or not."""
    return f"{project}-{environment}-state-{account()}"


def account() -> str:
    """Return the number of the account that the credentials belong to."""
    return str(boto3.client("sts").get_caller_identity()["Account"])


def find_bucket(project: str, environment: str) -> str | None:
    """Return the name of the bucket, if it is there and ours."""
    name = bucket_name(project, environment)
    try:
        boto3.client("s3").head_bucket(Bucket=name, ExpectedBucketOwner=account())
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchBucket"):
            return None
        raise
    return name


def make_bucket(name: str) -> None:
    """Make a bucket private, versioned and encrypted; one that is there is mended."""
    s3 = boto3.client("s3")
    region, partition = s3.meta.region_name, s3.meta.partition
    # S3 refuses to be told its default region
    elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        s3.head_bucket(Bucket=name)
    except ClientError:
        s3.create_bucket(Bucket=name, **(elsewhere if region != "us-east-1" else {}))
    s3.put_public_access_block(
        Bucket=name,
        PublicAccessBlockConfiguration=dict.fromkeys(
            (
                *("BlockPublicAcls", "BlockPublicPolicy"),
                *("IgnorePublicAcls", "RestrictPublicBuckets"),
            ),
            True,
        ),
    )
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    algorithm = {"SSEAlgorithm": "AES256"}
    s3.put_bucket_encryption(
        Bucket=name,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": algorithm}]
        },
    )
    only_tls = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:{partition}:s3:::{name}{objects}" for objects in ("", "/*")],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3.put_bucket_policy(
        Bucket=name,
        Policy=json.dumps({"Version": "2012-10-17", "Statement": [only_tls]}),
    )


def main() -> int:
    """Make the bucket; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environment", required=True)
    parser.add_argument("--project", required=True)
    options = parser.parse_args()
    if options.environment == "local":
        print("ENV=local keeps its state below .build/.")
        return 0
    try:
        name = bucket_name(options.project, options.environment)
        make_bucket(name)
    except (BotoCoreError, ClientError) as error:
        print(sentence(error, options.environment), file=sys.stderr)
        return 1
    print(f"The state of {options.environment} is kept in s3://{name}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
