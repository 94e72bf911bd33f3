"""Calls of clients that are to happen once: an idempotency key, whose call it was, and what it was answered.

For calls that cost nothing. Those that are charged keep their key in the transaction that charges them
(`shared.credits.ClientCall`); here the effect is a write of its own between two others: the key is claimed, the call
runs, its answer is kept. Whoever dies in between leaves a claim that ends by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from shared.dynamo.values import MAX_ITEM_BYTES, from_item, item_size, to_item
from shared.dynamo.writes import Write
from shared.keys import Item, Key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEPT = timedelta(days=400)
"""How long an answer is remembered. For good would let calls that cost nothing fill the table."""

_LEFT_BEHIND = timedelta(days=1)
"""How long a claim lies after its end, when its call died and was never repeated."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who wants to run the call of `key`, and until when. `asked` is the fingerprint of what it wants, `holder` names
    this one attempt.
    """

    key: Key
    asked: str
    holder: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Answered:
    """The call was run before, and answered like this."""

    status: int
    body: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """The call is this attempt's to run."""


@dataclass(frozen=True, slots=True)
class Running:
    """Another attempt runs it, or has died of it a moment ago."""


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The same key, for something else."""


class CallStore:
    """Remembers calls. Each lies under a partition key of its own."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def claim(self, wish: Claim, now: datetime) -> Claimed | Answered | Running | KeyReused:
        """Takes the call, where it was never run, or where whoever ran it has died of it. One request."""
        values = {
            "asked": wish.asked,
            "holder": wish.holder,
            "held_until": _milliseconds(wish.until),
            "forget_at": int((wish.until + _LEFT_BEHIND).timestamp()),
        }
        is_new = "attribute_not_exists(pk)"
        has_ended = "held_until < :now"
        # The first answer of DynamoDB was lost, and boto3 asked again.
        is_ours = "holder = :holder"
        try:
            self._client.put_item(
                TableName=self._table,
                Item=wish.key.attributes() | to_item(values),
                ConditionExpression=f"{is_new} OR (attribute_not_exists(answer) AND ({has_ended} OR {is_ours}))",
                ExpressionAttributeValues=to_item({":now": _milliseconds(now), ":holder": wish.holder}),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as refused:
            return _found(cast("Any", refused.response)["Item"], wish)
        return Claimed()

    def keep(self, claim: Claim, answer: Answered) -> None:
        """Writes down what the call was answered, for `KEPT`. Another attempt's claim, or its answer, stays as it is.

        An answer that fits in no item is not kept: the call is then run again when it comes again.
        """
        if item_size({"answer": answer.body, "asked": claim.asked}) + _BESIDE > MAX_ITEM_BYTES:
            self.release(claim)
            return
        try:
            self._client.update_item(**self.kept(claim, answer).request["Update"])
        except self._client.exceptions.ConditionalCheckFailedException:
            return

    def kept(self, claim: Claim, answer: Answered) -> Write:
        """What `keep` writes, for a call that does its work in one transaction with it: then there is no moment at
        which it is done and not remembered.
        """
        values = {
            ":status": answer.status,
            ":answer": answer.body,
            ":forget_at": int((claim.until + KEPT).timestamp()),
            ":holder": claim.holder,
        }
        request = {
            "TableName": self._table,
            "Key": claim.key.attributes(),
            "UpdateExpression": (
                "SET answer = :answer, #status = :status, forget_at = :forget_at REMOVE holder, held_until"
            ),
            "ConditionExpression": "holder = :holder",
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": to_item(values),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        return Write({"Update": request})

    def release(self, claim: Claim) -> None:
        """Gives the call back: it was not run, or came to nothing."""
        try:
            self._client.delete_item(
                TableName=self._table,
                Key=claim.key.attributes(),
                ConditionExpression="holder = :holder",
                ExpressionAttributeValues=to_item({":holder": claim.holder}),
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return


_BESIDE = 1024
"""Bytes that an item has beside the answer, at most."""


def _found(item: Item, wish: Claim) -> Answered | Running | KeyReused:
    values = from_item(item)
    if values["asked"] != wish.asked:
        return KeyReused()
    if "answer" in values:
        return Answered(values["status"], values["answer"])
    return Running()


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
