"""Whether the automation of a workspace goes on or waits, as the guard has noted it and as it was announced.

Nothing is decided by this record: the balance decides, each time anew. It says since when, and what customers have been
told.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from shared import keys
from shared.dynamo.reads import batch_get
from shared.dynamo.transactions import Backoff
from shared.dynamo.values import from_item, to_item
from shared.keys import Item
from shared.times import parse_rfc3339, to_rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_WAITS = "AUTOMATION"


class AutomationState(StrEnum):
    """What a workspace's automation does."""

    ACTIVE = "active"
    PAUSED = "paused"


class AutomationReason(StrEnum):
    """Why it changed to that."""

    OUT_OF_CREDITS = "out_of_credits"
    CREDITS_AVAILABLE = "credits_available"


REASON_OF = {
    AutomationState.ACTIVE: AutomationReason.CREDITS_AVAILABLE,
    AutomationState.PAUSED: AutomationReason.OUT_OF_CREDITS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Automation:
    """The record of a workspace. `sequence` counts the changes of `state`; `announced` is what was announced last.
    `listed` says that the sweep finds it: while it waits, and until its end is announced.
    """

    workspace_id: str
    state: AutomationState
    reason: AutomationReason
    since: datetime
    sequence: int
    announced: AutomationState
    listed: bool

    @property
    def is_announced(self) -> bool:
        return self.state is self.announced

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to be told or tidied up."""
        return self.is_announced and self.listed is (self.state is AutomationState.PAUSED)

    @property
    def is_settled_pause(self) -> bool:
        return self.is_settled and self.state is AutomationState.PAUSED


class AutomationStore:
    """The records of all workspaces. One that never paused has none, and is active."""

    def __init__(self, client: DynamoDBClient, table: str, *, backoff: Backoff | None = None) -> None:
        self._client = client
        self._table = table
        self._backoff = backoff or Backoff()

    def get(self, workspace_id: str) -> Automation | None:
        key = keys.automation(workspace_id).attributes()
        answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return _to_automation(answer["Item"]) if "Item" in answer else None

    def get_many(self, workspace_ids: Iterable[str]) -> dict[str, Automation]:
        """The records that there are of up to `READ_BATCH` workspaces. Raises StoreUnavailable."""
        places = [keys.automation(workspace_id) for workspace_id in workspace_ids]
        found = map(_to_automation, batch_get(self._client, self._table, places, self._backoff))
        return {automation.workspace_id: automation for automation in found}

    def note(self, workspace_id: str, state: AutomationState, now: datetime) -> Automation | None:
        """Writes the state, if it is another than before, and answers with the record as it is then; None for a
        workspace that is active and always was.
        """
        is_another = "#state <> :state"
        # Only a first pause begins a record.
        there_is_a_record = [] if state is AutomationState.PAUSED else ["attribute_exists(#state)"]
        changes = {
            "workspace_id": ":workspace_id",
            "state": ":state",
            "reason": ":reason",
            "since": ":now",
            "sequence": "if_not_exists(#sequence, :none) + :one",
            "announced": "if_not_exists(#announced, :active)",
            # Until it is announced, and for as long as it waits, the sweep finds it by these (see `shared.keys`).
            "waiting_pk": ":waiting_pk",
            "waiting_sk": ":waiting_sk",
        }
        values = {
            ":workspace_id": workspace_id,
            ":state": state.value,
            ":reason": REASON_OF[state].value,
            ":now": to_rfc3339(now),
            ":none": 0,
            ":one": 1,
            ":active": AutomationState.ACTIVE.value,
            ":waiting_pk": keys.waiting(workspace_id),
            ":waiting_sk": keys.waiting_entry(workspace_id, _WAITS),
        }
        return self._update(
            workspace_id,
            "SET " + ", ".join(f"#{name} = {value}" for name, value in changes.items()),
            " AND ".join([is_another, *there_is_a_record]),
            {f"#{name}": name for name in changes},
            values,
        )

    def announced(self, automation: Automation) -> None:
        """Notes that the state was announced, if it still is the state."""
        expression = "SET #announced = :state"
        names = {"#announced": "announced", "#sequence": "sequence"}
        if automation.state is AutomationState.ACTIVE:
            expression += " REMOVE #waiting_pk, #waiting_sk"
            names |= {"#waiting_pk": "waiting_pk", "#waiting_sk": "waiting_sk"}
        values = {":state": automation.state.value, ":sequence": automation.sequence}
        self._update(automation.workspace_id, expression, "#sequence = :sequence", names, values)

    def _update(
        self, workspace_id: str, expression: str, condition: str, names: dict[str, str], values: dict[str, Any]
    ) -> Automation | None:
        """Changes the record where the condition holds. Answers with it as it is then."""
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key=keys.automation(workspace_id).attributes(),
                UpdateExpression=expression,
                ConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=to_item(values),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as refused:
            # The item comes along with the refusal (botocore leaves it out of its types).
            item: Any = refused.response.get("Item")
            return _to_automation(item) if item else None
        return _to_automation(answer["Attributes"])


def _to_automation(item: Item) -> Automation:
    values = from_item(item)
    return Automation(
        workspace_id=values["workspace_id"],
        state=AutomationState(values["state"]),
        reason=AutomationReason(values["reason"]),
        since=parse_rfc3339(values["since"]),
        sequence=values["sequence"],
        announced=AutomationState(values["announced"]),
        listed="waiting_pk" in values,
    )
