"""The routes of rules on events as API Gateway sends them: what is asked of DynamoDB, and what each scope may do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import ANY, Stubber

from shared.dynamo.values import to_item
from tests.unit.api.test_handler import BALANCE, WORKSPACE

if TYPE_CHECKING:
    from tests.unit.api.conftest import Answer

Event = Callable[[str], dict[str, Any]]
Call = Callable[[dict[str, Any]], "Answer"]

SHARDS = 16


def give_what_is_known(dynamodb: Stubber, records: list[dict[str, Any]]) -> None:
    """No feeds, no rules, and these records, all in one shard."""
    for _ in ("feeds", "rules"):
        dynamodb.add_response("query", {"Items": []})
    give_records(dynamodb, records)


def give_records(dynamodb: Stubber, records: list[dict[str, Any]]) -> None:
    items = [
        to_item(
            {
                "pk": f"W#{WORKSPACE}#R#product#00",
                "sk": f"p{number}",
                "attributes": attributes,
                "version": 1,
                "created_at": "2026-11-22T08:00:00.000Z",
                "updated_at": "2026-11-22T08:00:00.000Z",
            }
        )
        for number, attributes in enumerate(records)
    ]
    dynamodb.add_response("query", {"Items": items})
    for _ in range(SHARDS - 1):
        dynamodb.add_response("query", {"Items": []})


def test_a_rule_is_written_together_with_its_meter(call: Call, event: Event, dynamodb: Stubber) -> None:
    give_what_is_known(dynamodb, [{"price": 5}])
    dynamodb.add_response("transact_write_items", {}, {"TransactItems": [{"Put": ANY}, {"Update": ANY}]})
    dynamodb.add_response("get_item", {})
    dynamodb.add_response("get_item", {"Item": to_item(BALANCE)})
    answer = call(event("api_put_rule"))
    assert (answer.status, answer.body["rule_id"], answer.body["warnings"]) == (201, "gross", [])
    assert "X-Credits-Charged" not in answer.headers


def test_a_preview_asks_and_writes_nothing(call: Call, event: Event, dynamodb: Stubber) -> None:
    records = [{"price": 5}, {"price": 11}, {"price": 20, "gross": 24}]
    give_what_is_known(dynamodb, records)
    give_records(dynamodb, records)
    answer = call(event("api_preview_rule"))
    assert answer.status == 200
    counts = ("examined", "matched", "would_fire", "unchanged", "credits")
    assert [answer.body[name] for name in counts] == [3, 2, 1, 1, 2]
    (example,) = answer.body["examples"]
    assert (example["key"], example["before"], example["after"]) == ("p1", {}, {"gross": 13.2})
    assert "X-Credits-Charged" not in answer.headers


def test_without_the_scope_nothing_is_looked_at(call: Call, event: Event) -> None:
    answer = call(event("api_put_rule_without_scope"))
    assert answer.status == 403
    assert answer.body["detail"] == "This call needs the scope configure, which your key or sign-in does not have."


@pytest.mark.parametrize(
    ("name", "method", "scopes", "status"),
    [
        ("api_put_rule", "DELETE", "read write", 403),
        ("api_put_rule", "GET", "configure write", 403),
        ("api_preview_rule", "POST", "configure write", 403),
    ],
)
def test_each_call_needs_its_scope(call: Call, event: Event, name: str, method: str, scopes: str, status: int) -> None:
    given_event = event(name) | {"httpMethod": method}
    given_event["requestContext"]["authorizer"]["scopes"] = scopes
    assert call(given_event).status == status


def test_what_does_not_parse_is_told_with_its_place(call: Call, event: Event, dynamodb: Stubber) -> None:
    give_what_is_known(dynamodb, [])
    answer = call(event("api_put_rule_invalid"))
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, "condition")


def test_a_preview_of_what_is_not_saved_needs_a_definition(call: Call, event: Event, dynamodb: Stubber) -> None:
    dynamodb.add_response("get_item", {})
    answer = call(event("api_preview_rule") | {"body": "{}"})
    assert (answer.status, answer.body["detail"]) == (404, "There is no rule gross.")


def test_where_a_preview_goes_on_only_the_expressions_are_checked(call: Call, event: Event, dynamodb: Stubber) -> None:
    """Neither feeds nor rules are read again."""
    given_event = event("api_preview_rule")
    body = json.loads(given_event["body"]) | {"cursor": "MTU6cDE"}
    dynamodb.add_response("query", {"Items": []})
    answer = call(given_event | {"body": json.dumps(body)})
    assert (answer.status, answer.body["examined"], answer.body["next_cursor"]) == (200, 0, None)
    body["definition"]["condition"] = "price >"
    answer = call(given_event | {"body": json.dumps(body)})
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, "definition.condition")
