"""Operations of all kinds, and what their figures have to be."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from shared.channels import Channel
from shared.credits import Action, Draw, Operation, OperationKind, RefusalReason
from shared.credits.model import RecordCounts
from shared.ids import operation_id
from shared.usage import Dimension, Figures, UsageStore, tally
from shared.usage.tally import FiguresPlace

FIRST = datetime(2026, 2, 27, 23, 59, 59, tzinfo=UTC)
"""The operations are dated from here on, over some turns of days and of a month."""

GRANTS = {"gr_free": Decimal(0), "gr_cheap": Decimal("0.004"), "gr_dear": Decimal("0.0125")}

_UNUSED = {OperationKind.EXPIRY, OperationKind.VOID, OperationKind.CORRECTION}


@st.composite
def operations(draw: Any, workspace_id: str) -> Operation:
    """An entry that adds up, of any kind."""
    kind = draw(st.sampled_from(OperationKind))
    at = FIRST + timedelta(hours=draw(st.integers(0, 72)), milliseconds=draw(st.integers(0, 10**6)))
    parts = st.lists(st.sampled_from(sorted(GRANTS)), max_size=3, unique=True).flatmap(
        lambda names: st.tuples(*(st.tuples(st.just(name), st.integers(1, 60)) for name in names))
    )
    drawn = tuple(Draw(name, credits, GRANTS[name], "EUR") for name, credits in draw(parts))
    taken = sum(one.credits for one in drawn)
    common: dict[str, Any] = {
        "operation_id": operation_id(at, workspace_id, str(draw(st.integers(0, 2**32)))),
        "workspace_id": workspace_id,
        "kind": kind,
        "channel": draw(st.sampled_from(Channel)),
        "at": at,
        "fingerprint": "f",
        "actions": {Action.API_CALL: 1},
        "job_id": draw(st.sampled_from([None, "products", "nightly#1"])),
        "actor": draw(st.sampled_from([None, "key_1", "anna"])),
    }
    if kind in _UNUSED:
        return Operation(credits=0, withdrawn=drawn, **common)
    if kind is OperationKind.SETTLEMENT:
        return Operation(credits=0, drawn=drawn, settled=taken, **common)
    if draw(st.booleans()) and not drawn:
        return Operation(credits=0, refused=RefusalReason.OUT_OF_CREDITS, **common)
    owed = draw(st.integers(0, 5))
    return Operation(credits=taken + owed, drawn=drawn, owed=owed, records=draw(_records(taken + owed)), **common)


@st.composite
def _records(draw: Any, credits: int) -> dict[str, RecordCounts]:
    """What became of records, which cost no more than that; some deployments sell them for other prices than 1."""
    records = {}
    for entity in draw(st.lists(st.sampled_from(["product", "category", "brand"]), max_size=3, unique=True)):
        cost = draw(st.integers(0, credits))
        credits -= cost
        created, updated = draw(st.integers(0, 9)), draw(st.integers(0, 9))
        unchanged, deleted = draw(st.integers(0, 9)), draw(st.integers(0, 9))
        records[entity] = RecordCounts(created, updated, unchanged, deleted, cost)
    return records


def recounted(log: Iterable[Operation]) -> dict[tuple[Dimension, date, str], Figures]:
    """What the figures have to be, counted one by one from the log."""
    found: dict[FiguresPlace, Figures] = {}
    for operation in log:
        for place, figures in tally(operation).items():
            found[place] = found.get(place, Figures()) + figures
    return {(place.dimension, place.day, place.value): figures for place, figures in found.items()}


def kept(store: UsageStore, workspace_id: str, first: date, last: date) -> dict[tuple[Dimension, date, str], Figures]:
    """The figures as they are kept, in all dimensions."""
    return {
        (dimension, day, value): figures
        for dimension in Dimension
        for day, value, figures in store.figures(workspace_id, dimension, first, last)
    }
