"""The table that Athena sees, and what finance asks it first: run on real Parquet, by an engine of the same SQL."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
from samtranslator.yaml_helper import yaml_parse

from shared.credits import (
    DRAWING_PRIORITY,
    Action,
    Channel,
    Draw,
    Grant,
    GrantKind,
    Operation,
    OperationKind,
    RecordCounts,
)
from shared.exports.focus import Account
from shared.exports.formats import Format
from shared.exports.lines import Line, line_of_grant, lines_of
from shared.exports.parts import SCHEMA, PartWriter
from shared.ids import grant_id, operation_id
from shared.months import Month

TEMPLATE = Path(__file__).resolve().parents[3] / "template.yaml"
WORKSPACE = "ws_01KAMZ5Q000000000000000001"
OCTOBER, NOVEMBER = Month(2026, 10), Month(2026, 11)
ATHENA_TYPES = {
    "string": "string",
    "int64": "bigint",
    "decimal128(38, 12)": "decimal(38,12)",
    "timestamp[ms, tz=UTC]": "timestamp",
}


@cache
def resources() -> dict[str, Any]:
    found: dict[str, Any] = yaml_parse(TEMPLATE.read_text(encoding="utf-8"))["Resources"]
    return found


def a_grant(reference: str, kind: GrantKind, credits: int, price: str) -> Grant:
    at = datetime(2026, 10, 1, tzinfo=UTC)
    return Grant(
        grant_id=grant_id(at, reference),
        workspace_id=WORKSPACE,
        kind=kind,
        credits=credits,
        unit_price=Decimal(price),
        currency="EUR",
        priority=DRAWING_PRIORITY[kind],
        granted_at=at,
        reference=reference,
    )


FREE = a_grant("starter", GrantKind.FREE, 100, "0")
PAID = a_grant("invoice 1", GrantKind.PAID, 50, "0.0123")
# It has a price, which nobody pays.
PROMOTION = a_grant("welcome", GrantKind.PROMOTIONAL, 10, "0.05")
KINDS = {grant.grant_id: grant.kind for grant in (FREE, PAID, PROMOTION)}


def used(day: str, job: str | None, *draws: tuple[Grant, int], unchanged: int = 0, void: int = 0) -> Iterator[Line]:
    at = datetime.fromisoformat(f"{day}T08:00:00+00:00")
    drawn = tuple(Draw(grant.grant_id, credits, grant.unit_price, grant.currency) for grant, credits in draws)
    credits = sum(draw.credits for draw in drawn)
    taken = (Draw(PAID.grant_id, void, PAID.unit_price, PAID.currency),) if void else ()
    return lines_of(
        Operation(
            operation_id=operation_id(at, day, str(job)),
            workspace_id=WORKSPACE,
            kind=OperationKind.VOID if void else OperationKind.IMPORT,
            channel=Channel.IMPORT,
            at=at,
            credits=credits,
            fingerprint="",
            actions={Action.RECORD_UPDATED: credits},
            drawn=drawn,
            withdrawn=taken,
            job_id=job,
            records={"product": RecordCounts(updated=credits, unchanged=unchanged, credits=credits)},
        ),
        KINDS,
    )


def publish(folder: Path, month: Month, lines: Iterable[Line]) -> None:
    sinks = {form: io.BytesIO() for form in Format}
    writer = PartWriter(sinks, Account(WORKSPACE, month, "EUR"))
    for line in lines:
        writer.write(line)
    writer.close()
    place = folder / f"month={month}" / f"workspace_id={WORKSPACE}"
    place.mkdir(parents=True)
    (place / "lines-00001.parquet").write_bytes(sinks[Format.PARQUET].getvalue())


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Any]:
    """Asks one of the template's questions about two months."""
    publish(
        tmp_path,
        OCTOBER,
        [
            line_of_grant(FREE),
            line_of_grant(PAID),
            *used("2026-10-05", "main", (FREE, 60), unchanged=1_000),
            *used("2026-10-06", "stock", (FREE, 20)),
        ],
    )
    publish(
        tmp_path,
        NOVEMBER,
        [
            *used("2026-11-05", "main", (FREE, 20), (PAID, 10), unchanged=5),
            *used("2026-11-06", None, (PAID, 1)),
            *used("2026-11-06", "gift", (PROMOTION, 4)),
            *used("2026-11-07", None, void=9),
        ],
    )
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        # The column `month` comes from the place of the files, as it does by the table's projection.
        files = f"{tmp_path}/*/*/*.parquet"
        engine.read_parquet(files, hive_partitioning=True).create_view("lines")

        def answer(query: str) -> list[dict[str, Any]]:
            found = engine.execute(resources()[query]["Properties"]["QueryString"])
            names = [column[0] for column in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

        yield answer


def test_the_table_has_the_columns_of_the_files() -> None:
    table = resources()["LinesTable"]["Properties"]["TableInput"]
    columns = [(column["Name"], column["Type"]) for column in table["StorageDescriptor"]["Columns"]]
    assert columns == [(field.name, ATHENA_TYPES[str(field.type)]) for field in SCHEMA]
    assert table["PartitionKeys"] == [{"Name": "month", "Type": "string"}]
    assert table["Parameters"]["storage.location.template"] == {
        "Fn::Sub": "s3://${DataBucket}/published/parquet/month=${!month}/"
    }


def test_what_each_job_cost_in_each_month_free_and_paid_apart(ask: Any) -> None:
    answer = [
        (row["month"], row["job"], row["paid_credits"] or 0, row["free_credits"] or 0, row["cost"])
        for row in ask("CostPerJobQuery")
    ]
    assert answer == [
        ("2026-11", "main", 10, 20, Decimal("0.123")),
        ("2026-11", "-", 1, 0, Decimal("0.0123")),
        ("2026-11", "gift", 0, 4, 0),
        ("2026-10", "main", 0, 60, 0),
        ("2026-10", "stock", 0, 20, 0),
    ]


def test_what_became_of_each_top_up(ask: Any) -> None:
    (row,) = ask("TopUpsQuery")
    assert (row["reference"], row["bought"], row["used"], row["lapsed_or_void"]) == ("invoice 1", 50, 11, 9)
    assert (row["credits_left"], row["billed"]) == (30, Decimal("0.615"))
    assert row["money_left"] == 30 * Decimal("0.0123")


def test_what_changed_since_the_month_before(ask: Any) -> None:
    answer = [
        (row["month"], row["job"], row["credits"], row["credits_before"], row["change"], row["saved_as_unchanged"])
        for row in ask("ChangesQuery")
    ]
    assert answer == [
        ("2026-11", "main", 30, 60, -30, 5),
        ("2026-11", "stock", 0, 20, -20, 0),
        ("2026-11", "gift", 4, 0, 4, 0),
        ("2026-11", "-", 1, 0, 1, 0),
        ("2026-10", "main", 60, 0, 60, 1_000),
        ("2026-10", "stock", 20, 0, 20, 0),
        ("2026-10", "-", 0, 0, 0, 0),
    ]
