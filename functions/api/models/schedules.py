"""Schedules: what their owners say, when they fire next, and what they cost."""

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StrictBool, field_validator, model_validator

from functions.api.models.common import Request, View, decimal_text
from functions.api.models.texts import Count, DecimalText, Name, ScheduleName, Time, Version, told
from shared.credits import PriceList
from shared.schedules.costs import LOOK_BACK_DAYS, DailyCost, PastCost, costs_of, rounded
from shared.schedules.expressions import (
    MAX_LENGTH,
    MONTH_DAYS,
    At,
    check_that_it_fires,
    next_firings,
    parse,
    runs_per_day,
)
from shared.schedules.history import DayTally
from shared.schedules.model import Schedule, ScheduleDefinition
from shared.schedules.zones import MAX_NAME, zone_named
from shared.times import to_rfc3339

SHOWN_FIRINGS = 5

State = Literal["enabled", "disabled", "paused"]
Expression = Annotated[str, told("cron(0 6 * * ? *)")]


class ScheduleRequest(Request):
    """What an owner wants: which feed is pulled, or which rule is run, and when. One of the two is named."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": [named], "properties": {named: {"type": "string"}, other: {"type": "null"}}}
                for named, other in (("feed_id", "rule_id"), ("rule_id", "feed_id"))
            ]
        }
    )

    feed_id: Annotated[
        str | None, Field(min_length=1, max_length=100, description="A feed with a source to pull from.")
    ] = None
    rule_id: Annotated[
        str | None, Field(min_length=1, max_length=100, description="A rule that only schedules run.")
    ] = None
    expression: Annotated[
        str,
        Field(max_length=MAX_LENGTH, description="rate(…), cron(…) or at(…), as EventBridge Scheduler writes them."),
    ]
    time_zone: Annotated[str, Field(max_length=MAX_NAME, description="An IANA time zone, such as Europe/Berlin.")] = (
        "UTC"
    )
    enabled: StrictBool = True
    description: Annotated[str, Field(max_length=512)] = ""

    @field_validator("expression")
    @classmethod
    def _as_it_is_written(cls, text: str) -> str:
        return str(parse(text))

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        return zone_named(name).key

    @model_validator(mode="after")
    def _one_job(self) -> Self:
        if self.feed_id is None and self.rule_id is None:
            raise ValueError("name the feed that is pulled (feed_id), or the rule that is run (rule_id)")
        if self.feed_id is not None and self.rule_id is not None:
            raise ValueError("a schedule pulls a feed (feed_id) or runs a rule (rule_id): name one of the two")
        return self

    def definition(self, now: datetime) -> ScheduleDefinition:
        """The definition. Raises BadExpression when it would never fire from `now` on; a time that is past may stand in
        a schedule that is switched off.
        """
        expression = parse(self.expression)
        if self.enabled or not isinstance(expression, At):
            check_that_it_fires(expression, zone_named(self.time_zone), now)
        return ScheduleDefinition(
            feed_id=self.feed_id,
            rule_id=self.rule_id,
            expression=self.expression,
            time_zone=self.time_zone,
            enabled=self.enabled,
            description=self.description,
        )


class ScheduleSummaryView(View):
    """A schedule in a listing: of a feed or of a rule; the other of the two is null. `enabled` is what its owner wants,
    `state` what comes of it.
    """

    schedule_id: ScheduleName
    feed_id: Name | None
    rule_id: Annotated[Name | None, told(None)]
    expression: Expression
    time_zone: Annotated[str, told("Europe/Berlin")]
    enabled: Annotated[bool, told(True)]
    description: Annotated[str, told("The supplier's prices.")]
    version: Version
    state: Annotated[State, Field(description="`paused` while the workspace is out of credits.")]
    next_firings: Annotated[
        list[Time], Field(description="At most 5. None when disabled; when paused, those that there would be.")
    ]
    runs_per_day: Annotated[DecimalText, Field(description="On average."), told("1")]
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, schedule: Schedule, *, paused: bool, now: datetime) -> Self:
        wanted = schedule.definition
        expression, zone = parse(wanted.expression), zone_named(wanted.time_zone)
        firings = next_firings(expression, zone, now, count=SHOWN_FIRINGS, anchor=schedule.updated_at)
        effective: State = "paused" if paused else "enabled"
        return cls(
            schedule_id=schedule.schedule_id,
            feed_id=wanted.feed_id,
            rule_id=wanted.rule_id,
            expression=wanted.expression,
            time_zone=wanted.time_zone,
            enabled=wanted.enabled,
            description=wanted.description,
            version=schedule.version,
            state=effective if wanted.enabled else "disabled",
            next_firings=[to_rfc3339(at) for at in firings] if wanted.enabled else [],
            runs_per_day=_text(runs_per_day(expression, zone, now)),
            created_at=to_rfc3339(schedule.created_at),
            updated_at=to_rfc3339(schedule.updated_at),
        )


class PastCostView(View):
    """What a schedule did in the last 30 days, today included, and the credits for it. `runs` are those of its feed, or
    the passes of its rule; `record_credits` hold what the rule's firings cost.
    """

    days: Annotated[int, told(LOOK_BACK_DAYS, minimum=1)]
    since: Time
    credits: Annotated[int, told(1270, minimum=0)]
    trigger_credits: Annotated[int, told(30, minimum=0)]
    record_credits: Annotated[int, told(1240, minimum=0)]
    started: Annotated[int, told(30, minimum=0)]
    skipped: Annotated[Count, Field(description="Firings that found the run before them still at work.")]
    refused: Annotated[Count, Field(description="Firings that found no credits; they cost nothing.")]
    runs: Annotated[int, told(30, minimum=0)]
    created: Annotated[int, told(40, minimum=0)]
    updated: Annotated[int, told(1200, minimum=0)]
    unchanged: Annotated[int, told(24000, minimum=0)]

    @classmethod
    def of(cls, past: PastCost) -> Self:
        return cls(
            days=LOOK_BACK_DAYS,
            since=to_rfc3339(past.since),
            credits=past.credits,
            trigger_credits=past.trigger_credits,
            record_credits=past.record_credits,
            started=past.started,
            skipped=past.skipped,
            refused=past.refused,
            runs=past.runs,
            created=past.created,
            updated=past.updated,
            unchanged=past.unchanged,
        )


class ExpectedCreditsView(View):
    """Credits to be expected, rounded to four decimal places. `records` and `total` are null without a history."""

    triggers: Annotated[DecimalText, told("1")]
    records: Annotated[DecimalText | None, told("41.3333")]
    total: Annotated[DecimalText | None, told("42.3333")]

    @classmethod
    def of(cls, daily: DailyCost, days: int) -> Self:
        """What it comes to in so many days."""
        return cls(
            triggers=_text(daily.triggers * days),
            records=None if daily.records is None else _text(daily.records * days),
            total=None if daily.total is None else _text(daily.total * days),
        )


class ExpectedView(View):
    """What a schedule is expected to cost. The records are the average of its own history."""

    runs_per_day: Annotated[DecimalText, told("1")]
    per_day: ExpectedCreditsView
    per_month: Annotated[ExpectedCreditsView, Field(description="Of 30 days.")]

    @classmethod
    def of(cls, daily: DailyCost) -> Self:
        return cls(
            runs_per_day=_text(daily.runs),
            per_day=ExpectedCreditsView.of(daily, 1),
            per_month=ExpectedCreditsView.of(daily, MONTH_DAYS),
        )


class FrequencyView(ExpectedView):
    """What the same schedule would cost at another frequency, with as many records a day."""

    expression: Annotated[str, told("rate(2 days)")]


class ScheduleView(ScheduleSummaryView):
    """A schedule with its costs."""

    last_run_id: Annotated[
        str | None,
        Field(description="Of the last 30 days; the pass of a rule, as operations name it in `run_id`."),
        told("run_01KAMZC8V6Q2N4T7X9Z1B3D5F8"),
    ]
    cost: PastCostView
    expected: ExpectedView
    frequencies: list[FrequencyView]

    @classmethod
    def with_costs(
        cls, schedule: Schedule, days: Sequence[DayTally], prices: PriceList, *, paused: bool, now: datetime
    ) -> Self:
        """`days` are those from `shared.schedules.costs.first_day` on."""
        costs = costs_of(
            days,
            parse(schedule.definition.expression),
            zone_named(schedule.definition.time_zone),
            made_at=schedule.created_at,
            prices=prices,
            now=now,
        )
        started = [day.last_run_id for day in days if day.last_run_id is not None]
        return cls(
            **dict(ScheduleSummaryView.of(schedule, paused=paused, now=now)),
            last_run_id=started[-1] if started else None,
            cost=PastCostView.of(costs.past),
            expected=ExpectedView.of(costs.expected),
            frequencies=[
                FrequencyView(expression=str(rate), **dict(ExpectedView.of(daily))) for rate, daily in costs.frequencies
            ],
        )


def _text(exact: Fraction) -> str:
    return decimal_text(rounded(exact))
