"""Lines of every type, and files made of lines, for the tests of exports' files."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from shared.channels import Channel
from shared.credits import Draw, Grant, GrantKind, Operation, OperationKind, RecordCounts, RefusalReason
from shared.exports.books import Sums
from shared.exports.focus import Account
from shared.exports.formats import Format
from shared.exports.lines import Line, line_of_grant, lines_of
from shared.exports.parts import FileSummary, PartWriter
from shared.months import Month

WORKSPACE = "ws_01KAMZ5Q00APVEWYWXCMJ7D3FR"
MONTH = Month(2026, 11)
ACCOUNT = Account(WORKSPACE, MONTH, "EUR")
START = MONTH.start + timedelta(hours=8)

_RUNS = "(?=[\\s\"']*[=+\\-@\uff1d\uff0b\uff0d\uff20])"
_NEUTRALIZED = re.compile(rf"(?:^|(?<=[;\t\r\n]))'{_RUNS}|^'(?=[\s\"']*[\t\r\n])")


def restored(cell: str) -> str:
    """The text of a cell of a CSV file, as whoever wants it back takes it: without the apostrophes before what a
    spreadsheet would run.
    """
    return _NEUTRALIZED.sub("", cell)


def written(
    lines: Iterable[Line], account: Account = ACCOUNT
) -> tuple[dict[Format, bytes], tuple[FileSummary, ...], Sums]:
    """The bytes of the files that these lines become, what the writer says of them, and their sums."""
    sinks = {form: io.BytesIO() for form in Format}
    writer = PartWriter(sinks, account)
    for line in lines:
        writer.write(line)
    summaries = writer.close()
    return {form: sink.getvalue() for form, sink in sinks.items()}, summaries, writer.sums


def _grant(number: int, kind: GrantKind, credits: int, price: str, **values: Any) -> Grant:
    return Grant(
        grant_id=f"gr_{number}",
        workspace_id=WORKSPACE,
        kind=kind,
        credits=credits,
        unit_price=Decimal(price),
        currency=values.pop("currency", "EUR"),
        priority=30,
        granted_at=START + timedelta(minutes=number),
        **values,
    )


GRANTS = (
    _grant(1, GrantKind.FREE, 100, "0"),
    _grant(2, GrantKind.PAID, 500, "0.0123", reference="INV-1", expires_at=datetime(2026, 11, 20, tzinfo=UTC)),
    _grant(3, GrantKind.PAID, 300, "0.0047", reference="=INV;+2", currency="USD"),
    _grant(4, GrantKind.PROMOTIONAL, 50, "0.01", reference="campaign"),
    _grant(5, GrantKind.CORRECTION, 40, "0.010", reference="ticket-1", corrects=MONTH.previous),
)
"""Some of each kind. What is left of the second expires, and the third and the fourth end by a void."""


def _entry(number: int, kind: OperationKind, credits: int = 0, **values: Any) -> Operation:
    return Operation(
        operation_id=f"op_{number}",
        workspace_id=WORKSPACE,
        kind=kind,
        channel=values.pop("channel", Channel.API),
        at=START + timedelta(hours=number, milliseconds=123),
        credits=credits,
        fingerprint="f",
        actions={},
        **values,
    )


def _draw(number: int, credits: int) -> Draw:
    grant = GRANTS[number - 1]
    return Draw(grant.grant_id, credits, grant.unit_price, grant.currency)


OPERATIONS = (
    _entry(
        1,
        OperationKind.IMPORT,
        150,
        channel=Channel.IMPORT,
        drawn=(_draw(1, 100), _draw(2, 50)),
        job_id="nightly",
        run_id="run_1",
        actor="key_1",
        records={"product": RecordCounts(100, 49, 7, 0, 149), "category": RecordCounts(1, 0, 0, 0, 1)},
    ),
    _entry(2, OperationKind.API_CALL, 20, drawn=(_draw(4, 10), _draw(5, 10)), actor="key_1", description="pull"),
    _entry(3, OperationKind.API_CALL, 5, owed=5, actor="key_1"),
    _entry(4, OperationKind.SETTLEMENT, settled=5, drawn=(_draw(3, 5),)),
    _entry(5, OperationKind.RULE, 2, drawn=(_draw(2, 2),), job_id="-1+1|cmd", channel=Channel.RULE, actor="@rule"),
    _entry(6, OperationKind.RULE, refused=RefusalReason.OUT_OF_CREDITS, job_id="tidy", channel=Channel.RULE),
    _entry(7, OperationKind.SCHEDULED_JOB, 1, drawn=(_draw(2, 1),), job_id="sync", channel=Channel.SCHEDULE),
    _entry(8, OperationKind.API_CALL, channel=Channel.PERSON, records={"product": RecordCounts(updated=1, deleted=2)}),
    _entry(
        9,
        OperationKind.CORRECTION,
        description='=1+1 given back, with "quotes",\r\nand lines',
        reference="ticket-1",
        corrects=MONTH.previous,
    ),
    _entry(
        10, OperationKind.CORRECTION, withdrawn=(_draw(5, 10),), description="taken\tback;=2+2", reference="ticket-2"
    ),
    _entry(
        13, OperationKind.CORRECTION, withdrawn=(_draw(5, 20),), description="late", reference="t-3", corrects=MONTH
    ),
    _entry(11, OperationKind.EXPIRY, withdrawn=(_draw(2, 447),)),
    _entry(12, OperationKind.VOID, withdrawn=(_draw(3, 295), _draw(4, 40)), description="Größe: ungültig"),
)
"""A month in which everything happens once. What was paid for is used up at its end, or gone."""


def every_line() -> list[Line]:
    """The lines of that month, of every type."""
    kinds = {one.grant_id: one.kind for one in GRANTS}
    return [line_of_grant(one) for one in GRANTS] + [line for entry in OPERATIONS for line in lines_of(entry, kinds)]
