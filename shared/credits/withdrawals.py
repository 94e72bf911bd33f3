"""Credits that leave an account unused because somebody decides so: a grant is void, or a correction takes some back.

Nothing is edited or deleted: what was given stays given, and the log says what was taken, from which grants and why.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shared import keys
from shared.channels import Channel
from shared.credits.model import Draw, Operation, OperationKind
from shared.credits.plan import ClientCall, OperationIdReused, Replayed, UnknownWorkspace
from shared.ids import fingerprint, operation_id
from shared.months import Month


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """Credits to take out of a workspace's account. `reference` is the operator's own name for it: the same is done
    once. Without `credits` it is all that is left; without a `grant_id`, of the grants that would pay next. `actor` is
    the operator's key; `corrects` is the month (UTC) whose books a correction corrects, where it names one.
    """

    workspace_id: str
    kind: Literal[OperationKind.VOID, OperationKind.CORRECTION]
    reference: str
    reason: str
    at: datetime
    grant_id: str | None = None
    credits: int | None = None
    actor: str | None = None
    corrects: Month | None = None

    def call(self, answer: str) -> ClientCall:
        """How it is recognised when it comes again."""
        month = () if self.corrects is None else (str(self.corrects),)
        asked = fingerprint(self.kind, self.grant_id or "", str(self.credits), self.reason, *month)
        return ClientCall(keys.call(self.workspace_id, self.kind, self.reference), asked, answer)

    def operation(self, draws: tuple[Draw, ...]) -> Operation:
        """Its entry in the log. It consumes nothing."""
        return Operation(
            operation_id=operation_id(self.at, self.workspace_id, self.kind, self.reference),
            workspace_id=self.workspace_id,
            kind=self.kind,
            channel=Channel.API,
            at=self.at,
            credits=0,
            fingerprint=self.call("").fingerprint,
            actions={},
            withdrawn=draws,
            description=self.reason,
            actor=self.actor,
            reference=self.reference,
            corrects=self.corrects,
        )


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The credits are gone from the account."""

    operation: Operation


@dataclass(frozen=True, slots=True)
class NotThere:
    """So many credits are not there to be taken; `left` can be taken at once, of the grant or of all. Nothing was
    done.
    """

    left: int


@dataclass(frozen=True, slots=True)
class UnknownGrant:
    """The workspace was never given such a grant. Nothing was done."""

    grant_id: str


WithdrawalOutcome = Withdrawn | Replayed | OperationIdReused | NotThere | UnknownGrant | UnknownWorkspace
