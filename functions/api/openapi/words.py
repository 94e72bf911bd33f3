"""The words of the document that belong to no route: what the API is, its rooms, its headers, and prices in words."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from functions.api.models import texts
from functions.api.models.exports import ExportId
from functions.api.routing import Price
from shared.ids import pattern_of

Json = dict[str, Any]

ABOUT: Json = {
    "title": "ProductSync",
    "version": "1",
    "summary": "Product catalogues that are kept in step by automation, and what it costs.",
    "description": """\
JSON over HTTPS. Every call but those under *Documents* carries a key or the token of a sign-in:
`Authorization: Bearer …`.

**Credits.** Each call says what it costs, in words and as `x-credits`: by a key (`call`, and `record` for each record \
that it creates or updates), and by a signed-in person (`by_hand`, `by_hand_record`). These are the usual prices; a \
deployment may have others. A call that is refused costs nothing. An answer that was charged says so in \
`X-Credits-Charged`, and `X-Operation-Id` leads to its entry in the operation log.

**Sending it again.** A write with an `Idempotency-Key` happens once, however often it is sent: the same key and body \
get the same answer, marked `Idempotency-Replayed: true`, at no cost. After a 429 or a 503 wait for `Retry-After` \
seconds.

**Problems** are `application/problem+json` (RFC 9457); programs go by `type`.

**Texts.** Times are RFC 3339 in UTC, money and averages decimals as text, credits whole numbers. Cursors are opaque. \
Fields that a body does not know are an error; answers may gain fields.
""",
}

TAGS = {
    "Records": "The catalogue: products, categories, whatever you keep. Data calls, which cost credits.",
    "Feeds": "Where imports come from and what their rows become. Presets know what shops really send.",
    "Runs": "Imports: one run of a feed.",
    "Schedules": "Feeds that are pulled, and rules that are run, at set times.",
    "Rules": "What happens by itself when records change.",
    "Credits": "What is there to spend, and where every credit went.",
    "Keys": "API keys: made, listed, rotated, revoked.",
    "Workspaces": "For operators: workspaces, their people, and their credits: top-ups, voids, corrections.",
    "Documents": "This document, and the page that shows it. Public.",
}

_ROOMS = {
    "records": "Records",
    "feeds": "Feeds",
    "presets": "Feeds",
    "runs": "Runs",
    "schedules": "Schedules",
    "rules": "Rules",
    "credits": "Credits",
    "operations": "Credits",
    "usage": "Credits",
    "exports": "Credits",
    "audits": "Credits",
    "keys": "Keys",
    "workspaces": "Workspaces",
    "openapi.json": "Documents",
    "docs": "Documents",
}

SECURITY_SCHEMES: Json = {
    "apiKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, `psk_…`. Its scopes (read, write, configure, finance, operator) stand alone: write "
        "does not include read. An operator's key belongs to no workspace.",
    },
    "signIn": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The ID token of a person who has signed in. What is done by hand costs nothing, and goes no "
        "faster than a hand could.",
    },
}

HEADERS: Json = {
    "X-Request-Id": {
        "description": "Name it when you ask for help.",
        "required": True,
        "schema": {"type": "string"},
        "example": "0b9d4a52-6c1e-4e57-9d0e-3f1a2b4c5d6e",
    },
    "X-Credits-Charged": {
        "description": "What the call cost; 0 where it was answered before. People are not told.",
        "schema": {"type": "integer", "minimum": 0},
        "example": 2,
    },
    "X-Credits-Available": {
        "description": "What is left to spend; of a listing it may be some seconds old. People are not told.",
        "schema": {"type": "integer", "minimum": 0},
        "example": 4998,
    },
    "X-Operation-Id": {
        "description": "The entry of the operation log that says where the credits went.",
        "schema": {"type": "string", "pattern": pattern_of("op")},
        "example": "op_01KAMZDXS6G8J0M2P4R6T8V0X2",
    },
    "ETag": {
        "description": "The version of the record, and when the record was made, for If-Match.",
        "schema": {"type": "string", "pattern": '^"[1-9][0-9]*-[0-9a-f]+"$'},
        "example": '"3-19aba5a8c7b"',
    },
    "ETag-Of-Document": {
        "description": "Tells this text from another, for If-None-Match.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[0-9a-f]{32}"$'},
        "example": '"4f1c2a9be07d35c86e01b7d4a2f9c3e5"',
    },
    "Idempotency-Replayed": {
        "description": "The answer was given before, and this call has done nothing.",
        "schema": {"type": "string", "const": "true"},
        "example": "true",
    },
    "Retry-After": {
        "description": "Seconds to wait.",
        "schema": {"type": "integer", "minimum": 0},
        "example": 2,
    },
    "Allow": {
        "description": "The methods that the path takes.",
        "required": True,
        "schema": {"type": "string"},
        "example": "GET, PUT, DELETE, OPTIONS",
    },
    "WWW-Authenticate": {
        "description": "How to say who calls.",
        "required": True,
        "schema": {"type": "string", "const": "Bearer"},
        "example": "Bearer",
    },
    "Cache-Control": {
        "description": "How long it may be kept.",
        "required": True,
        "schema": {"type": "string"},
        "example": "public, max-age=300",
    },
}

_IN_PATHS = {
    "workspace_id": (texts.WorkspaceId, "The workspace."),
    "grant_id": (texts.GrantId, "The grant, as the account names it."),
    "key_id": (texts.KeyId, "The API key, by its identifier: no secret."),
    "name": (texts.Name, "The preset."),
    "feed_id": (texts.Name, "Your own name for the feed."),
    "schedule_id": (texts.ScheduleName, "Your own name for the schedule."),
    "rule_id": (texts.Name, "Your own name for the rule."),
    "run_id": (texts.RunId, "The run."),
    "operation_id": (texts.OperationId, "The operation, as `X-Operation-Id` named it."),
    "export_id": (ExportId, "The export."),
    "audit_id": (texts.AuditId, "The audit."),
    "entity": (texts.EntityText, "What kind of record, such as `product`."),
    "key": (
        texts.RecordKeyText,
        "The record's key: any text of 1 to 1,024 bytes, percent-encoded. `M8/40` is `M8%2F40`.",
    ),
}


def path_parameters() -> dict[str, Json]:
    """What stands in paths, by its name. Where a thing has to be there, what cannot be its name is not found."""
    return {name: _path_parameter(name, kind, text) for name, (kind, text) in sorted(_IN_PATHS.items())}


def _path_parameter(name: str, kind: Any, description: str) -> Json:
    schema = TypeAdapter(kind).json_schema()
    (example,) = schema.pop("examples")
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": schema,
        "example": example,
    }


def tag_of(path: str) -> str:
    """The room that a path belongs to: by its first part, but that the runs of a feed are runs."""
    parts = path.split("/")
    return "Runs" if parts[-1] == "runs" else _ROOMS[parts[1]]


def price_text(price: Price) -> str:
    """What a call costs, in words."""
    if price == Price():
        return "**Free.**"
    by_key = _words(price.call, price.record)
    by_hand = _words(price.by_hand, price.by_hand_record)
    return f"**Costs {by_key}.** By hand: {by_hand}."


def _words(call: int, record: int) -> str:
    if not call and not record:
        return "nothing"
    parts = [f"{call} credit{'' if call == 1 else 's'}"] if call else []
    if record:
        parts.append(f"{record}{'' if call else ' credit'} for each record that it creates or updates")
    return ", and ".join(parts)
