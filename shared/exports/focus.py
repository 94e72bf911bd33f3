"""Lines as rows of FOCUS 1.2, the FinOps Open Cost and Usage Specification: one row for each line, in the same order.

What a line becomes is decided in `charge_of`; how the specification calls it stands in `FOCUS_COLUMNS` alone, so that
another version is a change of names there. The decisions and their reasons are in docs/exports.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import ClassVar

from shared.credits import GIVEN_AWAY, Grant, GrantKind, OperationKind
from shared.credits.model import EXACT
from shared.exports.cells import plain, to_second
from shared.exports.columns import Column, Kind
from shared.exports.lines import Line, LineType
from shared.months import Month

CREDITS = "Credits"
"""The virtual currency, and the unit of everything."""

_SECOND = timedelta(seconds=1)
_ZERO = Decimal(0)
_CORRECTION = "Correction"


@dataclass(frozen=True)
class Account:
    """Whose rows they are. `currency` is for rows to which no grant gives one: what is owed, or cost nothing."""

    workspace_id: str
    month: Month
    currency: str

    @classmethod
    def of(cls, workspace_id: str, month: Month, grants: Iterable[Grant]) -> Account:
        """With the currency of the first of `grants`, which are all that the workspace was ever given. It was opened
        with one, so this never changes; and it follows from the grants alone, as the rest of the files does from them
        and the log.
        """
        first = min(grants, key=lambda grant: (grant.granted_at, grant.grant_id))
        return cls(workspace_id, month, first.currency)

    @cached_property
    def period_start(self) -> str:
        return to_second(self.month.start)

    @cached_property
    def period_end(self) -> str:
        return to_second(self.month.end)

    @cached_property
    def statement_id(self) -> str:
        """The document that everything belongs to that is not invoiced: with the invoices it makes the month's."""
        return f"{self.workspace_id}-{self.month}"


@dataclass(slots=True)
class Charge:
    """A line as FOCUS looks at it: what is billed, what it is worth, and at which prices."""

    issuer: ClassVar[str] = "ProductSync"
    service_category: ClassVar[str] = "Integration"
    service: ClassVar[str] = "ProductSync Automation"
    service_subcategory: ClassVar[str] = "Workflow Orchestration"
    pricing_category: ClassVar[str] = "Standard"
    unit: ClassVar[str] = CREDITS
    nothing: ClassVar[None] = None

    line: Line
    account: Account
    currency: str
    category: str
    charge_class: str | None
    frequency: str
    start: datetime
    end: datetime
    sku: str
    sku_price: str
    meter: str
    quantity: int
    list_price: Decimal
    list_cost: Decimal
    contracted_price: Decimal
    contracted_cost: Decimal
    effective_cost: Decimal
    consumed: int | None
    consumed_unit: str | None
    pricing_currency: str
    credit_list_price: int | Decimal
    credit_contracted_price: int | Decimal
    credit_cost: int
    invoice_id: str

    @property
    def tags(self) -> str | None:
        """What customers group by, as a JSON object."""
        return None if self.line.job_id is None else json.dumps({"job": self.line.job_id})

    @property
    def is_owed(self) -> bool:
        return self.line.owed_change > 0


def charge_of(line: Line, account: Account) -> Charge:
    """What a line is in FOCUS: credits that came are a purchase, all else is usage."""
    if line.line_type is LineType.GRANT and line.grant_kind is not GrantKind.CORRECTION:
        return _purchase(line, account)
    return _usage(line, account)


def _usage(line: Line, account: Account) -> Charge:
    """What was done, and what credits were worth that left unused: both spread what was billed when they came.

    Credits that a correction gives back are usage below zero, so that what they pay for later is no cost twice.
    """
    currency, price, quantity, cost = (
        line.currency or account.currency,
        line.unit_price or _ZERO,
        line.quantity,
        line.cost,
    )
    if line.line_type is LineType.GRANT:
        quantity = -quantity
        cost = EXACT.multiply(price, quantity)
    was_paid_for = line.grant_kind not in GIVEN_AWAY
    sku, meter = _SKUS[line.kind or OperationKind.CORRECTION]
    start = line.at.replace(microsecond=0)
    return Charge(
        line=line,
        account=account,
        currency=currency,
        category="Usage",
        charge_class=_charge_class(line),
        frequency="Usage-Based",
        start=start,
        end=start + _SECOND,
        sku=sku,
        sku_price=_sku_price(sku, currency, plain(price)),
        meter=meter,
        quantity=quantity,
        list_price=price,
        list_cost=cost,
        contracted_price=price if was_paid_for else _ZERO,
        contracted_cost=cost if was_paid_for else _ZERO,
        effective_cost=cost if was_paid_for else _ZERO,
        consumed=line.credits,
        consumed_unit=CREDITS,
        pricing_currency=CREDITS,
        credit_list_price=1,
        credit_contracted_price=1,
        credit_cost=-line.balance_change,
        invoice_id=account.statement_id,
    )


def _charge_class(line: Line) -> str | None:
    """Corrections of the month that they are made in have no class of their own: the specification keeps it for those
    of a month that was closed before.
    """
    # Months are spelled so that they sort.
    is_late = line.corrects is not None and line.corrects < str(Month.of(line.at))
    return _CORRECTION if is_late else None


def _purchase(line: Line, account: Account) -> Charge:
    """Credits that came: billed at once when they were bought, and worth nothing until they are used."""
    currency, price = line.currency or account.currency, line.unit_price or _ZERO
    is_bought = line.grant_kind is GrantKind.PAID
    start = line.at.replace(microsecond=0)
    return Charge(
        line=line,
        account=account,
        currency=currency,
        category="Purchase",
        charge_class=None,
        frequency="One-Time",
        start=start,
        end=max(start + _SECOND, (line.valid_until or start).replace(microsecond=0)),
        sku=_TOP_UP,
        sku_price=_sku_price(_TOP_UP, currency, plain(price)),
        meter="Credits that came",
        quantity=line.quantity,
        list_price=price,
        list_cost=EXACT.multiply(price, line.quantity),
        contracted_price=price if is_bought else _ZERO,
        contracted_cost=line.billed,
        effective_cost=_ZERO,
        consumed=None,
        consumed_unit=None,
        pricing_currency=currency,
        credit_list_price=price,
        credit_contracted_price=price if is_bought else _ZERO,
        credit_cost=0,
        invoice_id=(line.reference or line.line_id) if is_bought else account.statement_id,
    )


_TOP_UP = "credits"
_SKUS = {
    OperationKind.IMPORT: ("automation-import", "Credits used by imports"),
    OperationKind.API_CALL: ("automation-api-call", "Credits used by API calls"),
    OperationKind.SCHEDULED_JOB: ("automation-scheduled-job", "Credits used by scheduled jobs"),
    OperationKind.RULE: ("automation-rule", "Credits used by rules"),
    OperationKind.SETTLEMENT: ("automation-settlement", "Credits that settled a debt"),
    OperationKind.EXPIRY: ("credits-expired", "Credits that expired"),
    OperationKind.VOID: ("credits-void", "Credits that were declared void"),
    OperationKind.CORRECTION: ("credits-corrected", "Credits that were corrected"),
}
"""One article for each kind of operation, and what is metered of it."""


@lru_cache(maxsize=1024)
def _sku_price(sku: str, currency: str, price: str) -> str:
    return f"{sku}-{currency}-{price}"


FOCUS_VERSION = "1.2"

FOCUS_COLUMNS = (
    Column("BilledCost", Kind.DECIMAL, "line.billed", "What is invoiced: of top-ups alone."),
    Column("BillingAccountId", Kind.NAME, "account.workspace_id", "The workspace."),
    Column("BillingAccountName", Kind.NAME, "account.workspace_id", "The workspace: the log has no names."),
    Column("BillingCurrency", Kind.NAME, "currency", "The grant's; of what no grant paid that of the first grant."),
    Column("BillingPeriodEnd", Kind.NAME, "account.period_end", "The first moment of the next month."),
    Column("BillingPeriodStart", Kind.NAME, "account.period_start", "The first moment of the month."),
    Column("ChargeCategory", Kind.NAME, "category", "Purchase for credits that came, Usage for all else."),
    Column("ChargeClass", Kind.NAME, "charge_class", "Correction, of a correction that names an earlier month."),
    Column("ChargeDescription", Kind.NAME, "meter", "What is metered, in words of ours."),
    Column("ChargeFrequency", Kind.NAME, "frequency", "One-Time or Usage-Based."),
    Column("ChargePeriodEnd", Kind.SECOND, "end", "Of credits that expire their expiry, otherwise a second later."),
    Column("ChargePeriodStart", Kind.SECOND, "start", "The second in which it was triggered."),
    Column("CommitmentDiscountStatus", Kind.NAME, "nothing", "There are no such discounts."),
    Column("ConsumedQuantity", Kind.DECIMAL, "consumed", "Credits consumed, drawn or owed."),
    Column("ConsumedUnit", Kind.NAME, "consumed_unit", "Credits."),
    Column("ContractedCost", Kind.DECIMAL, "contracted_cost", "ContractedUnitPrice x PricingQuantity."),
    Column("ContractedUnitPrice", Kind.DECIMAL, "contracted_price", "What was paid for a credit: 0 of given ones."),
    Column("EffectiveCost", Kind.DECIMAL, "effective_cost", "What the credits were bought for; 0 of purchases."),
    Column("InvoiceId", Kind.TEXT, "invoice_id", "The top-up's reference, or the month's statement."),
    Column("InvoiceIssuerName", Kind.NAME, "issuer", "ProductSync."),
    Column("ListCost", Kind.DECIMAL, "list_cost", "ListUnitPrice x PricingQuantity."),
    Column("ListUnitPrice", Kind.DECIMAL, "list_price", "The grant's price of a credit."),
    Column("PricingCategory", Kind.NAME, "pricing_category", "Standard."),
    Column("PricingCurrency", Kind.NAME, "pricing_currency", "Credits; of purchases the currency of the money."),
    Column("PricingCurrencyContractedUnitPrice", Kind.DECIMAL, "credit_contracted_price", "1; of purchases money."),
    Column("PricingCurrencyEffectiveCost", Kind.DECIMAL, "credit_cost", "Credits that left a grant; 0 of purchases."),
    Column("PricingCurrencyListUnitPrice", Kind.DECIMAL, "credit_list_price", "1; of purchases money."),
    Column(
        "PricingQuantity", Kind.DECIMAL, "quantity", "Credits that the row is about; below zero when they came back."
    ),
    Column("PricingUnit", Kind.NAME, "unit", "Credits."),
    Column("ProviderName", Kind.NAME, "issuer", "ProductSync."),
    Column("PublisherName", Kind.NAME, "issuer", "ProductSync."),
    Column("ServiceCategory", Kind.NAME, "service_category", "Integration."),
    Column("ServiceName", Kind.NAME, "service", "ProductSync Automation."),
    Column("ServiceSubcategory", Kind.NAME, "service_subcategory", "Workflow Orchestration."),
    Column("SkuId", Kind.NAME, "sku", "One for each kind of operation, and one for credits."),
    Column("SkuMeter", Kind.NAME, "meter", "What is metered, in words."),
    Column("SkuPriceDetails", Kind.NAME, "nothing", "There are none."),
    Column("SkuPriceId", Kind.NAME, "sku_price", "SkuId, currency and price."),
    Column("SubAccountId", Kind.NAME, "account.workspace_id", "The workspace."),
    Column("SubAccountName", Kind.NAME, "account.workspace_id", "The workspace."),
    Column("Tags", Kind.TEXT, "tags", 'A JSON object: `{"job": …}`.'),
    Column("x_LineId", Kind.NAME, "line.line_id", "As `line_id` in the other files."),
    Column("x_LineType", Kind.NAME, "line.line_type", "As `line_type`."),
    Column("x_At", Kind.TIME, "line.at", "As `at`, to the millisecond."),
    Column("x_OperationId", Kind.NAME, "line.operation_id", "As `operation_id`."),
    Column("x_OperationKind", Kind.NAME, "line.kind", "As `kind`."),
    Column("x_Channel", Kind.NAME, "line.channel", "As `channel`."),
    Column("x_Actor", Kind.TEXT, "line.actor", "As `actor`."),
    Column("x_JobId", Kind.TEXT, "line.job_id", "As `job_id`."),
    Column("x_RunId", Kind.TEXT, "line.run_id", "As `run_id`."),
    Column("x_Refused", Kind.NAME, "line.refused", "As `refused`."),
    Column("x_Description", Kind.TEXT, "line.description", "As `description`."),
    Column("x_BalanceChange", Kind.WHOLE, "line.balance_change", "As `balance_change`."),
    Column("x_OwedChange", Kind.WHOLE, "line.owed_change", "As `owed_change`."),
    Column("x_Owed", Kind.TRUTH, "is_owed", "Whether nothing has paid for it yet: its settlement is a row of its own."),
    Column("x_GrantId", Kind.NAME, "line.grant_id", "As `grant_id`."),
    Column("x_GrantType", Kind.NAME, "line.grant_kind", "As `grant_kind`."),
    Column("x_Reference", Kind.TEXT, "line.reference", "As `reference`."),
    Column("x_Corrects", Kind.NAME, "line.corrects", "As `corrects`."),
    Column("x_ValidUntil", Kind.TIME, "line.valid_until", "As `valid_until`."),
    Column("x_RecordsCreated", Kind.WHOLE, "line.records.created", "As `created`."),
    Column("x_RecordsUpdated", Kind.WHOLE, "line.records.updated", "As `updated`."),
    Column("x_RecordsUnchanged", Kind.WHOLE, "line.records.unchanged", "As `unchanged`."),
    Column("x_RecordsDeleted", Kind.WHOLE, "line.records.deleted", "As `deleted`."),
)
"""What a row consists of. Those of the specification come first, in the order of their names; `x_` are our own."""
