"""docs/api.md says what the API's document says: every operation with its scopes and its price, every kind of problem
with its status; and its limits are those of the code.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from samtranslator.yaml_helper import yaml_parse

from functions.api.models.keys import DEFAULT_OVERLAP_SECONDS, MAX_OVERLAP_SECONDS
from functions.api.openapi import PATH
from functions.api.paging import DEFAULT_LIMIT, MAX_LIMIT
from functions.api.requests import MAX_BODY_BYTES
from shared.catalog import MAX_KEY_BYTES
from shared.catalog.store import MAX_QUERIES, PAGE_BYTES
from shared.dynamo.values import MAX_ITEM_BYTES
from shared.edits import MAX_BATCH, MAX_BATCH_BYTES
from shared.edits.attributes import MAX_DEPTH, MAX_NAME
from shared.feeds.exact_numbers import MAX_DIGITS
from shared.pace import RUN_START_WEIGHT
from shared.rules.model import MAX_RULES
from shared.workspaces.key_commands import KEY_PACE
from shared.workspaces.key_store import MAX_KEYS
from tests.support.feeds import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
_PRICE = re.compile(
    r"(?P<call>\d+)(?:, and (?P<record>\d+) (?:if|for each) [^;]+)?"
    r"(?:; by hand (?P<by_hand>\d+)(?:, and (?P<by_hand_record>\d+) for each record)?)?"
    r"(?:; each firing .+)?"
)
Price = dict[str, int]


@cache
def document() -> Any:
    return json.loads(PATH.read_text(encoding="utf-8"))


def operations() -> dict[str, dict[str, Any]]:
    """Every operation of the document, by its method and path."""
    return {
        f"{method.upper()} /v1{path.removeprefix('/v1')}": operation
        for path, item in document()["paths"].items()
        for method, operation in item.items()
        if method in {"get", "post", "put", "patch", "delete"}
    }


def section(heading: str) -> str:
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def words(heading: str) -> str:
    """A section, wherever its lines break."""
    return " ".join(section(heading).split())


def told() -> dict[str, tuple[set[str], Price]]:
    """The page's table: of each call the scopes, any of which is enough, and the price."""
    found: dict[str, tuple[set[str], Price]] = {}
    for row in re.findall(r"^\| (`[A-Z]+ /.+) \|$", section("Paths, scopes and prices"), re.MULTILINE):
        calls, scopes, price = row.split(" | ")
        for call in re.findall(r"`([A-Z]+ /[^`]+)`", calls):
            assert call not in found, call
            named = set() if scopes.startswith("none") else set(scopes.split(" or "))
            found[call] = named, _price(price)
    return found


def _price(text: str) -> Price:
    match = _PRICE.fullmatch(text)
    assert match is not None, text
    price = {part: int(credits or 0) for part, credits in match.groupdict().items()}
    assert match["by_hand"] is not None or price["call"] == 0, f"what does it cost by hand? {text}"
    return price


def test_the_table_has_every_operation_and_nothing_else() -> None:
    assert sorted(told()) == sorted(operations())


def test_the_table_has_the_scopes_and_the_price_of_each() -> None:
    assert told() == {call: (_scopes(operation), operation["x-credits"]) for call, operation in operations().items()}


def _scopes(operation: dict[str, Any]) -> set[str]:
    """Those of keys. What people may do follows from them."""
    return {scope for requirement in operation["security"] for scope in requirement.get("apiKey", ())}


def test_every_write_takes_an_idempotency_key_but_a_preview_which_writes_nothing() -> None:
    without = {
        call
        for call, operation in operations().items()
        if {"$ref": "#/components/parameters/Idempotency-Key"} not in operation.get("parameters", ())
    }
    assert {call for call in without if not call.startswith("GET ")} == {"POST /v1/rules/{rule_id}/preview"}
    assert "Every `POST`, `PUT`, `PATCH` and `DELETE`, but a rule's preview, takes an `Idempotency-Key`" in PAGE


def test_the_problems_are_those_of_the_document_with_their_status() -> None:
    rows = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \| (\d{3})", section("Problems"), re.MULTILINE)
    listed = [(f"/problems/{slug}", status) for slugs, status in rows for slug in re.findall(r"[a-z-]+", slugs)]
    answered = {
        (kind, status)
        for operation in operations().values()
        for status, answer in operation["responses"].items()
        if status >= "400"
        for kind in _kinds(answer)
    }
    assert sorted(listed) == sorted(answered)


def _kinds(answer: dict[str, Any]) -> list[str]:
    """The kinds of problems that an answer tells of."""
    if "$ref" in answer:
        answer = document()["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    kinds: list[str] = answer["content"]["application/problem+json"]["schema"]["properties"]["type"]["enum"]
    return kinds


def test_the_limits_are_those_of_the_code() -> None:
    limits, records, keys = words("Limits"), words("Records"), words("Keys")
    assert f"| a body | {MAX_BODY_BYTES:,} bytes | 413 |" in limits
    assert f"at most {MAX_BODY_BYTES // 1024} KB" in PAGE
    assert f"| a record, with its key | {MAX_ITEM_BYTES:,} bytes | 413 |" in limits
    assert f"| the records of a batch; together | {MAX_BATCH}; {MAX_BATCH_BYTES:,} bytes | 422; 413 |" in limits
    assert f"writes 1 to {MAX_BATCH} records" in records
    assert f"| the key of a record | {MAX_KEY_BYTES:,} bytes | 422 |" in limits
    assert f"| {MAX_NAME:,} characters; {MAX_DEPTH} levels; {MAX_DIGITS} | 422 |" in limits
    assert f"A key has 1 to {MAX_KEY_BYTES:,} bytes, a record at most {MAX_ITEM_BYTES:,} with its key" in records
    assert f"looked through {MAX_QUERIES} MB" in records
    assert f"| items on a page | {MAX_LIMIT}, and about {PAGE_BYTES // 1024**2} MB of records |" in limits
    assert f"(1 to {MAX_LIMIT}, {DEFAULT_LIMIT} if not given)" in PAGE
    assert f"| keys of a workspace | {MAX_KEYS} | 409 `too-many-keys` |" in limits
    hour, day = KEY_PACE.per_hour, KEY_PACE.per_day
    assert f"| changes of a workspace's keys | {hour} within an hour, {day} within a day | 429 |" in limits
    assert f"a workspace does it {hour} times within an hour and {day} times within a day" in keys
    assert f"| rules of a workspace | {MAX_RULES} | 409 `too-many-rules` |" in limits
    assert f"at most {MAX_KEYS} keys that are neither expired nor revoked" in keys
    assert f"(0 to {MAX_OVERLAP_SECONDS:,}, which are {MAX_OVERLAP_SECONDS // 86_400} days; a day if" in keys
    assert DEFAULT_OVERLAP_SECONDS == 86_400


def test_the_defaults_are_those_of_the_template() -> None:
    parameters = yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))["Parameters"]
    default = {name: parameter.get("Default") for name, parameter in parameters.items()}
    hour, day = default["PersonCallsPerHour"], default["PersonCallsPerDay"]
    assert f"{hour:,} calls for records within an hour and {day:,} within a day" in words("People")
    assert f"the start of a run counts as {RUN_START_WEIGHT}" in words("People")
    assert f"{default['KeyRate']} calls a second, and {default['KeyBurst']} at once" in words("Limits")
    assert f"{default['DocumentsRate']} calls a second for the" in words("Limits")
    assert f"{default['PreflightRate']} for what browsers ask before a call" in words("Limits")
    assert f"Past a cap, {default['OwedCap']:,} credits unless" in words("Credits")
    for name in re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)+)`", PAGE):
        assert name in default or name == "SignIn", name
