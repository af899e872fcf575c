"""Record the calls of AWS's API that pass a proxy, as IAM's actions."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from botocore.loaders import Loader

from baking import Project, free_port

# Names of services in signatures that IAM has another prefix for.
PREFIXES = {"monitoring": "cloudwatch"}
# Operations that IAM has another action for, and those that it always allows.
ACTIONS = {
    "s3:CopyObject": "s3:PutObject",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:GetBucketAccelerateConfiguration": "s3:GetAccelerateConfiguration",
    "s3:GetBucketCors": "s3:GetBucketCORS",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetBucketLifecycle": "s3:GetLifecycleConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "s3:GetBucketReplication": "s3:GetReplicationConfiguration",
    "s3:GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:PutBucketNotificationConfiguration": "s3:PutBucketNotification",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    # without the resource; the settings of a bucket go with the setting
    "s3:DeleteBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
    "s3:DeleteBucketOwnershipControls": "s3:PutBucketOwnershipControls",
    "s3:DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sts:GetCallerIdentity": "",
}


class Recorded(NamedTuple):
    """A call: IAM's action, the client's name for itself, and what it is about."""

    action: str
    agent: str
    resource: str


class Recorder:
    """An HTTP proxy on a free port of the loopback interface that records calls.

    Args:
        upstream: URL of the server.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.calls: list[Recorded] = []
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def actions(self, agent: str = "") -> set[str]:
        """Return the actions of the clients whose name has a text."""
        return {each.action for each in self.calls if agent in each.agent} - {""}


@contextmanager
def record(project: Project, file: Path) -> Iterator[Recorder]:
    """Record the calls of a project whose variables a file has.

    Args:
        project: the project.
        file: the file with `AWS_ENDPOINT_URL`, below the project's directory.
    """
    path = project.path / file
    text = path.read_text(encoding="utf-8")
    [upstream, *_] = re.findall(r"AWS_ENDPOINT_URL=(\S+)", text)
    recorder = Recorder(upstream)
    handler = type("Handler", (_Handler,), {"recorder": recorder})
    server = ThreadingHTTPServer(("127.0.0.1", recorder.port), handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.05,)).start()
    path.write_text(
        re.sub(r"(AWS_ENDPOINT_URL\w*=)http\S+", rf"\g<1>{recorder.url}", text),
        encoding="utf-8",
    )
    try:
        yield recorder
    finally:
        path.write_text(text, encoding="utf-8")
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    recorder: Recorder
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.headers.get("Transfer-Encoding"):
            body = b"".join(iter(self._read_chunk, b""))
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._record(body)
        connection = HTTPConnection(self.recorder.upstream)
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in ("transfer-encoding", "expect")
        }
        headers["Content-Length"] = str(len(body))
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in (
                "transfer-encoding",
                "connection",
                "content-length",
            ):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") or len(content)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        connection.close()

    # http.server looks for these names
    do_POST = do_PUT = do_HEAD = do_DELETE = do_PATCH = do_GET  # noqa: N815

    def _read_chunk(self) -> bytes:
        size = int(self.rfile.readline().partition(b";")[0], 16)
        chunk = self.rfile.read(size)
        self.rfile.readline()
        return chunk

    def _record(self, body: bytes) -> None:
        # Credential=<key>/<date>/<region>/<service>/aws4_request
        scope = self.headers.get("Authorization", "").partition("Credential=")[2]
        service = (scope.split("/") + [""] * 4)[3]
        if not service:
            return
        fields = parse_body(body)
        target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        operation = (
            target
            or str(fields.get("Action", ""))
            or find_operation(service, self.command, self.path)
        )
        name = f"{PREFIXES.get(service, service)}:{operation}"
        agent = self.headers.get("User-Agent", "")
        resource = find_resource(service, self.path, fields)
        self.recorder.calls.append(Recorded(ACTIONS.get(name, name), agent, resource))

    def log_message(self, *words: object) -> None:
        """Log nothing."""


def parse_body(body: bytes) -> dict[str, Any]:
    """Return the fields of a request in JSON or in a form; none of other bodies."""
    try:
        if body.startswith(b"{"):
            fields: dict[str, Any] = json.loads(body)
            return fields
        return {name: value for name, [value, *_] in parse_qs(body.decode()).items()}
    except ValueError:
        return {}


def find_operation(service: str, method: str, path: str) -> str:
    """Return the operation of a request whose path names it.

    Of several, the one that needs most of the path and of the query is it.
    """
    url = urlsplit(path)
    query = parse_qs(url.query, keep_blank_values=True)
    found = [
        (len(needed), pattern.pattern.count("/"), operation)
        for operation, verb, pattern, needed in list_operations(service)
        if verb == method and pattern.fullmatch(url.path) and needed <= query.keys()
    ]
    return max(found)[2] if found else f"{method} {path}"


@cache
def list_operations(service: str) -> list[tuple[str, str, re.Pattern[str], set[str]]]:
    """Return name, method, path and query of each operation of a service."""
    model = Loader().load_service_model(service, "service-2")
    found = []
    for name, each in model["operations"].items():
        path, _, query = each["http"]["requestUri"].partition("?")
        pattern = "".join(
            (".+" if part.endswith("+}") else "[^/]+")
            if part.startswith("{")
            else re.escape(part)
            for part in re.split(r"(\{[^}]+\})", path)
        )
        compiled = re.compile(f"{pattern}/?")
        needed = {word.partition("=")[0] for word in query.split("&") if word}
        shape = model["shapes"].get(each.get("input", {}).get("shape"), {})
        needed |= {
            member["locationName"]
            for key, member in shape.get("members", {}).items()
            if member.get("location") == "querystring"
            and key in shape.get("required", ())
        }
        found.append((name, each["http"]["method"], compiled, needed))
    return found


def find_resource(service: str, path: str, fields: dict[str, Any]) -> str:
    """Return what a call is about: an ARN without account and region, or nothing.

    Only of the services that the operators' targets call.
    """
    if service == "s3":
        return f"s3 {urlsplit(path).path.strip('/')}"
    for key in ("QueueName", "QueueUrl", "SourceArn"):
        if service == "sqs" and key in fields:
            return f"sqs {re.split('[/:]', fields[key])[-1]}"
    if service == "logs" and "logGroupName" in fields:
        return f"logs log-group:{fields['logGroupName']}:*"
    if service == "lambda" and (name := re.search("/functions/([^/]+)", path)):
        return f"lambda function:{name[1]}"
    if service == "rds" and "DBClusterIdentifier" in fields:
        return f"rds cluster:{fields['DBClusterIdentifier']}"
    return "*"
