"""Audits in the table of what is running.

One is under way for a workspace at a time: a pointer says which. What a worker has counted so far lies in the audit's
own item, packed, and moves on only where the audit still stands in the leg that the worker was called for; so of two
workers one moves it, and the other's work is dropped.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared import keys
from shared.audits.model import Audit, AuditState
from shared.audits.work import without_names
from shared.credits.audit import Difference
from shared.dynamo.transactions import Backoff, Refused, transact_write
from shared.dynamo.values import from_item, to_item
from shared.dynamo.writes import put_new
from shared.ids import time_of
from shared.keys import Item
from shared.times import optional_rfc3339, parse_rfc3339, to_rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DOORBELL = "audit"
KEPT_FOR = timedelta(days=400)
"""As long as the files of runs: a year and a month is when the books of a year are closed."""

MAX_WORK_BYTES = 360 * 1024
"""What a worker hands over, packed. An item has 400 KB at most, and the differences and the rest stand beside it."""

_WORK = "work"


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Audits, newest first; with a `cursor` there may be more."""

    audits: tuple[Audit, ...]
    cursor: str | None


class AuditStore:
    """Writes and reads audits. Raises StoreUnavailable where DynamoDB does not decide."""

    def __init__(self, client: DynamoDBClient, table: str, *, backoff: Backoff | None = None) -> None:
        self._client = client
        self._table = table
        self._backoff = backoff or Backoff()

    def begin(self, audit: Audit) -> str | None:
        """Writes a new audit and calls a worker to it; or says which one is under way already."""
        pointer = keys.audit_under_way(audit.workspace_id).attributes() | to_item(
            {"audit_id": audit.audit_id, "forget_at": _forget_at(audit)}
        )
        writes = [put_new(self._table, pointer), put_new(self._table, _item(audit, None, rings=True))]
        refused = transact_write(self._client, [write.request for write in writes], self._backoff)
        if refused is None:
            return None
        under_way = refused.reasons[0]
        if under_way is None or under_way.item is None:
            raise AssertionError(f"the identifier {audit.audit_id} is taken")
        return str(from_item(under_way.item)["audit_id"])

    def move(self, before: Audit, after: Audit, work: dict[str, Any] | None, *, rings: bool = False) -> bool:
        """Writes `after`, and what was counted so far, where the audit still stands in the leg of `before`; False where
        it does not. One that is over gives its place to the next.
        """
        still_in_this_leg = "leg = :leg"
        not_over = "#state = :running"
        requests: list[dict[str, Any]] = [
            {
                "Put": {
                    "TableName": self._table,
                    "Item": _item(after, work, rings=rings),
                    "ConditionExpression": f"{still_in_this_leg} AND {not_over}",
                    "ExpressionAttributeNames": {"#state": "state"},
                    "ExpressionAttributeValues": to_item({":leg": before.leg, ":running": AuditState.RUNNING.value}),
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                }
            }
        ]
        if after.state.is_over:
            requests.append(
                {
                    "Delete": {
                        "TableName": self._table,
                        "Key": keys.audit_under_way(after.workspace_id).attributes(),
                        "ConditionExpression": "attribute_not_exists(pk) OR audit_id = :audit",
                        "ExpressionAttributeValues": to_item({":audit": after.audit_id}),
                    }
                }
            )
        refused: Refused | None = transact_write(self._client, requests, self._backoff)
        return refused is None

    def get(self, workspace_id: str, audit_id: str) -> Audit | None:
        """As it is now, read consistently."""
        item = self._get(workspace_id, audit_id)
        return None if item is None else to_audit(item)

    def under_way(self, workspace_id: str) -> str | None:
        """The audit of the workspace that is under way at this moment."""
        key = keys.audit_under_way(workspace_id).attributes()
        answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return answer["Item"]["audit_id"]["S"] if "Item" in answer else None

    def take(self, workspace_id: str, audit_id: str) -> tuple[Audit, dict[str, Any] | None] | None:
        """The audit, and what was counted of it so far; None where there is no such audit."""
        item = self._get(workspace_id, audit_id)
        if item is None:
            return None
        packed = item.get(_WORK)
        return to_audit(item), None if packed is None else json.loads(zlib.decompress(packed["B"]))

    def page(self, workspace_id: str, limit: int, cursor: str | None = None) -> AuditPage:
        """Up to `limit` audits, newest first, below the cursor. Raises ValueError when that is no identifier."""
        request: dict[str, Any] = {}
        if cursor is not None:
            time_of(cursor)
            request["ExclusiveStartKey"] = keys.audit(workspace_id, cursor).attributes()
        found: list[Audit] = []
        # An audit that is under way is large: a query of 1 MB may end before the limit.
        while len(found) <= limit:
            answer = self._client.query(
                TableName=self._table,
                KeyConditionExpression="pk = :pk",
                ExpressionAttributeValues={":pk": {"S": keys.audits(workspace_id)}},
                ScanIndexForward=False,
                ConsistentRead=True,
                Limit=limit + 1 - len(found),
                **request,
            )
            found += map(to_audit, answer["Items"])
            if "LastEvaluatedKey" not in answer:
                break
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        more = len(found) > limit
        return AuditPage(tuple(found[:limit]), found[limit - 1].audit_id if more else None)

    def _get(self, workspace_id: str, audit_id: str) -> Item | None:
        key = keys.audit(workspace_id, audit_id).attributes()
        answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return answer.get("Item")


def rung_again(audit: Audit, now: datetime) -> Audit:
    """The audit in its next leg: whoever still works on this one is late from now on."""
    return replace(audit, leg=audit.leg + 1, updated_at=now)


def failed(audit: Audit, reason: str, now: datetime) -> Audit:
    """The audit that could not be made, which says nothing about the books."""
    return replace(audit, state=AuditState.FAILED, failure=reason, updated_at=now, finished_at=now)


def to_audit(item: Item) -> Audit:
    values = from_item({name: value for name, value in item.items() if name != _WORK})
    return Audit(
        audit_id=values["audit_id"],
        workspace_id=values["workspace_id"],
        state=AuditState(values["state"]),
        requested_at=parse_rfc3339(values["requested_at"]),
        updated_at=parse_rfc3339(values["updated_at"]),
        requested_by=values.get("requested_by"),
        finished_at=optional_rfc3339(values.get("finished_at")),
        leg=values["leg"],
        progress=values["percent"] / 100,
        operations=values["operations"],
        traced=values["traced"],
        records=values["records"],
        exact=values.get("exact"),
        repaired=values["repaired"],
        differences=tuple(Difference(*each) for each in values["differences"]),
        difference_count=values["difference_count"],
        failure=values.get("failure"),
    )


def _item(audit: Audit, work: dict[str, Any] | None, *, rings: bool) -> Item:
    values: dict[str, Any] = {
        "audit_id": audit.audit_id,
        "workspace_id": audit.workspace_id,
        "state": audit.state.value,
        "requested_at": to_rfc3339(audit.requested_at),
        "updated_at": to_rfc3339(audit.updated_at),
        "requested_by": audit.requested_by,
        "finished_at": audit.finished_at and to_rfc3339(audit.finished_at),
        "leg": audit.leg,
        "percent": int(audit.progress * 100),
        "operations": audit.operations,
        "traced": audit.traced,
        "records": audit.records,
        "exact": audit.exact,
        "repaired": audit.repaired,
        "differences": [[each.rule, each.expected, each.found, each.where] for each in audit.differences],
        "difference_count": audit.difference_count,
        "failure": audit.failure,
        "doorbell": DOORBELL if rings else None,
        "forget_at": _forget_at(audit),
    }
    present = to_item({name: value for name, value in values.items() if value is not None})
    if work is not None:
        packed = _packed(work)
        present[_WORK] = {"B": packed if len(packed) <= MAX_WORK_BYTES else _packed(without_names(work))}
    return keys.audit(audit.workspace_id, audit.audit_id).attributes() | present


def _packed(work: dict[str, Any]) -> bytes:
    return zlib.compress(json.dumps(work, separators=(",", ":")).encode())


def _forget_at(audit: Audit) -> int:
    return int((audit.requested_at + KEPT_FOR).timestamp())
