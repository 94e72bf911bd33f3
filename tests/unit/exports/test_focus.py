"""What FOCUS demands of the rows, beyond what its validator looks at."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from decimal import Decimal

import pytest

from shared.exports.focus import FOCUS_COLUMNS
from shared.exports.formats import Format
from tests.support.export_lines import GRANTS, MONTH, WORKSPACE, every_line, written

Row = dict[str, str]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    files, _, _ = written(every_line())
    return list(csv.DictReader(io.StringIO(files[Format.FOCUS].decode(), newline="")))


def test_billed_cost_of_an_invoice_is_what_the_top_up_cost(rows: list[Row]) -> None:
    invoices: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        invoices[row["InvoiceId"]] += Decimal(row["BilledCost"])
    # The apostrophes keep a spreadsheet from running the reference of the second one.
    assert invoices == {f"{WORKSPACE}-{MONTH}": 0, "INV-1": Decimal("6.15"), "'=INV;'+2": Decimal("1.41")}


def test_purchases_have_no_effective_cost_and_usage_is_not_billed(rows: list[Row]) -> None:
    for row in rows:
        unwanted = {"Purchase": "EffectiveCost", "Usage": "BilledCost"}[row["ChargeCategory"]]
        assert Decimal(row[unwanted]) == 0
        assert row["ChargeFrequency"] == {"Purchase": "One-Time", "Usage": "Usage-Based"}[row["ChargeCategory"]]


def test_costs_are_prices_times_quantities(rows: list[Row]) -> None:
    for row in rows:
        quantity = Decimal(row["PricingQuantity"])
        assert Decimal(row["ListCost"]) == Decimal(row["ListUnitPrice"]) * quantity
        assert Decimal(row["ContractedCost"]) == Decimal(row["ContractedUnitPrice"]) * quantity


def test_over_the_life_of_a_grant_what_was_billed_is_spread(rows: list[Row]) -> None:
    billed: dict[str, Decimal] = defaultdict(Decimal)
    effective: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        billed[row["x_GrantId"]] += Decimal(row["BilledCost"])
        effective[row["x_GrantId"]] += Decimal(row["EffectiveCost"])
    # All but the last one are used up or gone; of that one 40 came back, 10 were used and 30 taken.
    assert effective == billed
    assert {grant.grant_id for grant in GRANTS} < effective.keys()


def test_given_credits_cost_nothing_whatever_their_price(rows: list[Row]) -> None:
    promotional = [row for row in rows if row["x_GrantType"] == "promotional"]
    assert len(promotional) == 3
    assert {Decimal(row["EffectiveCost"]) for row in promotional} == {0}
    assert all(Decimal(row["ListCost"]) > 0 for row in promotional)


def test_what_is_consumed_is_counted_once(rows: list[Row]) -> None:
    assert sum(Decimal(row["ConsumedQuantity"] or 0) for row in rows) == 178
    # 5 were owed, and drawn when they were settled; 447 expired, 335 were void, 30 taken and 40 given back.
    assert sum(Decimal(row["PricingCurrencyEffectiveCost"]) for row in rows) == 178 + 447 + 335 + 30 - 40
    (owed,) = [row for row in rows if row["x_Owed"] == "true"]
    assert [Decimal(owed["EffectiveCost"]), Decimal(owed["ConsumedQuantity"])] == [0, 5]


def test_corrections_of_an_earlier_month_have_a_class_and_those_of_their_own_have_none(rows: list[Row]) -> None:
    assert {row["x_LineId"]: row["x_Corrects"] for row in rows if row["ChargeClass"]} == {
        "gr_5": "2026-10",
        "op_9-0": "2026-10",
    }
    of_the_month = {row["x_LineId"]: row["x_Corrects"] for row in rows if row["x_LineType"] == "correction"}
    assert of_the_month == {"op_9-0": "2026-10", "op_10-0": "", "op_13-0": "2026-11"}
    assert {row["ChargeClass"] for row in rows} == {"", "Correction"}


def test_the_charge_period_is_the_validity_of_credits(rows: list[Row]) -> None:
    by_id = {row["x_LineId"]: row for row in rows}
    assert by_id["gr_2"]["ChargePeriodEnd"] == "2026-11-20T00:00:00Z"
    assert all(row["ChargePeriodStart"] < row["ChargePeriodEnd"] for row in rows)


def test_nothing_is_written_as_nothing(rows: list[Row]) -> None:
    by_id = {row["x_LineId"]: row for row in rows}
    for name in ("ConsumedQuantity", "ConsumedUnit", "ChargeClass", "Tags", "x_JobId"):
        assert by_id["gr_1"][name] == ""


def test_columns_of_the_specification_come_first_in_order() -> None:
    names = [column.name for column in FOCUS_COLUMNS]
    own = [name for name in names if name.startswith("x_")]
    assert names == [*sorted(set(names) - set(own)), *own]
    assert own[0] == "x_LineId"
