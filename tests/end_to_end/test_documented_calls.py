"""docs/api.md answers its ten questions with commands that work: a shell and curl run them here, in the order of the
page, against the deployed template, and what they print is held against what the page shows. So are the call of the
front page, and the page's lines of Python.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.support.api import Caller
from tests.support.feeds import ROOT

if TYPE_CHECKING:
    from productsync.stack import EmbeddedStack

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
ANSWERS = PAGE.partition("\n## Ten questions\n")[2].partition("\n## ")[0]
TOPICS = (
    "first key",
    "first record",
    "changed since yesterday",
    "push many records",
    "cost",
    "402",
    "409",
    "429",
    "send it again",
    "replace a key",
)

NEEDS_CURL = pytest.mark.skipif(shutil.which("curl") is None, reason="the commands of the page need curl")


@dataclass(frozen=True)
class Step:
    """Some lines for a shell, and what the page shows of their output: a block of a kind, or nothing."""

    commands: str
    kind: str
    shown: str


@dataclass(frozen=True)
class Question:
    """A question of the page, and the steps of its answer."""

    text: str
    steps: tuple[Step, ...]


def questions() -> tuple[Question, ...]:
    """All of the page, in its order."""
    sections = re.findall(r"^### \d+\. ([^\n]+)\n(.*?)(?=^### |\Z)", ANSWERS, re.DOTALL | re.MULTILINE)
    return tuple(Question(text, tuple(_steps(answer))) for text, answer in sections)


def _steps(answer: str) -> Iterator[Step]:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", answer, re.DOTALL | re.MULTILINE)
    for (kind, text), following in zip(blocks, [*blocks[1:], ("sh", "")], strict=True):
        if kind == "sh":
            yield Step(text, *(("", "") if following[0] == "sh" else following))


@dataclass(frozen=True)
class Shell:
    """A shell with nothing of this machine's in it, whose variables outlive each step."""

    directory: Path

    def set(self, **variables: str) -> None:
        lines = [f"export {name}='{value}'\n" for name, value in variables.items()]
        (self.directory / "variables").write_text("".join(lines), encoding="utf-8")

    def get(self, name: str) -> str:
        return self.run(f'printf %s "${name}"')

    def run(self, commands: str, on_complaint: Callable[[str], None] = lambda _line: None) -> str:
        """What the commands print. `on_complaint` is told each line of their standard error while they run."""
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.directory), "LC_ALL": "C.UTF-8"}
        with subprocess.Popen(
            ["/bin/sh", "-c", f"set -a\n. ./variables\n{commands}\nexport -p > variables"],
            cwd=self.directory,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        ) as running:
            complaints = []
            for line in running.stderr or ():
                complaints.append(line)
                on_complaint(line)
            printed, _ = running.communicate()
        assert running.returncode == 0, "".join(complaints)
        return printed


@contextmanager
def throttled(stack: EmbeddedStack, shell: Shell) -> Iterator[Callable[[str], None]]:
    """API Gateway lets no call of the shell's pass, until what is yielded is told that curl waits.

    On AWS the authorizer says which of the gateway's keys a caller has. The embedded API Gateway looks for it in the
    header x-api-key alone, so here curl sends that along.
    """
    gateway = stack.aws.apigateway()
    name = uuid4().hex
    key_id = gateway.create_api_key(name=name, value=name, enabled=True)["id"]
    plan_id = gateway.create_usage_plan(
        name=name,
        throttle={"rateLimit": 0, "burstLimit": 0},
        apiStages=[{"apiId": stack.outputs["ApiId"], "stage": "v1"}],
    )["id"]
    gateway.create_usage_plan_key(usagePlanId=plan_id, keyId=key_id, keyType="API_KEY")
    settings = shell.directory / ".curlrc"
    settings.write_text(f'header = "x-api-key: {name}"\n', encoding="utf-8")

    def open_when_curl_waits(complaint: str) -> None:
        if "Will retry" in complaint:
            limits = ("rateLimit", "burstLimit")
            gateway.update_usage_plan(
                usagePlanId=plan_id,
                patchOperations=[{"op": "replace", "path": f"/throttle/{limit}", "value": "100"} for limit in limits],
            )

    yield open_when_curl_waits
    settings.unlink()
    gateway.delete_usage_plan(usagePlanId=plan_id)
    gateway.delete_api_key(apiKey=key_id)


def without_layout(text: str) -> str:
    """JSON without the space between its parts."""
    return re.sub(r'("(?:[^"\\]|\\.)*")|\s+', lambda part: part[1] or "", text)


def matches(shown: str, printed: str) -> bool:
    """Whether this was printed. `…` stands for anything: within a text of JSON for a part of that text."""
    pattern = "".join(
        re.escape(text).replace("…", r'[^"]*') + re.escape(between).replace("…", ".*")
        for text, between in re.findall(r'("(?:[^"\\]|\\.)*"|)((?:(?!").)*)', without_layout(shown), re.DOTALL)
    )
    return re.fullmatch(pattern, without_layout(printed), re.DOTALL) is not None


def headers(head: str) -> tuple[str, dict[str, str]]:
    """The status, whatever the version of HTTP, and the headers by their names in small letters."""
    first, *lines = head.splitlines()
    named = (line.partition(": ") for line in lines)
    return first.split()[1], {name.lower(): value for name, _, value in named}


def check(step: Step, printed: str) -> None:
    """Holds what a step has printed against what the page shows of it."""
    where = f"{step.commands}\nprinted {printed}\nand not {step.shown}"
    if step.kind == "http":
        head, _, body = printed.replace("\r\n", "\n").partition("\n\n")
        shown_head, _, shown_body = step.shown.partition("\n\n")
        (status, sent), (shown_status, shown) = headers(head), headers(shown_head)
        assert status == shown_status, where
        for name, value in shown.items():
            assert matches(value, sent.get(name, "")), f"{name}: {where}"
            assert name in sent, where
        printed, expected = body, shown_body
    else:
        expected = step.shown
    assert step.kind or not expected
    if step.kind:
        assert matches(expected, printed), where


def test_the_page_answers_ten_questions_and_shows_what_is_answered() -> None:
    asked = questions()
    assert [topic for topic, question in zip(TOPICS, asked, strict=True) if topic not in question.text] == []
    for question in asked:
        assert any("curl" in step.commands and step.shown for step in question.steps), question.text
    assert {step.kind for question in asked for step in question.steps} <= {"http", "json", "text", ""}


@pytest.mark.parametrize(
    ("shown", "printed", "is_it"),
    [
        ('{"a": "x", "b": 1}', '{"a":"x","b":1}', True),
        ('{"a": "x y"}', '{"a":"xy"}', False),
        ('{"a": "psk_…", …}', '{"a":"psk_1","b":{"c":2}}', True),
        ('{"a": "psk_…"}', '{"a":"psk_1","b":"2"}', False),
        ('{"a": …}', '{"b": 1}', False),
        ('{"items": [{"a": "…", …}, …], "n": null}', '{"items":[{"a":"1","b":2},{"a":"2"}],"n":null}', True),
        ("200\n200", "200\n404\n", False),
    ],
)
def test_what_is_shown_is_compared(shown: str, printed: str, is_it: bool) -> None:
    assert matches(shown, printed) is is_it


def test_a_header_that_is_shown_has_to_be_there() -> None:
    step = Step("", "http", "HTTP/2 200\nidempotency-replayed: true\nx-operation-id: …\n\n{}\n")
    check(step, "HTTP/1.1 200 OK\r\nIdempotency-Replayed: true\r\nX-Operation-Id: op_1\r\nDate: now\r\n\r\n{}")
    for wrong in (
        "HTTP/1.1 201 Created\r\nIdempotency-Replayed: true\r\nX-Operation-Id: op_1\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nIdempotency-Replayed: true\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nIdempotency-Replayed: false\r\nX-Operation-Id: op_1\r\n\r\n{}",
        'HTTP/1.1 200 OK\r\nIdempotency-Replayed: true\r\nX-Operation-Id: op_1\r\n\r\n{"a": 1}',
    ):
        with pytest.raises(AssertionError):
            check(step, wrong)


def test_the_lines_of_python_work(stack: EmbeddedStack, customer: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    (lines,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    exec(lines, {"endpoint": stack.endpoint, "key": customer.key})  # noqa: S102  # the page is ours
    said = capsys.readouterr().out.splitlines()
    assert said == ["90 created for 91 credits"] * 2 + ["20 created for 21 credits"]


@NEEDS_CURL
def test_the_call_on_the_front_page_works(tmp_path: Path, stack: EmbeddedStack, customer: Caller) -> None:
    front = (ROOT / "README.md").read_text(encoding="utf-8")
    (call,) = re.findall(r"^```sh\n(curl .*?)^```$", front, re.DOTALL | re.MULTILINE)
    shell = Shell(tmp_path)
    shell.set(ENDPOINT=stack.endpoint, KEY=customer.key)
    assert json.loads(shell.run(call))["attributes"] == {"title": "Drill", "price": 99.5}
    assert "# 2 credits" in call
    assert customer.available() == 4_998


@NEEDS_CURL
def test_the_commands_of_the_page_print_what_it_shows(
    tmp_path: Path,
    stack: EmbeddedStack,
    add_record: Callable[[Caller, str, dict[str, Any]], None],
    spend: Callable[[Caller, int], None],
) -> None:
    """Between the questions there happens to the reader what these are about; all else is the page's own."""
    asked_for = re.findall(r"^(\w+)=", ANSWERS.partition("\n### ")[0], re.MULTILINE)
    assert asked_for == ["ENDPOINT", "OPERATOR_KEY"]
    shell = Shell(tmp_path)
    shell.set(ENDPOINT=stack.endpoint, OPERATOR_KEY=stack.operator_key)

    def play(question: Question, on_complaint: Callable[[str], None] = lambda _line: None) -> None:
        for step in question.steps:
            check(step, shell.run(step.commands, on_complaint))

    def customer() -> Caller:
        return Caller(stack.endpoint, shell.get("FIRST_KEY"), shell.get("WORKSPACE_ID"))

    for topic, question in zip(TOPICS, questions(), strict=True):
        if topic == "changed since yesterday":
            for number in range(120):
                add_record(customer(), f"changed-{number:03d}", {"n": number})
            play(question)
            pulled = (tmp_path / "changes.jsonl").read_text(encoding="utf-8")
            assert len(pulled.splitlines()) == 2
            keys = [f"changed-{number:03d}" for number in range(120)]
            assert sorted(re.findall(r'"key":"([^"]*)"', pulled)) == ["M8/40", *keys]
        elif topic == "402":
            spend(customer(), customer().available())
            play(question)
        elif topic == "429":
            with throttled(stack, shell) as open_when_curl_waits:
                play(question, open_when_curl_waits)
        else:
            play(question)
