"""What EventBridge Scheduler itself holds of a workspace's schedules, and what a person with the console does there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_scheduler import EventBridgeSchedulerClient

    from productsync.stack import EmbeddedStack

# What every update changes, and what cannot be sent.
_OF_THE_UPDATE = ("State", "LastModificationDate")
_READ_ONLY = ("Arn", "CreationDate", "LastModificationDate")


@dataclass(frozen=True)
class Copies:
    """The copies of one workspace's schedules in the group of a deployment."""

    client: EventBridgeSchedulerClient
    lambda_client: LambdaClient
    group: str
    workspace_id: str

    @classmethod
    def of(cls, stack: EmbeddedStack, workspace_id: str) -> Copies:
        return cls(stack.aws.scheduler(), stack.aws.lambda_(), stack.outputs["ScheduleGroup"], workspace_id)

    def name(self, schedule_id: str) -> str:
        return f"{self.workspace_id}.{schedule_id}"

    def states(self) -> dict[str, str]:
        """The state of each copy, by the schedule's identifier."""
        listed = self.client.list_schedules(GroupName=self.group, NamePrefix=self.name(""))["Schedules"]
        return {one["Name"].removeprefix(self.name("")): one["State"] for one in listed}

    def get(self, schedule_id: str) -> dict[str, Any]:
        """The whole copy."""
        found = dict(self.client.get_schedule(GroupName=self.group, Name=self.name(schedule_id)))
        del found["ResponseMetadata"]
        return found

    def all_but_state(self, schedule_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The copies without what pausing and resuming changes."""
        copies = {schedule_id: self.get(schedule_id) for schedule_id in schedule_ids}
        for copy in copies.values():
            for name in _OF_THE_UPDATE:
                del copy[name]
        return copies

    def change(self, schedule_id: str, **changes: Any) -> None:
        """Changes a copy by hand, behind our back."""
        found = self.get(schedule_id)
        for name in _READ_ONLY:
            del found[name]
        self.client.update_schedule(**found | changes)

    def fire(self, schedule_id: str, scheduled_time: str) -> dict[str, str]:
        """Calls the copy's target as EventBridge Scheduler does when it is due, and says what became of it."""
        target = self.get(schedule_id)["Target"]
        sent = json.loads(target["Input"]) | {"scheduled_time": scheduled_time}
        answer = self.lambda_client.invoke(FunctionName=target["Arn"], Payload=json.dumps(sent).encode())
        told = answer["Payload"].read()
        assert not answer.get("FunctionError"), told
        return dict(json.loads(told))

    def clear(self) -> None:
        """Deletes them all: the embedded Scheduler lists no more than 100 of a group, so tests leave none behind."""
        for schedule_id in self.states():
            self.client.delete_schedule(GroupName=self.group, Name=self.name(schedule_id))
