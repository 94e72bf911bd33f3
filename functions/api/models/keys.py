"""API keys."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, StrictInt, field_validator

from functions.api.models.common import PointInTime, Request, View, time_text
from functions.api.models.texts import KeyId, Time, one_of, told
from functions.api.patterns import NOT_BLANK
from shared.times import to_rfc3339
from shared.workspaces import ApiKey, KeyState, Scope

DEFAULT_OVERLAP_SECONDS = 86_400
MAX_OVERLAP_SECONDS = 2_592_000


class KeyRequest(Request):
    """A key to be made. It may allow what the caller's own key allows, and no more."""

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=NOT_BLANK, description="What it is for.")]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope), json_schema_extra={"uniqueItems": True})]
    expires_at: Annotated[PointInTime | None, Field(description="From then on it is no good.")] = None

    @field_validator("scopes")
    @classmethod
    def _each_once(cls, scopes: list[Scope]) -> list[Scope]:
        if len(set(scopes)) < len(scopes):
            raise ValueError("Input should name each scope once")
        return scopes


class RotationRequest(Request):
    """How a key is replaced."""

    overlap_seconds: Annotated[
        StrictInt,
        Field(ge=0, le=MAX_OVERLAP_SECONDS, description="How long the old key is good beside the new one."),
    ] = DEFAULT_OVERLAP_SECONDS


class KeyView(View):
    """A key, without its secret."""

    key_id: KeyId
    name: Annotated[str, told("Nightly stock sync")]
    prefix: Annotated[
        str,
        Field(description="What the key's text begins with, to tell it by."),
        told("psk_01KAMZ5Q00APVWEYWXCMJ7D3FR"),
    ]
    scopes: Annotated[list[str], told(["read", "write"], items={"type": "string", "enum": [*Scope]})]
    state: Annotated[str, one_of(KeyState, KeyState.ACTIVE)]
    created_at: Time
    created_by: Annotated[
        str | None,
        Field(description="The key, or the person (`person_…`), that made it. Null for a first key."),
        told("person_0d3a5c1e-7b9f-4e2d-8c6a-1f3e5d7c9b0a"),
    ]
    expires_at: Annotated[Time | None, told(None)]
    revoked_at: Annotated[Time | None, told(None)]
    last_used_at: Annotated[Time | None, Field(description="To ten minutes.")]
    replaced_by: Annotated[
        KeyId | None, Field(description="The key that took its place when it was rotated."), told(None)
    ]

    @classmethod
    def of(cls, key: ApiKey, now: datetime) -> "KeyView":
        """The key as it is at this moment."""
        return KeyView(
            key_id=key.key_id,
            name=key.name,
            prefix=f"psk_{key.key_id.removeprefix('key_')}",
            scopes=[scope.value for scope in key.scopes],
            state=key.state(now).value,
            created_at=to_rfc3339(key.created_at),
            created_by=key.created_by,
            expires_at=time_text(key.expires_at),
            revoked_at=time_text(key.revoked_at),
            last_used_at=time_text(key.last_used_at),
            replaced_by=key.replaced_by,
        )


class NewKeyView(KeyView):
    """A key that was just made. `secret` is its text, shown once: null where the request was answered before."""

    secret: Annotated[str | None, told("psk_01KAMZ5Q00APVWEYWXCMJ7D3FR_…")]

    @classmethod
    def made(cls, view: KeyView, secret: str | None) -> Self:
        return cls(**view.model_dump(), secret=secret)
