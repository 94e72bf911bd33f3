"""The deployed API against its own document: schemathesis makes up calls, with all its checks on; afterwards the books
balance, and nothing is left running.

`CONTRACT_EXAMPLES=100 pytest tests/end_to_end/test_contract.py` looks for more.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from functions.api.openapi import PATH
from tests.support.api import Caller, law_4, top_up
from tests.support.books import Books
from tests.support.contract import Effort, bring_to_rest, hold, prepare

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from tests.support.stack import Tables

pytestmark = pytest.mark.slow

GROUPS = {
    "records": ("Records",),
    "feeds": ("Feeds", "Runs"),
    "rules": ("Rules", "Schedules"),
    "credits": ("Credits", "Keys", "Documents"),
}
"""What is called at once, each in a workspace of its own: the document's tags."""

OPERATORS = ("Workspaces",)
EFFORT = Effort(examples=int(os.environ.get("CONTRACT_EXAMPLES", "5")), sequences=5)


def test_every_part_of_the_document_is_called() -> None:
    described = {tag["name"] for tag in json.loads(PATH.read_text(encoding="utf-8"))["tags"]}
    assert {*OPERATORS, *(tag for tags in GROUPS.values() for tag in tags)} == described


def test_the_api_is_what_its_document_says(
    operator: Caller,
    new_customer: Callable[[], Caller],
    dynamodb: DynamoDBClient,
    tables: Tables,
    tmp_path: Path,
) -> None:
    customers = {name: new_customer() for name in (*GROUPS, "operators")}
    for customer in customers.values():
        # Being refused for want of credits is tested elsewhere.
        top_up(operator, customer, 1_000_000)
    names = {name: prepare(customer) for name, customer in customers.items()}

    def called(name: str, tags: tuple[str, ...]) -> str:
        caller = operator if tags == OPERATORS else customers[name]
        done = hold(tmp_path / name, caller, names[name], EFFORT, *tags)
        return "" if done.returncode == 0 else done.stdout + done.stderr

    wanted = {**GROUPS, "operators": OPERATORS}
    with ThreadPoolExecutor(len(wanted)) as pool:
        found = "".join(pool.map(called, wanted, wanted.values()))
    assert not found, found

    for customer in customers.values():
        bring_to_rest(customer)
        law_4(customer)
        Books(customer.workspace_id, dynamodb, tables).audit()
