"""Lines of an export: whatever an entry says, its lines add up to it, exactly."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from shared.channels import Channel
from shared.credits import Draw, Grant, GrantKind, Operation, OperationKind, RecordCounts
from shared.credits.model import EXACT
from shared.exports.lines import Line, LineType, line_of_grant, lines_of

AT = datetime(2026, 11, 22, 8, tzinfo=UTC)
GRANTS = {f"gr_{number}": kind for number, kind in enumerate(GrantKind)}

prices = st.decimals(min_value=0, max_value=10**6, places=12)
draws = st.lists(
    st.builds(
        Draw,
        grant_id=st.sampled_from(sorted(GRANTS)),
        credits=st.integers(1, 10**12),
        unit_price=prices,
        currency=st.sampled_from(["EUR", "USD"]),
    ),
    max_size=4,
    unique_by=lambda draw: draw.grant_id,
).map(tuple)
counts = st.builds(RecordCounts, *[st.integers(0, 1000)] * 5)


@st.composite
def usages(draw: st.DrawFn) -> Operation:
    """What was paid by grants, or as a debt, or cost nothing."""
    drawn, owed = draw(draws), draw(st.integers(0, 1000))
    return _operation(
        OperationKind.IMPORT,
        credits=sum(part.credits for part in drawn) + owed,
        owed=owed,
        drawn=drawn,
        records=draw(st.dictionaries(st.sampled_from(["product", "category"]), counts)),
    )


@given(usages())
def test_lines_of_usage_add_up_to_the_entry(operation: Operation) -> None:
    lines = list(lines_of(operation, GRANTS))
    assert {line.line_type for line in lines} == {LineType.USAGE}
    assert sum(line.credits for line in lines) == operation.credits
    assert sum(line.quantity for line in lines) == operation.credits
    assert -sum(line.balance_change for line in lines) == operation.credits - operation.owed
    assert sum(line.owed_change for line in lines) == operation.owed
    assert _costs(lines) == {currency: amount for currency, amount in operation.money().items() if amount}
    assert RecordCounts.total(line.records for line in lines) == RecordCounts.total(operation.records.values())


@given(draws.filter(bool), st.sampled_from([OperationKind.EXPIRY, OperationKind.VOID, OperationKind.CORRECTION]))
def test_what_leaves_unused_changes_the_balance_and_consumes_nothing(
    withdrawn: tuple[Draw, ...], kind: OperationKind
) -> None:
    lines = list(lines_of(_operation(kind, withdrawn=withdrawn), GRANTS))
    gone = sum(draw.credits for draw in withdrawn)
    assert {line.line_type for line in lines} == {LineType(kind.value)}
    assert (sum(line.credits for line in lines), sum(line.balance_change for line in lines)) == (0, -gone)


@given(draws.filter(bool))
def test_a_settlement_pays_a_debt_and_consumes_nothing(drawn: tuple[Draw, ...]) -> None:
    settled = sum(draw.credits for draw in drawn)
    operation = _operation(OperationKind.SETTLEMENT, drawn=drawn, settled=settled)
    lines = list(lines_of(operation, GRANTS))
    assert sum(line.credits for line in lines) == 0
    assert {sum(line.balance_change for line in lines), sum(line.owed_change for line in lines)} == {-settled}
    assert _costs(lines) == {currency: amount for currency, amount in operation.money().items() if amount}


@given(usages())
def test_each_line_has_one_price_and_a_name_of_its_own(operation: Operation) -> None:
    lines = list(lines_of(operation, GRANTS))
    assert len({line.line_id for line in lines}) == len(lines)
    for line in lines:
        if line.unit_price is not None:
            with localcontext(EXACT):
                assert line.cost == line.quantity * line.unit_price


def test_what_cost_nothing_has_a_line_all_the_same() -> None:
    (line,) = lines_of(_operation(OperationKind.API_CALL, records={"product": RecordCounts(updated=1)}), GRANTS)
    assert (line.credits, line.balance_change, line.grant_id, line.records.updated) == (0, 0, None, 1)


@given(st.sampled_from(GrantKind), st.integers(1, 10**12), prices)
def test_only_what_was_bought_is_billed(kind: GrantKind, credits: int, price: Decimal) -> None:
    grant = Grant(
        grant_id="gr_1",
        workspace_id="ws_1",
        kind=kind,
        credits=credits,
        unit_price=price,
        currency="EUR",
        priority=10,
        granted_at=AT,
        reference="invoice 1",
    )
    line = line_of_grant(grant)
    with localcontext(EXACT):
        assert line.billed == (credits * price if kind is GrantKind.PAID else 0)
    assert (line.balance_change, line.credits, line.cost) == (credits, 0, Decimal(0))


def _operation(kind: OperationKind, **values: object) -> Operation:
    given_values: dict[str, object] = {"credits": 0, "actions": {}} | values
    return Operation(
        operation_id="op_1",
        workspace_id="ws_1",
        kind=kind,
        channel=Channel.IMPORT,
        at=AT,
        fingerprint="f",
        **given_values,  # type: ignore[arg-type]
    )


def _costs(lines: list[Line]) -> dict[str, Decimal]:
    costs: dict[str, Decimal] = {}
    with localcontext(EXACT):
        for line in lines:
            if line.cost:
                assert line.currency is not None
                costs[line.currency] = costs.get(line.currency, Decimal(0)) + line.cost
    return costs
