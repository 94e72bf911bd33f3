"""The credit account, as it is shown."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field

from functions.api.models.common import View, decimal_text, time_text
from functions.api.models.texts import Count, CurrencyText, DecimalText, GrantId, Time, WorkspaceId, one_of, told
from shared.automation.store import Automation, AutomationReason, AutomationState
from shared.automation.waiting import Entry, Waits
from shared.credits import Balance, Grant, GrantKind
from shared.times import to_rfc3339


class GrantView(View):
    """A grant, and what is left of it: nothing once it has expired."""

    grant_id: GrantId
    kind: Annotated[str, one_of(GrantKind, GrantKind.FREE)]
    credits: Annotated[int, told(5000, minimum=0)]
    remaining: Annotated[int, told(4993, minimum=0)]
    unit_price: Annotated[DecimalText, told("0")]
    currency: CurrencyText
    priority: Annotated[int, Field(description="Of several grants the one with the lowest is drawn first."), told(10)]
    reference: Annotated[str | None, Field(description="The operator's name for a top-up."), told(None)]
    granted_at: Time
    expires_at: Annotated[Time | None, told(None)]

    @classmethod
    def of(cls, grant: Grant, remaining: int) -> Self:
        return cls(
            grant_id=grant.grant_id,
            kind=grant.kind.value,
            credits=grant.credits,
            remaining=remaining,
            unit_price=decimal_text(grant.unit_price),
            currency=grant.currency,
            priority=grant.priority,
            reference=grant.reference,
            granted_at=to_rfc3339(grant.granted_at),
            expires_at=time_text(grant.expires_at),
        )


class WaitingView(View):
    """What goes on by itself after a top-up."""

    schedules: Count
    runs: Count
    passes: Annotated[Count, Field(description="Passes of rules.")]
    changes: Annotated[bool, Field(description="Whether changes of records wait for rules.")]


class AutomationPausedView(View):
    """Why automation waits, since when, and what waits. `since` is null for the moments until the pause is noted."""

    since: Time | None
    reason: Annotated[str, one_of([AutomationReason.OUT_OF_CREDITS], AutomationReason.OUT_OF_CREDITS)]
    waiting: WaitingView

    @classmethod
    def of(cls, automation: Automation | None, schedules: int, entries: Sequence[Entry]) -> Self:
        """What waits for credits that are out; `automation` is what the guard has noted last, `entries` are from
        the index.
        """
        kinds = Counter(entry.kind for entry in entries)
        is_noted = automation is not None and automation.state is AutomationState.PAUSED
        return cls(
            since=to_rfc3339(automation.since) if automation is not None and is_noted else None,
            reason=AutomationReason.OUT_OF_CREDITS.value,
            waiting=WaitingView(
                schedules=schedules,
                runs=kinds[Waits.RUN],
                passes=kinds[Waits.PASS],
                changes=kinds[Waits.BACKLOG] > 0,
            ),
        )


class CreditsView(View):
    """A workspace's account. It always holds that `granted - expired - void = available + consumed - owed`.

    `state` says whether its automation runs: it is `paused` when no credit is left, and `paused` tells more.
    """

    workspace_id: WorkspaceId
    state: Literal["active", "paused"]
    paused: Annotated[AutomationPausedView | None, told(None)]
    available: Annotated[int, Field(description="What is there to spend."), told(4993, minimum=0)]
    owed: Annotated[
        int, Field(description="For reads that went on without credits; the next top-up pays it."), told(0, minimum=0)
    ]
    granted: Annotated[int, Field(description="All credits that were ever given."), told(5000, minimum=0)]
    consumed: Annotated[int, Field(description="All credits that were ever spent."), told(7, minimum=0)]
    expired: Annotated[int, Field(description="Credits that expired before they were spent."), told(0, minimum=0)]
    void: Annotated[int, Field(description="Credits that were taken back."), told(0, minimum=0)]
    currency: CurrencyText
    grants: list[GrantView]

    @classmethod
    def of(
        cls,
        balance: Balance,
        grants: Iterable[Grant],
        currency: str,
        now: datetime,
        paused: AutomationPausedView | None = None,
    ) -> Self:
        """The account at `now`: what has lapsed since anybody booked it counts as expired. `paused` is about an account
        that is exhausted.
        """
        left = {grant.grant_id: grant.remaining for grant in balance.grants if grant.is_live(now)}
        return cls(
            workspace_id=balance.workspace_id,
            state="paused" if balance.is_exhausted(now) else "active",
            paused=paused,
            available=balance.spendable(now),
            owed=balance.owed,
            granted=balance.granted,
            consumed=balance.consumed,
            expired=balance.expired + balance.lapsed(now),
            void=balance.void,
            currency=currency,
            grants=[GrantView.of(grant, left.get(grant.grant_id, 0)) for grant in grants],
        )
