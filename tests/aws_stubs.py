"""Stubs of AWS for situations that no emulator offers."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs


class Request(NamedTuple):
    """A request: the action's name and its parameters."""

    action: str
    parameters: dict[str, Any]


class Answer(NamedTuple):
    """A response: status, and a body of JSON or XML."""

    status: int
    text: str


AnswerFunction = Callable[[Request], Answer]


def as_json(value: Any, status: int = 200) -> Answer:
    """Return a JSON answer."""
    return Answer(status, json.dumps(value))


@contextmanager
def answering(answer: AnswerFunction) -> Iterator[str]:
    """Serve answers on the loopback interface; yield the URL.

    JSON services name the action in a header or in the path, others in a form.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(size).decode("utf-8", "replace")
            target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
            kind = self.headers.get("Content-Type", "")
            if "x-www-form-urlencoded" in kind:
                parameters = {name: found[0] for name, found in parse_qs(body).items()}
                found = answer(Request(parameters["Action"], parameters))
            elif "json" in kind:
                found = answer(
                    Request(target or self.path.strip("/"), json.loads(body))
                )
            else:
                found = answer(Request("S3", {}))
            data = found.text.encode()
            self.send_response(found.status)
            self.send_header("Content-Length", str(len(data)))
            if found.text.startswith("{"):
                self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_PUT = do_HEAD = do_POST  # noqa: N815 - http.server looks for this name

        def log_message(self, *words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def expired(request: Request) -> Answer:
    """Refuse a request as AWS does when a session has ended."""
    message = "The security token included in the request is expired"
    error = f"<Error><Code>ExpiredToken</Code><Message>{message}</Message></Error>"
    if request.action == "S3":
        return Answer(400, error)
    if "Action" in request.parameters:
        return Answer(403, f"<ErrorResponse>{error}</ErrorResponse>")
    return as_json({"__type": "ExpiredTokenException", "message": message}, 400)


def redriving(messages: int) -> AnswerFunction:
    """Return an SQS whose move task redrives so many messages in three steps."""
    steps = iter([("RUNNING", 0), ("RUNNING", messages // 2), ("COMPLETED", messages)])

    def answer(request: Request) -> Answer:
        counts = dict.fromkeys(("", "NotVisible", "Delayed"), "0") | {"": str(messages)}
        attributes = {f"ApproximateNumberOfMessages{k}": v for k, v in counts.items()}
        arn = "arn:aws:sqs:eu-west-1:111122223333:dead"
        if request.action == "GetQueueUrl":
            return as_json(
                {"QueueUrl": f"http://sqs/1/{request.parameters['QueueName']}"}
            )
        if request.action == "GetQueueAttributes":
            return as_json({"Attributes": {**attributes, "QueueArn": arn}})
        assert request.parameters["SourceArn"] == arn
        if request.action == "StartMessageMoveTask":
            return as_json({"TaskHandle": "task"})
        status, moved = next(steps)
        task = {"Status": status, "ApproximateNumberOfMessagesMoved": moved}
        return as_json({"Results": [task]})

    return answer


CLUSTER = """
<DescribeDBClustersResponse><DescribeDBClustersResult><DBClusters><DBCluster>
<DBClusterArn>arn:aws:rds:eu-west-1:111122223333:cluster:{name}</DBClusterArn>
<HttpEndpointEnabled>{is_open}</HttpEndpointEnabled>
<MasterUserSecret><SecretArn>arn:of:the:secret</SecretArn></MasterUserSecret>
</DBCluster></DBClusters></DescribeDBClustersResult></DescribeDBClustersResponse>"""


def data_api(
    is_open: bool = True, rows: dict[str, str] | None = None
) -> AnswerFunction:
    """Return an RDS whose cluster is paused at first, and then returns rows.

    Args:
        is_open: whether the cluster has the Data API.
        rows: pairs of texts to return instead of the usual two rows.
    """
    paused = iter([True])

    def answer(request: Request) -> Answer:
        if request.action == "DescribeDBClusters":
            name = request.parameters["DBClusterIdentifier"]
            text = CLUSTER.replace("{name}", name)
            return Answer(200, text.replace("{is_open}", str(is_open).lower()))
        assert request.action == "Execute", request
        assert request.parameters["secretArn"] == "arn:of:the:secret"
        if next(paused, False):
            error = {"__type": "DatabaseResumingException", "message": "wait"}
            return as_json(error, 400)
        if "oops" in request.parameters["sql"]:
            error = {"__type": "DatabaseErrorException", "message": "ERROR: no oops"}
            return as_json(error, 400)
        records: list[list[dict[str, Any]]] = [
            [{"longValue": 7}, {"stringValue": "anna"}],
            [{"longValue": 8}, {"isNull": True}],
        ]
        if rows:
            records = [
                [{"stringValue": text} for text in pair] for pair in rows.items()
            ]
        columns = [{"label": "id"}, {"label": "visitor"}]
        return as_json({"records": records, "columnMetadata": columns})

    return answer
