"""Conditions on rows: which rows an entity comes from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shared.feeds.entities import Condition
from shared.feeds.reading_values import Values, column, names_of, text_of

Holds = Callable[[Values], bool]


def settled(condition: Condition, columns: Sequence[str] | None) -> bool | None:
    """What the columns alone decide: in a table that has none of the condition's, it holds in all rows or in none."""
    if columns is None:
        return None
    there = any(name in columns for name in names_of(condition.column))
    if condition.in_file is not None:
        return there is condition.in_file
    if there:
        return None
    return condition.present is False or condition.not_equals is not None or condition.not_contains is not None


def holds(condition: Condition) -> Holds:
    """A function that tells whether the condition holds of a row.

    Of several columns one is enough; for `present: false`, `not_equals` and `not_contains` all have to comply.
    """
    getters = [column(name) for name in names_of(condition.column)]
    if condition.present is not None:
        wanted = condition.present
        return lambda values: any(getter(values) is not None for getter in getters) is wanted
    words, by_word, negated = _words(condition)

    def matches(values: Values) -> bool:
        for getter in getters:
            text = text_of(getter(values))
            if text is None:
                continue
            folded = text.strip().casefold()
            if folded in words or (by_word and not words.isdisjoint(part.strip() for part in folded.split(","))):
                return not negated
        return negated

    return matches


def _words(condition: Condition) -> tuple[frozenset[str], bool, bool]:
    """What is compared, whether with each word of a comma list, and whether it must not be there."""
    for given, by_word, negated in (
        (condition.equals, False, False),
        (condition.not_equals, False, True),
        (condition.contains, True, False),
        (condition.not_contains, True, True),
    ):
        if given is not None:
            return frozenset(word.strip().casefold() for word in names_of(given)), by_word, negated
    raise AssertionError("a condition has exactly one test: its model sees to it")
