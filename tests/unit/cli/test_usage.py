"""`productsync usage`: what is asked for, and what the pictures say."""

import re
from datetime import date, timedelta
from typing import Any

import pytest

from productsync import times
from productsync.usage_reports import Outlook, outlook_of
from tests.unit.cli.conftest import FakeApi, Shell, make_credits, problem

TODAY = date(2026, 11, 22)


def make_figures(free: int = 0, paid: int = 0, **changed: Any) -> dict[str, Any]:
    """Figures as the API gives them."""
    figures = {
        "operations": 3,
        "refused": 0,
        "credits": free + paid + changed.get("owed", 0) - changed.get("settled", 0),
        "free_credits": free,
        "paid_credits": paid,
        "owed": 0,
        "settled": 0,
        "free_value": [],
        "cost": [{"currency": "EUR", "amount": f"{paid}.50"}] if paid else [],
        "created": free,
        "updated": paid,
        "unchanged": 0,
        "deleted": 0,
        "expired": 0,
        "void": 0,
    }
    return figures | changed


def make_group(value: str, free: int = 0, paid: int = 0, **changed: Any) -> dict[str, Any]:
    return {"value": value, **make_figures(free, paid), "granted": None, "available": None, **changed}


def make_day(day: date, free: int = 0, paid: int = 0, available: int = 0, granted: int = 0) -> dict[str, Any]:
    return make_group(day.isoformat(), free, paid, available=available, granted=granted)


def make_usage(group_by: str, groups: list[dict[str, Any]], **changed: Any) -> dict[str, Any]:
    """A report as the API gives it, of this month unless it is said."""
    total = make_figures(sum(one["free_credits"] for one in groups), sum(one["paid_credits"] for one in groups))
    told = {"from": "2026-11-01", "to": "2026-11-22", "group_by": group_by, "groups": groups, "total": total}
    return {**told, "pending_credits": 0, **changed}


DAYS = [
    make_day(date(2026, 11, 19), 400, 0, available=4600, granted=5000),
    make_day(date(2026, 11, 20), available=4600),
    make_day(date(2026, 11, 21), 300, 100, available=5200, granted=1000),
    make_day(TODAY, 0, 200, available=5000),
]
JOBS = [make_group("products-shopify", 600, 200), make_group("-", 100, 100)]


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "today", lambda: TODAY)


@pytest.fixture
def asked(api: FakeApi) -> FakeApi:
    """An API that answers by what is asked for."""
    api.on("GET", "/usage", make_usage("day", DAYS), make_usage("job", JOBS))
    api.on("GET", "/credits", make_credits(5000))
    return api


def test_the_month_in_pictures(shell: Shell, asked: FakeApi) -> None:
    result = shell.run("usage", columns=70)
    assert result.exit_code == 0, result.output
    assert "Usage, 2026-11-01 to 2026-11-22 (UTC)" in result.stdout
    assert re.search(r"Used +1,000 credits: 700 free, 300 paid", result.stdout)
    assert re.search(r"Money +300\.50 EUR", result.stdout)
    assert re.search(r"Available +5,000 credits: 20 days left at this pace \(250 a day\)", result.stdout)
    assert "Not counted yet" not in result.stdout
    lines = result.stdout.splitlines()
    first = lines.index("Credits by day") + 1
    assert [line.split()[:2] for line in lines[first : first + 4]] == [
        ["11-19", "Thu"],
        ["11-20", "Fri"],
        ["11-21", "Sat"],
        ["11-22", "Sun"],
    ]
    assert re.search(r"11-21 Sat +▒+█+ +400$", result.stdout, re.MULTILINE)
    assert re.search(r"^products-shopify +▒+█+ +800 +80%$", result.stdout, re.MULTILINE)
    assert re.search(r"^\(no job\) +▒+█+ +200 +20%$", result.stdout, re.MULTILINE)
    assert "▒▒ free   ██ paid\n" in result.stdout
    assert "5,200 ┤" in result.stdout
    assert "▲  credits were granted" in result.stdout
    assert max(map(len, lines)) <= 70
    assert "\x1b" not in result.stdout
    # The month so far is long enough for the pace, so the days are asked for once.
    assert [dict(one.url.params) for one in asked.sent("GET", "/usage")] == [
        {"group_by": "day"},
        {"from": "2026-11-01", "to": "2026-11-22", "group_by": "job"},
    ]


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("columns", [40, 60, 100])
def test_pictures_fit_into_narrow_terminals(shell: Shell, columns: int) -> None:
    result = shell.run("usage", columns=columns)
    assert max(map(len, result.stdout.splitlines())) <= columns
    assert "Credits by job" in result.stdout


@pytest.mark.usefixtures("asked")
def test_a_terminal_without_unicode_gets_ascii(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rich.console.Console.encoding", "ascii")
    result = shell.run("usage", columns=60)
    assert result.stdout.isascii()
    assert ".. free   ## paid" in result.stdout


def test_json_is_the_answer_of_the_api_and_one_call(shell: Shell, asked: FakeApi) -> None:
    assert shell.json("usage") == make_usage("day", DAYS)
    assert len(asked.requests) == 1


def test_zero_usage_draws_no_bars(shell: Shell, api: FakeApi) -> None:
    days = [make_day(TODAY, available=5000, granted=5000)]
    api.on("GET", "/usage", make_usage("day", days), make_usage("day", days), make_usage("job", []))
    api.on("GET", "/credits", make_credits(5000))
    result = shell.run("usage")
    assert result.exit_code == 0, result.output
    assert re.search(r"Used +0 credits$", result.stdout, re.MULTILINE)
    assert re.search(r"Available +5,000 credits$", result.stdout, re.MULTILINE)
    assert "Credits by" not in result.stdout
    assert "Balance at the end of each day" in result.stdout


def test_before_the_workspace_there_is_nothing(shell: Shell, api: FakeApi) -> None:
    nothing = {"from": "2026-01-01", "to": "2026-01-31"}
    api.on("GET", "/usage", make_usage("day", [], **nothing), make_usage("job", [], **nothing))
    result = shell.run("usage", "--month", "2026-01")
    assert result.exit_code == 0, result.output
    assert "Balance" not in result.stdout
    assert dict(api.requests[0].url.params) == {"from": "2026-01-01", "to": "2026-01-31", "group_by": "day"}
    assert api.sent("GET", "/credits") == []


def test_what_is_not_counted_yet_is_said(shell: Shell, api: FakeApi) -> None:
    total = make_figures(10, 5, unchanged=1200, refused=2, settled=5, expired=7, void=1, owed=3)
    report = make_usage("job", JOBS, pending_credits=98, total=total)
    api.on("GET", "/usage", report, make_usage("day", DAYS))
    api.on("GET", "/credits", make_credits(0))
    told = " ".join(shell.run("usage", "--by", "job").stdout.split())
    assert "Not counted yet 98 credits, in a moment" in told
    assert "Credits saved 1,200: records met unchanged, and skipped" in told
    # Five of the paid credits settled an earlier debt.
    assert "Used 13 credits: 10 free, 3 owed" in told
    assert "Settled 5 credits of earlier debts, besides" in told
    assert "Refused 2, free" in told
    assert "Expired 7 credits" in told
    assert "Void or taken back 1 credit " in told
    assert "Available 0 credits Not" in told


def test_one_grouping_with_all_its_figures(shell: Shell, api: FakeApi) -> None:
    actors = [make_group("key_1", 600, 200, unchanged=50), make_group("-", 100, 100), make_group("idle", 0, 0)]
    api.on("GET", "/usage", make_usage("actor", actors), make_usage("day", DAYS))
    api.on("GET", "/credits", make_credits(5000))
    result = shell.run("usage", "--by", "actor", "--from", "2026-11-20")
    assert result.exit_code == 0, result.output
    assert "Credits by actor" in result.stdout
    assert re.search(r"^key_1 +800 +600 +200 +200\.50 EUR +600 +200 +50 ", result.stdout, re.MULTILINE)
    assert re.search(r"^\(nobody\) +200 ", result.stdout, re.MULTILINE)
    assert re.search(r"^idle +0 ", result.stdout, re.MULTILINE)
    assert re.search(r"^all +1,000 ", result.stdout, re.MULTILINE)
    assert dict(api.requests[0].url.params) == {"from": "2026-11-20", "group_by": "actor"}


def test_a_long_period_has_a_bar_for_each_month(shell: Shell, api: FakeApi) -> None:
    first = date(2026, 1, 1)
    days = [make_day(first + timedelta(days=place), 1, 0, available=1) for place in range(365)]
    period = {"from": "2026-01-01", "to": "2026-12-31"}
    api.on("GET", "/usage", make_usage("day", days, **period), make_usage("job", JOBS, **period))
    api.on("GET", "/credits", make_credits(5000))
    result = shell.run("usage", "--from", "2026-01-01", "--to", "2026-12-31")
    assert "Credits by month" in result.stdout
    assert re.search(r"^2026-02 +▒+ +28$", result.stdout, re.MULTILINE)


def test_many_jobs_share_a_bar(shell: Shell, api: FakeApi) -> None:
    jobs = [make_group(f"job-{place}", 100 - place) for place in range(20)]
    api.on("GET", "/usage", make_usage("day", DAYS), make_usage("job", jobs))
    api.on("GET", "/credits", make_credits(5000))
    result = shell.run("usage")
    assert "job-7 " in result.stdout
    assert "job-8 " not in result.stdout
    assert re.search(
        rf"^\(12 others\) +▒+ +{sum(100 - place for place in range(8, 20)):,} ", result.stdout, re.MULTILINE
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--month", "2026-13"],
        ["--month", "2026-1"],
        ["--month", "November"],
        ["--from", "yesterday"],
        ["--to", "2026-02-30"],
        ["--by", "week"],
        ["--month", "2026-11", "--from", "2026-11-02"],
    ],
    ids=" ".join,
)
def test_nonsense_is_refused_before_anything_is_asked(shell: Shell, api: FakeApi, arguments: list[str]) -> None:
    assert shell.run("usage", *arguments).exit_code == 2
    assert api.requests == []


def test_a_refusal_is_told_in_the_words_of_the_api(shell: Shell, api: FakeApi) -> None:
    error = {"field": "from", "message": "Input should not be in the future"}
    api.on("GET", "/usage", problem(422, "Not valid", "1 problem", [error]))
    result = shell.run("usage", "--from", "2027-01-01")
    assert result.exit_code == 1
    assert "from: Input should not be in the future" in result.stderr


@pytest.mark.parametrize(
    ("outlook", "text"),
    [
        (Outlook(5000, 0, 7), "5,000 credits"),
        (Outlook(0, 100, 7), "0 credits"),
        (Outlook(99, 700, 7), "99 credits: less than a day left at this pace (100 a day)"),
        (Outlook(199, 700, 7), "199 credits: 1 day left at this pace (100 a day)"),
        (Outlook(10**15, 10**12, 1), f"{10**15:,} credits: 1,000 days left at this pace ({10**12:,} a day)"),
        (Outlook(5000, 3, 7), "5,000 credits: more than 10 years left at this pace (less than 1 a day)"),
    ],
)
def test_days_left_at_this_pace(outlook: Outlook, text: str) -> None:
    assert outlook.text == text


def test_the_pace_is_the_mean_of_the_last_seven_days_that_there_are() -> None:
    days: list[Any] = [
        make_day(TODAY - timedelta(days=ago), 70 if ago == 6 else 1000 if ago > 6 else 0) for ago in range(30)
    ]
    assert outlook_of(50, days, TODAY) == Outlook(50, 70, 7)
    assert outlook_of(50, days[:3], TODAY) == Outlook(50, 0, 3)
    assert outlook_of(50, [], TODAY) == Outlook(50, 0, 1)
