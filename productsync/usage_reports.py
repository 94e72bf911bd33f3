"""What people are told about usage: pictures of a period, its figures, and how long the credits last."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from productsync.answers import Money, RecordTotals, Usage, UsageFigures, UsageGroup
from productsync.charts import Bar, Glyphs, Part, Point, area, bars, glyphs_for, legend
from productsync.output import Cell, Column, Output, count_text, credits_text, number

MOST_DAYS = 62
"""Days that have a bar each; of longer periods it is the months."""

MOST_JOBS = 8
"""Jobs that have a bar of their own; the others share one."""

HEIGHT = 6
"""Lines of the balance over time."""

PACE_DAYS = 7
"""Days whose mean is the pace."""

LONG = 3650
"""Days beyond which nobody wants to know how many."""

NOBODY = {"job": "(no job)", "actor": "(nobody)", "entity": "(calls and firings)"}
"""What `-` stands for."""

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class Outlook:
    """How long credits last: what is there, and what a day takes in the mean of the last days (credits over days)."""

    available: int
    credits: int
    days: int

    @property
    def text(self) -> str:
        """For people; without the days where nothing was used, or nothing is there."""
        told = credits_text(self.available)
        if not (self.credits and self.available):
            return told
        a_day = (2 * self.credits + self.days) // (2 * self.days)
        pace = f"{number(a_day)} a day" if a_day else "less than 1 a day"
        return f"{told}: {self._left()} left at this pace ({pace})"

    def _left(self) -> str:
        left = self.available * self.days // self.credits
        if left > LONG:
            return "more than 10 years"
        return count_text(left, "day") if left else "less than a day"


def outlook_of(available: int, days: Iterable[UsageGroup], today: date) -> Outlook:
    """How long `available` credits last at the pace of the last days, of those that there are: today is one of them."""
    since = first_of_pace(today).isoformat()
    last = [one["credits"] for one in days if since <= one["value"] <= today.isoformat()]
    return Outlook(available, sum(last), max(1, len(last)))


def first_of_pace(today: date) -> date:
    """The first of the days whose mean is the pace."""
    return today - timedelta(days=PACE_DAYS - 1)


def show_usage(output: Output, by_day: Usage, by_job: Usage | None, outlook: Outlook | None) -> None:
    """A period in pictures: its days or months, its jobs (None: too many to be told), and the balance over time."""
    _show_summary(output, by_day, outlook)
    days = by_day["groups"]
    if by_day["total"]["credits"]:
        is_long = len(days) > MOST_DAYS
        _show_bars(output, f"Credits by {'month' if is_long else 'day'}", _by_month(days) if is_long else _by_day(days))
        if by_job is None:
            output.line("Too many jobs for a period this long: choose a shorter one to see them.")
        else:
            show_jobs(output, by_job)
    _show_balance(output, days)


def show_usage_by(output: Output, usage: Usage, outlook: Outlook | None) -> None:
    """A period by one grouping: a bar and all the figures of each."""
    _show_summary(output, usage, outlook)
    grouping, groups = usage["group_by"], usage["groups"]
    if usage["total"]["credits"]:
        rows = _by_day(groups) if grouping == "day" else _by_value(groups, grouping)
        _show_bars(output, f"Credits by {grouping}", rows)
    output.heading("Figures")
    _show_table(output, usage)


def show_jobs(output: Output, by_job: Usage) -> None:
    """The jobs of a period alone, as bars."""
    _show_bars(output, "Credits by job", _by_value(by_job["groups"], "job", most=MOST_JOBS))


def money_of(amounts: Iterable[Money]) -> str | None:
    """Exact money, one amount for each currency."""
    return " + ".join(f"{one['amount']} {one['currency']}" for one in amounts) or None


def records_text(total: UsageFigures | RecordTotals) -> str | None:
    """How many records were written, and how."""
    counts = [("created", total["created"]), ("updated", total["updated"]), ("deleted", total["deleted"])]
    return ", ".join(f"{number(count)} {what}" for what, count in counts if count) or None


def saved_text(unchanged: int) -> str | None:
    """What was saved by not writing again what would not change."""
    if not unchanged:
        return None
    return f"{number(unchanged)}: {'a record' if unchanged == 1 else 'records'} met unchanged, and skipped"


def _show_summary(output: Output, usage: Usage, outlook: Outlook | None) -> None:
    total = usage["total"]
    until = "" if usage["to"] == usage["from"] else f" to {usage['to']}"
    output.heading(f"Usage, {usage['from']}{until} (UTC)")
    output.facts(
        [
            ("Used", _used(total)),
            ("Money", money_of(total["cost"])),
            ("Records", records_text(total)),
            ("Credits saved", saved_text(total["unchanged"])),
            ("Settled", f"{credits_text(total['settled'])} of earlier debts, besides" if total["settled"] else None),
            ("Refused", f"{number(total['refused'])}, free" if total["refused"] else None),
            ("Expired", credits_text(total["expired"]) if total["expired"] else None),
            ("Void or taken back", credits_text(total["void"]) if total["void"] else None),
            ("Available", None if outlook is None else outlook.text),
            ("Not counted yet", _pending(usage)),
        ]
    )


def _used(total: UsageFigures) -> str:
    told = credits_text(total["credits"])
    amounts = zip(_bar("", [total]).amounts, ("free", "paid", "owed"), strict=True)
    parts = [f"{number(amount)} {kind}" for amount, kind in amounts if amount]
    return f"{told}: {', '.join(parts)}" if parts else told


def _pending(usage: Usage) -> str | None:
    pending = usage["pending_credits"]
    return f"{credits_text(pending)}, in a moment" if pending else None


def _show_bars(output: Output, title: str, rows: Sequence[Bar]) -> None:
    glyphs = glyphs_for(output.out.encoding)
    parts = _parts(glyphs)
    output.heading(title)
    for line in bars(rows, parts, output.out.width, glyphs):
        line.rstrip()
        output.line(line)
    output.line(legend(part for place, part in enumerate(parts) if any(row.amounts[place] for row in rows)))


def _show_balance(output: Output, days: Sequence[UsageGroup]) -> None:
    if not days:
        return
    glyphs = glyphs_for(output.out.encoding)
    points = [
        Point(label, max(0, one["available"] or 0), is_marked=bool(one["granted"]))
        for one, label in zip(days, _labels(days), strict=True)
    ]
    output.heading("Balance at the end of each day")
    for line in area(points, output.out.width, HEIGHT, "green", glyphs):
        output.line(line)
    if any(point.is_marked for point in points):
        output.line(f"{glyphs.mark}  credits were granted")


def _parts(glyphs: Glyphs) -> tuple[Part, ...]:
    free, paid, owed = glyphs.parts
    return Part("free", free, "cyan"), Part("paid", paid, "yellow"), Part("owed", owed, "red")


def _by_day(groups: Sequence[UsageGroup]) -> list[Bar]:
    return [_bar(label, [one]) for one, label in zip(groups, _labels(groups), strict=True)]


def _by_month(groups: Iterable[UsageGroup]) -> list[Bar]:
    months: dict[str, list[UsageGroup]] = {}
    for one in groups:
        months.setdefault(one["value"][:7], []).append(one)
    return [_bar(month, days) for month, days in months.items()]


def _by_value(groups: Sequence[UsageGroup], grouping: str, most: int | None = None) -> list[Bar]:
    """The values that used credits, as the API has them: most credits first. Those beyond `most` are one bar."""
    used = [one for one in groups if one["credits"] or grouping == "month"]
    shown = used if most is None or len(used) <= most + 1 else used[:most]
    rows = [_bar(_name(one, grouping), [one]) for one in shown]
    if len(shown) < len(used):
        rows.append(_bar(f"({len(used) - len(shown)} others)", used[len(shown) :]))
    whole = sum(row.total for row in rows)
    return [replace(row, told=f"{row.told}  {_share(row.total, whole):>4}") for row in rows]


def _share(part: int, whole: int) -> str:
    percent = (200 * part + whole) // (2 * whole) if whole else 0
    return "<1%" if part and not percent else f"{percent}%"


def _bar(label: str, groups: Sequence[UsageFigures]) -> Bar:
    """What was used, by who paid at once. What was drawn to settle an earlier debt was used then, and is no part of it;
    it is top-ups that settle, so it is taken from what was paid as far as that goes.
    """
    free, paid, owed, settled = (
        sum(one[name] for one in groups) for name in ("free_credits", "paid_credits", "owed", "settled")
    )
    by_paid = min(paid, settled)
    amounts = (free - (settled - by_paid), paid - by_paid, owed)
    return Bar(label, amounts, number(sum(amounts)))


def _name(group: UsageGroup, grouping: str) -> str:
    return NOBODY.get(grouping, "-") if group["value"] == "-" else group["value"]


def _labels(days: Sequence[UsageGroup]) -> list[str]:
    """Days with their weekdays; without the year where all are of one."""
    is_one_year = len({one["value"][:4] for one in days}) == 1
    return [
        f"{one['value'][5 if is_one_year else 0 :]} {_WEEKDAYS[date.fromisoformat(one['value']).weekday()]}"
        for one in days
    ]


def _show_table(output: Output, usage: Usage) -> None:
    grouping, total = usage["group_by"], usage["total"]
    # With debts `Free` and `Paid` are not all of `Credits`: what is missing has to be seen.
    has_debts = bool(total["owed"] or total["settled"])
    columns = [
        Column(grouping.capitalize(), wraps=True),
        Column("Credits", number=True),
        Column("Free", number=True, rank=3),
        Column("Paid", number=True, rank=3),
        *([Column("Owed", number=True, rank=3), Column("Settled", number=True, rank=3)] if has_debts else []),
        Column("Money", number=True, rank=1),
        Column("Created", number=True, rank=4),
        Column("Updated", number=True, rank=4),
        Column("Unchanged", number=True, rank=2),
        Column("Deleted", number=True, rank=6),
        Column("Operations", number=True, rank=5),
        Column("Refused", number=True, rank=7),
    ]
    rows = [_row(_name(one, grouping), one, has_debts=has_debts) for one in usage["groups"]]
    if len(rows) > 1:
        rows.append(_row("all", total, has_debts=has_debts))
    output.table(columns, rows, empty="Nothing in this period.")


def _row(name: str, figures: UsageFigures, *, has_debts: bool) -> list[Cell]:
    return [
        name,
        figures["credits"],
        figures["free_credits"],
        figures["paid_credits"],
        *([figures["owed"], figures["settled"]] if has_debts else []),
        money_of(figures["cost"]),
        figures["created"],
        figures["updated"],
        figures["unchanged"],
        figures["deleted"],
        figures["operations"],
        figures["refused"],
    ]
