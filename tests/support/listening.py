"""Somebody who listens to what the deployed platform announces, on the bus and on the topic."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from productsync.stack import EmbeddedStack


@dataclass
class Listener:
    """Two queues: what came over the bus, and what came from the topic."""

    sqs: SQSClient
    bus_queue: str
    topic_queue: str

    def __post_init__(self) -> None:
        self._heard: dict[str, list[dict[str, Any]]] = {self.bus_queue: [], self.topic_queue: []}

    def events(self, workspace_id: str) -> list[dict[str, Any]]:
        """The events of one workspace that came over the bus so far."""
        heard = self._listen(self.bus_queue)
        return [one for one in heard if one["detail"]["workspace_id"] == workspace_id]

    def notifications(self, workspace_id: str) -> list[dict[str, Any]]:
        """The notifications about one workspace that came from the topic so far."""
        heard = self._listen(self.topic_queue)
        return [one for one in heard if one["MessageAttributes"]["workspace_id"]["Value"] == workspace_id]

    def _listen(self, queue: str) -> list[dict[str, Any]]:
        while messages := self.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self._heard[queue].append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return self._heard[queue]


@contextmanager
def listening(stack: EmbeddedStack) -> Iterator[Listener]:
    """From now on, until the block ends."""
    name = f"listener-{uuid4().hex[:8]}"
    sqs, events, sns = stack.aws.sqs(), stack.aws.events(), stack.aws.sns()
    queues = [sqs.create_queue(QueueName=f"{name}-{way}")["QueueUrl"] for way in ("bus", "topic")]
    bus_arn, topic_arn = (
        sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        for queue in queues
    )
    allowed = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = {"Version": "2012-10-17", "Statement": [allowed | {"Resource": topic_arn}]}
    sqs.set_queue_attributes(QueueUrl=queues[1], Attributes={"Policy": json.dumps(policy)})
    events.put_rule(Name=name, EventPattern=json.dumps({"source": ["productsync.credits"]}))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": bus_arn}])
    subscription = sns.subscribe(
        TopicArn=stack.outputs["CreditEventsTopicArn"], Protocol="sqs", Endpoint=topic_arn, ReturnSubscriptionArn=True
    )
    yield Listener(sqs, *queues)
    sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    events.remove_targets(Rule=name, Ids=["queue"])
    events.delete_rule(Name=name)
    for queue in queues:
        sqs.delete_queue(QueueUrl=queue)
