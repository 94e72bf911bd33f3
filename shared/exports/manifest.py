"""The manifest of an export: what its files hold, what they add up to, and the books of the month."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from shared.credits import GIVEN_AWAY, GrantKind
from shared.credits.model import EXACT
from shared.exports.books import Books, Standing, Sums, disagreements
from shared.exports.cells import plain
from shared.exports.focus import FOCUS_VERSION
from shared.exports.lines import LineType
from shared.exports.model import Export, ExportFile
from shared.months import Month
from shared.times import to_rfc3339

MANIFEST_VERSION = 1
"""Moves when a reader would have to know."""


def manifest_of(export: Export) -> bytes:
    """The manifest of an export whose report is there."""
    if export.report is None:
        raise AssertionError(f"{export.export_id} has no report yet")
    sums = Sums.from_values(export.sums)
    return manifest_bytes(export.workspace_id, export.month, export.files, sums, export.report, export.export_id)


def report_of(books: Books, account: Standing | None, now: datetime) -> dict[str, Any]:
    """What is said of the books once all lines are there. `account` is what the account itself says at the end of
    them, None where nobody looked.
    """
    return {
        "made_at": to_rfc3339(now),
        "books": books.to_values(),
        "account": None if account is None else {"available": account.available, "owed": account.owed},
        "disagreements": list(disagreements(books, account)),
    }


def manifest_bytes(
    workspace_id: str,
    month: Month,
    files: Iterable[ExportFile],
    sums: Sums,
    report: Mapping[str, Any],
    export_id: str | None = None,
) -> bytes:
    """The manifest as a file; money is text. `export_id` is None for files that no export of the API has made."""
    manifest = {
        "manifest_version": MANIFEST_VERSION,
        "focus_version": FOCUS_VERSION,
        "workspace_id": workspace_id,
        "month": str(month),
        "export_id": export_id,
        **report,
        "totals": totals_of(sums),
        "files": [_file_values(file) for file in files],
    }
    return json.dumps(manifest, ensure_ascii=False, indent=2).encode() + b"\n"


def _file_values(file: ExportFile) -> dict[str, Any]:
    return {
        "name": file.name,
        "format": file.format,
        "part": file.part,
        "lines": file.lines,
        "bytes": file.bytes,
        "sha256": file.sha256,
    }


def totals_of(sums: Sums) -> dict[str, Any]:
    """What all lines add up to. Costs are told apart by what paid: credits that were given away cost their customer
    nothing, whatever price they carry; those that a correction gave back have the price that they came with.
    """
    return {
        "lines": sums.lines,
        "operations": sums.operations,
        "refused": sums.refused,
        "credits": sum(figures.credits for figures in sums.groups.values()),
        "by_line_type": {line_type.value: _of_type(sums, line_type) for line_type in LineType},
        "cost": _by_currency(sums, LineType.USAGE, LineType.SETTLEMENT),
        "unused": _by_currency(sums, LineType.EXPIRY, LineType.VOID, LineType.CORRECTION),
        "billed": _billed(sums),
        "records": {
            "created": sums.records.created,
            "updated": sums.records.updated,
            "unchanged": sums.records.unchanged,
            "deleted": sums.records.deleted,
        },
    }


def _of_type(sums: Sums, line_type: LineType) -> dict[str, int]:
    groups = [figures for _, figures in sums.of(line_type)]
    return {
        "lines": sum(figures.lines for figures in groups),
        "quantity": sum(figures.quantity for figures in groups),
        "credits": sum(figures.credits for figures in groups),
    }


def _by_currency(sums: Sums, *types: LineType) -> list[dict[str, str]]:
    """What credits were worth, per currency: of those bought, given away, and given back."""
    amounts: dict[str, dict[str, Decimal]] = {}
    for group, figures in sums.of(*types):
        if group.currency is None or group.grant_kind is None:
            continue
        share = _share(group.grant_kind)
        costs = amounts.setdefault(group.currency, dict.fromkeys(("paid", "free", "corrected"), Decimal(0)))
        costs[share] = EXACT.add(costs[share], figures.cost)
    return [
        {"currency": currency} | {share: plain(amount) for share, amount in costs.items()}
        for currency, costs in sorted(amounts.items())
    ]


def _share(kind: GrantKind) -> str:
    if kind in GIVEN_AWAY:
        return "free"
    return "paid" if kind is GrantKind.PAID else "corrected"


def _billed(sums: Sums) -> list[dict[str, Any]]:
    """What was invoiced, per currency, and for which references."""
    currencies = sorted({currency for currency, _ in sums.billed.values()})
    return [_billed_in(sums, currency) for currency in currencies]


def _billed_in(sums: Sums, currency: str) -> dict[str, Any]:
    invoices = sorted((name, amount) for name, (billed_in, amount) in sums.billed.items() if billed_in == currency)
    total = Decimal(0)
    for _, amount in invoices:
        total = EXACT.add(total, amount)
    return {
        "currency": currency,
        "amount": plain(total),
        "references": [{"reference": name, "amount": plain(amount)} for name, amount in invoices],
    }
