"""The DynamoDB client that all stores share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CONFIG = Config(
    # Throttling and network errors are retried here with backoff; TransactionConflict and cancelled transactions are
    # not, and belong to `shared.dynamo.transactions`.
    retries={"mode": "standard", "total_max_attempts": 5},
    # A write must not hang for a minute: the caller has a time limit of its own, and a retry is always safe.
    connect_timeout=3,
    read_timeout=10,
    max_pool_connections=32,
    # Every request is built by our own stores and tested against DynamoDB; validating each of 100 nested items again
    # costs more processor time than everything else in a step.
    parameter_validation=False,
)


def dynamodb_client(config: Config | None = None, **options: Any) -> DynamoDBClient:
    """A low-level client. `config` says what is to be otherwise than `CONFIG`; `options` go to `boto3.client` (an
    endpoint, credentials).
    """
    return boto3.client("dynamodb", config=CONFIG if config is None else CONFIG.merge(config), **options)
