"""The figures, each beside the bound that it must keep."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import eq, ge, le
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console

    from tests.bench.wire import Usage

_SIGNS: dict[Callable[[float, float], bool], str] = {le: "≤", ge: "≥", eq: "="}


@dataclass(frozen=True, slots=True)
class Figure:
    """Something measured. Without a `bound` it is only told; `holds` compares the value with the bound."""

    what: str
    value: float
    unit: str = ""
    bound: float | None = None
    holds: Callable[[float, float], bool] = le
    digits: int = 0

    @property
    def is_kept(self) -> bool:
        return self.bound is None or self.holds(self.value, self.bound)


def at_most(what: str, value: float, bound: float, unit: str = "", digits: int = 0) -> Figure:
    return Figure(what, value, unit, bound, le, digits)


def at_least(what: str, value: float, bound: float, unit: str = "", digits: int = 0) -> Figure:
    return Figure(what, value, unit, bound, ge, digits)


def exactly(what: str, value: float, bound: float) -> Figure:
    return Figure(what, value, "", bound, eq)


@dataclass(frozen=True, slots=True)
class Compared:
    """One way of writing `records` records, and what it took."""

    name: str
    records: int
    usage: Usage
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Billed:
    """One call: the requests and write units that it took, which have their bounds, the read units, and how long it
    took in milliseconds, without injected delays and with them. `added` is how much longer that was, with delays, than
    the same work by somebody who charges nobody; None where there is no such work.
    """

    what: str
    requests: Figure
    write_units: Figure
    read_units: float
    plain: float
    delayed: float
    added: float | None


@dataclass(slots=True)
class Report:
    """Prints figures as they come, and remembers those that miss their bound."""

    console: Console
    missed: list[Figure] = field(default_factory=list)

    def show(self, title: str, figures: Iterable[Figure]) -> None:
        table = _table(title)
        table.add_column("", ratio=1)
        for heading in ("figure", "bound", ""):
            table.add_column(heading, justify="right", no_wrap=True)
        for figure in figures:
            table.add_row(figure.what, _number(figure, figure.value), _bound(figure), _verdict(figure))
            if not figure.is_kept:
                self.missed.append(figure)
        self._print(table)

    def compare(self, title: str, ways: Iterable[Compared]) -> None:
        table = _table(title)
        table.add_column("", ratio=1)
        for heading in ("requests", "write units", "seconds", "records/s", "exact"):
            table.add_column(heading, justify="right", no_wrap=True)
        for way in ways:
            usage = way.usage
            table.add_row(
                way.name,
                f"{usage.request_count:,}",
                f"{usage.write_units:,.0f}",
                f"{usage.seconds:.2f}",
                f"{way.records / usage.seconds:,.0f}",
                "yes" if way.is_exact else "no",
            )
        self._print(table)

    def bill(self, title: str, calls: Iterable[Billed]) -> None:
        table = _table(title)
        table.add_column("", ratio=1)
        for heading in ("requests", "write units", "read units", "ms", "with delays", "added"):
            table.add_column(heading, justify="right", no_wrap=True)
        for call in calls:
            table.add_row(
                call.what,
                _held(call.requests),
                _held(call.write_units),
                f"{call.read_units:,.1f}",
                f"{call.plain:.1f}",
                f"{call.delayed:.1f}",
                "" if call.added is None else f"{call.added:+.1f}",
            )
            self.missed += [figure for figure in (call.requests, call.write_units) if not figure.is_kept]
        self._print(table)

    def _print(self, table: Table) -> None:
        self.console.print(table)
        self.console.print()


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, expand=True)


def _number(figure: Figure, value: float) -> str:
    text = f"{value:,.{figure.digits}f}"
    return f"{text} {figure.unit}" if figure.unit else text


def _bound(figure: Figure) -> str:
    if figure.bound is None:
        return ""
    return f"{_SIGNS[figure.holds]} {_number(figure, figure.bound)}"


def _held(figure: Figure) -> str:
    """The value beside its bound, in one cell."""
    told = f"{_number(figure, figure.value)} {_bound(figure)}".rstrip()
    return told if figure.is_kept else f"[bold red]{told}[/bold red]"


def _verdict(figure: Figure) -> str:
    if figure.bound is None:
        return ""
    return "[green]ok[/green]" if figure.is_kept else "[bold red]MISSED[/bold red]"
