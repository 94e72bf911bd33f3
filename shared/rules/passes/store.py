"""Passes in the table of what is running.

They change as runs do (see `shared.runs.store`): from the pass that was seen to the one that comes next, or not at all,
with its place and its state as the condition. A change that somebody must act on carries the doorbell that calls for
it.
"""

from __future__ import annotations

from dataclasses import asdict, astuple
from typing import TYPE_CHECKING, Any

from shared import keys
from shared.dynamo.transactions import Backoff, transact_write
from shared.dynamo.values import from_item, to_item
from shared.dynamo.writes import Write, put_new
from shared.keys import Item
from shared.rules.doorbells import RuleDoorbell
from shared.rules.passes.model import PassCounts, PassState, RulePass
from shared.runs.model import Failure, PauseReason
from shared.times import optional_rfc3339, parse_rfc3339, to_rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def put_new_pass(table: str, rule_pass: RulePass) -> Write:
    """Writes a pass that is to begin, and calls a worker to it."""
    return put_new(table, _item(rule_pass, rings=True))


def move_pass(table: str, before: RulePass, after: RulePass, *, rings: bool = False) -> Write:
    """Writes `after` where the pass still stands as in `before`; with `rings` it calls a worker to it."""
    position_is_the_one_planned_from = "#position = :position"
    state_is_as_seen = "#state = :state"
    # Failures are noted, and counted, before the records about them are done.
    nothing_was_noted_since = "attribute_not_exists(#noted)" if before.noted is None else "#noted = :noted"
    conditions = (position_is_the_one_planned_from, state_is_as_seen, nothing_was_noted_since)
    values: dict[str, Any] = {":position": before.position, ":state": before.state.value}
    if before.noted is not None:
        values[":noted"] = before.noted
    return Write(
        {
            "Put": {
                "TableName": table,
                "Item": _item(after, rings=rings),
                "ConditionExpression": " AND ".join(conditions),
                "ExpressionAttributeNames": {"#position": "position", "#state": "state", "#noted": "noted"},
                "ExpressionAttributeValues": to_item(values),
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }
    )


class PassStore:
    """Reads passes, and moves them where no credits are involved. With credits, `move_pass` is part of the plan."""

    def __init__(self, client: DynamoDBClient, table: str, *, backoff: Backoff | None = None) -> None:
        self._client = client
        self.table = table
        self._backoff = backoff or Backoff()

    def get(self, workspace_id: str, pass_id: str) -> RulePass | None:
        """As it is now, read consistently."""
        key = keys.rule_pass(workspace_id, pass_id).attributes()
        answer = self._client.get_item(TableName=self.table, Key=key, ConsistentRead=True)
        return to_pass(answer["Item"]) if "Item" in answer else None

    def move(self, before: RulePass, after: RulePass, *, rings: bool = False) -> bool:
        """Writes `after`; False when the pass no longer stands as in `before`. Raises StoreUnavailable.

        A transaction, although of one item: it waits for a step that is committing, and when botocore sends it again
        because the answer was lost, its token tells that from somebody who was faster.
        """
        write = move_pass(self.table, before, after, rings=rings)
        return transact_write(self._client, [write.request], self._backoff) is None


def to_pass(item: Item) -> RulePass:
    values = from_item(item)
    failure = values.get("failure")
    return RulePass(
        pass_id=values["pass_id"],
        workspace_id=values["workspace_id"],
        rule_id=values["rule_id"],
        rule_version=values["rule_version"],
        entity=values["entity"],
        schedule_id=values.get("schedule_id"),
        state=PassState(values["state"]),
        created_at=parse_rfc3339(values["created_at"]),
        updated_at=parse_rfc3339(values["updated_at"]),
        step_at=parse_rfc3339(values["step_at"]),
        leg=values["leg"],
        position=values["position"],
        cursor=values.get("cursor"),
        counts=PassCounts(*values["counts"]),
        noted=values.get("noted"),
        finished_at=optional_rfc3339(values.get("finished_at")),
        paused_at=optional_rfc3339(values.get("paused_at")),
        pause_reason=PauseReason(values["pause_reason"]) if "pause_reason" in values else None,
        needed=values.get("needed", 0),
        failure=Failure(**failure) if failure else None,
    )


def _item(rule_pass: RulePass, *, rings: bool) -> Item:
    values: dict[str, Any] = {
        "pass_id": rule_pass.pass_id,
        "workspace_id": rule_pass.workspace_id,
        "rule_id": rule_pass.rule_id,
        "rule_version": rule_pass.rule_version,
        "entity": rule_pass.entity,
        "schedule_id": rule_pass.schedule_id,
        "state": rule_pass.state.value,
        "created_at": to_rfc3339(rule_pass.created_at),
        "updated_at": to_rfc3339(rule_pass.updated_at),
        "step_at": to_rfc3339(rule_pass.step_at),
        "leg": rule_pass.leg,
        "position": rule_pass.position,
        "cursor": rule_pass.cursor,
        # Numbers without names: every step writes the pass again, and under 1 KB it costs the least.
        "counts": list(astuple(rule_pass.counts)),
        "noted": rule_pass.noted,
        "finished_at": rule_pass.finished_at and to_rfc3339(rule_pass.finished_at),
        "paused_at": rule_pass.paused_at and to_rfc3339(rule_pass.paused_at),
        "pause_reason": rule_pass.pause_reason and rule_pass.pause_reason.value,
        "needed": rule_pass.needed or None,
        "failure": rule_pass.failure and asdict(rule_pass.failure),
        "doorbell": RuleDoorbell.PASS.value if rings else None,
    }
    if rule_pass.state is PassState.PAUSED:
        values["waiting_pk"] = keys.waiting(rule_pass.workspace_id)
        values["waiting_sk"] = keys.waiting_entry(rule_pass.workspace_id, rule_pass.pass_id)
    present = {name: value for name, value in values.items() if value is not None}
    return keys.rule_pass(rule_pass.workspace_id, rule_pass.pass_id).attributes() | to_item(present)
