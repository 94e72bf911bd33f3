"""Workspaces, the keys to them, and what becomes of their credits."""

from collections.abc import Mapping, Sequence
from typing import Any

from productsync.answers import (
    Correction,
    Credits,
    Key,
    NewKey,
    Operation,
    Page,
    PersonAdded,
    TopUp,
    Workspace,
    WrittenRecord,
)
from productsync.client.calls import Answer, Calls, path_of


class WorkspacesGroup:
    """What an operator does for customers. All of it is free."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def create(self, name: str, *, idempotency_key: str | None = None) -> Answer[Workspace]:
        """Creates a workspace with its starter credits and its first key, whose secret is shown this once."""
        body = {"name": name}
        return self._calls.write("POST", "workspaces", body, idempotency_key=idempotency_key, operator=True)

    def top_up(
        self, workspace_id: str, order: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Answer[TopUp]:
        """Grants credits. Its `reference` makes it idempotent: the same order twice is one grant."""
        path = path_of("workspaces", workspace_id, "top-ups")
        return self._calls.write("POST", path, order, idempotency_key=idempotency_key, operator=True)

    def credits(self, workspace_id: str) -> Answer[Credits]:
        """The balance of a workspace and its grants, as the workspace itself sees them."""
        return self._calls.get(path_of("workspaces", workspace_id, "credits"), operator=True)

    def void_grant(
        self, workspace_id: str, grant_id: str, *, reference: str, reason: str, idempotency_key: str | None = None
    ) -> Answer[Correction]:
        """Takes all that is left of a grant out of the account. Idempotent by its `reference`."""
        path = path_of("workspaces", workspace_id, "grants", grant_id, "void")
        body = {"reference": reference, "reason": reason}
        return self._calls.write("POST", path, body, idempotency_key=idempotency_key, operator=True)

    def correct(
        self,
        workspace_id: str,
        credits: int,
        *,
        reference: str,
        reason: str,
        unit_price: str | None = None,
        currency: str | None = None,
        expires_at: str | None = None,
        corrects: str | None = None,
        idempotency_key: str | None = None,
    ) -> Answer[Correction]:
        """Adds credits as a grant of their own, or with `credits` below zero takes some back. Idempotent by its
        `reference`. The price (0), its currency and the expiry (never) are of credits that are added; `corrects` is the
        month whose books a late one corrects, such as `2026-10`.
        """
        terms = {"unit_price": unit_price, "currency": currency, "expires_at": expires_at, "corrects": corrects}
        body: dict[str, Any] = {"credits": credits, "reference": reference, "reason": reason}
        body |= {name: value for name, value in terms.items() if value is not None}
        path = path_of("workspaces", workspace_id, "corrections")
        return self._calls.write("POST", path, body, idempotency_key=idempotency_key, operator=True)

    def add_person(self, workspace_id: str, email: str, *, idempotency_key: str | None = None) -> Answer[PersonAdded]:
        """Lets a person sign in, with a temporary password that is shown this once."""
        path = path_of("workspaces", workspace_id, "people")
        return self._calls.write("POST", path, {"email": email}, idempotency_key=idempotency_key, operator=True)


class CreditsGroup:
    """The balance."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def get(self) -> Answer[Credits]:
        """The balance and its grants. Free."""
        return self._calls.get("credits")


class KeysGroup:
    """The keys of the workspace, or with `operator` those of the operators. All of it is free."""

    def __init__(self, calls: Calls, *, operator: bool = False) -> None:
        self._calls = calls
        self._operator = operator

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> Answer[Page[Key]]:
        """One page of the keys: everything of them but their secrets."""
        return self._calls.get("keys", {"limit": limit, "cursor": cursor}, operator=self._operator)

    def create(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        expires_at: str | None = None,
        idempotency_key: str | None = None,
    ) -> Answer[NewKey]:
        """Makes a key, with scopes that the caller has itself. Its secret is shown this once: None in a replay."""
        body = {"name": name, "scopes": [*scopes]} | ({} if expires_at is None else {"expires_at": expires_at})
        return self._calls.write("POST", "keys", body, idempotency_key=idempotency_key, operator=self._operator)

    def rotate(
        self, key_id: str, *, overlap_seconds: int | None = None, idempotency_key: str | None = None
    ) -> Answer[NewKey]:
        """Makes a key in place of another, which stays good for `overlap_seconds` more (a day, unless it is given)."""
        body = {} if overlap_seconds is None else {"overlap_seconds": overlap_seconds}
        path = path_of("keys", key_id, "rotate")
        return self._calls.write("POST", path, body, idempotency_key=idempotency_key, operator=self._operator)

    def revoke(self, key_id: str, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Ends a key at once."""
        path = path_of("keys", key_id)
        return self._calls.write("DELETE", path, idempotency_key=idempotency_key, operator=self._operator)


class OperationsGroup:
    """The operation log: what used the credits. Reading it is free."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(
        self,
        filters: Mapping[str, str | None] | None = None,
        *,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[Operation]]:
        """One page of it, newest first; filters: from, to, kind, job_id, run_id, actor, outcome."""
        return self._calls.get("operations", {**(filters or {}), "limit": limit, "cursor": cursor})

    def get(self, operation_id: str) -> Answer[Operation]:
        """One entry."""
        return self._calls.get(path_of("operations", operation_id))

    def records(
        self, operation_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Answer[Page[WrittenRecord]]:
        """One page of the records that it wrote or deleted, and whether they still stand so."""
        return self._calls.get(path_of("operations", operation_id, "records"), {"limit": limit, "cursor": cursor})
