"""Whatever the lines are: CSV, Parquet and FOCUS say the same of each, in the same order, and it adds up."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from shared.credits import GrantKind, OperationKind, RecordCounts, RefusalReason
from shared.credits.model import EXACT
from shared.exports.books import Standing, Sums, books_of, disagreements
from shared.exports.columns import COLUMNS, Kind
from shared.exports.formats import Format
from shared.exports.lines import Line, LineType
from shared.exports.parts import PartWriter
from shared.times import parse_rfc3339
from tests.support.export_lines import ACCOUNT, WORKSPACE, every_line, restored, written

texts = st.none() | st.text(st.sampled_from("=+-@'\"; ,\t\r\nabü|"), max_size=8)
times = st.datetimes(datetime(2026, 11, 1), datetime(2026, 11, 30), timezones=st.just(UTC)).map(  # noqa: DTZ001 - `timezones` gives them one
    lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)
)
counts = st.builds(RecordCounts, *[st.integers(0, 1000)] * 5)
TYPES = {
    OperationKind.SETTLEMENT: LineType.SETTLEMENT,
    OperationKind.EXPIRY: LineType.EXPIRY,
    OperationKind.VOID: LineType.VOID,
    OperationKind.CORRECTION: LineType.CORRECTION,
}


@st.composite
def lines(draw: st.DrawFn) -> Line:
    """Any line that could be: of an operation, paid or owed or free, or of a grant."""
    price = draw(st.decimals(0, 10**12 - 1, places=draw(st.integers(0, 12))))
    quantity, at, number = draw(st.integers(1, 10**9)), draw(times), draw(st.integers(0, 10**6))
    grant: dict[str, Any] = {
        "grant_id": f"gr_{draw(st.integers(0, 3))}",
        "grant_kind": draw(st.sampled_from(GrantKind)),
        "unit_price": price,
        "currency": draw(st.sampled_from(["EUR", "USD"])),
    }
    with localcontext(EXACT):
        cost = quantity * price
    if draw(st.booleans()):
        return Line(
            line_id=f"gr_{number}",
            line_type=LineType.GRANT,
            at=at,
            workspace_id=WORKSPACE,
            quantity=quantity,
            balance_change=quantity,
            billed=cost if grant["grant_kind"] is GrantKind.PAID else Decimal(0),
            reference=draw(texts),
            valid_until=draw(st.none() | times),
            **grant,
        )
    kind = draw(st.sampled_from(OperationKind))
    line_type = TYPES.get(kind, LineType.USAGE)
    if line_type is LineType.USAGE and draw(st.booleans()):
        part: dict[str, Any] = {"quantity": quantity, "credits": quantity, "owed_change": quantity}
    else:
        part = grant | {
            "quantity": quantity,
            "credits": quantity if line_type is LineType.USAGE else 0,
            "balance_change": -quantity,
            "owed_change": -quantity if line_type is LineType.SETTLEMENT else 0,
            "cost": cost,
        }
    return Line(
        line_id=f"op_{number}-{draw(st.integers(0, 2))}",
        line_type=line_type,
        at=at,
        workspace_id=WORKSPACE,
        operation_id=f"op_{number}",
        kind=kind,
        channel="api",
        actor=draw(texts),
        job_id=draw(texts),
        run_id=draw(texts),
        description=draw(texts) or "",
        refused=draw(st.none() | st.sampled_from([reason.value for reason in RefusalReason])),
        records=draw(counts),
        **part,
    )


def as_rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def understood(kind: Kind, cell: str) -> Any:
    """What a cell says: the inverse of how it is written."""
    if cell == "":
        return None
    match kind:
        case Kind.TEXT:
            return restored(cell)
        case Kind.WHOLE:
            return int(cell)
        case Kind.MONEY:
            return Decimal(cell)
        case Kind.TIME:
            return parse_rfc3339(cell)
        case _:
            return cell


@settings(max_examples=60, deadline=None)
@given(st.lists(lines(), max_size=8))
def test_all_formats_say_the_same_row_by_row(given_lines: list[Line]) -> None:
    files, summaries, sums = written(given_lines)
    table = parquet.read_table(io.BytesIO(files[Format.PARQUET])).to_pylist()
    plain_rows, focus_rows = as_rows(files[Format.CSV]), as_rows(files[Format.FOCUS])
    assert [len(table), len(plain_rows), len(focus_rows)] == [len(given_lines)] * 3 == [one.lines for one in summaries]
    for row, cells, focus in zip(table, plain_rows, focus_rows, strict=True):
        # An empty text and none are the same empty cell.
        assert {name: None if value == "" else value for name, value in row.items()} == {
            column.name: understood(column.kind, cells[column.name]) for column in COLUMNS
        }
        assert [focus["x_LineId"], focus["x_At"], focus["x_GrantId"]] == [
            cells["line_id"],
            cells["at"],
            cells["grant_id"],
        ]
        assert abs(Decimal(focus["PricingQuantity"])) == int(cells["quantity"])
        assert Decimal(focus["ConsumedQuantity"] or 0) == int(cells["credits"])
        assert Decimal(focus["BilledCost"]) == Decimal(cells["billed"])
        assert json.loads(restored(focus["Tags"]) or "{}").get("job", "") == restored(cells["job_id"])
    for form, content in files.items():
        (summary,) = [one for one in summaries if one.format is form]
        assert (summary.bytes, summary.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert sums.lines == len(given_lines)


@settings(max_examples=60, deadline=None)
@given(st.lists(lines(), max_size=10), st.integers(0, 10), st.integers(0, 10**12))
def test_books_balance_however_lines_are_cut_into_parts(given_lines: list[Line], cut: int, available: int) -> None:
    first, second = Sums(), Sums()
    first.add(given_lines[:cut])
    second.add(given_lines[cut:])
    sums = Sums.from_values(json.loads(json.dumps(first.to_values()))) + second
    whole = Sums()
    whole.add(given_lines)
    assert sums == whole
    opening = Standing(available + 10**11, 10**11)
    books = books_of(opening, sums)
    assert disagreements(books, books.closing) == ()
    assert books.closing.available == opening.available + sum(line.balance_change for line in given_lines)
    (wrong,) = disagreements(books, Standing(books.closing.available + 1, books.closing.owed))
    assert "the account has" in wrong


def test_books_of_a_month_in_which_everything_happens() -> None:
    _, _, sums = written(every_line())
    books = books_of(Standing(0, 0), sums)
    assert (books.granted, books.expired, books.void, books.corrected_down) == (990, 447, 335, 30)
    assert (books.consumed, books.owed, books.settled, books.corrected_up) == (178, 5, 5, 40)
    assert books.closing == Standing(0, 0)
    assert sums.billed == {"INV-1": ("EUR", Decimal("6.15")), "=INV;+2": ("USD", Decimal("1.41"))}
    assert (sums.operations, sums.refused, sums.lines) == (13, 1, 21)


def test_nothing_is_a_valid_file_of_each_format() -> None:
    files, summaries, sums = written([])
    assert as_rows(files[Format.CSV]) == as_rows(files[Format.FOCUS]) == []
    assert parquet.read_table(io.BytesIO(files[Format.PARQUET])).num_rows == 0
    assert {one.lines for one in summaries} == {0} == {sums.lines}


def test_money_that_parquet_cannot_hold_exactly_is_refused() -> None:
    too_fine = Line(
        line_id="gr_1", line_type=LineType.GRANT, at=ACCOUNT.month.start, workspace_id="w", unit_price=Decimal("1e-13")
    )
    writer = PartWriter({form: io.BytesIO() for form in Format}, ACCOUNT)
    writer.write(too_fine)
    with pytest.raises(ValueError, match="not exact in Parquet"):
        writer.close()


def test_more_lines_than_a_batch_and_a_row_group_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.exports.parts._BATCH", 3)
    monkeypatch.setattr("shared.exports.parts._ROW_GROUP", 6)
    expected = every_line()
    files, _, _ = written(expected)
    packed = parquet.ParquetFile(io.BytesIO(files[Format.PARQUET]))
    assert packed.num_row_groups == 4
    assert packed.read().column("line_id").to_pylist() == [line.line_id for line in expected]
    assert [row["line_id"] for row in as_rows(files[Format.CSV])] == [line.line_id for line in expected]
