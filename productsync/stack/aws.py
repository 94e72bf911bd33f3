"""Clients of AWS, or of the embedded AWS; the only difference is where they are made."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from productsync.failures import StackFailure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_apigateway import APIGatewayClient
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_scheduler import EventBridgeSchedulerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sts import STSClient

ANY_KEY = "test"
"""The embedded AWS takes whoever shows this for the owner of the account. It listens on loopback only."""


@contextmanager
def refusals_told() -> Iterator[None]:
    """Tells what AWS itself refuses (credentials, permissions, limits) as a StackFailure: its own words say it best."""
    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError) as error:
        raise StackFailure("AWS refuses", str(error)) from error


@dataclass(frozen=True, slots=True)
class Aws:
    """One account in one region."""

    session: boto3.Session
    endpoint: str | None = None
    """Where the embedded AWS answers; None is AWS itself."""

    @staticmethod
    def of_caller() -> Aws:
        """AWS, with the credentials and the region that the caller's environment has."""
        return Aws(boto3.Session())

    @staticmethod
    def embedded(endpoint: str, region: str) -> Aws:
        """The embedded AWS, as the owner of its account."""
        session = boto3.Session(aws_access_key_id=ANY_KEY, aws_secret_access_key=ANY_KEY, region_name=region)
        return Aws(session, endpoint)

    @property
    def region(self) -> str:
        """Such as eu-central-1; empty when the caller has set none."""
        return self.session.region_name or ""

    def _options(self, **config: Any) -> dict[str, Any]:
        return {"endpoint_url": self.endpoint, "config": Config(retries={"mode": "standard"}, **config)}

    def apigateway(self) -> APIGatewayClient:
        """REST APIs."""
        return self.session.client("apigateway", **self._options())

    def cloudformation(self) -> CloudFormationClient:
        """Stacks."""
        return self.session.client("cloudformation", **self._options())

    def dynamodb(self, max_pool_connections: int = 10) -> DynamoDBClient:
        """Tables, by the low-level interface."""
        return self.session.client("dynamodb", **self._options(max_pool_connections=max_pool_connections))

    def events(self) -> EventBridgeClient:
        """Buses of events and their rules."""
        return self.session.client("events", **self._options())

    def lambda_(self) -> LambdaClient:
        """Functions."""
        return self.session.client("lambda", **self._options())

    def s3(self) -> S3Client:
        """Buckets, addressed by path and signed by version 4, which is what works everywhere."""
        return self.session.client("s3", **self._options(signature_version="s3v4", s3={"addressing_style": "path"}))

    def scheduler(self) -> EventBridgeSchedulerClient:
        """Schedules as they fire."""
        return self.session.client("scheduler", **self._options())

    def sns(self) -> SNSClient:
        """Topics."""
        return self.session.client("sns", **self._options())

    def sqs(self) -> SQSClient:
        """Queues."""
        return self.session.client("sqs", **self._options())

    def sts(self) -> STSClient:
        """Who the caller is."""
        return self.session.client("sts", **self._options())
