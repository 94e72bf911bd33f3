"""What the API takes and answers."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import simplejson
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from functions.api.answers import as_json
from functions.api.models.common import PointInTime, decimal_text, page
from functions.api.models.corrections import CorrectionRequest
from functions.api.models.credits import AutomationPausedView, CreditsView
from functions.api.models.operations import OperationView
from functions.api.models.records import RecordView
from functions.api.models.runs import RunRequest, RunView
from functions.api.models.workspaces import TopUpRequest, WorkspaceRequest
from functions.api.paging import opaque, store_cursor
from functions.api.problems import Refusal
from shared.automation.store import REASON_OF, Automation, AutomationState
from shared.automation.waiting import Entry, Waits
from shared.catalog import Record
from shared.credits import (
    Action,
    Balance,
    Channel,
    Draw,
    Grant,
    GrantKind,
    OpenGrant,
    Operation,
    OperationKind,
)
from shared.runs.model import Counts, Cursor, PauseReason, Run, RunState

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
TOP_UP = {"credits": 10, "unit_price": "0.01", "currency": "EUR", "reference": "inv-1"}


# --- times ---


@pytest.mark.parametrize(
    "text",
    [
        "1999-12-31T23:59:59.999Z",
        "2000-01-01T00:00:00+00:01",
        "9999-01-01T00:00:00Z",
        "9998-12-31T23:59:59-00:01",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
    ],
)
def test_times_that_nothing_here_can_be_of_are_refused(text: str) -> None:
    with pytest.raises(ValidationError, match=r"years 2000 to 9998|RFC 3339"):
        TypeAdapter(PointInTime).validate_python(text)


@pytest.mark.parametrize("text", ["2000-01-01T00:00:00Z", "9998-12-31T23:59:59.999Z"])
def test_times_of_eight_thousand_years_are_taken(text: str) -> None:
    assert TypeAdapter(PointInTime).validate_python(text) == datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("text", "is_told"), [("2026-11-22T08:00:00 01:00", True), ("2026-11-22 08:00", False), ("2026-11-22T08:00", False)]
)
def test_a_plus_that_a_url_has_lost_is_told_how_to_send(text: str, is_told: bool) -> None:
    with pytest.raises(ValidationError, match="RFC 3339") as refused:
        TypeAdapter(PointInTime).validate_python(text)
    assert ("%2B" in str(refused.value)) is is_told


# --- top-ups ---


@pytest.mark.parametrize(
    "change",
    [
        {"credits": 1},
        {"credits": 1_000_000_000},
        {"unit_price": "0"},
        {"unit_price": "0.000000000001"},
        {"currency": "JPY"},
        {"reference": "x" * 128},
        {"kind": "promotional"},
        {"priority": 0},
        {"priority": 1000},
        {"priority": None},
        {"expires_at": "2027-01-01T00:00:00+02:00"},
        {"expires_at": None},
    ],
)
def test_top_ups_that_are_taken(change: dict[str, Any]) -> None:
    TopUpRequest.model_validate(TOP_UP | change)


def test_a_whole_number_may_be_spelled_with_a_fraction_of_nothing() -> None:
    assert TopUpRequest.model_validate({**TOP_UP, "credits": Decimal("10.0")}).credits == 10


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"credits": 0}, "credits"),
        ({"credits": -1}, "credits"),
        ({"credits": 1_000_000_001}, "credits"),
        ({"credits": "10"}, "credits"),
        ({"credits": True}, "credits"),
        ({"credits": Decimal("10.5")}, "credits"),
        ({"unit_price": Decimal("0.01")}, "unit_price"),
        ({"unit_price": 1}, "unit_price"),
        ({"unit_price": "-0.01"}, "unit_price"),
        ({"unit_price": "1e3"}, "unit_price"),
        ({"unit_price": "0.0000000000001"}, "unit_price"),
        ({"unit_price": "NaN"}, "unit_price"),
        ({"unit_price": "0.01\n"}, "unit_price"),
        ({"unit_price": "\u0660.\u0661"}, "unit_price"),
        ({"currency": "eur"}, "currency"),
        ({"currency": "EURO"}, "currency"),
        ({"reference": ""}, "reference"),
        ({"reference": "x" * 129}, "reference"),
        ({"reference": "\ud800"}, "reference"),
        ({"kind": "free"}, "kind"),
        ({"kind": "correction"}, "kind"),
        ({"priority": -1}, "priority"),
        ({"priority": 1001}, "priority"),
        ({"priority": "7"}, "priority"),
        ({"priority": True}, "priority"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": "2027-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": 1_800_000_000}, "expires_at"),
        ({"expire_at": "2027-01-01T00:00:00Z"}, "expire_at"),
    ],
)
def test_top_ups_that_are_not(change: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as error:
        TopUpRequest.model_validate(TOP_UP | change)
    assert [".".join(map(str, each["loc"])) for each in error.value.errors()] == [field]


def test_a_top_up_keeps_the_digits_of_its_price_and_the_milliseconds_of_its_time() -> None:
    given_request = TopUpRequest.model_validate(
        TOP_UP | {"unit_price": "0.010", "expires_at": "2027-01-01T00:00:00.1239Z", "currency": None}
    )
    top_up = given_request.to_top_up("ws_1", "EUR", "key_1")
    assert str(top_up.unit_price) == "0.010"
    assert top_up.currency == "EUR"
    assert top_up.expires_at == datetime(2027, 1, 1, 0, 0, 0, 123000, tzinfo=UTC)


# --- corrections ---

TAKEN = {"credits": -25, "reference": "ticket-4711", "reason": "given by mistake"}
ADDED = TAKEN | {"credits": 25, "unit_price": "0.010", "currency": "USD", "expires_at": "2027-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    "wanted",
    [
        TAKEN,
        ADDED,
        TAKEN | {"credits": Decimal("-25.0")},
        TAKEN | {"unit_price": None, "currency": None, "expires_at": None},
        ADDED | {"unit_price": "0"},
        TAKEN | {"reason": "x" * 500},
    ],
)
def test_corrections_that_are_taken(wanted: dict[str, Any]) -> None:
    Draft202012Validator(CorrectionRequest.model_json_schema()).validate(json.loads(simplejson.dumps(wanted)))
    CorrectionRequest.model_validate(wanted)


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (TAKEN | {"credits": 0}, "credits"),
        (TAKEN | {"credits": -1_000_000_001}, "credits"),
        (TAKEN | {"credits": "-25"}, "credits"),
        (TAKEN | {"unit_price": "0"}, "unit_price"),
        (TAKEN | {"currency": "EUR"}, "currency"),
        (TAKEN | {"expires_at": "2027-01-01T00:00:00Z"}, "expires_at"),
        (TAKEN | {"reason": ""}, "reason"),
        (TAKEN | {"reason": " \n"}, "reason"),
        (TAKEN | {"reason": "x" * 501}, "reason"),
        (TAKEN | {"reference": ""}, "reference"),
        (TAKEN | {"priority": 1}, "priority"),
    ],
)
def test_corrections_that_are_not(wanted: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as error:
        CorrectionRequest.model_validate(wanted)
    (found,) = error.value.errors()
    assert field == (found["ctx"]["field"] if found["type"] == "definition" else ".".join(map(str, found["loc"])))
    assert not Draft202012Validator(CorrectionRequest.model_json_schema()).is_valid(wanted)


def test_credits_that_are_added_cost_nothing_unless_it_is_said() -> None:
    wanted = TAKEN | {"credits": 25}
    correction = CorrectionRequest.model_validate(wanted).to_correction("ws_1", "EUR", "key_1")
    assert (correction.credits, correction.unit_price, correction.currency) == (25, Decimal(0), "EUR")
    priced = CorrectionRequest.model_validate(ADDED).to_correction("ws_1", "EUR", "key_1")
    assert (str(priced.unit_price), priced.currency, priced.expires_at) == (
        "0.010",
        "USD",
        datetime(2027, 1, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize("name", ["", "   ", "x" * 201])
def test_a_workspace_has_a_name(name: str) -> None:
    with pytest.raises(ValidationError):
        WorkspaceRequest(name=name)


@pytest.mark.parametrize(
    "upload_id", ["", "up_1", "../up_01KAMZ8A000000000000000001", "up_01KAMZ8A000000000000000001/x"]
)
def test_an_upload_is_named_as_it_was_given(upload_id: str) -> None:
    with pytest.raises(ValidationError):
        RunRequest(upload_id=upload_id)


# --- the account ---


@st.composite
def accounts(draw: st.DrawFn) -> tuple[Balance, list[Grant]]:
    """A balance as charges, debts and expiry can leave it, and the grants behind it."""
    grants, left, consumed, expired = [], [], 0, 0
    for number in range(draw(st.integers(0, 5))):
        credits = draw(st.integers(1, 1000))
        used = draw(st.integers(0, credits))
        hours = draw(st.sampled_from([None, -2, -1, 0, 1, 2]))
        expires_at = None if hours is None else NOW + timedelta(hours=hours)
        grant = Grant(
            grant_id=f"gr_{number}",
            workspace_id="ws_1",
            kind=GrantKind.PAID,
            credits=credits,
            unit_price=Decimal("0.01"),
            currency="EUR",
            priority=30,
            granted_at=NOW - timedelta(days=1),
            expires_at=expires_at,
        )
        grants.append(grant)
        consumed += used
        booked = expires_at is not None and expires_at <= NOW and draw(st.booleans())
        if booked:
            expired += credits - used
        else:
            left.append(
                OpenGrant(
                    grant_id=grant.grant_id,
                    remaining=credits - used,
                    unit_price=grant.unit_price,
                    currency=grant.currency,
                    priority=grant.priority,
                    granted_at=grant.granted_at,
                    expires_at=expires_at,
                )
            )
    owed = draw(st.integers(0, 50))
    balance = Balance(
        workspace_id="ws_1",
        available=sum(grant.remaining for grant in left),
        owed=owed,
        granted=sum(grant.credits for grant in grants),
        consumed=consumed + owed,
        expired=expired,
        void=0,
        revision=1,
        base=100,
        level=100,
        grants=tuple(left),
    )
    return balance, grants


@given(accounts())
def test_the_books_balance_on_every_answer(account: tuple[Balance, list[Grant]]) -> None:
    view = CreditsView.of(*account, "EUR", NOW)
    assert view.granted - view.expired - view.void == view.available + view.consumed - view.owed
    assert view.available == sum(grant.remaining for grant in view.grants)
    assert view.state == ("active" if view.available else "paused")
    assert len(view.grants) == len(account[1])


@pytest.mark.parametrize(
    ("noted", "since"),
    [(None, None), (AutomationState.ACTIVE, None), (AutomationState.PAUSED, "2026-11-22T08:00:00.000Z")],
)
def test_a_pause_is_told_with_its_beginning_once_the_guard_has_noted_it(
    noted: AutomationState | None, since: str | None
) -> None:
    automation = noted and Automation(
        workspace_id="ws_1",
        state=noted,
        reason=REASON_OF[noted],
        since=datetime(2026, 11, 22, 8, tzinfo=UTC),
        sequence=1,
        announced=noted,
        listed=True,
    )
    view = AutomationPausedView.of(automation or None, schedules=2, entries=[Entry("ws", Waits.RUN, "run_1")])
    assert view.model_dump() == {
        "since": since,
        "reason": "out_of_credits",
        "waiting": {"schedules": 2, "runs": 1, "passes": 0, "changes": False},
    }


# --- operations, records, runs ---


def test_an_operation_shows_exact_money() -> None:
    operation = Operation(
        operation_id="op_1",
        workspace_id="ws_1",
        kind=OperationKind.IMPORT,
        channel=Channel.IMPORT,
        at=NOW,
        credits=97,
        fingerprint="f",
        actions={Action.RECORD_CREATED: 60, Action.RECORD_UPDATED: 37},
        drawn=(Draw("gr_1", 90, Decimal("0.000000001"), "EUR"), Draw("gr_2", 7, Decimal("0.10"), "USD")),
        job_id="feed",
        run_id="run_1",
    )
    view = OperationView.of(operation).model_dump()
    assert view["actions"] == {"record_created": 60, "record_updated": 37}
    assert view["drawn"][0] == {"grant_id": "gr_1", "credits": 90, "unit_price": "0.000000001", "currency": "EUR"}
    assert view["cost"] == [{"currency": "EUR", "amount": "0.000000090"}, {"currency": "USD", "amount": "0.70"}]


def test_a_record_s_numbers_leave_with_the_digits_they_came_with() -> None:
    record = Record(
        workspace_id="ws_1",
        entity="product",
        key="é",
        attributes={"price": Decimal("12345678901234567890.123456789012345678"), "deep": [{"n": Decimal("1.50")}]},
        version=1,
        created_at=NOW,
        updated_at=NOW,
        operation_id=None,
    )
    text = as_json(RecordView.of(record))
    assert '"price":12345678901234567890.123456789012345678' in text
    assert '{"n":1.50}' in text
    assert '"key":"é"' in text
    assert '"operation_id":null' in text


def test_a_paused_run_says_why_and_since_when() -> None:
    run = Run(
        run_id="run_1",
        workspace_id="ws_1",
        feed_id="main",
        upload_id="up_1",
        channel=Channel.API,
        dry_run=False,
        state=RunState.PAUSED,
        created_at=NOW,
        updated_at=NOW,
        step_at=NOW,
        cursor=Cursor(40, 1000),
        records=160,
        rows_read=170,
        duplicates=9,
        rejected=1,
        by_entity={"product": Counts(created=30, unchanged=1, credits=30), "category": Counts(updated=9, credits=9)},
        paused_at=NOW,
        pause_reason=PauseReason.OUT_OF_CREDITS,
    )
    view = RunView.of(run)
    assert view.paused is not None
    assert view.paused.model_dump() == {"reason": "out_of_credits", "since": "2026-11-22T08:00:00.000Z"}
    assert (view.created, view.updated, view.unchanged, view.credits) == (30, 9, 1, 39)
    assert (view.duplicates, view.rejected, view.progress) == (9, 1, 0.25)
    assert RunView.of(replace(run, pause_reason=None, paused_at=None)).paused is None


@pytest.mark.parametrize(("value", "text"), [("0", "0"), ("1E-7", "0.0000001"), ("0.010", "0.010"), ("1E+3", "1000")])
def test_decimals_are_answered_without_exponents(value: str, text: str) -> None:
    assert decimal_text(Decimal(value)) == text


# --- cursors ---


@given(st.text(min_size=1))
def test_a_cursor_comes_back_as_it_was_given_and_needs_no_encoding(cursor: str) -> None:
    sent = opaque(cursor)
    assert sent.replace("-", "").replace("_", "").isalnum()
    with store_cursor(sent) as read:
        assert read == cursor


@given(st.text(min_size=1).filter(lambda text: not text.isascii()))
def test_what_is_no_cursor_is_refused_by_its_field(text: str) -> None:
    with pytest.raises(Refusal) as refusal, store_cursor(text):
        pass
    assert refusal.value.problem.errors[0].field == "cursor"


@pytest.mark.parametrize("text", ["'", "\0", "!!!!", "=", "MDA6YQ==", "MDA6YR", "MDA 6YQ", "+/+/", "\n"])
def test_signs_that_decoding_passes_over_are_no_cursor(text: str) -> None:
    with pytest.raises(Refusal) as refusal, store_cursor(text):
        pass
    assert refusal.value.problem.errors[0].field == "cursor"


@pytest.mark.parametrize("text", ["\0", "'", "A", "a" * 65, "a\n"])
def test_a_cursor_of_another_listing_is_refused(text: str) -> None:
    pattern = r"^[a-z0-9][a-z0-9_-]{0,63}$"
    with pytest.raises(Refusal) as refusal, store_cursor(opaque(text), like=pattern):
        pass
    assert refusal.value.problem.errors[0].field == "cursor"
    with store_cursor(opaque("a-1"), like=pattern) as read:
        assert read == "a-1"


def test_an_error_without_a_cursor_is_not_blamed_on_it() -> None:
    with pytest.raises(ValueError, match="a bug"), store_cursor(None):
        raise ValueError("a bug")


def test_a_page_says_whether_there_is_more() -> None:
    assert page([], None).model_dump() == {"items": [], "next_cursor": None}
    assert page([], "00:a/b").next_cursor == opaque("00:a/b")
