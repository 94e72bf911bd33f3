"""The stores and commands behind the routes, made once for all requests of a process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from functions.api.uploads import Uploads
from shared.catalog import CatalogStore
from shared.credits import Ledger, OperationLog
from shared.dynamo.client import dynamodb_client
from shared.feeds.store import FeedStore
from shared.runs.artifacts import RunArtifacts
from shared.runs.store import RunStore
from shared.settings import Settings
from shared.times import Clock, utc_now
from shared.workspaces import WorkspaceStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything that a route may use."""

    settings: Settings
    clock: Clock
    ledger: Ledger
    operations: OperationLog
    catalog: CatalogStore
    feeds: FeedStore
    runs: RunStore
    artifacts: RunArtifacts
    uploads: Uploads
    workspaces: WorkspaceStore


@cache
def services() -> Services:
    """Made at the first request; raises KeyError where the environment is not set up."""
    settings = Settings.from_environment()
    client = dynamodb_client()
    uploads = Uploads.connected(settings.data_bucket)
    return Services(
        settings=settings,
        clock=utc_now,
        ledger=Ledger(client, settings.credit_table),
        operations=OperationLog(client, settings.credit_table),
        catalog=CatalogStore(client, settings.catalog_table),
        feeds=FeedStore(client, settings.work_table),
        runs=RunStore(client, settings.work_table),
        artifacts=RunArtifacts(uploads.s3, settings.data_bucket),
        uploads=uploads,
        workspaces=WorkspaceStore(client, settings.work_table, settings.credit_table),
    )
