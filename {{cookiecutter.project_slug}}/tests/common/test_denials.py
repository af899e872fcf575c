"""Requests that AWS denies: the line of config/deploy.yml that allows them."""

import pytest

from denials import explain
from errors import describe
from tests.tables import for_each


class ClientError(Exception):
    """An answer of AWS, as botocore raises it."""

    def __init__(self, code: str, operation: str, text: str = "Access Denied") -> None:
        super().__init__(
            f"An error occurred ({code}) when calling the {operation} operation: {text}"
        )
        self.response = {"Error": {"Code": code, "Message": text}}
        self.operation_name = operation


def unauthorized(action: str, resource: str) -> str:
    """Return the text of an answer that names action and resource."""
    role = "arn:aws:sts::111122223333:assumed-role/shop-dev-enrich/shop-dev-enrich"
    return (
        f"User: {role} is not authorized to perform: {action} on resource: "
        f'"{resource}" because no identity-based policy allows the {action} action'
    )


TABLE = "arn:aws:dynamodb:eu-west-1:111122223333:table/shop-dev-seen"
DENIED = "AccessDeniedException"


@for_each(
    ("error", "action", "line"),
    [
        (ClientError("AccessDenied", "PutObject"), "s3:PutObject", "writes: [<p"),
        (
            ClientError(
                "AccessDenied",
                "PutObject",
                unauthorized("s3:PutObject", "arn:aws:s3:::raw/enriched/a/b.json"),
            ),
            "s3:PutObject",
            "writes: [enriched/a/]",
        ),
        (ClientError("403", "HeadObject", "Forbidden"), "s3:GetObject", "reads: [<pre"),
        (ClientError("AccessDenied", "ListObjectsV2"), "s3:ListBucket", "reads: [<pre"),
        (ClientError(DENIED, "SendMessageBatch"), "sqs:SendMessage", "sends_to: [<f"),
        (
            ClientError(DENIED, "GetSecretValue"),
            "secretsmanager:GetSecretValue",
            "secrets: {<SETTING>: ",
        ),
        (
            ClientError(DENIED, "PutItem", unauthorized("dynamodb:PutItem", TABLE)),
            "dynamodb:PutItem",
            'allow: [{actions: ["dynamodb:PutItem"], resources: ["' + TABLE + '"]}]',
        ),
    ],
)
def test_denied_request_names_line_to_add(
    error: ClientError, action: str, line: str
) -> None:
    explain(ExceptionGroup("1 of 2 failed", [error]), "enrich")
    text = describe(error)
    assert f": enrich may not {action}: write `{line}" in text
    assert text.endswith("` for enrich in config/deploy.yml")


@pytest.mark.parametrize(
    ("bucket", "line"),
    [
        ("raw", "`reads: [in/]`"),
        ("other", '`allow: [{actions: ["s3:GetObject"], resources: ["arn:aws:s3:::raw'),
    ],
)
def test_object_of_another_bucket_needs_allow(bucket: str, line: str) -> None:
    text = unauthorized("s3:GetObject", "arn:aws:s3:::raw/in/a.csv")
    error = ClientError("AccessDenied", "GetObject", text)
    explain(error, "enrich", bucket)
    assert f": enrich may not s3:GetObject: write {line}" in describe(error)


@for_each(
    "error",
    [ClientError("NoSuchKey", "GetObject"), ValueError("AccessDenied"), KeyError()],
)
def test_other_error_is_left_alone(error: Exception) -> None:
    explain(error, "enrich")
    assert not hasattr(error, "__notes__")
