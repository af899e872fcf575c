"""Find what functions do with the context and `config/deploy.yml` does not declare.

IAM would deny it where the function is deployed. This sees calls whose arguments are
written out; the shim denies all others, too, after `make deploy ENV=local`.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache

from tools.errors import suggest
from tools.setting_layers import Config, merge

Fault = tuple[ast.expr, str]  # where it is, and what to declare

WHERE = "in config/deploy.yml"
ALLOW = 'allow: [{actions: ["ACTION"], resources: ["arn:…"]}]'
READS = {
    *("get_object", "head_object", "download_file", "download_fileobj"),
    *("list_objects", "list_objects_v2"),
}
WRITES = {
    *("put_object", "copy_object", "copy", "upload_file", "upload_fileobj"),
    "create_multipart_upload",
}
DELETES = {"delete_object", "delete_objects"}
# What other declarations, or none, allow with these clients.
WITHOUT_ALLOW = {"sqs", "sts"}


class Declared:
    """What a function may do in at least one environment.

    Args:
        config: the content of `config/deploy.yml`.
        name: of the function.
    """

    def __init__(self, config: Config, name: str) -> None:
        every = [merge(config, env, name) for env in config["environments"]]
        self.lists = {
            key: _union(every, key) for key in ("sends_to", "reads", "writes")
        }
        self.readable = self.lists["reads"] + [
            each.get("prefix", f"{name}/")
            for each in every
            if each["trigger"] == "bucket"
        ]
        self.actions = [
            action
            for each in every
            for permission in each["allow"]
            for action in permission["actions"]
        ]
        self.services = {action.partition(":")[0] for action in self.actions}
        if self.readable or self.lists["writes"]:
            self.services.add("s3")
        if any(each["secrets"] for each in every):
            self.services.add("secretsmanager")
        self.has_database = all(each["database"] for each in every)


class Source:
    """A function's source code: its context, and names that stand for other things."""

    def __init__(self, tree: ast.Module) -> None:
        arguments = [each for each in ast.walk(tree) if isinstance(each, ast.arg)]
        self._contexts = {"context"} | {
            each.arg
            for each in arguments
            if isinstance(each.annotation, ast.Name)
            and each.annotation.id == "CustomContext"
        }
        assigned = [
            (each.targets[0].id, each.value)
            for each in ast.walk(tree)
            if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name)
        ]
        uses = Counter(
            [name for name, _ in assigned] + [each.arg for each in arguments]
        )
        self._values = {name: value for name, value in assigned if uses[name] == 1}

    def is_context(self, node: ast.expr) -> bool:
        """Return whether an expression is the context."""
        return isinstance(node, ast.Name) and node.id in self._contexts

    def is_s3(self, node: ast.expr) -> bool:
        """Return whether an expression is the context's client of S3."""
        node = self.resolve(node)
        if isinstance(node, ast.Attribute):
            return node.attr == "s3" and self.is_context(node.value)
        return (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "client"
            and self.is_context(node.func.value)
            and self.read_text(node) == "s3"
        )

    def resolve(self, node: ast.expr) -> ast.expr:
        """Return what a name stands for, if that is assigned once; else the node."""
        return self._values.get(node.id, node) if isinstance(node, ast.Name) else node

    def read_text(self, call: ast.Call) -> str:
        """Return the first argument of a call; empty if it is not written out."""
        found = [*call.args, *(each.value for each in call.keywords)]
        node = self.resolve(found[0]) if found else None
        return str(node.value) if isinstance(node, ast.Constant) else ""

    def read_key(self, call: ast.Call) -> str:
        """Return how `Key` or `Prefix` begins, as far as that is written out."""
        for each in call.keywords:
            if each.arg in ("Key", "Prefix"):
                return self._read_start(each.value)
        return ""

    def _read_start(self, node: ast.expr) -> str:
        node = self.resolve(node)
        if isinstance(node, ast.JoinedStr) and node.values:
            node = node.values[0]
        if isinstance(node, ast.BinOp):
            return self._read_start(node.left)
        return str(node.value) if isinstance(node, ast.Constant) else ""


def find_faults(
    name: str, tree: ast.Module, config: Config, functions: list[str]
) -> Iterator[Fault]:
    """Yield what a function does without declaring it.

    Args:
        name: of the function.
        tree: its source code.
        config: the content of `config/deploy.yml`.
        functions: names of all functions.
    """
    declared, source = Declared(config, name), Source(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call | ast.Attribute):
            continue
        problem = ""
        if isinstance(node, ast.Attribute):
            is_rds = node.attr == "rds" and source.is_context(node.value)
            if is_rds and not declared.has_database:
                problem = f"context.rds: remove database: false from {name} {WHERE}"
        elif isinstance(node.func, ast.Attribute):
            method, owner = node.func.attr, node.func.value
            if source.is_context(owner) and method == "send":
                problem = _check_send(name, source.read_text(node), declared, functions)
            elif source.is_context(owner) and method == "client":
                problem = _check_client(name, source.read_text(node), declared)
            elif source.is_s3(owner):
                problem = _check_s3(name, method, source.read_key(node), declared)
        if problem:
            yield node, problem


def _check_send(name: str, to: str, declared: Declared, functions: list[str]) -> str:
    if not to or to in declared.lists["sends_to"]:
        return ""
    if to not in functions:
        remedy = suggest(to, functions)
        return f'context.send("{to}"): there is no src/func/{to}.py: {remedy}'
    names = ", ".join([*declared.lists["sends_to"], to])
    return f'context.send("{to}"): add sends_to: [{names}] to {name} {WHERE}'


def _check_client(name: str, client: str, declared: Declared) -> str:
    if not client or client in WITHOUT_ALLOW:
        return ""
    services = _list_services(client)
    if not services:
        remedy = suggest(client, _list_clients())
        return f'context.client("{client}"): boto3 has no such client: {remedy}'
    if services & declared.services:
        return ""
    line = ALLOW.replace("ACTION", f"{client}:…")
    return f'context.client("{client}"): add its actions to {name} {WHERE}: {line}'


def _check_s3(name: str, method: str, key: str, declared: Declared) -> str:
    prefix = key[: key.rfind("/") + 1] or key or "prefix/"
    if method in DELETES and "s3:DeleteObject" not in declared.actions:
        line = ALLOW.replace("ACTION", "s3:DeleteObject")
        return f"{method}: add its action to {name} {WHERE}: {line}"
    for methods, action, word, prefixes in (
        (READS, "s3:GetObject", "reads", declared.readable),
        (WRITES, "s3:PutObject", "writes", declared.lists["writes"]),
    ):
        is_declared = any(
            key.startswith(each) or each.startswith(key) for each in prefixes
        )
        if method in methods and not is_declared and action not in declared.actions:
            line = f"{word}: [{', '.join([*declared.lists[word], prefix])}]"
            return f"{method}: add {line} to {name} {WHERE}"
    return ""


def _union(settings: list[Config], key: str) -> list[str]:
    """Return the values of a list in all environments, each once."""
    return list(dict.fromkeys(value for each in settings for value in each[key]))


@cache
def _list_services(client: str) -> set[str]:
    """Return what the actions of a client of boto3 may begin with; empty for none.

    They are those of its name, its endpoint or its signature: `states:` for
    "stepfunctions", `ses:` for "sesv2".
    """
    from botocore.exceptions import UnknownServiceError
    from botocore.loaders import Loader

    try:
        found = Loader().load_service_model(client, "service-2")["metadata"]
    except UnknownServiceError:
        return set()
    names = {client, found["endpointPrefix"], found.get("signingName", client)}
    return names | {each.partition("-")[0] for each in names}


def _list_clients() -> list[str]:
    from botocore.loaders import Loader

    return list(Loader().list_available_services("service-2"))
