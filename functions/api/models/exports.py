"""Exports of months: what is asked for, and what is there."""

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field

from functions.api.downloads import PresignedDownload
from functions.api.models.common import MonthName, Request, View, time_text
from functions.api.models.texts import Count, CurrencyText, DecimalText, Time, identifier, one_of, told
from shared.exports.books import Sums
from shared.exports.formats import Format
from shared.exports.lines import LineType
from shared.exports.manifest import totals_of
from shared.exports.model import Export, ExportFile, ExportState
from shared.months import MONTH_PATTERN
from shared.times import to_rfc3339

ExportId = Annotated[str, identifier("exp", "01KAN2QJ9V3X5Z7B1D4F6H8K0M")]
MonthText = Annotated[str, told("2026-11", pattern=MONTH_PATTERN)]


class ExportRequest(Request):
    """The month to export; this one when none is named."""

    month: Annotated[MonthName | None, Field(description="A month (UTC), such as 2026-11, not in the future.")] = None


class StandingView(View):
    """What the account holds at one moment."""

    available: Annotated[int, told(4200, minimum=0)]
    owed: Count


class BooksView(View):
    """The account from the beginning of the month to its end, in credits: `opening.available` + `granted` - `expired` -
    `void` - `corrected_down` - `consumed` + `owed` - `settled` = `closing.available`.
    """

    opening: StandingView
    granted: Annotated[int, Field(description="All that came."), told(5000, minimum=0)]
    corrected_up: Annotated[Count, Field(description="Of it, what came by corrections.")]
    expired: Count
    void: Count
    corrected_down: Annotated[Count, Field(description="What corrections took back.")]
    consumed: Annotated[int, told(800, minimum=0)]
    owed: Annotated[Count, Field(description="Of it, what was not there: a debt.")]
    settled: Annotated[Count, Field(description="What was paid of debts.")]
    closing: StandingView


class LineTypeView(View):
    """The lines of one type."""

    lines: Annotated[int, told(41, minimum=0)]
    quantity: Annotated[int, Field(description="Credits that they are about."), told(800, minimum=0)]
    credits: Annotated[int, Field(description="Credits that were consumed."), told(800, minimum=0)]


class WorthView(View):
    """What credits were worth in one currency, exactly: of those bought, given away, and given back by corrections."""

    currency: CurrencyText
    paid: Annotated[DecimalText, told("1.6")]
    free: Annotated[DecimalText, told("0")]
    corrected: Annotated[DecimalText, told("0")]


class InvoiceView(View):
    """What one top-up was invoiced."""

    reference: Annotated[str, told("invoice-2026-118")]
    amount: Annotated[DecimalText, told("80")]


class BilledView(View):
    """What was bought in one currency, and by which top-ups."""

    currency: CurrencyText
    amount: Annotated[DecimalText, told("80")]
    references: list[InvoiceView]


class RecordTotalsView(View):
    """What became of records."""

    created: Annotated[int, told(600, minimum=0)]
    updated: Annotated[int, told(150, minimum=0)]
    unchanged: Annotated[int, told(9000, minimum=0)]
    deleted: Count


class TotalsView(View):
    """What the lines add up to, as the manifest has it."""

    lines: Annotated[int, told(812, minimum=0)]
    operations: Annotated[int, told(41, minimum=0)]
    refused: Count
    credits: Annotated[int, told(800, minimum=0)]
    by_line_type: Annotated[
        dict[str, LineTypeView],
        told({"usage": {"lines": 41, "quantity": 800, "credits": 800}}, propertyNames={"enum": [*LineType]}),
    ]
    cost: Annotated[list[WorthView], Field(description="What was used, and what was settled of debts.")]
    unused: Annotated[list[WorthView], Field(description="What left the account without having been used.")]
    billed: list[BilledView]
    records: RecordTotalsView


class ExportFileView(View):
    """A file. `url` is where it is fetched from, without a key, until `expires_at`; ask for the export again for a
    newer one.
    """

    name: Annotated[str, told("lines-00001.csv")]
    format: Annotated[str, one_of(Format, Format.CSV)]
    part: Annotated[int, told(1, minimum=1)]
    lines: Annotated[int, told(812, minimum=0)]
    bytes: Annotated[int, told(214532, minimum=0)]
    sha256: Annotated[str, told("9f86d081884c7d659a2feaa0c55ad015" * 2, pattern="^[0-9a-f]{64}$")]
    url: Annotated[str, told("https://bucket.s3.eu-central-1.amazonaws.com/exports/lines-00001.csv")]
    expires_at: Time

    @classmethod
    def of(cls, file: ExportFile, download: PresignedDownload) -> Self:
        return cls(
            name=file.name,
            format=file.format,
            part=file.part,
            lines=file.lines,
            bytes=file.bytes,
            sha256=file.sha256,
            url=download.url,
            expires_at=to_rfc3339(download.expires_at),
        )


class ExportView(View):
    """An export. `totals` and `books` are there once all parts are; files when it is `ready`, and not in listings: ask
    for the one export. `failure` says why it failed.
    """

    export_id: ExportId
    month: MonthText
    state: Annotated[str, one_of(ExportState, ExportState.READY)]
    requested_at: Time
    finished_at: Annotated[str | None, told("2026-11-22T08:00:04.567Z", format="date-time")]
    parts: Annotated[int, Field(description="Parts that are whole: each a file of every format."), told(1, minimum=0)]
    lines: Annotated[int, Field(description="Lines of whole parts."), told(812, minimum=0)]
    totals: TotalsView | None
    books: BooksView | None
    account: Annotated[
        StandingView | None,
        Field(description="What the account held after the last line; of a month that was over, by usage."),
    ]
    disagreements: Annotated[
        list[str],
        Field(
            description="What is wrong with the books, in words. In a month that goes on, what was charged during the "
            "export shows here too."
        ),
        told([]),
    ]
    failure: Annotated[str | None, told(None)]
    manifest_url: Annotated[
        str | None,
        Field(description="What all files hold, as JSON: lines, totals and checksums."),
        told("https://bucket.s3.eu-central-1.amazonaws.com/exports/manifest.json"),
    ]
    files: list[ExportFileView]

    @classmethod
    def of(cls, export: Export, files: Sequence[ExportFileView] = (), manifest_url: str | None = None) -> Self:
        report = export.report or {}
        return cls(
            export_id=export.export_id,
            month=str(export.month),
            state=export.state.value,
            requested_at=to_rfc3339(export.requested_at),
            finished_at=time_text(export.finished_at),
            parts=export.parts,
            lines=export.lines,
            totals=TotalsView(**totals_of(Sums.from_values(export.sums))) if report else None,
            books=BooksView(**report["books"]) if report else None,
            account=StandingView(**report["account"]) if report.get("account") else None,
            disagreements=list(report.get("disagreements", ())),
            failure=export.failure,
            manifest_url=manifest_url,
            files=list(files),
        )
