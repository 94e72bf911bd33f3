"""Would anybody notice? Each line that holds a law up is broken here, in memory, and a test must fail for it.

| broken | law | the story that catches it |
|---|---|---|
| the order in which cancellation reasons are read | 2 | the retry of the operation that spent the last credit |
| the first reason decides (a conflict leaves it open) | 2 | a conflict before a failed condition |
| the entry's condition | 2 | a replay months later; a reused identifier; the terrible day |
| the idempotency key's condition | 2 | an idempotency key answers what it answered |
| the balance's condition: enough is left | 3 | a drain by many threads |
| the balance's condition: the order of drawing is right | 4 | a view from before a grant |
| the balance's condition: not expired | 3 | an expiry that was brought forward |
| the balance's condition: the debt stays within its cap | 3 | two ledgers owe together |
| the cursor's condition: the position | 2 | a worker that slept through a pause and a resume |
| the cursor's condition: the state | 5 | a cancelled run stops where it is |
| a record's condition: the version that was seen | 6 | a hand edit between reading and writing |
| a record's condition: nothing stood there | 6 | a record made by hand meanwhile |
| a grant's condition | 2 | a top-up is given once for each reference |
| the idempotency key's condition | 2 | the same reference is one correction |
| a withdrawal's condition: nothing more was drawn | 4 | a charge between the look and the withdrawal |
| what a withdrawal may take: nothing that has lapsed | 4 | what has lapsed expires and is not void |
| a correction settles what is owed first | 4 | it settles what is owed like a top-up |
| a feed's last sync: it is the one that was seen | 2 | a schedule that is a moment late |
| a feed's last sync: there was none | 2 | the same, at the first run of the feed |
| a free firing looks at the balance | 7 | where firings are free, an empty account starts nothing |
| the level's condition: no lower one is reached | | a view that is old |
| the guard looks at the balance again | 5 | a top-up racing with the pause |
| the guard looks again at what owners have changed | | an owner racing with the guard |
| the guard keeps every field of a schedule | | every field of a schedule is as before |
| a run leaves its day when it is in the sums | 4 | a schedule's history adds up |
| a rule goes by its mark | 2 | a batch that is cut differently when it comes again |
| the meter's condition: still this version of the rule | | a rule that is changed between match and commit |
| the meter's condition: within the hour's limit | | two runners at a rule that may fire five times |
| a chain of rules ends | | a cycle of three |
| what waits for rules: nothing was merged into it since | 5 | a change while a worker drains |
| the backlog is over: nothing was added since | 5 | a change when a worker is done |
| a second look after changes were kept | 5 | a top-up between refusal and entry |
| a run remembers which unchanged records the log was told of | 4 | an import creates, updates and skips |
| the last move of a run brings its note along | 4 | what is left at the end has an entry of its own |
| the marker's condition: it was not counted | 4 | what comes twice is counted once |

A story that is named here passes in its own file; it is run again on the broken code, and must not pass.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from shared.automation import guard
from shared.catalog import store as catalog_store
from shared.credits import OperationIdReused, Replayed, account, drawing, ledger, operations, replays
from shared.dynamo import transactions
from shared.rules import backlog, changes, meters
from shared.rules import firing as rule_firing
from shared.runs import ending, worker
from shared.runs import store as runs_store
from shared.schedules import firing, history, scheduler, syncs
from shared.usage import counting
from tests.dynamodb import test_drains as drains
from tests.dynamodb import test_faults as faults_stories
from tests.dynamodb import test_firing as firings
from tests.dynamodb import test_guard as guards
from tests.dynamodb import test_imports as imports
from tests.dynamodb import test_ledger as ledgers
from tests.dynamodb import test_levels as levels
from tests.dynamodb import test_restitutions as restitutions
from tests.dynamodb import test_rules as rules
from tests.dynamodb import test_tracing as tracing
from tests.dynamodb import test_usage as usage
from tests.dynamodb import test_withdrawals as withdrawals
from tests.support import rules as rules_support
from tests.support.automation import Office
from tests.support.money import Account, HandClock
from tests.support.rules import Shop

OpenAccount = Callable[[int], Account]
Story = Callable[[OpenAccount, HandClock], None]


@dataclass(frozen=True)
class Break:
    """Source text to put in the place of other text, in one function, wherever it is used."""

    function: str
    owner: Any
    right: str
    wrong: str
    used_in: tuple[Any, ...] = ()


BREAKS = {
    "order of reasons": Break(
        "_judge",
        ledger.Ledger,
        """\
        if (reason := next(reasons)) is not None:
            return replay_of_entry(plan, reason.item or {})
        if charged and (reason := next(reasons)) is not None:
            if reason.item is None:
                return UnknownWorkspace(plan.workspace_id)
            return self._views.keep(account.to_balance(reason.item))
""",
        """\
        entry = next(reasons)
        if charged and (reason := next(reasons)) is not None:
            if reason.item is None:
                return UnknownWorkspace(plan.workspace_id)
            return self._views.keep(account.to_balance(reason.item))
        if entry is not None:
            return replay_of_entry(plan, entry.item or {})
""",
    ),
    "first reason": Break(
        "_decision",
        transactions,
        'first = next(reason["Code"] for reason in reasons if reason["Code"] != "None")',
        'first = "ConditionalCheckFailed"',
    ),
    "entry": Break("put_new", operations, '"attribute_not_exists(pk)"', '"attribute_not_exists(never)"'),
    "idempotency key": Break("put_new", replays, '"attribute_not_exists(pk)"', '"attribute_not_exists(never)"'),
    "balance: enough": Break(
        "charge", account, 'f"{grant}.#remaining >= {part}"', 'f"attribute_exists({grant}.#remaining)"'
    ),
    "balance: order": Break(
        "charge", account, '"#revision = :revision"', '"(#revision = :revision OR attribute_exists(pk))"'
    ),
    "balance: expiry": Break(
        "charge",
        account,
        'f"{grant}.#expires_at > :now"',
        'f"({grant}.#expires_at > :now OR attribute_exists(pk))"',
    ),
    "balance: debt": Break(
        "charge", account, '"#owed <= :debt_before"', '"(#owed <= :debt_before OR attribute_exists(pk))"'
    ),
    "cursor: position": Break(
        "move_run",
        runs_store,
        '"#position = :position"',
        '"(#position = :position OR attribute_exists(pk))"',
        (worker,),
    ),
    "cursor: state": Break(
        "move_run", runs_store, '"#state = :state"', '"(#state = :state OR attribute_exists(pk))"', (worker,)
    ),
    "record: version": Break(
        "_still", catalog_store, '"version = :version"', '"(attribute_exists(pk) OR version = :version)"'
    ),
    "record: new": Break("put_new", catalog_store, '"attribute_not_exists(pk)"', '"attribute_not_exists(never)"'),
    "grant": Break("put_new", account, '"attribute_not_exists(pk)"', '"attribute_not_exists(never)"'),
    "withdrawal: as seen": Break(
        "withdraw",
        account,
        'f"#grants.#grant{position}.#remaining = :seen{position}"',
        'f"(#grants.#grant{position}.#remaining = :seen{position} OR attribute_exists(pk))"',
    ),
    "withdrawal: live": Break("_payers", drawing, "grant.is_live(now)", "now"),
    "correction: debt": Break("restore", ledger.Ledger, "min(balance.owed, wanted.credits)", "0 * balance.owed"),
    "last sync: seen": Break(
        "move_latest_sync", syncs, '"run_id = :seen"', '"(run_id = :seen OR attribute_exists(pk))"', (firing,)
    ),
    "last sync: none": Break("put_new", syncs, '"attribute_not_exists(pk)"', '"attribute_not_exists(never)"'),
    "free firing": Break("_runs_for_nothing", firing, "Action.SCHEDULED_JOB) > 0", "Action.SCHEDULED_JOB) >= 0"),
    "level": Break("charge", account, '"#available >= :least"', '"(#available >= :least OR attribute_exists(pk))"'),
    "guard: balance": Break(
        "attend",
        guard,
        "if is_paused(room.schedules, workspace_id) is (state is AutomationState.PAUSED):",
        "if state:",
        (guards,),
    ),
    "guard: owners": Break("_settle_changed", guard, "before.get(schedule_id) != now.get(schedule_id)", "not before"),
    "guard: fields": Break(
        "_kept", scheduler.Scheduler, "if name in self._updatable", "if name in self._updatable - {'StartDate'}"
    ),
    "history": Break(
        "add_to_day", history, 'removed = " REMOVE #closed"', 'removed = ", #closed = #closed"', (firing,)
    ),
    "rule: mark": Break("due_depth", changes, "mark.version if mark else 0", "0 if mark else 0", (rule_firing,)),
    "meter: version": Break(
        "count_firings",
        meters,
        '"#version = :version"',
        '"(#version = :version OR attribute_exists(pk))"',
        (rule_firing,),
    ),
    "meter: limit": Break(
        "count_firings",
        meters,
        '"#fired_in_hour <= :room"',
        '"(#fired_in_hour <= :room OR attribute_exists(pk))"',
        (rule_firing,),
    ),
    "depth": Break("_ready", rule_firing._Turn, "firing.depth > self._room.limits.max_depth", "firing.depth > 99"),
    "run: noted": Break(
        "_commit",
        worker._Leg,
        "after = noted(planning.after_step(self._run, step, self._shop.prices, now))",
        "after = planning.after_step(self._run, step, self._shop.prices, now)",
    ),
    "run: its end": Break("end_run", ending, "if not after.unnoted:", "if True:", (worker,)),
    "usage: marker": Break("put_new", counting, '"attribute_not_exists(pk)"', '"attribute_not_exists(never)"'),
    "backlog: merged": Break("_still", backlog, '"#token = :token"', '"(#token = :token OR attribute_exists(pk))"'),
    "backlog: over": Break(
        "finish",
        backlog.BacklogStore,
        '"#revision = :revision"',
        '"(#revision = :revision OR attribute_exists(pk))"',
    ),
    "backlog: second look": Break(
        "act", backlog, "if not in_a_hurry and can_fire(room.firing, workspace_id):", "if False:", (rules_support,)
    ),
}


def edited(open_account: OpenAccount, name: str, attributes: dict[str, Any]) -> None:
    imports.test_a_hand_edit_between_reading_and_writing_is_seen(
        open_account, ("product", name), attributes, "note kept"
    )


def late(open_account: OpenAccount, clock: HandClock, *, is_first: bool) -> None:
    firings.test_a_schedule_that_is_a_moment_late_sees_the_run_that_another_has_started(
        open_account, clock, is_first=is_first
    )


def guarded(open_account: OpenAccount, story: Callable[[Office], None]) -> None:
    with guards.three_schedules(open_account(100)) as here:
        story(here)


def shops(open_account: OpenAccount) -> Callable[[int], Shop]:
    return lambda starter: Shop(open_account(starter))


CATCHES: list[tuple[str, Story]] = [
    (
        "order of reasons",
        lambda opens, _: ledgers.test_the_retry_is_a_replay_for_a_ledger_that_still_remembers_a_credit(opens),
    ),
    (
        "order of reasons",
        lambda opens, _: ledgers.test_outcomes_in_their_order_of_precedence(
            opens, ledgers.Wrong(known=True, unpaid=True), Replayed, remembers=True
        ),
    ),
    (
        "first reason",
        lambda opens, _: faults_stories.test_a_conflict_before_a_failed_condition_leaves_the_decision_open(opens),
    ),
    ("entry", ledgers.test_a_retry_is_a_replay_months_later_and_charges_nothing),
    (
        "entry",
        lambda opens, _: ledgers.test_outcomes_in_their_order_of_precedence(
            opens, ledgers.Wrong(reused=True), OperationIdReused, remembers=True
        ),
    ),
    (
        "idempotency key",
        lambda opens, _: ledgers.test_an_idempotency_key_answers_what_it_answered(opens, 5, cold=False),
    ),
    (
        "balance: enough",
        lambda opens, _: drains.check_a_drain(opens(60), 8, shared=False),
    ),
    (
        "balance: order",
        lambda opens, _: ledgers.test_a_view_from_before_a_grant_does_not_draw_in_the_wrong_order(opens),
    ),
    (
        "balance: expiry",
        ledgers.test_an_expiry_that_was_brought_forward_is_seen_by_a_ledger_that_remembers_the_old_one,
    ),
    ("balance: debt", lambda opens, _: ledgers.test_two_ledgers_together_owe_no_more_than_the_cap(opens)),
    (
        "cursor: position",
        lambda opens, _: imports.test_a_worker_that_slept_through_a_pause_and_a_resume_does_not_repeat_the_step(opens),
    ),
    (
        "cursor: state",
        lambda opens, _: imports.test_a_cancelled_run_stops_where_it_is_and_keeps_what_it_paid_for(opens, 1000),
    ),
    ("record: version", lambda opens, _: edited(opens, "p10", {"title": "old", "note": "mine"})),
    ("record: new", lambda opens, _: edited(opens, "p11", {"note": "mine"})),
    ("grant", ledgers.test_a_top_up_is_given_once_for_each_reference),
    ("idempotency key", restitutions.test_the_same_reference_is_one_correction),
    (
        "withdrawal: as seen",
        lambda opens, _: withdrawals.test_a_charge_between_the_look_and_the_withdrawal_is_seen(opens),
    ),
    ("withdrawal: live", withdrawals.test_what_has_lapsed_expires_and_is_not_void),
    ("correction: debt", restitutions.test_it_settles_what_is_owed_first_like_a_top_up),
    ("last sync: seen", lambda opens, clock: late(opens, clock, is_first=False)),
    ("last sync: none", lambda opens, clock: late(opens, clock, is_first=True)),
    ("free firing", firings.test_where_firings_are_free_an_empty_account_starts_nothing_all_the_same),
    ("level", lambda opens, _: levels.test_a_view_that_is_old_still_lowers_the_level(opens)),
    (
        "guard: balance",
        lambda opens, _: guarded(opens, guards.test_a_top_up_racing_with_the_pause_leaves_nobody_paused_who_has_paid),
    ),
    (
        "guard: owners",
        lambda opens, _: guarded(
            opens, lambda here: guards.test_an_owner_racing_with_the_guard_gets_what_he_wants(here, wanted=False)
        ),
    ),
    ("guard: fields", lambda opens, _: guarded(opens, guards.test_every_field_of_a_schedule_is_as_before)),
    ("history", firings.test_the_history_adds_up_over_days_schedules_and_feeds),
    (
        "rule: mark",
        lambda opens, _: rules.TestOnce().test_a_batch_that_is_cut_differently_when_it_comes_again(shops(opens)),
    ),
    (
        "meter: version",
        lambda opens, _: rules.TestOnce().test_a_rule_that_is_changed_between_match_and_commit(shops(opens)),
    ),
    (
        "meter: limit",
        lambda opens, _: rules.TestNoRunaway().test_runners_together_stay_within_the_limit(shops(opens)),
    ),
    ("depth", lambda opens, _: rules.TestNoRunaway().test_a_cycle_of_three_stops_at_the_depth_limit(shops(opens))),
    (
        "backlog: merged",
        lambda opens, _: rules.TestOutOfCredits().test_what_changes_while_a_worker_drains_goes_on_waiting(shops(opens)),
    ),
    (
        "backlog: over",
        lambda opens, _: rules.TestOutOfCredits().test_what_comes_when_a_worker_is_done_is_not_forgotten(shops(opens)),
    ),
    (
        "run: noted",
        lambda opens, _: imports.test_an_import_creates_updates_and_skips(opens, skip_unchanged=True),
    ),
    ("run: its end", lambda opens, _: tracing.test_what_is_left_at_the_end_has_an_entry_of_its_own(opens)),
    ("usage: marker", lambda opens, _: usage.test_what_comes_twice_is_counted_once(usage.Books(opens(1).world))),
    (
        "backlog: second look",
        lambda opens, _: rules.TestOutOfCredits().test_a_top_up_between_refusal_and_entry_is_not_missed(shops(opens)),
    ),
]


@pytest.mark.parametrize(("broken", "story"), CATCHES, ids=[f"{broken} {n}" for n, (broken, _) in enumerate(CATCHES)])
def test_the_break_is_noticed(
    monkeypatch: pytest.MonkeyPatch, open_account: OpenAccount, clock: HandClock, broken: str, story: Story
) -> None:
    break_it(monkeypatch, BREAKS[broken])
    # A wrong outcome or a wrong figure; a break that only makes DynamoDB refuse the request would prove nothing.
    with pytest.raises(AssertionError):
        story(open_account, clock)


def test_every_break_has_a_story_that_catches_it() -> None:
    assert {broken for broken, _ in CATCHES} == set(BREAKS)


@pytest.mark.parametrize("broken", BREAKS)
def test_what_is_broken_is_the_code_as_it_is(broken: str) -> None:
    this = BREAKS[broken]
    assert inspect.getsource(getattr(this.owner, this.function)).count(this.right) == 1
    for user in this.used_in:
        assert getattr(user, this.function) is getattr(this.owner, this.function)


def break_it(monkeypatch: pytest.MonkeyPatch, this: Break) -> None:
    """Compiles the function anew with the wrong text, in the module it comes from, and puts it in place."""
    right = getattr(this.owner, this.function)
    source = inspect.getsource(right)
    assert source.count(this.right) == 1
    names: dict[str, Any] = {}
    code = "from __future__ import annotations\n" + textwrap.dedent(source.replace(this.right, this.wrong))
    exec(compile(code, f"<{this.function}, broken>", "exec"), vars(sys.modules[right.__module__]), names)  # noqa: S102 - the point
    for owner in (this.owner, *this.used_in):
        monkeypatch.setattr(owner, this.function, names[this.function])
