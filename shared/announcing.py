"""Announcements: what happens to a workspace's credits and automation, told to whoever listens.

Each is one JSON document, sent to EventBridge's default bus and to a topic of SNS. It is made at least once; the
identifier is the same at every repetition, so that a consumer can drop those that it has seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, Self

from shared.times import parse_rfc3339, to_rfc3339

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sns import SNSClient

SOURCE = "productsync.credits"
"""The source of the events, by which rules of EventBridge choose them."""


class AnnouncementKind(StrEnum):
    """What is told; the detail type of the event."""

    PAUSED = "Automation Paused"
    RESUMED = "Automation Resumed"
    LOW = "Credits Low"
    RULE_SUSPENDED = "Rule Suspended"


class AnnouncementRefused(Exception):
    """EventBridge took the call and not the event: worth another try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """Something to be told. `detail` is what its kind has to say beside the other fields, in JSON's types."""

    announcement_id: str
    workspace_id: str
    kind: AnnouncementKind
    at: datetime
    detail: Mapping[str, Any]

    def document(self) -> dict[str, Any]:
        """What is sent, to the bus and to the topic alike."""
        return {
            "announcement_id": self.announcement_id,
            "event": self.kind.value,
            "workspace_id": self.workspace_id,
            "at": to_rfc3339(self.at),
            **self.detail,
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Reads a document again, to the millisecond. Raises KeyError and ValueError when it is none."""
        detail = dict(document)
        return cls(
            announcement_id=detail.pop("announcement_id"),
            workspace_id=detail.pop("workspace_id"),
            kind=AnnouncementKind(detail.pop("event")),
            at=parse_rfc3339(detail.pop("at")),
            detail=detail,
        )


class Announces(Protocol):
    """Tells customers, as `Announcer` does."""

    def announce(self, announcement: Announcement) -> None: ...


class Announcer:
    """Tells the default bus first, then the topic. Safe to share between threads."""

    def __init__(self, events: EventBridgeClient, sns: SNSClient, topic_arn: str) -> None:
        self._events = events
        self._sns = sns
        self._topic_arn = topic_arn

    def announce(self, announcement: Announcement) -> None:
        """Raises AnnouncementRefused and botocore's errors; it may then have been told in part, and is told again."""
        document = json.dumps(announcement.document())
        answer = self._events.put_events(
            Entries=[
                {
                    "Source": SOURCE,
                    "DetailType": announcement.kind.value,
                    "Time": announcement.at,
                    "Detail": document,
                }
            ]
        )
        if answer["FailedEntryCount"]:
            refusal = answer["Entries"][0]
            raise AnnouncementRefused(f"{refusal.get('ErrorCode')}: {refusal.get('ErrorMessage')}")
        self._sns.publish(
            TopicArn=self._topic_arn,
            Subject=f"ProductSync: {announcement.kind.value} ({announcement.workspace_id})",
            Message=document,
            # By these, subscribers choose what they are sent.
            MessageAttributes={
                "workspace_id": {"DataType": "String", "StringValue": announcement.workspace_id},
                "event": {"DataType": "String", "StringValue": announcement.kind.value},
            },
        )
