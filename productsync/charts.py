"""Pictures for a terminal, from plain figures: bars of several parts, and an area over time. Pure.

Every part has a character of its own besides its colour, so that a picture says the same without colours, to whoever
does not see them, and in a file. Where a terminal can spell nothing but ASCII, so can the pictures.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from productsync.output import clean, number

WIDEST = 100
"""Columns of a picture at most: over longer ones the eye loses its line."""

NARROWEST_BAR = 8
"""Columns of the longest bar at least; labels are cut before that."""

WIDEST_STEP = 6
"""Columns of one value of an area at most: a workspace of two days is no wall."""


@dataclass(frozen=True)
class Glyphs:
    """The characters of pictures. `parts` are those of a bar, in order; `levels` fill a cell, from nothing to all."""

    parts: tuple[str, str, str]
    levels: str
    mark: str
    top: str
    side: str
    corner: str
    floor: str
    cut: str


BLOCKS = Glyphs(("▒", "█", "▚"), " ▁▂▃▄▅▆▇█", mark="▲", top="┤", side="│", corner="└", floor="─", cut="…")
ASCII = Glyphs((".", "#", "!"), " .:#", mark="^", top="|", side="|", corner="+", floor="-", cut="~")


@dataclass(frozen=True)
class Part:
    """What one part of each bar stands for."""

    title: str
    glyph: str
    style: str


@dataclass(frozen=True)
class Bar:
    """One bar: an amount for each part, none below zero, and what is written to its right."""

    label: str
    amounts: tuple[int, ...]
    told: str

    @property
    def total(self) -> int:
        """What its length stands for."""
        return sum(self.amounts)


@dataclass(frozen=True)
class Point:
    """One step of an area. `is_marked` puts a mark below it."""

    label: str
    value: int
    is_marked: bool = False


def glyphs_for(encoding: str) -> Glyphs:
    """What a terminal of this encoding can spell."""
    return BLOCKS if encoding.lower().startswith("utf") else ASCII


def bars(rows: Sequence[Bar], parts: Sequence[Part], width: int, glyphs: Glyphs) -> list[Text]:
    """Bars below each other, the longest as long as there is room. What is not nothing is at least one cell long."""
    if not rows:
        return []
    width = min(width, WIDEST)
    told = max(cell_len(row.told) for row in rows)
    room = max(1, width - told - NARROWEST_BAR - 4)
    labels = [_cut(clean(row.label), room, glyphs) for row in rows]
    left = max(cell_len(label) for label in labels)
    longest = max(NARROWEST_BAR, width - left - told - 4)
    scale = max(1, *(row.total for row in rows))
    lines = []
    for row, label in zip(rows, labels, strict=True):
        style = "" if row.total else "dim"
        line = Text(set_cell_size(label, left) + "  ", style)
        drawn = _bar(row, parts, longest, scale)
        line.append_text(drawn).append(" " * (longest - drawn.cell_len))
        lines.append(line.append(f"  {row.told:>{told}}", style))
    return lines


def legend(parts: Iterable[Part]) -> Text:
    """What the parts of bars stand for."""
    return Text("   ").join(Text.assemble((part.glyph * 2, part.style), f" {part.title}") for part in parts)


def area(points: Sequence[Point], width: int, height: int, style: str, glyphs: Glyphs) -> list[Text]:
    """An area over time from zero to its highest value, `height` lines and an axis. Of more points than columns, each
    column shows the last of its own, and a mark where any of them has one.
    """
    if not points:
        return []
    width = min(width, WIDEST)
    highest = max(1, *(point.value for point in points))
    margin = len(number(highest))
    columns = _columns(points, max(1, width - margin - 2))
    step = _step(len(columns), width - margin - 2)
    full = len(glyphs.levels) - 1
    filled = [_filled(column[-1].value, highest, height * full) for column in columns]
    lines = []
    for row in reversed(range(height)):
        is_top = row == height - 1
        line = Text(f"{number(highest) if is_top else '':>{margin}} {glyphs.top if is_top else glyphs.side}")
        cells = "".join(glyphs.levels[min(full, max(0, level - row * full))] * step for level in filled)
        lines.append(line.append(cells.rstrip(), style))
    lines.append(Text(f"{0:>{margin}} {glyphs.corner}{glyphs.floor * (step * len(columns))}"))
    if any(point.is_marked for point in points):
        marks = "".join(
            (glyphs.mark if any(one.is_marked for one in column) else " ").ljust(step) for column in columns
        )
        lines.append(Text(" " * (margin + 2)).append(marks.rstrip(), "green"))
    ends = _ends(points[0].label, points[-1].label, step * len(columns))
    return [*lines, Text(" " * (margin + 2)).append(ends, "dim")]


def _bar(row: Bar, parts: Sequence[Part], longest: int, scale: int) -> Text:
    """The parts up to where each of them ends: so roundings do not add up."""
    length = _filled(row.total, scale, longest)
    drawn, so_far, done = Text(), 0, 0
    for part, amount in zip(parts, row.amounts, strict=True):
        so_far += amount
        end = _rounded(so_far * length, row.total) if row.total else 0
        drawn.append(part.glyph * (end - done), part.style)
        done = end
    return drawn


def _filled(value: int, highest: int, steps: int) -> int:
    """How many of the steps a value fills: at least one, unless it is nothing."""
    return max(1, _rounded(value * steps, highest)) if value > 0 else 0


def _rounded(dividend: int, divisor: int) -> int:
    """Whole numbers throughout: credits may be more than a float can tell apart."""
    return (2 * dividend + divisor) // (2 * divisor)


def _columns(points: Sequence[Point], most: int) -> list[Sequence[Point]]:
    count = min(most, len(points))
    return [points[place * len(points) // count : (place + 1) * len(points) // count] for place in range(count)]


def _step(columns: int, room: int) -> int:
    return max(1, min(WIDEST_STEP, room // columns))


def _ends(first: str, last: str, length: int) -> str:
    """The first and the last label below the ends of an axis; one of them where there is no room for both."""
    if first == last or len(first) + len(last) + 1 > length:
        return first if first == last else f"{first} .. {last}"
    return first + last.rjust(length - len(first))


def _cut(text: str, length: int, glyphs: Glyphs) -> str:
    return text if cell_len(text) <= length else set_cell_size(text, length - 1) + glyphs.cut
