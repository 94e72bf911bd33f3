"""Whatever happens to a pass, and in whatever order: it ends, with everything done once and paid once (all laws)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.credits import Action
from shared.rules.passes import PassState, resume_pass
from shared.rules.passes import steps as pass_steps
from shared.rules.passes import worker as pass_worker
from tests.support.faults import Killed, Line, killed_after_sending, killed_before_sending
from tests.support.imports import Attributes, Name, edit_by_hand
from tests.support.money import Account, HandClock
from tests.support.rule_passes import RULE, Passing, passes_of

OpenAccount = Callable[[int], Account]

RECORDS = 30
_EDITS: list[Attributes | None] = [None, {"price": 1}, {"price": 900}, {"price": 2, "label": "sale"}]

EVENTS = st.one_of(
    st.tuples(st.just("killed before"), st.integers(0, 45)),
    st.tuples(st.just("killed after"), st.integers(0, 45)),
    st.tuples(st.just("short leg"), st.just(0)),
    st.tuples(st.just("top-up"), st.integers(1, 20)),
    st.tuples(st.just("edit"), st.integers(0, RECORDS * len(_EDITS) - 1)),
    st.tuples(st.just("edit at a commit"), st.integers(0, RECORDS * len(_EDITS) - 1)),
)


@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(
    prices=st.lists(st.sampled_from([1, 2, 900]), min_size=RECORDS, max_size=RECORDS),
    credits=st.integers(0, 70),
    events=st.lists(EVENTS, max_size=6),
)
def test_a_pass_ends_with_everything_done_once(
    open_account: OpenAccount, prices: list[int], credits: int, events: list[tuple[str, int]]
) -> None:
    catalogue: dict[Name, Attributes] = {
        ("product", f"p{n}"): {"price": price} | ({"label": "sale"} if price == 2 else {})
        for n, price in enumerate(prices)
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pass_steps, "_MAX_WRITTEN", 4)
        patch.setattr(pass_worker, "_PAGE", 6)
        story = Passing.start(open_account(credits), catalogue)
        for number, (event, what) in enumerate(events):
            happen(story, event, what, number)
            check(story)
        story.account.ledger().grant(story.account.a_grant("enough", 1000))
        while not story.now().state.is_over:
            story.work()
        check(story)
        assert story.now().state is PassState.FINISHED
        check_the_rest(story, events)


def happen(story: Passing, event: str, what: int, number: int) -> None:
    account, clock = story.account, story.account.clock
    assert isinstance(clock, HandClock)
    clock.advance(seconds=1)
    name, edited = ("product", f"p{what // len(_EDITS)}"), _EDITS[what % len(_EDITS)]
    dynamodb = account.world.dynamodb()
    line = Line(dynamodb)
    match event:
        case "killed before" | "killed after":
            fault = killed_before_sending if event == "killed before" else killed_after_sending
            line.script = lambda index, _operation: fault if index == what else None
            try:
                story.work(dynamodb)
            except Killed:
                return
        case "short leg":
            story.work(out_of_time=lambda: True)
        case "top-up":
            account.ledger().grant(account.a_grant(f"top-up {number}", what))
            resume_pass(passes_of(account.world), account.ledger(), story.now(), clock())
        case "edit":
            edit_by_hand(account, name, edited)
        case _:

            def script(_index: int, operation: str) -> None:
                if operation == "TransactWriteItems" and line.requests.count(operation) == 1:
                    edit_by_hand(account, name, edited)

            line.script = script
            story.work(dynamodb)


def check(story: Passing) -> None:
    """At every moment: what was fired is what was paid, no record twice, nothing below zero."""
    after, account = story.now(), story.account
    operations = [entry for entry in account.operations() if entry.run_id == story.pass_id]
    fired = sum(entry.actions.get(Action.RULE_FIRED, 0) for entry in operations)
    assert after.counts.fired == after.counts.updated == fired
    assert after.counts.credits == sum(entry.credits for entry in operations) == 2 * fired
    records = account.records().values()
    # A record may have been deleted since; none was written by the pass twice.
    marked = [record for record in records if RULE in record.marks]
    assert len(marked) <= fired
    by_operation = {entry.operation_id: entry.actions.get(Action.RULE_FIRED, 0) for entry in operations}
    for operation, count in by_operation.items():
        assert sum(record.marks[RULE].operation_id == operation for record in marked) <= count
    account.check_the_figures(account.balance(), account.operations())


def check_the_rest(story: Passing, events: list[tuple[str, int]]) -> None:
    """What people have left alone is as the rule wants it."""
    edited = {f"p{what // len(_EDITS)}" for event, what in events if event.startswith("edit")}
    for (_, key), record in story.account.records().items():
        if key not in edited:
            before = dict(story.catalogue["product", key])
            fires = before["price"] == 1
            assert record.attributes == before | ({"label": "sale"} if fires else {})
            assert (record.version, RULE in record.marks) == ((2, True) if fires else (1, False))
