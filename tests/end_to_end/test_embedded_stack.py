"""Starting, finding and stopping embedded stacks, and what the deployed template does before any function is asked."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from productsync.failures import StackFailure
from productsync.stack import EmbeddedStack, StackState
from productsync.stack.embedded import down, up
from productsync.stack.process import AlreadyRunning, is_running, log_file

if TYPE_CHECKING:
    from collections.abc import Callable

START_AND_WAIT = """
import sys, time
from pathlib import Path
from productsync.stack import EmbeddedStack
EmbeddedStack.start(Path(sys.argv[1]))
print("up", flush=True)
time.sleep(600)
"""


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_two_stacks_run_side_by_side_and_share_nothing(stack: EmbeddedStack, tmp_path: Path) -> None:
    with EmbeddedStack.start(tmp_path, parameters={"StarterCredits": "7"}) as other:
        assert other.endpoint != stack.endpoint
        assert other.operator_key != stack.operator_key
        for one in (stack, other):
            answer = httpx.get(f"{one.endpoint}/v1/credits", headers={"Authorization": f"Bearer {stack.operator_key}"})
            # The operator's key of one stack is nobody's on the other.
            assert (answer.status_code == 401) == (one is other)
    assert stack.is_healthy()
    assert not is_running(tmp_path)


def test_a_stack_listens_on_loopback_only(stack: EmbeddedStack) -> None:
    assert stack.endpoint.startswith("http://127.0.0.1:")
    assert stack.state.aws_endpoint.startswith("http://127.0.0.1:")


def test_only_its_owner_may_read_the_state(stack: EmbeddedStack) -> None:
    path = stack.directory / "stack.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["operator_key"] == stack.operator_key


def test_up_reuses_what_runs_and_down_ends_it(tmp_path: Path) -> None:
    first, is_new = up(tmp_path)
    try:
        assert is_new
        again, is_new = up(tmp_path)
        assert not is_new
        assert again.state == first.state
        with pytest.raises(AlreadyRunning):
            EmbeddedStack.start(tmp_path)
    finally:
        assert down(tmp_path)
    assert not down(tmp_path)
    assert EmbeddedStack.attach(tmp_path) is None
    assert StackState.read(tmp_path) is None


def test_the_state_of_a_stack_that_was_killed_is_cleaned_up(tmp_path: Path) -> None:
    stack, _ = up(tmp_path)
    os.killpg(stack.state.pid, signal.SIGKILL)
    assert wait_until(lambda: not is_running(tmp_path))
    assert EmbeddedStack.attach(tmp_path) is None
    assert StackState.read(tmp_path) is None
    assert not down(tmp_path)


def test_a_process_that_merely_has_the_same_id_is_left_alone(stack: EmbeddedStack, tmp_path: Path) -> None:
    stack.state.write(tmp_path)
    assert EmbeddedStack.attach(tmp_path) is None
    assert not down(tmp_path)
    assert stack.is_healthy()


def test_a_stack_ends_with_the_process_that_started_it_however_that_ends(tmp_path: Path) -> None:
    starter = subprocess.Popen([sys.executable, "-c", START_AND_WAIT, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    with starter:
        assert starter.stdout.readline() == "up\n"
        starter.kill()
    assert wait_until(lambda: not is_running(tmp_path))


def test_a_stack_that_cannot_start_says_where_its_log_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(StackFailure, match="does not start") as failure:
        EmbeddedStack.start(tmp_path)
    assert str(log_file(tmp_path)) in str(failure.value.hint)
    assert not is_running(tmp_path)


def test_a_stack_that_cannot_be_deployed_says_why_and_leaves_nothing_running(project: Path, tmp_path: Path) -> None:
    template = (project / "template.yaml").read_text(encoding="utf-8")
    broken = template.replace("maxReceiveCount: 5", "maxReceiveCount: 0", 1)
    root = tmp_path / "root"
    root.mkdir()
    (root / "template.yaml").write_text(broken, encoding="utf-8")
    with pytest.raises(StackFailure, match=r"PrepareQueue: .*RedrivePolicy"):
        EmbeddedStack.start(tmp_path / "state", root=root)
    assert not is_running(tmp_path / "state")


def test_an_unknown_parameter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StackFailure, match="no parameter Startercredits"):
        EmbeddedStack.start(tmp_path, parameters={"Startercredits": "1"})


@pytest.mark.parametrize(
    ("path", "headers", "status", "kind"),
    [
        ("/v1/credits", {"Authorization": "Bearer no-such-key"}, 401, "unauthorized"),
        ("/v1/credits", {}, 401, "unauthorized"),
        # Nobody is told which paths exist.
        ("/v1/no-such-path", {}, 401, "unauthorized"),
        ("/v1", {}, 404, "not-found"),
    ],
)
def test_what_api_gateway_answers_by_itself_is_a_problem_document(
    stack: EmbeddedStack, path: str, headers: dict[str, str], status: int, kind: str
) -> None:
    answer = httpx.get(stack.endpoint + path, headers=headers)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == f"/problems/{kind}"
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["X-Request-Id"]


def test_a_run_s_doorbell_reaches_its_queue_and_no_other_change_does(stack: EmbeddedStack, project: Path) -> None:
    """Through the real stream and its filter; the worker finds no such run, and the message is done with."""
    aws = stack.aws
    image = json.loads((project / "events" / "run_dispatcher_new_run.json").read_text())["Records"][0]["dynamodb"]
    silent = {**image["NewImage"], "sk": {"S": "SILENT"}}
    del silent["doorbell"]
    logs = aws.session.client("logs", endpoint_url=stack.state.aws_endpoint)
    for item in (silent, image["NewImage"]):
        aws.dynamodb().put_item(TableName=stack.outputs["WorkTable"], Item=item)

    run_id = image["NewImage"]["run_id"]["S"]

    def dispatched() -> int:
        groups = logs.describe_log_groups()["logGroups"]
        messages = (
            event["message"]
            for group in groups
            for event in logs.filter_log_events(logGroupName=group["logGroupName"])["events"]
        )
        # Other tests of this process use the same stack.
        return sum("doorbell rang" in message and run_id in message for message in messages)

    assert wait_until(lambda: dispatched() > 0)
    assert dispatched() == 1
