"""Rules in the table of what is configured: what their owners want, and which of them were suspended.

Each rule has a meter beside it (see `shared.rules.meters`), which every firing is conditional on. Whatever changes a
rule changes the meter in the same transaction, so that nothing fires on a rule that is not there any more.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import simplejson
from pydantic import ValidationError

from shared import keys
from shared.dynamo.transactions import Backoff, Refused, transact_write
from shared.dynamo.values import from_item, to_item
from shared.dynamo.writes import Write
from shared.keys import Item
from shared.rules.definition import RuleDefinition
from shared.rules.doorbells import RuleDoorbell
from shared.rules.meters import delete_meter, put_meter, stop_meter
from shared.rules.model import Rule
from shared.times import optional_rfc3339, parse_rfc3339, to_rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RulePage:
    """Rules in the order of their identifiers; with a `cursor` there are more."""

    rules: tuple[Rule, ...]
    cursor: str | None


class RuleStore:
    """The rules of all workspaces. All reads are consistent."""

    def __init__(self, client: DynamoDBClient, table: str, *, backoff: Backoff | None = None) -> None:
        self._client = client
        self.table = table
        self._backoff = backoff or Backoff()

    def get(self, workspace_id: str, rule_id: str) -> Rule | None:
        key = keys.rule(workspace_id, rule_id).attributes()
        answer = self._client.get_item(TableName=self.table, Key=key, ConsistentRead=True)
        return next(_readable([answer["Item"]]), None) if "Item" in answer else None

    def all(self, workspace_id: str) -> list[Rule]:
        """All of a workspace's rules, in the order of their identifiers: one request, and one more for each further MB
        of definitions.
        """
        return list(self._each(workspace_id))

    def page(self, workspace_id: str, limit: int, cursor: str | None = None) -> RulePage:
        """Up to `limit` rules, and at most 1 MB of them. `cursor` is the one of the page before."""
        answer = self._client.query(**self._request(workspace_id, cursor), Limit=limit)
        last = answer.get("LastEvaluatedKey")
        return RulePage(tuple(_readable(answer["Items"])), last["sk"]["S"] if last else None)

    def put(
        self, workspace_id: str, rule_id: str, definition: RuleDefinition, now: datetime, *, seen: Rule | None
    ) -> Rule | None:
        """Writes the definition: of a new rule, or as the next version of the one that was `seen`. None when another
        one stands there by now. A rule that was suspended fires again.

        Versions begin at the time in milliseconds, so that those of a rule that was deleted and made anew are higher
        than before: what was matched with the old one cannot be taken for a match of the new one. Raises
        StoreUnavailable and botocore's errors.
        """
        rule = Rule(
            workspace_id=workspace_id,
            rule_id=rule_id,
            definition=definition,
            version=int(now.timestamp() * 1000) if seen is None else seen.version + 1,
            created_at=now if seen is None else seen.created_at,
            updated_at=now,
        )
        # The item as a whole: a suspension and its doorbell go with what they were about.
        request: dict[str, Any] = {
            "TableName": self.table,
            "Item": _to_item(rule),
            "ConditionExpression": "attribute_not_exists(pk)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if seen is not None:
            request["ConditionExpression"] = "#version = :seen"
            request["ExpressionAttributeNames"] = {"#version": "version"}
            request["ExpressionAttributeValues"] = to_item({":seen": seen.version})
        return rule if self._commit(Write({"Put": request}), put_meter(self.table, rule)) is None else None

    def delete(self, workspace_id: str, rule_id: str) -> bool:
        """Deletes the rule and its meter; False when there was none. What it did stays, on the records and in the log.

        Raises StoreUnavailable and botocore's errors.
        """
        deletion = Write(
            {
                "Delete": {
                    "TableName": self.table,
                    "Key": keys.rule(workspace_id, rule_id).attributes(),
                    "ConditionExpression": "attribute_exists(pk)",
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                }
            }
        )
        return self._commit(deletion, delete_meter(self.table, workspace_id, rule_id)) is None

    def suspend(self, rule: Rule, now: datetime) -> bool:
        """Keeps this version of the rule from firing, and rings for its owner to be told. False when it is another
        version, gone, or suspended already; so of many that find it too busy, one suspends it.

        Raises StoreUnavailable and botocore's errors.
        """
        still_this_version = "#version = :version"
        not_suspended = "attribute_not_exists(#suspended_at)"
        names = ("version", "suspended_at", "doorbell")
        values = {":version": rule.version, ":now": to_rfc3339(now), ":doorbell": RuleDoorbell.SUSPENDED.value}
        suspension = Write(
            {
                "Update": {
                    "TableName": self.table,
                    "Key": keys.rule(rule.workspace_id, rule.rule_id).attributes(),
                    "UpdateExpression": "SET #suspended_at = :now, #doorbell = :doorbell",
                    "ConditionExpression": f"{still_this_version} AND {not_suspended}",
                    "ExpressionAttributeNames": {f"#{name}": name for name in names},
                    "ExpressionAttributeValues": to_item(values),
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                }
            }
        )
        return self._commit(suspension, stop_meter(self.table, rule)) is None

    def note_announced(self, rule: Rule) -> None:
        """Notes that the owner was told of the suspension of this version; of another version nothing is noted."""
        try:
            self._client.update_item(
                TableName=self.table,
                Key=keys.rule(rule.workspace_id, rule.rule_id).attributes(),
                UpdateExpression="REMOVE #doorbell",
                ConditionExpression="#version = :version",
                ExpressionAttributeNames={"#doorbell": "doorbell", "#version": "version"},
                ExpressionAttributeValues=to_item({":version": rule.version}),
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return

    def _commit(self, *writes: Write) -> Refused | None:
        return transact_write(self._client, [write.request for write in writes], self._backoff)

    def _each(self, workspace_id: str) -> Iterator[Rule]:
        for page in self._client.get_paginator("query").paginate(**self._request(workspace_id, None)):
            yield from _readable(page["Items"])

    def _request(self, workspace_id: str, after: str | None) -> dict[str, Any]:
        values = {":pk": keys.rules(workspace_id)}
        condition = "pk = :pk"
        if after is not None:
            values[":after"] = after
            condition += " AND sk > :after"
        return {
            "TableName": self.table,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": to_item(values),
            "ConsistentRead": True,
        }


def _readable(items: Iterable[Item]) -> Iterator[Rule]:
    """The rules, but for those that are valid no more because the bounds of definitions were drawn tighter since: such
    a rule does nothing, and keeps no other from firing. Its owner deletes it, and puts it anew.
    """
    for item in items:
        try:
            yield to_rule(item)
        except ValidationError:
            _logger.exception("the rule %s is not valid any more", item["sk"]["S"])


def to_rule(item: Item) -> Rule:
    values = from_item(item)
    return Rule(
        workspace_id=values["workspace_id"],
        rule_id=values["rule_id"],
        definition=_definition(values["definition"]),
        version=values["version"],
        created_at=parse_rfc3339(values["created_at"]),
        updated_at=parse_rfc3339(values["updated_at"]),
        suspended_at=optional_rfc3339(values.get("suspended_at")),
    )


def _to_item(rule: Rule) -> Item:
    """The item of a rule that is not suspended."""
    return keys.rule(rule.workspace_id, rule.rule_id).attributes() | to_item(
        {
            "workspace_id": rule.workspace_id,
            "rule_id": rule.rule_id,
            "definition": simplejson.dumps(rule.definition.to_json(), use_decimal=True, ensure_ascii=False),
            "version": rule.version,
            "created_at": to_rfc3339(rule.created_at),
            "updated_at": to_rfc3339(rule.updated_at),
        }
    )


@lru_cache(maxsize=256)
def _definition(text: str) -> RuleDefinition:
    """Reads a definition. They are read for each batch of changes, and rarely change."""
    return RuleDefinition.model_validate(json.loads(text, parse_float=Decimal))
