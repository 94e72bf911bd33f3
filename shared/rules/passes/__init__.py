"""Passes: a scheduled rule goes through all records of its entity, in bounded steps, with a cursor, as a run does."""

from shared.rules.passes.commands import NotPossible, is_stalled, new_pass, resume_pass
from shared.rules.passes.model import PassCounts, PassState, RulePass
from shared.rules.passes.store import PassStore, put_new_pass

__all__ = [
    "NotPossible",
    "PassCounts",
    "PassState",
    "PassStore",
    "RulePass",
    "is_stalled",
    "new_pass",
    "put_new_pass",
    "resume_pass",
]
