"""Tables to prove the money code on: as the template has them, but nobody listens to their streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.money import Account, HandClock, World
from tests.support.rules import Shop
from tests.support.stack import Tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from productsync.stack import EmbeddedStack

BUCKET = "quiet"


@pytest.fixture(scope="session")
def world(stack: EmbeddedStack, tables: Tables, dynamodb: DynamoDBClient) -> World:
    """Copies of the deployed tables, with a stream where rules need one. On the originals the deployed functions would
    work on the same runs.
    """
    stack.aws.s3().create_bucket(Bucket=BUCKET)
    return World(
        endpoint=stack.state.aws_endpoint,
        credit_table=_copy(dynamodb, tables.credit),
        catalog_table=_copy(dynamodb, tables.catalog, stream=True),
        work_table=_copy(dynamodb, tables.work),
        usage_table=_copy(dynamodb, tables.usage),
        bucket=BUCKET,
    )


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def open_account(world: World, clock: HandClock) -> Callable[[int], Account]:
    """Opens a fresh workspace with so many starter credits."""
    return lambda starter: Account(world, starter, clock)


@pytest.fixture
def open_shop(open_account: Callable[[int], Account]) -> Callable[[int], Shop]:
    """Opens a fresh workspace with so many starter credits, for rules."""
    return lambda starter: Shop(open_account(starter))


def _copy(dynamodb: DynamoDBClient, original: str, *, stream: bool = False) -> str:
    name = f"quiet-{original}"
    described: dict[str, Any] = dict(dynamodb.describe_table(TableName=original)["Table"])
    request: dict[str, Any] = {part: described[part] for part in ("AttributeDefinitions", "KeySchema")}
    if indexes := described.get("GlobalSecondaryIndexes"):
        request["GlobalSecondaryIndexes"] = [
            {part: index[part] for part in ("IndexName", "KeySchema", "Projection")} for index in indexes
        ]
    if stream:
        # Tests deliver it themselves, as they please.
        request["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    dynamodb.create_table(TableName=name, BillingMode="PAY_PER_REQUEST", **request)
    return name
