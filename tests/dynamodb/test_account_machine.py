"""Laws 1 to 4 as a machine that tries to break them: any mix of charges, retries, reused identifiers, grants, expiry
and debts, on ledgers that remember and ledgers that do not, against a model of a few lines.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

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
    OperationIdReused,
    OutOfCredits,
    Plan,
    Replayed,
)
from shared.credits.levels import FULL, level_of
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


class AccountMachine(RuleBasedStateMachine):
    """One account, three ledgers that remember, and a cold one whenever it is asked for."""

    world: World

    @initialize(starter=st.integers(0, 30))
    def open(self, starter: int) -> None:
        self.clock = HandClock()
        self.account = Account(self.world, starter, self.clock)
        self.ledgers = [self.account.ledger() for _ in range(3)]
        self.model = Model()
        self._add("starter", starter, 10, None)
        self.plans: dict[str, Plan] = {}
        self.calls: dict[str, str] = {}

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
            if self._commit_new(plan, ledger):
                self.calls[place.pk] = trigger
            return
        first = self.calls[place.pk]
        outcome = self._ledger(ledger).commit(plan)
        if self.model.committed[first] == credits:
            assert outcome == Replayed(self.plans[first].operation_id, f"answer {first}")
        else:
            assert outcome == OperationIdReused(self.plans[first].operation_id)
        del self.plans[trigger]

    @precondition(lambda self: self.plans)
    @rule(data=st.data(), ledger=st.integers(0, 3))
    def retry(self, data: st.DataObject, ledger: int) -> None:
        """Any operation of the past, whether it was committed or refused."""
        trigger = data.draw(st.sampled_from(sorted(self.plans)))
        plan = self.plans[trigger]
        if trigger not in self.model.committed:
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

    @rule(minutes=st.integers(1, 90))
    def time_passes(self, minutes: int) -> None:
        self.clock.advance(minutes=minutes)

    @invariant()
    def the_books_are_as_the_model_has_them(self) -> None:
        balance = self.account.balance()
        model = self.model
        assert (balance.available, balance.expired) == (model.available, model.expired)
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
        assert len(operations) == len(model.committed) + len(settlements)
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

    def _commit_new(self, plan: Plan, ledger: int) -> bool:
        (trigger,) = (name for name, known in self.plans.items() if known is plan)
        now = self.clock()
        spendable, owed = self.model.spendable(now), self.model.owed
        outcome = self._ledger(ledger).commit(plan)
        if self.model.charge(trigger, plan.credits, now, plan.owe_up_to):
            assert isinstance(outcome, Committed), outcome
            return True
        assert outcome == OutOfCredits(plan.credits, spendable, owed)
        return False

    def _add(self, reference: str, credits: int, priority: int, lasts: timedelta | None, settled: int = 0) -> None:
        forever = MORNING + timedelta(days=10_000)
        ends = forever if lasts is None else self.clock() + lasts
        rank = (priority, ends, self.clock(), self._id(reference))
        self.model.grants.append(ModelGrant(reference, credits, credits - settled, rank, ends))
        self.model.base, self.model.level = credits, level_of(self.model.available, credits)

    def _id(self, reference: str) -> str:
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
