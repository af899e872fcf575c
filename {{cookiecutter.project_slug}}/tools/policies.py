"""Fill in the IAM policies of `infra/policies/` for an environment.

The files have placeholders, as `allow` in `config/deploy.yml` has. Each becomes a
managed policy `<project>-<env>-<file>`, which an administrator attaches to roles. One
of them is the permissions boundary of the roles that deployments create.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tools.errors import UserError
from tools.grants import Statement
from tools.project import ROOT

FILES = ROOT / "infra" / "policies"
BOUNDARY = "boundary"
# Of a managed policy, without white space, see
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
LIMIT = 6144
# What the boundary's own file allows for all names of the environment.
COVERED = (
    *("ReceiveMessages", "SendMessages"),
    *("ReadObjects", "ListBucket", "WriteObjects"),
)
NOT_PROTECTED = "BucketEmptiedByDestroy"
IN_EXISTING_NETWORK = "GroupInExistingNetwork"

Document = dict[str, Any]


def fill(
    spec: Mapping[str, Any], files: Iterable[Path], values: Mapping[str, str]
) -> dict[str, Document]:
    """Return policies by their names.

    Args:
        spec: what `function_specs.resolve` returns for the environment.
        files: some of `infra/policies/`.
        values: of the placeholders.

    Raises:
        UserError: a policy is longer than AWS allows.
    """
    settings = spec["settings"]
    is_protected = (settings.get("database") or {}).get("is_protected")
    vpc = (settings.get("network") or {}).get("vpc")
    left_out = {NOT_PROTECTED: is_protected, IN_EXISTING_NETWORK: not vpc}
    documents = {}
    for file in sorted(files):
        document = json.loads(file.read_text(encoding="utf-8"))
        if file.stem == BOUNDARY:
            document["Statement"] += list_declared(spec["functions"].values())
        document["Statement"] = [
            each for each in document["Statement"] if not left_out.get(each["Sid"])
        ]
        text = json.dumps(document)
        for placeholder, value in {"vpc": vpc or "", **values}.items():
            text = text.replace("{" + placeholder + "}", value)
        name = f"{values['prefix']}-{file.stem}"
        length = len(re.sub(r"\s", "", text))
        if length > LIMIT:
            raise UserError(
                f"the policy {name} has {length} characters, and AWS allows {LIMIT}: "
                "shorten infra/policies/, or secrets and allow in config/deploy.yml"
            )
        documents[name] = json.loads(text)
    return documents


def list_declared(functions: Iterable[Mapping[str, Any]]) -> list[Statement]:
    """Return what functions declare beyond the boundary's own file.

    Statements with the same actions are joined, for a boundary that is not too long.

    Args:
        functions: settings with `statements`, see `function_specs.resolve`.
    """
    joined: dict[tuple[str, ...], set[str]] = {}
    for function in functions:
        for each in function["statements"]:
            if each["Sid"] not in COVERED:
                actions = tuple(sorted(each["Action"]))
                joined.setdefault(actions, set()).update(each["Resource"])
    return [
        {
            "Sid": f"Declared{number}",
            "Effect": "Allow",
            "Action": list(actions),
            "Resource": sorted(resources),
        }
        for number, (actions, resources) in enumerate(sorted(joined.items()), 1)
    ]
