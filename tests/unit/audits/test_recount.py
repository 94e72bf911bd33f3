"""A recount in instalments is the recount of the whole, and healthy books are found healthy however they are read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from shared.audits import samples
from shared.audits.samples import Drawn, rank
from shared.audits.work import Work
from shared.credits import Action, Balance, Channel, Draw, Grant, GrantKind, OpenGrant, Operation, OperationKind
from shared.credits.audit import Recount, differences
from shared.ids import grant_id, new_workspace_id, operation_id

AT = datetime(2026, 3, 2, 8, tzinfo=UTC)
GRANTED = 1_000


def a_grant(number: int) -> Grant:
    return Grant(
        grant_id=grant_id(AT, str(number)),
        workspace_id="ws",
        kind=GrantKind.PAID,
        credits=GRANTED,
        unit_price=Decimal(number),
        currency="EUR",
        priority=1,
        granted_at=AT,
    )


GRANTS = [a_grant(number) for number in range(3)]

Charge = tuple[int, int, bool]
"""Of which grant, how many credits, and whether they left unused."""

charges = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 20), st.booleans()), max_size=20)


def entry(number: int, charge: Charge) -> Operation:
    which, credits, unused = charge
    draw = Draw(GRANTS[which].grant_id, credits, GRANTS[which].unit_price, "EUR")
    return Operation(
        operation_id=operation_id(AT, str(number)),
        workspace_id="ws",
        kind=OperationKind.VOID if unused else OperationKind.API_CALL,
        channel=Channel.API,
        at=AT,
        credits=0 if unused else credits,
        fingerprint="",
        actions={} if unused else {Action.API_CALL: 1},
        drawn=() if unused else (draw,),
        withdrawn=(draw,) if unused else (),
    )


def account_after(entries: Sequence[Operation]) -> Balance:
    """The account as the ledger leaves it."""
    gone = {grant.grant_id: 0 for grant in GRANTS}
    for one in entries:
        for draw in (*one.drawn, *one.withdrawn):
            gone[draw.grant_id] += draw.credits
    return Balance(
        workspace_id="ws",
        available=sum(GRANTED - part for part in gone.values()),
        owed=0,
        granted=GRANTED * len(GRANTS),
        consumed=sum(one.credits for one in entries),
        expired=0,
        void=sum(draw.credits for one in entries for draw in one.withdrawn),
        revision=3,
        base=GRANTED,
        level=100,
        grants=tuple(
            OpenGrant(
                grant_id=grant.grant_id,
                remaining=GRANTED - gone[grant.grant_id],
                unit_price=grant.unit_price,
                currency=grant.currency,
                priority=grant.priority,
                granted_at=AT,
            )
            for grant in GRANTS
        ),
    )


def recounted(entries: Sequence[Operation]) -> Recount:
    recount = Recount()
    for one in entries:
        recount.add(one)
    return recount


@given(charges, st.data())
def test_a_recount_may_be_put_away_anywhere_and_taken_up_again(made: list[Charge], data: st.DataObject) -> None:
    entries = [entry(number, charge) for number, charge in enumerate(made)]
    cut = data.draw(st.integers(0, len(entries)))
    kept = json.loads(json.dumps(recounted(entries[:cut]).to_values()))
    recount = Recount.from_values(kept)
    for one in entries[cut:]:
        recount.add(one)
    assert recount == recounted(entries)


@given(charges, st.data())
def test_what_is_read_while_the_account_moves_is_never_called_wrong(made: list[Charge], data: st.DataObject) -> None:
    """The account before, then any entries that were committed by then and some of those that came after, then the
    account after: nothing is found.
    """
    entries = [entry(number, charge) for number, charge in enumerate(made)]
    before = data.draw(st.integers(0, len(entries)))
    meanwhile = entries[before:]
    read = entries[:before] + [one for one in meanwhile if data.draw(st.booleans())]
    found = list(differences(recounted(read), GRANTS, account_after(entries[:before]), account_after(entries)))
    assert found == []


@given(charges.filter(bool), st.data())
def test_a_missing_entry_is_always_found_where_the_account_stands_still(
    made: list[Charge], data: st.DataObject
) -> None:
    entries = [entry(number, charge) for number, charge in enumerate(made)]
    missing = data.draw(st.integers(0, len(entries) - 1))
    account = account_after(entries)
    found = list(differences(recounted(entries[:missing] + entries[missing + 1 :]), GRANTS, account, account))
    assert found


@given(st.sets(st.text(min_size=1, max_size=5), max_size=40), st.data())
def test_the_sample_does_not_depend_on_the_order_nor_on_repetitions(names: set[str], data: st.DataObject) -> None:
    order = data.draw(st.permutations(sorted(names)))
    again = data.draw(st.lists(st.sampled_from(order), max_size=10)) if order else []
    known, samples.MAX_TRACED = samples.MAX_TRACED, 7
    try:
        drawn = Drawn.of("audit", [*order, *again])
        lowest = sorted(names, key=lambda name: rank("audit", name))[:7]
        assert drawn.in_order() == sorted(lowest)
        assert Drawn.of("audit", drawn.in_order()).in_order() == drawn.in_order()
    finally:
        samples.MAX_TRACED = known


@given(st.integers(0, 5))
def test_work_is_kept_as_it_is(days: int) -> None:
    born = AT - timedelta(days=days)
    kept = Work.begin(new_workspace_id(born), "audit", {"pk": {"S": "x"}}, AT)
    kept.add_figures([1, 2])
    kept.add_figures([3, 4])
    kept.drawn.offer(operation_id(AT, "one"))
    kept.starts.offer("product", "p1")
    kept.meet_entity("product")
    again = Work.from_values("audit", json.loads(json.dumps(kept.to_values())))
    assert again.to_values() == kept.to_values()
    assert again.figures == {f"{born:%Y-%m-%d}": [4, 6]}
