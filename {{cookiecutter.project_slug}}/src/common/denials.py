"""Explains requests that AWS denies, with the line of config/deploy.yml to add."""

import re
from typing import Any

from errors import as_text, flatten

# Codes of such answers. S3 answers HEAD requests with the status only.
CODES = re.compile("AccessDenied|AuthorizationError|UnauthorizedOperation|403")
ACTION = re.compile(r"perform: ([a-z0-9-]+:\w+)")
RESOURCE = re.compile(r'on resource: "?(arn:[^\s"]+)')
# Actions of operations that are not named alike, or whose errors name no action.
ACTIONS = {
    **dict.fromkeys(("GetObject", "HeadObject"), "s3:GetObject"),
    **dict.fromkeys(("ListObjects", "ListObjectsV2"), "s3:ListBucket"),
    **dict.fromkeys(
        ("PutObject", "CopyObject", "CreateMultipartUpload", "UploadPart"),
        "s3:PutObject",
    ),
    "DeleteObject": "s3:DeleteObject",
    **dict.fromkeys(
        ("SendMessage", "SendMessageBatch", "GetQueueUrl"), "sqs:SendMessage"
    ),
    "GetSecretValue": "secretsmanager:GetSecretValue",
}


def explain(error: BaseException, function: str, bucket: str = "") -> None:
    """Add a note to each error of AWS that says "access denied".

    The note names the function, the action, and the line of config/deploy.yml that
    allows it.

    Args:
        error: what the function raised.
        function: name of the function.
        bucket: name of the project's bucket, which `reads` and `writes` are about.
    """
    for each in flatten(error):
        # botocore sets the response of a closed connection to None
        response = getattr(each, "response", None) or {}
        details = response.get("Error", {}) if isinstance(response, dict) else {}
        if CODES.search(str(details.get("Code", ""))):
            operation = getattr(each, "operation_name", "")
            action = _find_action(as_text(each), operation)
            line = _find_line(action, _find_resource(as_text(each)), bucket)
            each.add_note(
                f"{function} may not {action}: write `{line}` for {function} in "
                "config/deploy.yml"
            )


def _find_action(text: str, operation: str) -> str:
    found = ACTION.search(text)
    action = found[1] if found else ACTIONS.get(operation, operation)
    # the shim has actions for batches, AWS does not
    return re.sub(r"^(sqs|sns)(:\w+)Batch$", r"\1\2", action)


def _find_resource(text: str) -> str:
    found = RESOURCE.search(text)
    return found[1] if found else ""


def _find_line(action: str, resource: str, bucket: str) -> str:
    """Return the line that allows an action."""
    name, _, key = resource.partition(":::")[2].partition("/")
    prefix = key.rpartition("/")[0] + "/" if "/" in key else "<prefix>/"
    lines: dict[str, Any] = {
        "s3:GetObject": f"reads: [{prefix}]",
        "s3:GetObjectVersion": f"reads: [{prefix}]",
        "s3:ListBucket": "reads: [<prefix>/]",
        "s3:PutObject": f"writes: [{prefix}]",
        "sqs:SendMessage": "sends_to: [<function>]",
        "secretsmanager:GetSecretValue": "secrets: {<SETTING>: <secret's name>}",
    }
    is_elsewhere = bucket and name and name != bucket  # in another bucket
    entry = f'actions: ["{action}"], resources: ["{resource or "<ARN>"}"]'
    own = "allow: [{" + entry + "}]"
    return own if is_elsewhere else str(lines.get(action, own))
