"""What one operation adds to the figures, and what many add up to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from shared.channels import Channel
from shared.credits import Action, Draw, Operation, OperationKind, RefusalReason
from shared.credits.model import RecordCounts
from shared.ids import operation_id
from shared.usage import Dimension, Figures, tally
from shared.usage.counting import bundles
from shared.usage.tally import NONE
from tests.support.usage import operations, recounted

WORKSPACE = "ws_01KAMZ5Q000000000000000001"
AT = datetime(2026, 11, 22, 8, tzinfo=UTC)
CALL = Operation(
    operation_id=operation_id(AT, WORKSPACE, "call"),
    workspace_id=WORKSPACE,
    kind=OperationKind.API_CALL,
    channel=Channel.API,
    at=AT,
    credits=6,
    fingerprint="f",
    actions={Action.API_CALL: 1, Action.RECORD_CREATED: 5},
    drawn=(Draw("gr_free", 2, Decimal(0), "EUR"), Draw("gr_paid", 3, Decimal("0.01"), "EUR")),
    owed=1,
    actor="key_1",
    records={
        "product": RecordCounts(created=3, unchanged=4, credits=3),
        "category": RecordCounts(updated=2, deleted=1, credits=2),
    },
)


def by_value(operation: Operation, dimension: Dimension) -> dict[str, Figures]:
    return {place.value: figures for place, figures in tally(operation).items() if place.dimension is dimension}


def test_an_operation_is_counted_by_job_kind_actor_and_as_a_whole() -> None:
    whole = Figures(
        operations=1,
        credits=6,
        owed=1,
        created=3,
        updated=2,
        unchanged=4,
        deleted=1,
        drawn={"gr_free": 2, "gr_paid": 3},
    )
    assert by_value(CALL, Dimension.TOTAL) == {NONE: whole}
    assert by_value(CALL, Dimension.JOB) == {NONE: whole}
    assert by_value(CALL, Dimension.KIND) == {"api_call": whole}
    assert by_value(CALL, Dimension.ACTOR) == {"key_1": whole}


def test_grants_pay_for_the_trigger_first_then_for_entities_by_name_and_debts_come_last() -> None:
    assert by_value(CALL, Dimension.ENTITY) == {
        NONE: Figures(operations=1, credits=1, drawn={"gr_free": 1}),
        "category": Figures(credits=2, updated=2, deleted=1, drawn={"gr_free": 1, "gr_paid": 1}),
        "product": Figures(credits=3, owed=1, created=3, unchanged=4, drawn={"gr_paid": 2}),
    }


def test_what_did_not_happen_what_was_settled_and_what_was_never_used_are_told_apart() -> None:
    draws = (Draw("gr_paid", 7, Decimal("0.01"), "EUR"),)
    bare = replace(CALL, credits=0, drawn=(), owed=0, records={}, actor=None)
    told = {
        "refused": replace(bare, refused=RefusalReason.OUT_OF_CREDITS),
        "settled": replace(bare, kind=OperationKind.SETTLEMENT, drawn=draws, settled=7),
        "expired": replace(bare, kind=OperationKind.EXPIRY, withdrawn=draws),
        "void": replace(bare, kind=OperationKind.VOID, withdrawn=draws),
        "corrected": replace(bare, kind=OperationKind.CORRECTION, withdrawn=draws),
    }
    figures = {name: by_value(operation, Dimension.TOTAL)[NONE] for name, operation in told.items()}
    assert figures == {
        "refused": Figures(operations=1, refused=1),
        "settled": Figures(operations=1, settled=7, drawn={"gr_paid": 7}),
        "expired": Figures(operations=1, expired=7),
        "void": Figures(operations=1, void=7),
        "corrected": Figures(operations=1, void=7),
    }
    assert [one.left for one in figures.values()] == [0, 7, 7, 7, 7]


def test_an_entry_that_does_not_add_up_is_counted_as_it_is() -> None:
    broken = replace(CALL, credits=2)
    (whole,) = by_value(broken, Dimension.TOTAL).values()
    assert (whole.credits, whole.owed, whole.drawn) == (2, 1, {"gr_free": 2, "gr_paid": 3})


def test_the_day_is_that_of_utc() -> None:
    late = replace(CALL, at=datetime.fromisoformat("2026-11-22T23:30:00-01:00"))
    assert {place.day.isoformat() for place in tally(late)} == {"2026-11-23"}


@given(st.lists(operations(WORKSPACE), max_size=30))
def test_whatever_is_grouped_by_adds_up_to_the_total_and_to_the_log(log: list[Operation]) -> None:
    figures = recounted(log)
    totals = {
        dimension: Figures.total(one for (kind, _, _), one in figures.items() if kind is dimension)
        for dimension in Dimension
    }
    assert all(total == totals[Dimension.TOTAL] for total in totals.values())
    total = totals[Dimension.TOTAL]
    assert total.operations == len(log)
    assert total.credits == sum(one.credits for one in log)
    assert total.owed == sum(one.owed for one in log)
    assert sum(total.drawn.values()) == total.credits - total.owed + total.settled
    assert total.expired + total.void == sum(part.credits for one in log for part in one.withdrawn)
    assert total.unchanged == RecordCounts.total(c for one in log for c in one.records.values()).unchanged


@given(st.lists(operations(WORKSPACE) | operations(WORKSPACE.replace("001", "002")), max_size=60))
def test_bundles_hold_every_operation_once_and_fit_into_a_transaction(log: list[Operation]) -> None:
    made = list(bundles([*log, *log]))
    held = [operation_id for bundle in made for operation_id in bundle.operations]
    assert sorted(held) == sorted({one.operation_id for one in log})
    for bundle in made:
        items = len(bundle.operations) + len(bundle.figures) + len(bundle.workspaces)
        assert items <= 100
        assert {place for one in bundle.operations.values() for place in tally(one)} == bundle.figures.keys()


def test_a_hundred_operations_of_one_job_and_day_are_two_transactions() -> None:
    log = [replace(CALL, operation_id=operation_id(AT, WORKSPACE, str(number))) for number in range(100)]
    # Each has a marker; 8 updates are for all of them: total, job, kind, actor, three of entities, and so far.
    assert [len(bundle.operations) for bundle in bundles(log)] == [92, 8]


def test_an_update_names_no_more_grants_than_its_expression_may() -> None:
    def drawing(number: int) -> Operation:
        draws = tuple(Draw(f"gr_{number}_{one}", 1, Decimal(0), "EUR") for one in range(40))
        changed = operation_id(AT, WORKSPACE, str(number))
        return replace(CALL, operation_id=changed, credits=40, owed=0, drawn=draws, records={})

    assert [len(bundle.operations) for bundle in bundles(drawing(number) for number in range(7))] == [3, 3, 1]
