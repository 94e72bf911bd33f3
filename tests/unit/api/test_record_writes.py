"""Writing a record, on events as API Gateway sends them: by key and by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber

from functions.api.entity_tags import expectation
from functions.api.models.records import RecordRequest
from functions.api.problems import Refusal
from shared.catalog import Record
from shared.catalog.records import record_item
from shared.credits import DRAWING_PRIORITY, Grant, GrantKind, account
from shared.dynamo.values import to_item
from shared.edits import Expectation, RecordVersion

if TYPE_CHECKING:
    from tests.unit.api.conftest import Answer

WORKSPACE = "ws_01KAMZ5Q000000000000000001"
KEY = 'M8/40 Ø "50%"'
MADE = datetime(2026, 11, 20, 8, tzinfo=UTC)
STANDS = Record(
    workspace_id=WORKSPACE,
    entity="product",
    key=KEY,
    attributes={"title": "Drill", "price": Decimal("12.5"), "note": "ours"},
    version=3,
    created_at=MADE,
    updated_at=MADE,
    operation_id="op_1",
)
GRANT = Grant(
    grant_id="gr_1",
    workspace_id=WORKSPACE,
    kind=GrantKind.FREE,
    credits=5000,
    unit_price=Decimal(0),
    currency="EUR",
    priority=DRAWING_PRIORITY[GrantKind.FREE],
    granted_at=MADE,
)

Event = Callable[[str], dict[str, Any]]
Call = Callable[[dict[str, Any]], "Answer"]


def balance_item() -> dict[str, Any]:
    """The account as it is when it has just been opened."""
    items = [write.request["Put"]["Item"] for write in account.open_account("credit", GRANT)]
    (balance,) = [item for item in items if item["sk"] == {"S": "BALANCE"}]
    return dict(balance)


def together(*items: dict[str, Any] | None) -> dict[str, Any]:
    """What a BatchGetItem answers: those that are there, each in its table."""
    responses: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        if item is not None:
            table = "catalog" if "#R#" in item["pk"]["S"] else "credit"
            responses.setdefault(table, []).append(item)
    return {"Responses": responses, "UnprocessedKeys": {}}


class Sent:
    """The transactions that were sent."""

    def __init__(self, stubber: Stubber) -> None:
        self.transactions: list[list[dict[str, Any]]] = []
        events = stubber.client.meta.events
        events.register_first("before-parameter-build.dynamodb.TransactWriteItems", self._note)

    def _note(self, params: dict[str, Any], **_: Any) -> None:
        self.transactions.append(params["TransactItems"])


def test_a_person_s_edit_reads_the_record_and_writes_it_and_asks_no_account(
    call: Call, event: Event, dynamodb: Stubber
) -> None:
    sent = Sent(dynamodb)
    dynamodb.add_response("update_item", {})  # the pace of the person
    dynamodb.add_response("batch_get_item", together(record_item(STANDS)))
    dynamodb.add_response("transact_write_items", {})
    answer = call(event("api_patch_record_by_hand"))
    assert answer.status == 200
    assert answer.body["attributes"] == {"title": "Drill", "note": "by hand"}
    assert (answer.body["version"], answer.body["operation_id"]) == (4, None)
    assert answer.headers["ETag"] == '"4-1a1f7f83000"'
    assert not [name for name in answer.headers if name.startswith("X-Credits")]
    ((entry, write),) = sent.transactions
    assert (entry["Put"]["TableName"], entry["Put"]["Item"]["credits"]) == ("credit", {"N": "0"})
    assert write["Put"]["TableName"] == "catalog"
    assert write["Put"]["ConditionExpression"] == "version = :version AND created_at = :created_at"


def test_a_write_by_key_is_charged_in_the_transaction_that_writes(call: Call, event: Event, dynamodb: Stubber) -> None:
    sent = Sent(dynamodb)
    # The idempotency key was not used before.
    dynamodb.add_response("batch_get_item", together(balance_item(), record_item(STANDS)))
    dynamodb.add_response("transact_write_items", {})
    answer = call(event("api_put_record"))
    assert answer.status == 200
    assert '"price":12.50' in answer.text
    assert (answer.headers["X-Credits-Charged"], answer.headers["X-Credits-Available"]) == ("2", "4998")
    assert answer.body["operation_id"] == answer.headers["X-Operation-Id"]
    (transaction,) = sent.transactions
    # The key, the entry, the balance, the record.
    assert [next(iter(item)) for item in transaction] == ["Put", "Put", "Update", "Put"]
    kept = transaction[0]["Put"]["Item"]["answer"]["S"]
    assert kept == f'200\n"4-1a1f7f83000"\n{answer.text}'


def test_a_retry_is_answered_as_the_first_was(call: Call, event: Event, dynamodb: Stubber) -> None:
    sent = Sent(dynamodb)
    first_event = event("api_put_record")
    dynamodb.add_response("batch_get_item", together(balance_item(), record_item(STANDS)))
    dynamodb.add_response("transact_write_items", {})
    first = call(first_event)
    told = sent.transactions[0][0]["Put"]["Item"]
    dynamodb.add_response("batch_get_item", together(balance_item(), told))
    again_event = event("api_put_record")
    again_event["requestContext"]["requestId"] = "another-request"
    again = call(again_event)
    assert (again.status, again.text, again.headers["ETag"]) == (first.status, first.text, first.headers["ETag"])
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["X-Credits-Charged"] == "0"
    assert again.headers["X-Operation-Id"] == first.headers["X-Operation-Id"]


def test_a_version_that_is_not_there_any_more_is_refused(call: Call, event: Event, dynamodb: Stubber) -> None:
    given_event = event("api_put_record")
    given_event["multiValueHeaders"]["If-Match"] = ['"2"']
    dynamodb.add_response("batch_get_item", together(balance_item(), record_item(STANDS)))
    answer = call(given_event)
    assert (answer.status, answer.body["type"]) == (412, "/problems/precondition-failed")
    assert "version 3" in answer.body["detail"]


@pytest.mark.parametrize(
    ("change", "status", "named"),
    [
        ({"body": "{}"}, 422, "attributes"),
        ({"body": '{"attributes":[1]}'}, 422, "attributes"),
        ({"body": '{"attributes":{"a":1},"version":3}'}, 422, "version"),
        ({"body": '{"attributes":{"a":{"b":[1,"\\ud83d"]}}}'}, 422, "attributes.a.b.1"),
        ({"body": '{"attributes":{"a":1e200}}'}, 422, "attributes.a"),
        ({"body": '{"attributes":{"":1}}'}, 422, "attributes"),
        ({"body": json.dumps({"attributes": {"a": "x" * 262_144}})}, 413, None),
        ({"body": None}, 422, "body"),
        ({"headers": {"If-Match": ["3"]}}, 422, "if-match"),
        ({"headers": {"If-None-Match": ['"3", nonsense']}}, 422, "if-none-match"),
        ({"path": "x" * 1025}, 422, "key"),
        ({"path": "%C3%A9" * 513}, 422, "key"),
        ({"path": "a%FFb"}, 400, None),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_store_is_asked(
    call: Call, event: Event, dynamodb: Stubber, change: dict[str, Any], status: int, named: str | None
) -> None:
    given_event = event("api_patch_record_by_hand")
    if "body" in change:
        given_event["body"] = change["body"]
    if "path" in change:
        given_event["pathParameters"]["key"] = change["path"]
    given_event["multiValueHeaders"] |= change.get("headers", {})
    answer = call(given_event)
    assert answer.status == status, answer.text
    if named is not None:
        assert named in [error["field"] for error in answer.body["errors"]]
    dynamodb.assert_no_pending_responses()


def test_a_key_that_may_not_write_may_not_write(call: Call, event: Event) -> None:
    given_event = event("api_put_record")
    given_event["requestContext"]["authorizer"]["scopes"] = "configure finance read"
    assert call(given_event).status == 403


def test_a_person_reads_for_nothing(call: Call, event: Event, dynamodb: Stubber) -> None:
    given_event = event("api_get_record")
    given_event["requestContext"]["authorizer"]["channel"] = "person"
    dynamodb.add_response("update_item", {})
    dynamodb.add_response("batch_get_item", together(record_item(STANDS)))
    answer = call(given_event)
    assert (answer.status, answer.headers["ETag"]) == (200, '"3-1a1f7f83000"')
    assert "X-Credits-Charged" not in answer.headers


def test_more_than_a_hand_can_do_waits_for_the_next_hour(call: Call, event: Event, dynamodb: Stubber) -> None:
    given_event = event("api_patch_record_by_hand")
    given_event["requestContext"]["requestTimeEpoch"] = 1_795_334_399_500
    dynamodb.add_client_error(
        "update_item",
        "ConditionalCheckFailedException",
        modeled_fields={"Item": {"day": {"N": "3700"}, "hour_07": {"N": "3600"}}},
    )
    answer = call(given_event)
    assert (answer.status, answer.body["type"]) == (429, "/problems/too-many-requests")
    assert answer.headers["Retry-After"] == "1"
    assert "3,600" in answer.body["detail"]


@pytest.mark.parametrize(
    ("if_match", "if_none_match", "expected"),
    [
        (None, None, Expectation()),
        ("*", None, Expectation(match="*")),
        (None, "*", Expectation(none_match="*")),
        ('"3"', None, Expectation(match=frozenset({RecordVersion(3)}))),
        (' "3" , "12"', None, Expectation(match=frozenset({RecordVersion(3), RecordVersion(12)}))),
        # Well-formed, and no version of ours: it matches nothing.
        ('W/"3"', None, Expectation(match=frozenset())),
        ('"abc"', None, Expectation(match=frozenset())),
        ('"03"', None, Expectation(match=frozenset())),
        ('"3-19aba5a8c7b"', None, Expectation(match=frozenset({RecordVersion(3, 0x19ABA5A8C7B)}))),
        ('"3-"', None, Expectation(match=frozenset())),
        (None, '"3"', Expectation(none_match=frozenset({RecordVersion(3)}))),
    ],
)
def test_entity_tags_are_versions(if_match: str | None, if_none_match: str | None, expected: Expectation) -> None:
    assert expectation(if_match, if_none_match) == expected


@pytest.mark.parametrize("text", ["3", "", '"3', '"3" "4"', "*, *", '"3",'])
def test_text_that_is_no_entity_tag_is_refused(text: str) -> None:
    with pytest.raises(Refusal):
        expectation(text, None)


def test_attributes_keep_their_digits() -> None:
    wanted = RecordRequest.model_validate({"attributes": {"price": Decimal("12345678901234567890.123456789012345678")}})
    assert to_item(wanted.attributes) == {"price": {"N": "12345678901234567890.123456789012345678"}}
