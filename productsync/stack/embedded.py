"""The whole platform on this machine: the embedded AWS with template.yaml deployed into it (design section 10)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Self

from samtranslator.yaml_helper import yaml_parse

from productsync.settings import home
from productsync.stack import process as processes
from productsync.stack.aws import Aws, refusals_told
from productsync.stack.build import build_code
from productsync.stack.deploy import deploy
from productsync.stack.operator_key import create_operator_key
from productsync.stack.state import StackState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from productsync.stack.process import AwsProcess

STACK_NAME = "productsync"
PREFERRED_PORT = 4566
"""Where tools for an embedded AWS look for one; `up` takes it when it is free."""
POLL_SECONDS = 0.05
PARAMETERS = {
    "RequireTls": "false",
    "PreparerConcurrency": "0",
    "WorkerConcurrency": "0",
    "GuardConcurrency": "0",
    "ExporterConcurrency": "0",
    "AuditorConcurrency": "0",
    "AthenaQueries": "false",
    "ScheduleGroupInIam": "false",
    "CorsOrigin": "http://localhost:3000",
    "SourceHosts": "localhost,127.0.0.1",
    "SourceBuckets": "productsync-sources",
}
"""What the embedded stack has otherwise than the template's defaults: it answers on loopback without TLS, limits by
itself how many functions run at once (given as a parameter, it takes the limit for text), and checks rights on
schedules without their group. Pages of
this machine, at the port that most tools for pages take, may call it. Feeds may be fetched from this machine, and from
a bucket that whoever wants it makes.
"""


class EmbeddedStack:
    """A running stack. Several may run side by side: each has its own directory, port and operator key.

    It starts empty and keeps nothing. As a context manager it stops when the block ends::

        with EmbeddedStack.start(directory) as stack:
            print(stack.endpoint, stack.operator_key)
    """

    def __init__(self, directory: Path, process: AwsProcess, state: StackState) -> None:
        self.directory = directory
        self.state = state
        self._process = process

    @classmethod
    def start(
        cls,
        directory: Path,
        *,
        root: Path | None = None,
        preferred_port: int = 0,
        parameters: Mapping[str, str] | None = None,
        outlives_starter: bool = False,
    ) -> Self:
        """Starts the embedded AWS, deploys the checkout at `root` (this one) into it, and makes an operator key.

        `directory` holds everything it writes. `parameters` are the template's. It ends with the process that called
        this, however that ends, unless `outlives_starter`. Raises AlreadyRunning when a stack runs in `directory`, and
        StackFailure when it cannot start or be deployed; nothing is left running then.
        """
        process, url = processes.start(directory, preferred_port=preferred_port, outlives_starter=outlives_starter)
        try:
            state = _deploy(directory, process.pid, url, root or home(), parameters or {})
        except BaseException:
            process.stop()
            raise
        return cls(directory, process, state)

    @classmethod
    def attach(cls, directory: Path) -> Self | None:
        """The stack that runs in `directory`, whoever started it. None when there is none.

        The state of a stack that has gone is cleaned up.
        """
        state = StackState.read(directory)
        process = processes.AwsProcess.find(directory)
        if state is None or process is None or state.pid != process.pid:
            StackState.remove(directory)
            return None
        return cls(directory, process, state)

    @property
    def endpoint(self) -> str:
        """The API's base URL: `{endpoint}/v1/credits`."""
        return self.state.endpoint

    @property
    def operator_key(self) -> str:
        """The key that makes workspaces and top-ups."""
        return self.state.operator_key

    @property
    def outputs(self) -> dict[str, str]:
        """The template's outputs: CreditTable, CatalogTable, WorkTable, DataBucket, the queues' URLs."""
        return self.state.outputs

    @property
    def aws(self) -> Aws:
        """Clients of the embedded AWS."""
        return Aws.embedded(self.state.aws_endpoint, self.state.region)

    def is_healthy(self) -> bool:
        """Whether the embedded AWS answers."""
        return processes.answers(self.state.aws_endpoint)

    def redeploy(self, root: Path | None = None) -> bool:
        """Deploys the code and the template as they are now. False when they are what runs already."""
        before = self.state
        self.state = _deploy(self.directory, before.pid, before.aws_endpoint, root or home(), {}, before)
        return self.state.deployed != before.deployed

    def stop(self) -> None:
        """Stops it, and what it has started; its data is gone."""
        StackState.remove(self.directory)
        self._process.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def up(directory: Path, root: Path | None = None) -> tuple[EmbeddedStack, bool]:
    """The stack in `directory`, running the checkout's code as it is now; and whether it had to be started for that.

    It stays up until `down`. Raises StackFailure.
    """
    stack = EmbeddedStack.attach(directory)
    if stack is not None and stack.is_healthy():
        stack.redeploy(root)
        return stack, False
    if stack is not None:
        stack.stop()
    stack = EmbeddedStack.start(directory, root=root, preferred_port=PREFERRED_PORT, outlives_starter=True)
    return stack, True


def down(directory: Path) -> bool:
    """Stops the stack in `directory`, also one whose start was cut short. False when none was running."""
    StackState.remove(directory)
    process = processes.AwsProcess.find(directory)
    if process is None:
        return False
    process.stop()
    return True


@refusals_told()
def _deploy(
    directory: Path,
    pid: int,
    url: str,
    root: Path,
    parameters: Mapping[str, str],
    before: StackState | None = None,
) -> StackState:
    """Deploys the checkout at `root`, unless it is what `before` says, and writes the state down."""
    aws = Aws.embedded(url, processes.REGION)
    template = (root / "template.yaml").read_text(encoding="utf-8")
    code = build_code(root, processes.work_directory(directory))
    digest = hashlib.sha256(f"{code.digest}\n{template}".encode()).hexdigest()
    if before is not None and before.deployed == digest:
        return before
    deployment = deploy(
        aws,
        root,
        STACK_NAME,
        code=code,
        dependencies=None,
        exports=None,
        parameters={**PARAMETERS, **parameters},
        poll_seconds=POLL_SECONDS,
    )
    outputs = deployment.outputs
    _put_gateway_responses(aws, outputs["ApiId"], yaml_parse(template))
    state = StackState(
        # API Gateway's address by path needs no name that has to be resolved, so it works with every client.
        endpoint=f"{url}/_aws/execute-api/{outputs['ApiId']}",
        aws_endpoint=url,
        region=aws.region,
        operator_key=before.operator_key if before else create_operator_key(aws.dynamodb(), outputs["WorkTable"]),
        pid=pid,
        stack_name=STACK_NAME,
        outputs=outputs,
        deployed=digest,
    )
    state.write(directory)
    return state


def _put_gateway_responses(aws: Aws, api_id: str, template: dict[str, Any]) -> None:
    """Sets the answers that API Gateway gives by itself.

    They are in the API's OpenAPI body, where AWS takes them from; the embedded AWS reads the routes of that body only.
    """
    properties = template["Resources"]["ApiGateway"]["Properties"]
    gateway = aws.apigateway()
    for kind, response in properties["GatewayResponses"].items():
        headers = response["ResponseParameters"]["Headers"]
        status = {"statusCode": str(response["StatusCode"])} if "StatusCode" in response else {}
        gateway.put_gateway_response(
            restApiId=api_id,
            responseType=kind,
            responseParameters={f"gatewayresponse.header.{name}": _text(value) for name, value in headers.items()},
            responseTemplates=response["ResponseTemplates"],
            **status,
        )
    # As on AWS, they take effect when the API is deployed.
    gateway.create_deployment(restApiId=api_id, stageName=properties["StageName"])


def _text(value: Any) -> str:
    """The value of a header: a text, or the one choice that the template leaves to a parameter."""
    if isinstance(value, str):
        return value
    _, named_origin, _ = value["Fn::If"]
    return str(named_origin["Fn::Sub"]).replace("${CorsOrigin}", PARAMETERS["CorsOrigin"])
