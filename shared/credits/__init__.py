"""The credit account: grants, drawing, operations, and the ledger, the one door through which anything is paid for."""

from shared.channels import Channel
from shared.credits.entries import settlement_id
from shared.credits.granting import Granted, GrantReferenceReused, GrantReplayed
from shared.credits.ledger import MAX_WRITES, Ledger, Look
from shared.credits.model import (
    DRAWING_PRIORITY,
    GIVEN_AWAY,
    Balance,
    Draw,
    Grant,
    GrantKind,
    OpenGrant,
    Operation,
    OperationKind,
    RecordCounts,
    RefusalReason,
    StepRecords,
)
from shared.credits.operations import OperationFilter, OperationLog, OperationPage, Verdict
from shared.credits.plan import (
    ClientCall,
    Committed,
    OperationIdReused,
    Outcome,
    OutOfCredits,
    Plan,
    Replayed,
    Stale,
    UnknownWorkspace,
)
from shared.credits.prices import Action, PriceList

__all__ = [
    "DRAWING_PRIORITY",
    "GIVEN_AWAY",
    "MAX_WRITES",
    "Action",
    "Balance",
    "Channel",
    "ClientCall",
    "Committed",
    "Draw",
    "Grant",
    "GrantKind",
    "GrantReferenceReused",
    "GrantReplayed",
    "Granted",
    "Ledger",
    "Look",
    "OpenGrant",
    "Operation",
    "OperationFilter",
    "OperationIdReused",
    "OperationKind",
    "OperationLog",
    "OperationPage",
    "OutOfCredits",
    "Outcome",
    "Plan",
    "PriceList",
    "RecordCounts",
    "RefusalReason",
    "Replayed",
    "Stale",
    "StepRecords",
    "UnknownWorkspace",
    "Verdict",
    "settlement_id",
]
