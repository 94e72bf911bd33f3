"""Rules: what their owners say, what comes of it, and what they would do."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from functions.api.models.common import Request, View, time_text
from functions.api.models.texts import Count, EntityText, Name, RecordKeyText, Time, Version, told
from functions.api.paging import MAX_CURSOR, opaque
from shared.rules.definition import RuleDefinition
from shared.rules.meters import Meter, hour_of
from shared.rules.model import Creation, Rule
from shared.rules.preview import Preview
from shared.times import to_rfc3339

State = Literal["enabled", "disabled", "suspended", "paused"]


class FiredView(View):
    """What a rule has done since it was made, over all its versions."""

    firings: Annotated[int, told(12, minimum=0)]
    credits: Annotated[
        int, Field(description="Of the firings and of the records that they wrote."), told(24, minimum=0)
    ]
    failures: Annotated[Count, Field(description="Records that it failed on; they cost nothing.")]
    last_fired_at: Time | None
    last_failure_at: Annotated[Time | None, told(None)]
    last_failure: Annotated[str | None, told(None)]
    fired_this_hour: Annotated[Count, Field(description="Firings in the present hour (UTC).")]

    @classmethod
    def of(cls, meter: Meter | None, now: datetime) -> Self:
        """`meter` is None where the rule was deleted at this moment."""
        return cls(
            firings=meter.firings if meter else 0,
            credits=meter.credits if meter else 0,
            failures=meter.failures if meter else 0,
            last_fired_at=time_text(meter.last_fired_at) if meter else None,
            last_failure_at=time_text(meter.last_failure_at) if meter else None,
            last_failure=meter.last_failure if meter else None,
            fired_this_hour=meter.fired_in(hour_of(now)) if meter else 0,
        )


class RuleView(View):
    """A rule. `enabled` is what its owner wants, `state` what comes of it."""

    rule_id: Annotated[Name, told("gross")]
    entity: EntityText
    trigger: Annotated[dict[str, Any], told({"on": ["created", "updated"], "attributes": ["price"]})]
    condition: Annotated[str, told("price > 10")]
    actions: Annotated[
        list[dict[str, Any]], told([{"set": "gross", "to": {"expression": "price * 1.2", "decimals": 2}}])
    ]
    enabled: Annotated[bool, told(True)]
    description: Annotated[str, told("The price with tax.")]
    max_firings_per_hour: Annotated[int | None, told(None, minimum=1)]
    version: Version
    state: Annotated[
        State,
        Field(
            description="`suspended` when it fired too often, until it is put anew; `paused` while the workspace is out"
            " of credits."
        ),
    ]
    suspended_at: Annotated[Time | None, told(None)]
    fired: FiredView
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, rule: Rule, meter: Meter | None, *, paused: bool, now: datetime) -> Self:
        wanted = rule.definition
        # As it was sent, and what was left out.
        definition = {name: getattr(wanted, name) for name in RuleDefinition.model_fields} | wanted.to_json()
        return cls(
            rule_id=rule.rule_id,
            **definition,
            version=rule.version,
            state=_state(rule, paused=paused),
            suspended_at=time_text(rule.suspended_at),
            fired=FiredView.of(meter, now),
            created_at=to_rfc3339(rule.created_at),
            updated_at=to_rfc3339(rule.updated_at),
        )


class SavedRuleView(RuleView):
    """A rule that was just put. `warnings` are what looks odd about it: names that the entity does not have, and chains
    of rules that may come back to it.
    """

    warnings: Annotated[list[str], told([])]

    @classmethod
    def saved(cls, view: RuleView, warnings: Sequence[str]) -> Self:
        return cls(**dict(view), warnings=list(warnings))


class PreviewRequest(Request):
    """What to preview: the rule as it is saved, or a definition that is not. With a `cursor` the preview goes on."""

    definition: RuleDefinition | None = None
    cursor: Annotated[
        str | None,
        Field(min_length=1, max_length=MAX_CURSOR, description="`next_cursor` of the part before."),
    ] = None


class CreatedView(View):
    """A record that a rule would create."""

    entity: EntityText
    key: RecordKeyText
    attributes: Annotated[Mapping[str, Any], told({"title": "Drills"})]

    @classmethod
    def of(cls, creation: Creation) -> Self:
        return cls(entity=creation.entity, key=creation.key, attributes=creation.attributes)


class ExampleView(View):
    """A record before and after: the attributes that would change, and only those."""

    key: RecordKeyText
    before: Annotated[Mapping[str, Any], told({"gross": 12})]
    after: Annotated[Mapping[str, Any], told({"gross": 13.2})]
    creates: Annotated[list[CreatedView], told([])]
    shortened: Annotated[bool, Field(description="Whether something was too long to be shown as a whole.")]


class FailureView(View):
    """A record that the rule cannot be carried out on; that would cost nothing."""

    key: RecordKeyText
    reason: Annotated[str, told("price is a text, and no number")]


class PreviewView(View):
    """What a rule would do with the records that were examined, if all of them changed now, and what it would cost."""

    examined: Annotated[int, told(842, minimum=0)]
    matched: Annotated[int, Field(description="Records on which the condition holds."), told(40, minimum=0)]
    would_fire: Annotated[int, told(38, minimum=0)]
    would_update: Annotated[int, told(38, minimum=0)]
    would_create: Count
    unchanged: Annotated[
        int, Field(description="The condition holds, and nothing would change: free."), told(2, minimum=0)
    ]
    failed: Count
    credits: Annotated[int, told(76, minimum=0)]
    examples: Annotated[list[ExampleView], Field(description="At most 3.")]
    failures: Annotated[list[FailureView], Field(description="At most 3."), told([], maxItems=3)]
    warnings: Annotated[list[str], Field(description="Of a definition that is not saved, in the first part."), told([])]
    next_cursor: Annotated[str | None, Field(description="Null when all records were examined."), told(None)]

    @classmethod
    def of(cls, preview: Preview, warnings: Sequence[str]) -> Self:
        return cls(
            examined=preview.examined,
            matched=preview.matched,
            would_fire=preview.would_fire,
            would_update=preview.would_update,
            would_create=preview.would_create,
            unchanged=preview.unchanged,
            failed=preview.failed,
            credits=preview.credits,
            examples=[
                ExampleView(
                    key=example.key,
                    before=example.before,
                    after=example.after,
                    creates=[CreatedView.of(creation) for creation in example.creates],
                    shortened=example.shortened,
                )
                for example in preview.examples
            ],
            failures=[FailureView(key=each.key, reason=each.reason) for each in preview.failures],
            warnings=list(warnings),
            next_cursor=None if preview.cursor is None else opaque(preview.cursor),
        )


def _state(rule: Rule, *, paused: bool) -> State:
    if not rule.definition.enabled:
        return "disabled"
    if rule.suspended_at is not None:
        return "suspended"
    return "paused" if paused else "enabled"
