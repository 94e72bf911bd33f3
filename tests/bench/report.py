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


def _verdict(figure: Figure) -> str:
    if figure.bound is None:
        return ""
    return "[green]ok[/green]" if figure.is_kept else "[bold red]MISSED[/bold red]"
