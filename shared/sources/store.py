"""What is remembered of the file that a feed was last given, in the table of what is running."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared import keys
from shared.dynamo.values import from_item, to_item
from shared.sources.fetching import NOTHING_KNOWN, Validators

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, slots=True)
class LastFile:
    """The last file that a run of the feed took to bring it to the catalogue: which run, and the validators of what it
    was fetched with, by an errand of this fingerprint. Blank validators say nothing of what the source holds: the file
    was uploaded, or other runs, `beside`, were still writing what they had taken earlier.
    """

    run_id: str
    validators: Validators = NOTHING_KNOWN
    fingerprint: str = ""
    beside: tuple[str, ...] = ()


class LastFileStore:
    """The last files of all feeds."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def get(self, workspace_id: str, feed_id: str) -> LastFile | None:
        key = keys.last_fetch(workspace_id, feed_id).attributes()
        answer: Any = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        if "Item" not in answer:
            return None
        values = from_item(answer["Item"])
        return LastFile(
            values["run_id"],
            Validators(values["etag"], values["last_modified"]),
            values["fingerprint"],
            tuple(values["beside"]),
        )

    def put(self, workspace_id: str, feed_id: str, last: LastFile, seen: LastFile | None) -> bool:
        """Writes it in place of the one that was seen; False when that is no longer there."""
        item = {
            "run_id": last.run_id,
            "etag": last.validators.etag,
            "last_modified": last.validators.last_modified,
            "fingerprint": last.fingerprint,
            "beside": list(last.beside),
        }
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if seen is not None:
            condition = {
                "ConditionExpression": "run_id = :seen",
                "ExpressionAttributeValues": to_item({":seen": seen.run_id}),
            }
        key = keys.last_fetch(workspace_id, feed_id).attributes()
        try:
            self._client.put_item(TableName=self._table, Item=key | to_item(item), **condition)
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True
