"""What an automated action is about to do, and what can become of it.

A plan is complete before anything is written: its price, its writes, and how it is recognised when it comes again.
`Ledger.commit` answers with exactly one of the outcomes below, in the order of precedence in which they stand
(design section 5): a replay is recognised before anything else is judged, and credits before staleness.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shared.channels import Channel
from shared.credits.model import Operation, OperationKind, RecordCounts, RefusalReason, StepRecords
from shared.credits.prices import Action
from shared.dynamo.writes import Write
from shared.keys import Item, Key


@dataclass(frozen=True, slots=True)
class ClientCall:
    """A client's idempotency key, which carries no time and so needs an item of its own beside the operation.

    `answer` is what the client is told now and at every retry; JSON text, small.
    """

    key: Key
    fingerprint: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One operation: what it costs, and the writes that it pays for.

    `fingerprint` says what was asked for, not what came of it: a worker that plans a step again after a hand edit asks
    for the same. `cursor` is the write that moves a run on. With `owe_up_to` above 0 the operation is let through when
    credits are short, as a debt, while the debt stays within that many credits. With `refused` it only notes, free,
    that what was due did not happen, and why; the same identifier is then never charged. `actor`, `records`, `keys` and
    `step` go into the entry as they are (see `Operation`).
    """

    operation_id: str
    workspace_id: str
    kind: OperationKind
    channel: Channel
    at: datetime
    credits: int
    fingerprint: str
    actions: Mapping[Action, int]
    job_id: str | None = None
    job_version: int | None = None
    run_id: str | None = None
    description: str = ""
    call: ClientCall | None = None
    cursor: Write | None = None
    writes: tuple[Write, ...] = ()
    owe_up_to: int = 0
    refused: RefusalReason | None = None
    actor: str | None = None
    records: Mapping[str, RecordCounts] = field(default_factory=dict)
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    step: StepRecords | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """This operation was committed before; nothing was charged or written now. `answer` is what its client was told."""

    operation_id: str
    answer: str | None


@dataclass(frozen=True, slots=True)
class OperationIdReused:
    """The same identifier or idempotency key, but for something else. Nothing was charged or written."""

    operation_id: str


@dataclass(frozen=True, slots=True)
class UnknownWorkspace:
    """There is no such account. Nothing was charged or written."""

    workspace_id: str


@dataclass(frozen=True, slots=True)
class OutOfCredits:
    """`needed` credits were asked for and `available` are there; with `owed` already in debt. Nothing was charged or
    written.
    """

    needed: int
    available: int
    owed: int


@dataclass(frozen=True, slots=True)
class Stale:
    """Somebody was faster: what the plan saw is no longer so. Nothing was charged or written.

    `writes` maps the position of each refused write to the item that stands there now, None if none does.
    """

    cursor_moved: bool
    writes: Mapping[int, Item | None]


@dataclass(frozen=True, slots=True)
class Committed:
    """Charged and written, together. `available` is what was left by the last balance seen, None if nothing was
    charged.
    """

    operation: Operation
    available: int | None


Outcome = Replayed | OperationIdReused | UnknownWorkspace | OutOfCredits | Stale | Committed
