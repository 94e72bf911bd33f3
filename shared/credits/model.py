"""The words of the credit account: grants, the balance they add up to, and the operations that draw on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Context, Decimal, Inexact, localcontext
from enum import StrEnum

from shared.channels import Channel
from shared.credits.prices import Action
from shared.months import Month

EXACT = Context(prec=60, traps=[Inexact])
"""Money is never rounded: Python's usual 28 digits are too few for a billion credits at a price of 24 digits."""


class GrantKind(StrEnum):
    """Where credits came from: given at the start, given away, bought, or given back by a correction."""

    FREE = "free"
    PROMOTIONAL = "promotional"
    PAID = "paid"
    CORRECTION = "correction"


GIVEN_AWAY = frozenset({GrantKind.FREE, GrantKind.PROMOTIONAL})
"""Whose credits cost their workspace nothing. A promotion may have a price all the same: what it would have cost."""

DRAWING_PRIORITY = {GrantKind.FREE: 10, GrantKind.PROMOTIONAL: 20, GrantKind.CORRECTION: 20, GrantKind.PAID: 30}
"""The priority of a grant unless it is given another: lower is drawn first, so what was free goes before what was
bought.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Credits given to a workspace, as they were given. Never changed afterwards; what is left of them is in the
    balance. `corrects` is the month (UTC) whose books a correction that gave them corrects, where it names one.
    """

    grant_id: str
    workspace_id: str
    kind: GrantKind
    credits: int
    unit_price: Decimal
    currency: str
    priority: int
    granted_at: datetime
    expires_at: datetime | None = None
    reference: str | None = None
    corrects: Month | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenGrant:
    """What the balance item keeps of a grant: what is left, and all that drawing and pricing need to know."""

    grant_id: str
    remaining: int
    unit_price: Decimal
    currency: str
    priority: int
    granted_at: datetime
    expires_at: datetime | None = None

    def is_live(self, now: datetime) -> bool:
        return self.expires_at is None or self.expires_at > now


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """A workspace's credit account as it was seen at one moment.

    All figures are whole credits. `granted - expired - void = available + consumed - owed` (law 4). `expired` counts
    what a grant's expiry has already taken out of `available`; `lapsed` is what time has taken and nobody has booked
    yet.
    `revision` moves when grants are added or booked as expired, never when they are drawn on: while it stands still,
    credits only fall.
    `base` is the size of the last grant, and `level` how much of it is left, in steps (see `shared.credits.levels`).
    """

    workspace_id: str
    available: int
    owed: int
    granted: int
    consumed: int
    expired: int
    void: int
    revision: int
    base: int
    level: int
    grants: tuple[OpenGrant, ...]

    def lapsed(self, now: datetime) -> int:
        return sum(grant.remaining for grant in self.grants if not grant.is_live(now))

    def spendable(self, now: datetime) -> int:
        """Credits that can pay for something at `now`."""
        return sum(grant.remaining for grant in self.grants if grant.is_live(now))

    def is_exhausted(self, now: datetime) -> bool:
        """Whether automation has to wait for credits at `now` (design section 2)."""
        return self.spendable(now) == 0


@dataclass(frozen=True, slots=True)
class Draw:
    """What one grant pays of one operation. `expires` says whether the grant may lapse before the charge commits."""

    grant_id: str
    credits: int
    unit_price: Decimal
    currency: str
    expires: bool = field(default=False, compare=False)


class OperationKind(StrEnum):
    """What an operation was: a step of an import, a call to the API, a schedule's firing, firings of a rule, a debt
    being settled; or credits that left the account unused: expired, void, or taken back by a correction.
    """

    IMPORT = "import"
    API_CALL = "api_call"
    SCHEDULED_JOB = "scheduled_job"
    RULE = "rule"
    SETTLEMENT = "settlement"
    EXPIRY = "expiry"
    VOID = "void"
    CORRECTION = "correction"


class RefusalReason(StrEnum):
    """Why something that was due did not happen. Its entry in the log costs nothing."""

    OUT_OF_CREDITS = "out_of_credits"
    FEED_DELETED = "feed_deleted"
    NOTHING_TO_PULL = "nothing_to_pull"
    RULE_DELETED = "rule_deleted"
    RULE_NOT_SCHEDULED = "rule_not_scheduled"
    RULE_FAILED = "rule_failed"
    RULE_SUSPENDED = "rule_suspended"
    CHAIN_TOO_DEEP = "chain_too_deep"


@dataclass(frozen=True, slots=True)
class RecordCounts:
    """What became of one entity's records in an operation. `unchanged` are those that were met and not written, since
    nothing in them would have changed; `credits` is what the written ones cost, without the call, the firing or the job
    that they came with.
    """

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    credits: int = 0

    def __add__(self, other: RecordCounts) -> RecordCounts:
        return RecordCounts(
            self.created + other.created,
            self.updated + other.updated,
            self.unchanged + other.unchanged,
            self.deleted + other.deleted,
            self.credits + other.credits,
        )

    @classmethod
    def total(cls, counts: Iterable[RecordCounts]) -> RecordCounts:
        return sum(counts, cls())


@dataclass(frozen=True, slots=True)
class StepRecords:
    """Which prepared records of its run a step has written. The names of a thousand records do not fit an entry of the
    log, and they stand in the run's prepared file already.

    The step began behind `position` records of that file, at byte `offset`; of those that follow, the n-th (from 0) was
    written if bit n of `written` is set.
    """

    position: int
    offset: int
    written: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One entry of the operation log: immutable, written in the transaction that it pays for.

    `credits` is what it consumed, of which `owed` was not there to draw; `settled` is what a later grant paid of
    earlier debts. So for every operation `sum(drawn) = credits - owed + settled`. `withdrawn` is what left the account
    unused, by grant. `at` is the time of its trigger. `job_version` is the version of the rule that fired.

    `actor` is who or what had it done: the identifier of an API key, a person, a schedule or a rule; None where nobody
    did, as when a grant expires. `records` counts what became of records, by entity. Which records were written or
    deleted is said by `keys`, the keys of each entity's, or, for a step of a run, by `step`.

    `reference` is the operator's own name of a void or a correction, `description` then the reason, and `corrects` the
    month (UTC) whose books a correction corrects, where it names one.
    """

    operation_id: str
    workspace_id: str
    kind: OperationKind
    channel: Channel
    at: datetime
    credits: int
    fingerprint: str
    actions: Mapping[Action, int]
    drawn: tuple[Draw, ...] = ()
    withdrawn: tuple[Draw, ...] = ()
    owed: int = 0
    settled: int = 0
    job_id: str | None = None
    job_version: int | None = None
    run_id: str | None = None
    description: str = ""
    refused: RefusalReason | None = None
    actor: str | None = None
    records: Mapping[str, RecordCounts] = field(default_factory=dict)
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    step: StepRecords | None = None
    reference: str | None = None
    corrects: Month | None = None

    def money(self) -> dict[str, Decimal]:
        """What the operation cost in money, per currency, exactly."""
        amounts: dict[str, Decimal] = {}
        with localcontext(EXACT):
            for draw in self.drawn:
                amounts[draw.currency] = amounts.get(draw.currency, Decimal(0)) + draw.credits * draw.unit_price
        return amounts
