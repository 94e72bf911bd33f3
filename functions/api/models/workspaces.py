"""Workspaces and top-ups."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, StrictInt

from functions.api.models.common import PointInTime, Request, View, decimal_text
from functions.api.models.texts import CurrencyText, DecimalText, GrantId, KeyId, Time, WorkspaceId, one_of, told
from functions.api.patterns import CURRENCY_PATTERN, NOT_BLANK, PRICE_PATTERN
from shared.credits import DRAWING_PRIORITY, Grant, GrantKind
from shared.times import to_rfc3339
from shared.workspaces import WORKSPACE_SCOPES
from shared.workspaces.store import Opened
from shared.workspaces.top_ups import TopUp

MAX_TOP_UP = 1_000_000_000
LAST_PRIORITY = 1000


def _only_text(value: object) -> object:
    """A price is text, so that nobody's JSON library makes a float of it on the way."""
    if not isinstance(value, str):
        raise ValueError('Input should be a decimal as text, such as "0.01"')
    return value


Price = Annotated[str, Field(pattern=PRICE_PATTERN, examples=["0.01"]), BeforeValidator(_only_text)]


Reference = Annotated[
    str, Field(min_length=1, max_length=128, pattern=NOT_BLANK, description="The operator's own name for it.")
]
Currency = Annotated[
    str, Field(pattern=CURRENCY_PATTERN, description="ISO 4217; the deployment's currency when it is not given.")
]
ExpiresAt = Annotated[PointInTime, Field(description="From then on the credits cannot be drawn.")]


class WorkspaceRequest(Request):
    """A workspace to open."""

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=NOT_BLANK)]


class TopUpRequest(Request):
    """Credits to add. The same `reference` is the same top-up, however often it is sent."""

    credits: Annotated[StrictInt, Field(ge=1, le=MAX_TOP_UP)]
    unit_price: Annotated[Price, Field(description="Money per credit.")]
    reference: Reference
    currency: Currency | None = None
    kind: Literal["paid", "promotional"] = "paid"
    priority: Annotated[
        StrictInt | None,
        Field(
            ge=0,
            le=LAST_PRIORITY,
            description="Of several grants the one with the lowest is drawn first. When it is not given: "
            f"{DRAWING_PRIORITY[GrantKind.PAID]}, or {DRAWING_PRIORITY[GrantKind.PROMOTIONAL]} of a promotional one.",
        ),
    ] = None
    expires_at: ExpiresAt | None = None

    def to_top_up(self, workspace_id: str, default_currency: str, actor: str) -> TopUp:
        return TopUp(
            workspace_id=workspace_id,
            kind=GrantKind(self.kind),
            credits=self.credits,
            unit_price=Decimal(self.unit_price),
            currency=self.currency or default_currency,
            reference=self.reference,
            priority=self.priority,
            expires_at=self.expires_at,
            actor=actor,
        )


class ApiKeyView(View):
    """A workspace's first key. `secret` is shown once: it is null when the request was answered before."""

    key_id: KeyId
    secret: Annotated[str | None, told("psk_01KAMZ5Q00APVWEYWXCMJ7D3FR_…")]
    scopes: Annotated[list[str], told([*WORKSPACE_SCOPES], items={"type": "string", "enum": [*WORKSPACE_SCOPES]})]


class StarterCreditsView(View):
    """What a new workspace may spend."""

    available: Annotated[int, told(5000, minimum=0)]


class WorkspaceView(View):
    """A new workspace."""

    workspace_id: WorkspaceId
    name: Annotated[str, told("Acme")]
    created_at: Time
    api_key: ApiKeyView
    credits: StarterCreditsView

    @classmethod
    def of(cls, opened: Opened) -> Self:
        return cls(
            workspace_id=opened.workspace.workspace_id,
            name=opened.workspace.name,
            created_at=to_rfc3339(opened.workspace.created_at),
            api_key=ApiKeyView(
                key_id=opened.key_id, secret=opened.secret, scopes=[scope.value for scope in opened.scopes]
            ),
            credits=StarterCreditsView(available=opened.starter_credits),
        )


class TopUpView(View):
    """The grant that a top-up, or a correction, became."""

    grant_id: GrantId
    workspace_id: WorkspaceId
    kind: Annotated[str, one_of([GrantKind.PAID, GrantKind.PROMOTIONAL, GrantKind.CORRECTION], GrantKind.PAID)]
    credits: Annotated[int, told(10000, minimum=1)]
    unit_price: DecimalText
    currency: CurrencyText
    reference: Annotated[str | None, told("invoice-2026-118")]
    priority: Annotated[int, Field(description="Of several grants the one with the lowest is drawn first."), told(30)]
    granted_at: Time
    expires_at: Annotated[Time | None, told(None)]
    settled: Annotated[int, Field(description="Credits of it that paid at once what was owed."), told(12, minimum=0)]

    @classmethod
    def of(cls, grant: Grant, settled: int) -> Self:
        return cls(
            grant_id=grant.grant_id,
            workspace_id=grant.workspace_id,
            kind=grant.kind.value,
            credits=grant.credits,
            unit_price=decimal_text(grant.unit_price),
            currency=grant.currency,
            reference=grant.reference,
            priority=grant.priority,
            granted_at=to_rfc3339(grant.granted_at),
            expires_at=None if grant.expires_at is None else to_rfc3339(grant.expires_at),
            settled=settled,
        )
