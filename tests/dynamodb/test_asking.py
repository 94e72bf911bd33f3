"""How often exports and audits are begun because somebody asked: so many of each, for each workspace and period."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from shared.audits.commands import ask_for_audit, request_audit
from shared.audits.model import Audit
from shared.audits.worker import work
from shared.exports.commands import AskForExport, FutureMonth, ask_for_monthly_export, request_export
from shared.exports.model import Export
from shared.exports.store import ExportStore
from shared.exports.worker import work as export_work
from shared.months import Month
from shared.pace import PaceLimits, PaceStore, TooFast
from tests.support.auditing import Audited, never
from tests.support.exports import Exporting
from tests.support.money import Account, plain_dynamodb

OpenAccount = Callable[[int], Account]
LIMITS = PaceLimits(per_hour=3, per_day=5)


@dataclass
class Asking:
    """One workspace of which exports and audits are asked for, and made at once."""

    account: Account

    def __post_init__(self) -> None:
        self.audited, self.exporting = Audited(self.account), Exporting(self.account)
        self.pace = PaceStore(plain_dynamodb(self.account.world), self.account.world.work_table, LIMITS)

    def audit(self) -> Audit | TooFast:
        here = self.audited
        return request_audit(here.room.audits, self.pace, here.workspace_id, self.account.clock(), "key_1")

    def export(self, month: Month | None = None) -> Export | FutureMonth | TooFast:
        now = self.account.clock()
        wish = AskForExport(self.account.workspace_id, month or Month.of(now), "key_1")
        return request_export(self.exporting.store(), self.pace, wish, now)

    def audit_made(self) -> bool:
        """Whether an audit was begun; then it is over."""
        asked = self.audit()
        return isinstance(asked, Audit) and self.end_audit(asked)

    def end_audit(self, asked: Audit) -> bool:
        done = work(self.audited.room, asked.workspace_id, asked.audit_id, asked.leg, never)
        return done is not None and done.state.is_over

    def export_made(self) -> bool:
        """The same of an export."""
        asked = self.export()
        return isinstance(asked, Export) and self.end_export(asked)

    def end_export(self, asked: Export) -> bool:
        done = export_work(self.exporting.room(), asked.workspace_id, asked.export_id, never, asked.leg)
        return done is not None and done.is_over


@pytest.fixture
def asking(open_account: OpenAccount) -> Asking:
    return Asking(open_account(5))


def test_so_many_audits_are_begun_within_an_hour_and_a_day(asking: Asking) -> None:
    clock = asking.account.clock
    assert [asking.audit_made() for _ in range(4)] == [True, True, True, False]
    refused = asking.audit()
    next_hour = clock().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    assert refused == TooFast(3, "hour", next_hour)
    # What nobody asked for is made all the same, and exports have a pace of their own.
    daily = ask_for_audit(asking.audited.room.audits, asking.account.workspace_id, clock())
    assert asking.end_audit(daily)
    assert asking.export_made()
    clock.now = next_hour
    assert [asking.audit_made() for _ in range(3)] == [True, True, False]
    assert isinstance(day := asking.audit(), TooFast)
    assert day.period == "day"


def test_so_many_exports_are_begun_within_an_hour_whatever_their_months(asking: Asking) -> None:
    this_month = Month.of(asking.account.clock())
    for month in (this_month, this_month.previous, this_month.previous.previous):
        assert isinstance(asking.export(month), Export)
    refused = asking.export(this_month.previous.previous.previous)
    assert isinstance(refused, TooFast)
    # The one that is under way is an answer still.
    assert isinstance(asking.export(this_month), Export)
    now = asking.account.clock()
    scheduled = ask_for_monthly_export(
        asking.exporting.store(), asking.account.workspace_id, this_month.previous.previous.previous, now, now
    )
    assert isinstance(scheduled, Export)
    assert asking.audit_made()


def test_what_is_under_way_is_answered_without_being_counted(asking: Asking) -> None:
    audit, export = asking.audit(), asking.export()
    assert isinstance(audit, Audit)
    assert isinstance(export, Export)
    assert [asking.audit() for _ in range(5)] == [audit] * 5
    assert [asking.export() for _ in range(5)] == [export] * 5
    assert asking.end_audit(audit)
    assert asking.end_export(export)
    assert [asking.audit_made() for _ in range(3)] == [True, True, False]
    assert [asking.export_made() for _ in range(3)] == [True, True, False]


def test_a_month_to_come_is_refused_without_being_counted(asking: Asking) -> None:
    to_come = Month.of(asking.account.clock() + timedelta(days=40))
    assert [asking.export(to_come) for _ in range(5)] == [FutureMonth(to_come)] * 5
    assert asking.export_made()


def test_workspaces_do_not_slow_each_other_down(asking: Asking, open_account: OpenAccount) -> None:
    assert [asking.audit_made() for _ in range(4)] == [True, True, True, False]
    assert Asking(open_account(5)).audit_made()


def test_whoever_asks_just_when_an_audit_ends_is_counted_like_everybody_else(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    audits = asking.audited.room.audits
    look = audits.under_way

    def ends_meanwhile(workspace_id: str) -> str | None:
        """The audit that was seen ends before it can be looked at."""
        found = look(workspace_id)
        going = None if found is None else audits.get(workspace_id, found)
        assert going is None or asking.end_audit(going)
        return found

    monkeypatch.setattr(audits, "under_way", ends_meanwhile)
    answers = [asking.audit() for _ in range(LIMITS.per_hour + 2)]
    assert [isinstance(each, TooFast) for each in answers] == [False] * LIMITS.per_hour + [True] * 2
    assert len({each.audit_id for each in answers if isinstance(each, Audit)}) == LIMITS.per_hour


def test_whoever_asks_just_when_an_export_ends_is_counted_like_everybody_else(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = ExportStore.get
    going: list[Export] = []

    def ends_meanwhile(store: ExportStore, workspace_id: str, export_id: str) -> Export | None:
        """The export that the month points to ends before it can be looked at."""
        if going:
            asking.end_export(going.pop())
        return get(store, workspace_id, export_id)

    monkeypatch.setattr(ExportStore, "get", ends_meanwhile)
    answers = []
    for _ in range(LIMITS.per_hour + 2):
        answers.append(asking.export())
        going += [each for each in answers[-1:] if isinstance(each, Export)]
    assert [isinstance(each, TooFast) for each in answers] == [False] * LIMITS.per_hour + [True] * 2
    assert len({each.export_id for each in answers if isinstance(each, Export)}) == LIMITS.per_hour
