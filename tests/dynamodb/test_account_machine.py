"""Laws 1 to 4 as a machine that tries to break them: any mix of charges, retries, reused identifiers, grants, expiry
and debts, on ledgers that remember and ledgers that do not, against a model of a few lines.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shared import keys
from shared.catalog import READ_BATCH, Record
from shared.credits import (
    ClientCall,
    Committed,
    Granted,
    GrantKind,
    GrantReferenceReused,
    GrantReplayed,
    Ledger,
    Operation,
    OperationIdReused,
    OperationKind,
    OutOfCredits,
    Plan,
    Replayed,
)
from shared.credits.levels import FULL, level_of
from shared.credits.restitutions import Restitution, Restored
from shared.credits.withdrawals import NotThere, Withdrawal, Withdrawn
from shared.ids import grant_id
from tests.support.money import MORNING, Account, HandClock, World

CAP = 12


@dataclass
class ModelGrant:
    """A grant as the model sees it: `rank` is its place in the order of drawing."""

    reference: str
    credits: int
    remaining: int
    rank: tuple[int, object, object, str]
    expires_in: object


@dataclass
class Model:
    """What must be so: who paid what, and what is left."""

    grants: list[ModelGrant] = field(default_factory=list)
    owed: int = 0
    consumed: int = 0
    expired: int = 0
    void: int = 0
    withdrawals: dict[str, dict[str, int]] = field(default_factory=dict)
    base: int = 0
    level: int = FULL
    committed: dict[str, int] = field(default_factory=dict)
    drawn: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def available(self) -> int:
        return sum(grant.remaining for grant in self.grants)

    def fall(self) -> None:
        """After credits have left the account."""
        self.level = min(self.level, level_of(self.available, self.base))

    def book_lapsed(self, now: object) -> None:
        for grant in self.grants:
            if grant.expires_in <= now:  # type: ignore[operator]
                self.expired += grant.remaining
                grant.remaining = 0
        self.fall()

    def withdraw(self, reference: str, grant: str | None, credits: int | None, now: object) -> int | None:
        """None where it is done; else what is left to take."""
        payers = [each for each in self.live(now) if grant in {None, each.reference}]
        left = sum(each.remaining for each in payers)
        missing = left if credits is None else credits
        if not payers or missing > left:
            return left
        parts = {}
        for each in payers:
            part = min(missing, each.remaining)
            if part:
                parts[each.reference] = part
            each.remaining, missing = each.remaining - part, missing - part
        self.void += sum(parts.values())
        self.withdrawals[reference] = parts
        self.fall()
        return None

    def live(self, now: object) -> list[ModelGrant]:
        grants = (each for each in self.grants if each.remaining and each.expires_in > now)  # type: ignore[operator]
        return sorted(grants, key=lambda each: each.rank)

    def spendable(self, now: object) -> int:
        return sum(each.remaining for each in self.live(now))

    def charge(self, trigger: str, credits: int, now: object, cap: int) -> bool:
        left, parts = credits, {}
        if self.spendable(now) < credits:
            if self.owed + credits > cap:
                return False
            self.owed, left = self.owed + credits, 0
        for each in self.live(now):
            part = min(left, each.remaining)
            if part:
                parts[each.reference] = part
            each.remaining, left = each.remaining - part, left - part
        self.consumed += credits
        self.committed[trigger] = credits
        self.drawn[trigger] = parts
        if credits:
            self.fall()
        return True


def told(operation: Operation) -> str:
    return str(sum(draw.credits for draw in operation.withdrawn))


def settled_of(outcome: Restored) -> str:
    return str(outcome.settled)


class AccountMachine(RuleBasedStateMachine):
    """One account, three ledgers that remember, and a cold one whenever it is asked for."""

    world: World

    @initialize(starter=st.integers(0, 30))
    def open(self, starter: int) -> None:
        self.clock = HandClock()
        self.account = Account(self.world, starter, self.clock)
        self.ledgers = [self.account.ledger() for _ in range(3)]
        self.model = Model()
        self.restored: dict[str, Restitution] = {}
        self._add("starter", starter, 10, None)
        self.plans: dict[str, Plan] = {}
        self.calls: dict[str, str] = {}
        self.withdrawn: dict[str, tuple[ModelGrant | None, int | None]] = {}

    @rule(credits=st.integers(0, 9), ledger=st.integers(0, 3), owing=st.booleans())
    def charge(self, credits: int, ledger: int, owing: bool) -> None:
        plan = self._plan(f"op {len(self.plans)}", credits, owing=owing)
        self._commit_new(plan, ledger)

    @rule(credits=st.integers(1, 5), ledger=st.integers(0, 3), key=st.integers(0, 4))
    def charge_with_an_idempotency_key(self, credits: int, ledger: int, key: int) -> None:
        place = keys.call(self.account.workspace_id, "POST", f"key {key}")
        trigger = f"op {len(self.plans)}"
        plan = self._plan(trigger, credits, call=ClientCall(place, str(credits), f"answer {trigger}"))
        if place.pk not in self.calls:
            self._commit_new(plan, ledger)
            return
        self._expect_replay(plan, ledger)
        del self.plans[trigger]

    @precondition(lambda self: self.plans)
    @rule(data=st.data(), ledger=st.integers(0, 3))
    def retry(self, data: st.DataObject, ledger: int) -> None:
        """Any operation of the past, whether it was committed or refused."""
        trigger = data.draw(st.sampled_from(sorted(self.plans)))
        plan = self.plans[trigger]
        if trigger not in self.model.committed:
            if plan.call is not None and plan.call.key.pk in self.calls:
                # Another of the same key was refused before, and was committed since.
                self._expect_replay(plan, ledger)
            else:
                self._commit_new(plan, ledger)
            return
        answer = plan.call.answer if plan.call else None
        assert self._ledger(ledger).commit(plan) == Replayed(plan.operation_id, answer)

    @precondition(lambda self: self.model.committed)
    @rule(data=st.data(), ledger=st.integers(0, 3), credits=st.integers(0, 9))
    def reuse_an_identifier(self, data: st.DataObject, ledger: int, credits: int) -> None:
        trigger = data.draw(st.sampled_from(sorted(self.model.committed)))
        other = self.account.plan(trigger, credits, asks="something else", owe_up_to=CAP)
        assert self._ledger(ledger).commit(other) == OperationIdReused(other.operation_id)

    @rule(
        credits=st.integers(1, 20),
        ledger=st.integers(0, 3),
        kind=st.sampled_from(GrantKind),
        hours=st.none() | st.integers(1, 5),
        priority=st.integers(1, 3),
    )
    def top_up(self, credits: int, ledger: int, kind: GrantKind, hours: int | None, priority: int) -> None:
        reference = f"grant {len(self.model.grants)}"
        lasts = None if hours is None else timedelta(hours=hours)
        outcome = self._ledger(ledger).grant(
            self.account.a_grant(reference, credits, kind, lasts=lasts, priority=priority)
        )
        settled = min(self.model.owed, credits)
        assert isinstance(outcome, Granted)
        assert outcome.settled == settled
        self.model.owed -= settled
        self._add(reference, credits, priority, lasts, settled)

    @precondition(lambda self: len(self.model.grants) > 1)
    @rule(data=st.data(), ledger=st.integers(0, 3), more=st.sampled_from([0, 0, 1]))
    def repeat_a_top_up(self, data: st.DataObject, ledger: int, more: int) -> None:
        known = data.draw(st.sampled_from(self.model.grants[1:]))
        (given,) = (
            grant
            for grant in self.account.ledger().grants(self.account.workspace_id)
            if grant.reference == known.reference
        )
        again = replace(given, credits=given.credits + more)
        outcome = self._ledger(ledger).grant(again)
        assert outcome == (GrantReferenceReused(given) if more else GrantReplayed(given))

    @rule(ledger=st.integers(0, 3))
    def book_what_has_lapsed(self, ledger: int) -> None:
        if self.model.spendable(self.clock()) < self.model.available:
            self.model.book_lapsed(self.clock())
        balance = self._ledger(ledger).book_lapsed(self.account.workspace_id)
        assert balance is not None
        assert balance.lapsed(self.clock()) == 0

    @rule(data=st.data(), ledger=st.integers(0, 3), credits=st.none() | st.integers(1, 12), of_one=st.booleans())
    def take_credits_back(self, data: st.DataObject, ledger: int, credits: int | None, of_one: bool) -> None:
        grant = data.draw(st.sampled_from(self.model.grants)) if of_one else None
        reference = f"withdrawal {len(self.model.withdrawals)}"
        outcome = self._ledger(ledger).withdraw(self._withdrawal(reference, grant, credits), told)
        named = None if grant is None else grant.reference
        left = self.model.withdraw(reference, named, credits, self.clock())
        if left is None:
            assert isinstance(outcome, Withdrawn)
            self.withdrawn[reference] = (grant, credits)
        else:
            assert outcome == NotThere(left)

    @precondition(lambda self: self.model.withdrawals)
    @rule(data=st.data(), ledger=st.integers(0, 3), more=st.sampled_from([0, 0, 1]))
    def repeat_a_withdrawal(self, data: st.DataObject, ledger: int, more: int) -> None:
        reference = data.draw(st.sampled_from(sorted(self.model.withdrawals)))
        grant, credits = self.withdrawn[reference]
        again = self._withdrawal(reference, grant, 1 if more and credits is None else credits and credits + more)
        outcome = self._ledger(ledger).withdraw(again, told)
        kind = OperationIdReused if more else Replayed
        assert isinstance(outcome, kind)

    @rule(credits=st.integers(1, 20), ledger=st.integers(0, 3), hours=st.none() | st.integers(1, 5))
    def give_credits_back(self, credits: int, ledger: int, hours: int | None) -> None:
        reference = f"correction {len(self.restored)}"
        lasts = None if hours is None else timedelta(hours=hours)
        wanted = Restitution(
            workspace_id=self.account.workspace_id,
            credits=credits,
            unit_price=Decimal(0),
            currency="EUR",
            reference=reference,
            reason=reference,
            at=self.clock(),
            expires_at=None if lasts is None else self.clock() + lasts,
        )
        self.restored[reference] = wanted
        settled = min(self.model.owed, credits)
        outcome = self._ledger(ledger).restore(wanted, settled_of)
        assert outcome == Restored(wanted.operation, wanted.grant, settled)
        self.model.owed -= settled
        self._add(reference, credits, wanted.grant.priority, lasts, settled)

    @precondition(lambda self: self.restored)
    @rule(data=st.data(), ledger=st.integers(0, 3), more=st.sampled_from([0, 0, 1]))
    def repeat_a_correction(self, data: st.DataObject, ledger: int, more: int) -> None:
        wanted = self.restored[data.draw(st.sampled_from(sorted(self.restored)))]
        later = replace(wanted, at=self.clock(), credits=wanted.credits + more)
        outcome = self._ledger(ledger).restore(later, settled_of)
        assert isinstance(outcome, OperationIdReused if more else Replayed)
        assert outcome.operation_id == wanted.operation.operation_id

    @rule(minutes=st.integers(1, 90))
    def time_passes(self, minutes: int) -> None:
        self.clock.advance(minutes=minutes)

    @invariant()
    def the_books_are_as_the_model_has_them(self) -> None:
        balance = self.account.balance()
        model = self.model
        assert (balance.available, balance.expired, balance.void) == (model.available, model.expired, model.void)
        assert (balance.base, balance.level) == (model.base, model.level)
        assert balance.spendable(self.clock()) == model.spendable(self.clock())
        assert (balance.owed, balance.consumed) == (model.owed, model.consumed)
        log = self.account.operations()
        operations = {entry.operation_id: entry for entry in log}
        for trigger, credits in model.committed.items():
            entry = operations[self.account.id_of(trigger)]
            assert entry.credits == credits
            parts = {self._id(reference): part for reference, part in model.drawn[trigger].items()}
            assert {draw.grant_id: draw.credits for draw in entry.drawn} == parts
        settlements = [entry for entry in operations.values() if entry.settled]
        expiries = [entry for entry in log if entry.kind is OperationKind.EXPIRY]
        assert sum(draw.credits for entry in expiries for draw in entry.withdrawn) == model.expired
        taken = [entry for entry in log if entry.kind is OperationKind.VOID]
        for entry in taken:
            parts = {self._id(reference): part for reference, part in model.withdrawals[entry.description].items()}
            assert {draw.grant_id: draw.credits for draw in entry.withdrawn} == parts
        assert len(taken) == len(model.withdrawals)
        restored = {entry.description: entry for entry in log if entry.kind is OperationKind.CORRECTION}
        assert restored == {reference: wanted.operation for reference, wanted in self.restored.items()}
        others = len(settlements) + len(expiries) + len(taken) + len(restored)
        assert len(operations) == len(model.committed) + others
        self.account.check_the_figures(balance, log)

    @invariant()
    def a_record_is_there_exactly_when_its_operation_is(self) -> None:
        planned = {trigger: self._records_of(trigger) for trigger in self.plans}
        names = [name for records in planned.values() for name in records]
        catalog = self.world.catalog()
        found: dict[tuple[str, str], Record] = {}
        for start in range(0, len(names), READ_BATCH):
            found |= catalog.get_many(self.account.workspace_id, names[start : start + READ_BATCH])
        assert {name: record.operation_id for name, record in found.items()} == {
            name: self.account.id_of(trigger)
            for trigger, records in planned.items()
            for name in records
            if trigger in self.model.committed
        }

    def teardown(self) -> None:
        # Nothing else is in the catalogue either.
        self.account.check_the_books()

    def _records_of(self, trigger: str) -> list[tuple[str, str]]:
        return [("product", write.request["Put"]["Item"]["sk"]["S"]) for write in self.plans[trigger].writes]

    def _ledger(self, number: int) -> Ledger:
        return self.ledgers[number] if number < len(self.ledgers) else self.account.ledger()

    def _plan(self, trigger: str, credits: int, *, owing: bool = False, call: ClientCall | None = None) -> Plan:
        plan = self.account.plan(trigger, credits, call=call, owe_up_to=CAP if owing else 0)
        self.plans[trigger] = plan
        return plan

    def _commit_new(self, plan: Plan, ledger: int) -> None:
        (trigger,) = (name for name, known in self.plans.items() if known is plan)
        now = self.clock()
        spendable, owed = self.model.spendable(now), self.model.owed
        outcome = self._ledger(ledger).commit(plan)
        if self.model.charge(trigger, plan.credits, now, plan.owe_up_to):
            assert isinstance(outcome, Committed), outcome
            if plan.call is not None:
                self.calls[plan.call.key.pk] = trigger
            return
        assert outcome == OutOfCredits(plan.credits, spendable, owed)

    def _expect_replay(self, plan: Plan, ledger: int) -> None:
        """The plan's idempotency key was used: by the same call, or for something else."""
        assert plan.call is not None
        first = self.calls[plan.call.key.pk]
        outcome = self._ledger(ledger).commit(plan)
        if self.model.committed[first] == plan.credits:
            assert outcome == Replayed(self.plans[first].operation_id, f"answer {first}")
        else:
            assert outcome == OperationIdReused(self.plans[first].operation_id)

    def _withdrawal(self, reference: str, grant: ModelGrant | None, credits: int | None) -> Withdrawal:
        return Withdrawal(
            workspace_id=self.account.workspace_id,
            kind=OperationKind.VOID,
            reference=reference,
            reason=reference,
            at=self.clock(),
            grant_id=None if grant is None else self._id(grant.reference),
            credits=credits,
        )

    def _add(self, reference: str, credits: int, priority: int, lasts: timedelta | None, settled: int = 0) -> None:
        forever = MORNING + timedelta(days=10_000)
        ends = forever if lasts is None else self.clock() + lasts
        rank = (priority, ends, self.clock(), self._id(reference))
        self.model.grants.append(ModelGrant(reference, credits, credits - settled, rank, ends))
        self.model.base, self.model.level = credits, level_of(self.model.available, credits)

    def _id(self, reference: str) -> str:
        if reference in self.restored:
            return self.restored[reference].grant.grant_id
        return grant_id(MORNING, self.account.workspace_id, reference)


@pytest.fixture
def machine(world: World) -> type[AccountMachine]:
    return type("AccountMachineHere", (AccountMachine,), {"world": world})


def test_no_mix_of_charges_retries_grants_and_expiry_breaks_a_law(machine: type[AccountMachine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            derandomize=True,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
