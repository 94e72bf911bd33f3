"""A toll on the way from a deployed function to DynamoDB: what passes is counted, and passes as it is.

So the function keeps its role's rights, which its signature stands for. What a request consumes cannot be asked then:
it is counted from the items that it writes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx

from tests.bench.wire import Usage, written_units

if TYPE_CHECKING:
    from productsync.stack import EmbeddedStack

_OF_THE_CONNECTION = {"content-length", "connection", "accept-encoding", "expect"}


class Toll:
    """Passes requests on to the DynamoDB at `endpoint`, and adds up what they take."""

    def __init__(self, endpoint: str) -> None:
        self.usage = Usage()
        self._lock = threading.Lock()
        self._http = httpx.Client(base_url=endpoint, timeout=60)

        class Passage(BaseHTTPRequestHandler):
            """One connection."""

            protocol_version = "HTTP/1.1"

            def do_POST(passage) -> None:  # noqa: N805  # the name is the server's
                body = passage.rfile.read(int(passage.headers["Content-Length"]))
                headers = {
                    name: value for name, value in passage.headers.items() if name.lower() not in _OF_THE_CONNECTION
                }
                answer = self._pass_on(body, headers)
                passage.send_response(answer.status_code)
                for name in ("Content-Type", "x-amzn-RequestId", "x-amz-crc32"):
                    if name in answer.headers:
                        passage.send_header(name, answer.headers[name])
                passage.send_header("Content-Length", str(len(answer.content)))
                passage.end_headers()
                passage.wfile.write(answer.content)

            def log_message(passage, *_: Any) -> None:  # noqa: N805
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Passage)
        self._server.daemon_threads = True

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def open(self) -> None:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._http.close()

    def _pass_on(self, body: bytes, headers: dict[str, str]) -> httpx.Response:
        operation = headers["X-Amz-Target"].rpartition(".")[2]
        answer = self._http.post("/", content=body, headers=headers)
        units = written_units(operation, body)
        with self._lock:
            self.usage.requests[operation] += 1
            if answer.status_code < 400:
                self.usage.write_units += units
            else:
                self.usage.refused += 1
                self.usage.refused_units += units
        return answer


@contextmanager
def toll(stack: EmbeddedStack, function: str) -> Iterator[Toll]:
    """Counts what a deployed function asks of DynamoDB, from its next cold start on. `function` is its logical name."""
    found = stack.aws.cloudformation().describe_stack_resource(
        StackName=stack.state.stack_name, LogicalResourceId=function
    )
    name = found["StackResourceDetail"]["PhysicalResourceId"]
    functions = stack.aws.lambda_()
    configuration = functions.get_function_configuration(FunctionName=name)
    variables = configuration["Environment"]["Variables"]
    counting = Toll(stack.state.aws_endpoint)
    counting.open()
    functions.update_function_configuration(
        FunctionName=name, Environment={"Variables": variables | {"AWS_ENDPOINT_URL_DYNAMODB": counting.endpoint}}
    )
    try:
        yield counting
    finally:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
        counting.close()
