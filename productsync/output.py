"""What a command says: its answer on standard output, everything else on standard error.

With `--json` standard output carries the answer as JSON and nothing else, and standard error, unless it is a terminal,
nothing but the problem of a failed command. Without it, people get tables, and progress where a terminal can show it.
"""

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TextIO
from unicodedata import category

import simplejson
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, Task, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from productsync.failures import ApiProblem, CommandFailure

PIPE_WIDTH = 200
"""Columns assumed where there is no terminal: wide enough that no identifier is cut in two for whatever reads it."""

_UNSHOWABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories that move the cursor, break lines or cannot be written. Formatting marks of scripts are not."""

_REORDERING = r"\u202a-\u202e\u2066-\u2069"
"""Marks that show the text after them in another order than it is in, so that it reads as what it is not."""

_REORDERING_MARK = re.compile(f"[{_REORDERING}]")
_ESCAPED_IN_JSON = re.compile(f"[\x7f-\x9f\u2028\u2029{_REORDERING}]")
"""What JSON allows in a string as it is, and a terminal takes for commands; the controls below 0x20 it never allows."""

WRAPPED = 16
"""Columns that words need at least to be readable over several lines."""

QUIET_SECONDS = 20.0
"""How long a log file hears nothing of something that goes on."""

Cell = str | int | Text | None


@dataclass(frozen=True)
class Column:
    """A table's column. Numbers are set to the right.

    Where a terminal is too narrow, the columns of the highest `rank` are left out first; those of rank 0 stay. One that
    `wraps` holds words, which may go over several lines.
    """

    title: str
    number: bool = False
    wraps: bool = False
    rank: int = 0


class Output:
    """Where one command writes."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.out = _console(sys.stdout)
        self.err = _console(sys.stderr)

    def answer(self, document: object) -> None:
        """Writes an answer as JSON, for programs."""
        sys.stdout.write(to_json(document, sys.stdout) + "\n")

    def json_line(self, document: object) -> None:
        """Writes a part of an answer as one line of JSON, for programs that take it as it comes."""
        sys.stdout.write(to_json(document, sys.stdout, indent=None) + "\n")

    def line(self, text: str | Text = "") -> None:
        """A line of the answer, for people."""
        if not self.as_json:
            self.out.print(_shown(text), soft_wrap=not self.out.is_terminal)

    def definition(self, document: dict[str, Any]) -> None:
        """A feed definition, for people: it is JSON to them too."""
        for line in to_json(document, sys.stdout).splitlines():
            self.line(line)

    def heading(self, text: str) -> None:
        """A line that begins a part of the answer."""
        self.line()
        self.line(Text(clean(text), style="bold"))

    def note(self, text: str | Text) -> None:
        """A remark beside the answer, on standard error."""
        if not self.as_json:
            self.err.print(_shown(text), soft_wrap=not self.err.is_terminal)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], *, empty: str = "Nothing yet.") -> None:
        """A table of the answer, or `empty` where it would have no rows."""
        if self.as_json:
            return
        if not rows:
            self.line(Text(empty, style="dim"))
            return
        cells = [[_cell(cell) for cell in row] for row in rows]
        shown, is_room = _columns_that_fit(columns, cells, self.out.width)
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for place in shown:
            column = columns[place]
            table.add_column(
                column.title,
                justify="right" if column.number else "left",
                overflow="fold",
                # Otherwise a long name would take room from the identifier beside it.
                no_wrap=is_room and not column.wraps,
            )
        for row in cells:
            table.add_row(*(row[place] for place in shown))
        self._print(table)
        if len(shown) < len(columns):
            left_out = ", ".join(column.title for place, column in enumerate(columns) if place not in shown)
            self.line(Text(f"(A wider terminal, or `| less -S`, also shows: {left_out}.)", style="dim"))

    def facts(self, facts: Sequence[tuple[str, Cell]]) -> None:
        """Names and their values, one to a line; those without a value are left out."""
        if self.as_json:
            return
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in facts:
            if value is not None:
                table.add_row(name, _cell(value))
        self._print(table)

    def _print(self, table: Table) -> None:
        """Prints a table; where it is no terminal that shows it, without the blanks that fill its lines."""
        if self.out.is_terminal:
            self.out.print(table)
            return
        with self.out.capture() as captured:
            self.out.print(table)
        for line in captured.get().splitlines():
            self.out.file.write(line.rstrip() + "\n")
        self.out.file.flush()

    def failure(self, error: CommandFailure) -> None:
        """Says on standard error why the command failed: as problem details in JSON, or in words."""
        if self.as_json:
            document = error.document() | ({"hint": error.hint} if error.hint else {})
            sys.stderr.write(to_json(document, sys.stderr) + "\n")
            return
        message = Text.assemble(("Error: ", "bold red"), (clean(error.title), "bold"))
        if error.detail:
            message.append(f": {clean(error.detail)}")
        lines = [message]
        if isinstance(error, ApiProblem):
            fields = [f"{name}: {text}" for name, text in error.errors]
            lines += [Text(f"  {clean(field)}") for field in fields if field != error.detail]
            if error.request_id:
                lines.append(Text(f"  request {clean(error.request_id)}", style="dim"))
        if error.hint:
            lines.append(Text(clean(error.hint)))
        for line in lines:
            self.err.print(line, soft_wrap=not self.err.is_terminal)

    @contextmanager
    def stage(self, name: str, *, total: float | None = None) -> "Iterator[Stage]":
        """Shows that something goes on, and at its end how long it took.

        A terminal gets a bar; a log file gets one plain line when it is done, and one now and then when it takes long;
        a program that asked for JSON gets nothing on a pipe. `total` is what `Stage.advance_to` counts up to; without
        it the bar only moves.
        """
        stage = Stage(name)
        if not self.err.is_terminal:
            stage.told_by(self.note)
            yield stage
            if not self.as_json:
                self.note(stage.summary())
            return
        with Progress(*_progress_columns(self.err.width), console=self.err, transient=True) as progress:
            stage.shown_by(progress, progress.add_task(clean(name), total=total, detail=""))
            yield stage
        self.err.print(stage.summary())


@dataclass
class Stage:
    """Something that takes a while."""

    name: str
    result: str = ""
    went_well: bool = True
    started: float = field(default_factory=time.monotonic)
    _progress: Progress | None = None
    _task: TaskID | None = None
    _tell: Callable[[str], None] | None = None
    _told: float = field(default_factory=time.monotonic)

    def shown_by(self, progress: Progress, task: TaskID) -> None:
        """Lets a bar follow it."""
        self._progress, self._task = progress, task

    def told_by(self, tell: Callable[[str], None]) -> None:
        """Lets lines follow it, where there is no bar."""
        self._tell = tell

    def advance_to(self, done: float, *, total: float | None = None) -> None:
        """Says how far it is."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total)

    def detail(self, text: str) -> None:
        """Says what it is at right now."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, detail=clean(text))
        if self._tell is not None and time.monotonic() - self._told >= QUIET_SECONDS:
            self._told = time.monotonic()
            self._tell(f"  {self.name}: {text} ({self.seconds:.0f} s so far)")

    def done(self, result: str) -> None:
        """Says what came of it."""
        self.result = result

    def failed(self, result: str) -> None:
        """Says what came of it instead."""
        self.result, self.went_well = result, False

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self.started

    def summary(self) -> Text:
        """Its one line, when it is over."""
        mark = ("✓ ", "green") if self.went_well else ("✗ ", "red")
        text = Text.assemble(mark, clean(self.name))
        if self.result:
            text.append(f": {clean(self.result)}")
        return text.append(f" ({self.seconds:.1f} s)", style="dim")


def to_json(document: object, stream: TextIO, *, indent: int | None = 2) -> str:
    """JSON as the API gave it, numbers digit for digit; characters that the stream cannot spell, or that would command
    a terminal, are escaped.
    """
    spells_all = (stream.encoding or "").lower().replace("-", "").startswith("utf")
    text = str(simplejson.dumps(document, use_decimal=True, ensure_ascii=not spells_all, indent=indent))
    # They can only be inside of strings, where an escape is the same character.
    return _ESCAPED_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def clean(text: str) -> str:
    """Text from elsewhere, made harmless for a terminal: supplier data may hold escape sequences, line breaks, and
    marks that turn the order of what is shown around.
    """
    shown = _REORDERING_MARK.sub("", text)
    return "".join(" " if category(character) in _UNSHOWABLE else character for character in shown)


def shorten(text: str, length: int) -> str:
    """At most `length` characters, with an ellipsis where something was cut."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def number(value: int) -> str:
    """A count for people: 12,345."""
    return f"{value:,}"


def count_text(value: int, one: str, many: str | None = None) -> str:
    """So many of something, for people: `1 record`, `2,000 records`. `many` is a plural that no s makes."""
    return f"{number(value)} {one if value == 1 else many or f'{one}s'}"


def credits_text(value: int) -> str:
    """An amount of credits for people: `1 credit`, `2,000 credits`."""
    return count_text(value, "credit")


def moment(text: str | None) -> str | None:
    """A time of the API for people: to the second, still in UTC."""
    return None if text is None else text[:19].replace("T", " ") + "Z"


def _cell(value: Cell) -> Text:
    if value is None:
        return Text("-", style="dim")
    return _shown(number(value) if isinstance(value, int) else value)


def _shown(text: str | Text) -> Text:
    return text if isinstance(text, Text) else Text(clean(text))


def _columns_that_fit(columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int) -> tuple[list[int], bool]:
    """The places of the columns that have room side by side, and those of rank 0 whether they have or not; and whether
    they have.
    """
    wanted = [
        max(cell_len(column.title), *(row[place].cell_len for row in rows)) for place, column in enumerate(columns)
    ]
    needed = [min(length, WRAPPED) if column.wraps else length for length, column in zip(wanted, columns, strict=True)]
    shown = list(range(len(columns)))
    while not (is_room := sum(needed[place] + 2 for place in shown) - 2 <= width):
        last = max(shown, key=lambda place: (columns[place].rank, place))
        if columns[last].rank == 0:
            break
        shown.remove(last)
    return shown, is_room


def _console(stream: TextIO) -> Console:
    """Plain text where there is no terminal, and colours as NO_COLOR and the terminal allow."""
    console = Console(file=stream, highlight=False, emoji=False, markup=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_WIDTH
    return console


class _Detail(TextColumn):
    def render(self, task: Task) -> Text:
        return Text(str(task.fields.get("detail", "")), style="dim")


class _Percentage(TextColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.total is None else f"{task.percentage:3.0f}%")


def _progress_columns(width: int) -> list[Any]:
    """What a progress line shows; a narrow terminal does without the bar and the detail."""
    name = TextColumn("{task.description}", markup=False)
    if width < 60:
        return [SpinnerColumn(), name, _Percentage("")]
    return [SpinnerColumn(), name, BarColumn(bar_width=max(10, min(40, width - 60))), _Percentage(""), _Detail("")]
