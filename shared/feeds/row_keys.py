"""The key of a record, from its row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from shared.feeds.entities import EVERYTHING, FirstOfKey, JoinedKey, KeyDefinition, PrefixedColumn
from shared.feeds.errors import RowRejected, shortened
from shared.feeds.json_values import canonical
from shared.feeds.reading_values import Values, column, text_of

KeyOf = Callable[[Values], str]
_Part = Callable[[Values], str | None]


def join_key(parts: Sequence[str], separator: str) -> str:
    r"""The parts joined so that different parts never give the same key.

    `\` and the separator are escaped by `\` inside a part. Blank parts at the end are left out: the number of parts is
    always the same, so nothing is lost.
    """
    kept = list(parts)
    while kept and not kept[-1]:
        kept.pop()
    return separator.join(part.replace("\\", "\\\\").replace(separator, "\\" + separator) for part in kept)


def columns_of_key(key: KeyDefinition) -> list[tuple[str, ...]]:
    """The sets of columns that a key can be made from: a table has to have all of one of them."""
    if isinstance(key, str):
        return [()] if key == EVERYTHING else [(key,)]
    if isinstance(key, list):
        return [tuple(key)]
    if isinstance(key, JoinedKey):
        return [tuple(name for name in key.columns if name not in key.optional)]
    if isinstance(key, PrefixedColumn):
        return [(key.column,)]
    return [columns for alternative in key.first_of for columns in columns_of_key(_as_key(alternative))]


def key_of(key: KeyDefinition, max_bytes: int) -> KeyOf:
    """A function from a row to its key. It raises RowRejected for a key that is missing or longer than `max_bytes`."""
    parts = [_part(alternative) for alternative in (key.first_of if isinstance(key, FirstOfKey) else [key])]
    named = " or ".join(_spelled(columns) for columns in columns_of_key(key))
    first_column = next((name for columns in columns_of_key(key) for name in columns), None)
    # No character takes more than four bytes.
    surely_short = max_bytes // 4

    def checked(values: Values) -> str:
        for part in parts:
            found = part(values)
            if found is not None:
                if len(found) > surely_short:
                    check_length(found, max_bytes)
                return found
        raise RowRejected(f"no key: {named} is blank", first_column)

    return checked


def check_length(key: str, max_bytes: int) -> None:
    """Raises RowRejected for a key that takes more bytes in UTF-8."""
    size = len(key.encode())
    if size > max_bytes:
        raise RowRejected(f"the key takes {size:,} bytes, at most {max_bytes} are allowed: {shortened(key)}")


def _as_key(alternative: str | PrefixedColumn | JoinedKey) -> KeyDefinition:
    # A prefixed column needs the same columns as the column itself.
    return alternative.column if isinstance(alternative, PrefixedColumn) else alternative


def _part(key: str | list[str] | JoinedKey | PrefixedColumn) -> _Part:
    if key == EVERYTHING:
        return _of_whole_row
    if isinstance(key, str):
        return _of_column(key)
    if isinstance(key, PrefixedColumn):
        value_of, prefix = _of_column(key.column), key.prefix
        return lambda values: None if (value := value_of(values)) is None else prefix + value
    if isinstance(key, list):
        return _of_columns(key, "|", frozenset())
    return _of_columns(key.columns, key.separator, frozenset(key.optional))


def _of_column(name: str) -> _Part:
    value_of = column(name)

    def part(values: Values) -> str | None:
        value = value_of(values)
        if value.__class__ is str:
            return value.strip() or None
        if value is None:
            return None
        text = text_of(value)
        if text is None:
            raise RowRejected(f"no key: {name} holds {shortened(str(value))}, and a single value was expected", name)
        return text.strip() or None

    return part


def _of_columns(names: Sequence[str], separator: str, optional: Iterable[str]) -> _Part:
    parts = [(_of_column(name), name in optional) for name in names]

    def joined(values: Values) -> str | None:
        found = []
        for part, may_be_blank in parts:
            value = part(values)
            if value is None and not may_be_blank:
                return None
            found.append(value or "")
        return join_key(found, separator)

    return joined


def _of_whole_row(values: Values) -> str:
    return hashlib.sha256(canonical(dict(values)).encode()).hexdigest()


def _spelled(columns: Sequence[str]) -> str:
    if not columns:
        return "the row"
    return columns[0] if len(columns) == 1 else " + ".join(columns)
