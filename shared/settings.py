"""What a deployment can decide, read from the environment once, when a function starts (see template.yaml)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from shared.credits.prices import PriceList


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The environment of every function.

    `starter_credits` and `owed_cap` are credits, `max_feed_bytes` bytes. A worker hands a run over to another after
    `import_leg_seconds`. `currency` is the ISO 4217 code of prices that name none.
    """

    credit_table: str
    catalog_table: str
    work_table: str
    usage_table: str
    data_bucket: str
    prepare_queue_url: str
    import_queue_url: str
    starter_credits: int
    prices: PriceList
    currency: str
    owed_cap: int
    max_feed_bytes: int
    import_leg_seconds: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Raises KeyError for what is missing, ValueError for what does not parse: such a function must not start."""
        return cls(
            credit_table=environment["CREDIT_TABLE"],
            catalog_table=environment["CATALOG_TABLE"],
            work_table=environment["WORK_TABLE"],
            usage_table=environment["USAGE_TABLE"],
            data_bucket=environment["DATA_BUCKET"],
            prepare_queue_url=environment["PREPARE_QUEUE_URL"],
            import_queue_url=environment["IMPORT_QUEUE_URL"],
            starter_credits=int(environment["STARTER_CREDITS"]),
            prices=PriceList.from_json(environment["ACTION_PRICES"]),
            currency=environment["CURRENCY"],
            owed_cap=int(environment["OWED_CAP"]),
            max_feed_bytes=int(environment["MAX_FEED_BYTES"]),
            import_leg_seconds=int(environment["IMPORT_LEG_SECONDS"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardSettings:
    """The queue of what the credit guard has to look at."""

    queue_url: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> GuardSettings:
        """Raises KeyError for what is missing: such a function must not start."""
        return cls(queue_url=environment["GUARD_QUEUE_URL"])


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSettings:
    """The queue of what rules have to do, and what keeps them from running away: at most `max_depth` of them set each
    other off in a row, and each fires `firings_per_hour` times within an hour (UTC).
    """

    queue_url: str
    max_depth: int
    firings_per_hour: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> RuleSettings:
        """Raises KeyError for what is missing, ValueError for what does not parse: such a function must not start."""
        return cls(
            queue_url=environment["RULE_QUEUE_URL"],
            max_depth=int(environment["MAX_CHAIN_DEPTH"]),
            firings_per_hour=int(environment["RULE_FIRINGS_PER_HOUR"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings:
    """The queues of exports and of audits that were asked for."""

    export_queue_url: str
    audit_queue_url: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> ReportSettings:
        """Raises KeyError for what is missing: such a function must not start."""
        return cls(export_queue_url=environment["EXPORT_QUEUE_URL"], audit_queue_url=environment["AUDIT_QUEUE_URL"])


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementSettings:
    """The topic on which is announced what happens to a workspace's credits."""

    topic_arn: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> AnnouncementSettings:
        """Raises KeyError for what is missing: such a function must not start."""
        return cls(topic_arn=environment["CREDIT_EVENTS_TOPIC_ARN"])


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowerSettings:
    """The queue of announcements that could not be made."""

    queue_url: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> FollowerSettings:
        """Raises KeyError for what is missing: such a function must not start."""
        return cls(queue_url=environment["ANNOUNCEMENT_QUEUE_URL"])


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """Where feeds may be fetched from, and where the credentials for that are kept.

    `hosts` may have private addresses, all others may not. `buckets` are those of S3 that may be read, each workspace
    its own folder of them. Secrets are named `{secrets_prefix}{workspace_id}/{feed_id}`.
    """

    hosts: frozenset[str]
    buckets: frozenset[str]
    secrets_prefix: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> SourceSettings:
        """Raises KeyError for what is missing: such a function must not start."""
        return cls(
            hosts=_names(environment["SOURCE_HOSTS"].lower()),
            buckets=_names(environment["SOURCE_BUCKETS"]),
            secrets_prefix=environment["SOURCE_SECRETS_PREFIX"],
        )


def _names(listed: str) -> frozenset[str]:
    """The names of a list that is separated by commas."""
    return frozenset(name.strip() for name in listed.split(",") if name.strip())
