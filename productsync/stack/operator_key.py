"""The first key of a deployment. It cannot come through the API, which would ask for a key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def create_operator_key(dynamodb: DynamoDBClient, work_table: str) -> str:
    """Makes an operator's key and returns its secret; the table keeps only a digest of it."""
    # The one place where the command line needs the functions' code, and only when it deploys.
    from shared.workspaces import key_store  # noqa: PLC0415  # the command line starts without it

    return key_store.create_operator_key(dynamodb, work_table, lambda: datetime.now(UTC))
