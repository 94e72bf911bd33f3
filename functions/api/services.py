"""The stores and commands behind the routes, made once for all requests of a process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import boto3

from functions.api.uploads import Uploads
from shared.audits.store import AuditStore
from shared.automation.store import AutomationStore
from shared.automation.waiting import WaitingStore
from shared.calls import CallStore
from shared.catalog import CatalogStore
from shared.credits import Ledger, OperationLog
from shared.dynamo.client import dynamodb_client
from shared.exports.store import ExportStore
from shared.feeds.store import FeedStore
from shared.pace import REPORT_PACE, PaceLimits, PaceStore
from shared.rules.attributes import AttributeSource
from shared.rules.commands import RuleRoom
from shared.rules.firing import RuleLimits
from shared.rules.meters import MeterStore
from shared.rules.store import RuleStore
from shared.runs.artifacts import RunArtifacts
from shared.runs.store import RunStore
from shared.schedules.commands import ScheduleRoom
from shared.schedules.history import ScheduleHistory
from shared.schedules.scheduler import Scheduler, Target, scheduler_client
from shared.schedules.store import ScheduleStore
from shared.settings import RuleSettings, Settings, SourceSettings
from shared.sources.credentials import CredentialStore
from shared.times import Clock, utc_now
from shared.usage.store import UsageStore
from shared.workspaces.expiries import Expiries, ExpirySettings
from shared.workspaces.key_commands import KEY_PACE, KeyRoom
from shared.workspaces.key_store import KeyStore
from shared.workspaces.store import WorkspaceStore
from shared.workspaces.usage_keys import UsageKeys, UsageSettings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


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
    schedules: ScheduleStore
    rules: RuleStore
    meters: MeterStore
    waiting: WaitingStore
    automation: AutomationStore
    history: ScheduleHistory
    artifacts: RunArtifacts
    uploads: Uploads
    usage: UsageStore


@cache
def dynamodb() -> DynamoDBClient:
    """One for all stores of the process: each has connections of its own."""
    return dynamodb_client()


@cache
def services() -> Services:
    """Made at the first request; raises KeyError where the environment is not set up."""
    settings = Settings.from_environment()
    client = dynamodb()
    uploads = Uploads.connected(settings.data_bucket)
    return Services(
        settings=settings,
        clock=utc_now,
        ledger=Ledger(client, settings.credit_table),
        operations=OperationLog(client, settings.credit_table),
        catalog=CatalogStore(client, settings.catalog_table),
        feeds=FeedStore(client, settings.work_table),
        runs=RunStore(client, settings.work_table),
        schedules=ScheduleStore(client, settings.work_table),
        rules=RuleStore(client, settings.work_table),
        meters=MeterStore(client, settings.work_table),
        waiting=WaitingStore(client, settings.work_table),
        automation=AutomationStore(client, settings.work_table),
        history=ScheduleHistory(client, settings.work_table),
        artifacts=RunArtifacts(uploads.s3, settings.data_bucket),
        uploads=uploads,
        usage=UsageStore(client, settings.usage_table),
    )


@cache
def workspace_store() -> WorkspaceStore:
    """The workspaces themselves, for operators."""
    settings = services().settings
    return WorkspaceStore(dynamodb(), settings.work_table, settings.credit_table, usage=usage_keys())


@cache
def export_store() -> ExportStore:
    """Exports of months, for finance."""
    return ExportStore(dynamodb(), services().settings.work_table)


@cache
def audit_store() -> AuditStore:
    """Audits of the books, for finance."""
    return AuditStore(dynamodb(), services().settings.work_table)


@cache
def usage_keys() -> UsageKeys:
    """What tells API Gateway of keys whose calls it is to count."""
    return UsageKeys(UsageSettings.from_environment())


@cache
def key_room() -> KeyRoom:
    """What it takes to make keys and to end them."""
    client, table = dynamodb(), services().settings.work_table
    return KeyRoom(KeyStore(client, table), usage_keys(), PaceStore(client, table, KEY_PACE))


@cache
def expiries() -> Expiries:
    """What has grants expire at their time."""
    return Expiries(ExpirySettings.from_environment())


@cache
def schedule_room() -> ScheduleRoom:
    """What it takes to put schedules; made at the first request for one, since no other needs EventBridge Scheduler."""
    room = services()
    scheduler = Scheduler(scheduler_client(), Target.from_environment())
    return ScheduleRoom(room.schedules, room.feeds, room.rules, room.ledger, scheduler, room.clock)


@cache
def rule_room() -> RuleRoom:
    """What it takes to put rules."""
    room, settings = services(), RuleSettings.from_environment()
    limits = RuleLimits(max_depth=settings.max_depth, firings_per_hour=settings.firings_per_hour)
    attributes = AttributeSource(room.feeds, room.rules, room.catalog)
    return RuleRoom(rules=room.rules, attributes=attributes, limits=limits)


@cache
def person_pace() -> PaceStore:
    """What counts the calls that people make by hand."""
    return PaceStore(dynamodb(), services().settings.work_table, PaceLimits.from_environment())


@cache
def report_pace() -> PaceStore:
    """What counts the exports and audits that are begun because somebody asked."""
    return PaceStore(dynamodb(), services().settings.work_table, REPORT_PACE)


@cache
def call_store() -> CallStore:
    """What remembers the free calls that came with an idempotency key; few do."""
    return CallStore(dynamodb(), services().settings.work_table)


@cache
def source_settings() -> SourceSettings:
    """Where feeds may be fetched from."""
    return SourceSettings.from_environment()


@cache
def credential_store() -> CredentialStore:
    """The credentials of feeds; made at the first request for one, since no other needs Secrets Manager."""
    return CredentialStore(boto3.client("secretsmanager"), source_settings().secrets_prefix)
