"""The embedded stack for tests: one for each pytest process, started by the first test that asks for it.

With pytest-xdist every worker process has a stack of its own, so tests of different workers never share tables, queues
or throughput. Tests of one process do share a stack: each makes the workspaces that it needs and looks at nobody
else's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from productsync.stack import EmbeddedStack
from shared.dynamo.client import dynamodb_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, slots=True)
class Tables:
    """The names of the tables."""

    credit: str
    catalog: str
    work: str
    usage: str

    @classmethod
    def of(cls, stack: EmbeddedStack) -> Tables:
        outputs = stack.outputs
        return cls(outputs["CreditTable"], outputs["CatalogTable"], outputs["WorkTable"], outputs["UsageTable"])


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    """The platform, deployed from template.yaml."""
    with EmbeddedStack.start(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="session")
def tables(stack: EmbeddedStack) -> Tables:
    """The tables of the stack."""
    return Tables.of(stack)


@pytest.fixture(scope="session")
def dynamodb(stack: EmbeddedStack) -> DynamoDBClient:
    """The client that the functions use, pointed at the stack."""
    return dynamodb_client(
        endpoint_url=stack.state.aws_endpoint,
        region_name=stack.state.region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
