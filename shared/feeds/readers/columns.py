"""The names of a table's columns, from its header."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from shared.feeds.errors import FeedUnreadable, shortened
from shared.feeds.formats import FormatDefinition
from shared.feeds.limits import Limits

_NOT_A_WORD = re.compile(r"[^\w]+")


def snake_case(name: str) -> str:
    """`g:image link` and `Image Link` are both `image_link`: Merchant feeds spell their columns in all these ways."""
    return _NOT_A_WORD.sub("_", name.strip().lower().removeprefix("g:")).strip("_")


def name_columns(cells: Sequence[str], layout: FormatDefinition, limits: Limits) -> tuple[str, ...]:
    """The columns' names, in the file's order.

    `cells` is the table's first row: its header, or the first data row where the format says that there is none. A
    column without a name is called by its number, from 1. Raises FeedUnreadable for names that cannot be told apart.
    """
    if len(cells) > limits.max_columns:
        detail = f"the first row has {len(cells):,} columns, and a feed may have {limits.max_columns:,}"
        raise FeedUnreadable("too_many_columns", f"{detail}; check format.delimiter and format.quote", row=1)
    if layout.header is False:
        return _renamed([str(number) for number in range(1, len(cells) + 1)], layout.rename)
    if isinstance(layout.header, list):
        return _renamed(layout.header, layout.rename)
    names = []
    for number, cell in enumerate(cells, start=1):
        name = cell.strip()
        if len(name) > limits.max_column_name:
            detail = f"column {number} of the header has a name of {len(name):,} characters ({shortened(name)})"
            hint = "if the file has no header, set format.header to false"
            raise FeedUnreadable("column_name_too_long", f"{detail}; {hint}", row=1)
        names.append((snake_case(name) if layout.column_names == "snake_case" else name) or str(number))
    renamed = _renamed(names, layout.rename)
    _refuse_duplicates(renamed, cells)
    return renamed


def _renamed(names: Sequence[str], renames: Mapping[str, str]) -> tuple[str, ...]:
    taken = set(names)
    return tuple(renames[name] if name in renames and renames[name] not in taken else name for name in names)


def _refuse_duplicates(names: Sequence[str], cells: Sequence[str]) -> None:
    first: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        if name in first:
            other = first[name]
            written = sorted({cells[other - 1].strip(), cells[number - 1].strip()})
            spelled = f" (written {' and '.join(map(shortened, written))})" if len(written) > 1 else ""
            detail = f"columns {other} and {number} of the header are both called {shortened(name)}{spelled}"
            hint = "each column needs a name of its own; rename one, or list the names in format.header"
            raise FeedUnreadable("duplicate_header", f"{detail}; {hint}", row=1, column=name)
        first[name] = number
