"""What may be asked of passes: begin one, resume one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from shared.credits import Ledger, OutOfCredits
from shared.credits.drawing import drawable
from shared.ids import new_pass_id
from shared.rules.model import Rule
from shared.rules.passes.model import PassState, RulePass, resumed
from shared.rules.passes.store import PassStore
from shared.runs.commands import STALLED_AFTER


def new_pass(rule: Rule, *, schedule_id: str | None, now: datetime) -> RulePass:
    """A pass of the rule as it is now; it begins when `put_new_pass` has written it."""
    return RulePass(
        pass_id=new_pass_id(now),
        workspace_id=rule.workspace_id,
        rule_id=rule.rule_id,
        rule_version=rule.version,
        entity=rule.definition.entity,
        schedule_id=schedule_id,
        state=PassState.RUNNING,
        created_at=now,
        updated_at=now,
        step_at=now,
    )


@dataclass(frozen=True, slots=True)
class NotPossible:
    """The pass is in a state in which this cannot be done."""

    rule_pass: RulePass


def is_stalled(rule_pass: RulePass, now: datetime) -> bool:
    """Whether nobody seems to work on a pass that is worked on."""
    return rule_pass.state is PassState.RUNNING and now - rule_pass.updated_at >= STALLED_AFTER


def resume_pass(
    passes: PassStore, ledger: Ledger, rule_pass: RulePass, now: datetime
) -> RulePass | NotPossible | OutOfCredits:
    """Lets a paused pass go on from its cursor, if there are credits for the firing that it stopped at; or one that
    nobody works on any more: its doorbell is rung again. Raises StoreUnavailable and botocore's errors.
    """
    stalled = is_stalled(rule_pass, now)
    if rule_pass.state is not PassState.PAUSED and not stalled:
        return NotPossible(rule_pass)
    if not stalled:
        balance = ledger.balance(rule_pass.workspace_id)
        available = drawable(balance, now) if balance else 0
        if available < rule_pass.needed:
            return OutOfCredits(rule_pass.needed, available, balance.owed if balance else 0)
    # Dated now, as a run is (`shared.runs.commands.resume_run`).
    going_on = replace(rule_pass, updated_at=now, step_at=now) if stalled else resumed(rule_pass, now)
    going_on = replace(going_on, leg=rule_pass.leg + 1)
    if passes.move(rule_pass, going_on, rings=True):
        return going_on
    return NotPossible(passes.get(rule_pass.workspace_id, rule_pass.pass_id) or rule_pass)
