"""What has happened to records, as rules listen to it. Pure.

Rules are level-triggered, as the guard is: a change says that a rule has to look, and the rule looks at the record as
it is now. Up to which version a rule has acted is marked on the record itself, by the write that acted. So a change
that comes twice, late, or merged with others finds by the mark whether anything is left to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from shared.catalog import Record, same
from shared.rules.model import ANY_ATTRIBUTE, Change, Rule

MAX_NAMES = 50
MAX_NAMES_BYTES = 4 * 1024
"""Attributes that a change names where it is kept: a record may have thousands of them, and they add up."""

_ABSENT = object()


def change_between(before: Record | None, after: Record) -> Change | None:
    """What one write did to a record; None for a write that changed no attribute."""
    appeared = before is None or before.created_at != after.created_at
    changed = {} if before is None or appeared else _differences(before, after)
    if not (appeared or changed):
        return None
    return Change(
        workspace_id=after.workspace_id,
        entity=after.entity,
        key=after.key,
        created_at=after.created_at,
        version=after.version,
        appeared=after.depth if appeared else None,
        changed=changed,
    )


def merge_changes(earlier: Change, later: Change) -> Change:
    """Both changes of one record as one, `later` being the one that came later.

    Of a record and one that was made after it was deleted, the one that came later counts; the times at which they were
    made are those of two clocks.
    """
    if earlier.created_at != later.created_at:
        return later
    appeared = [depth for depth in (earlier.appeared, later.appeared) if depth is not None]
    changed = {name: dict(versions) for name, versions in earlier.changed.items()}
    for name, versions in later.changed.items():
        changed[name] = _latest(changed.get(name, {}), versions)
    return replace(
        earlier,
        version=max(earlier.version, later.version),
        appeared=min(appeared, default=None),
        changed=changed,
    )


def bounded(change: Change) -> Change:
    """The change as it can be kept. One of too many attributes counts as one of any attribute, from then on."""
    names = change.changed.keys()
    if len(names) <= MAX_NAMES and sum(len(name.encode()) for name in names) <= MAX_NAMES_BYTES:
        return change
    together: dict[int, int] = {}
    for versions in change.changed.values():
        together = _latest(together, versions)
    return replace(change, changed={ANY_ATTRIBUTE: together})


def merged(changes: Iterable[Change]) -> dict[tuple[str, str], Change]:
    """One change for each record, by entity and key, of changes in the order in which they came."""
    found: dict[tuple[str, str], Change] = {}
    for change in changes:
        place = change.entity, change.key
        found[place] = merge_changes(found[place], change) if place in found else change
    return found


def due_depth(rule: Rule, change: Change, record: Record) -> int | None:
    """The depth of what the rule has to look at the record for, as it is now; None when there is nothing.

    Not for its own writes, nor for those that it had before it when it fired: both are up to its mark. Of several
    writes that it has not answered, the least deep counts: a chain that a person has set off anew begins anew. Each is
    answered once, so that what a write sets off ends at the depth limit, however changes are merged and repeated.
    """
    if rule.definition.entity != change.entity or record.created_at != change.created_at:
        return None
    mark = record.marks.get(rule.rule_id)
    return min(_due(rule, change, mark.version if mark else 0), default=None)


def is_due(rule: Rule, change: Change, record: Record) -> bool:
    """Whether the rule has to look at the record, as it is now, for what has changed."""
    return due_depth(rule, change, record) is not None


def _due(rule: Rule, change: Change, seen: int) -> Iterator[int]:
    """The depths of the writes behind the version `seen` that the rule listens to."""
    if change.appeared is not None and seen == 0 and "created" in rule.definition.trigger.on:
        yield change.appeared
    for name, versions in change.changed.items():
        if (name == ANY_ATTRIBUTE and "updated" in rule.definition.trigger.on) or rule.definition.listens_to(name):
            yield from (depth for depth, version in versions.items() if version > seen)


def _latest(one: Mapping[int, int], other: Mapping[int, int]) -> dict[int, int]:
    """For each depth the later of the versions."""
    return {depth: max(one.get(depth, 0), other.get(depth, 0)) for depth in one.keys() | other.keys()}


def _differences(before: Record, after: Record) -> Mapping[str, Mapping[int, int]]:
    """The attributes that the write set to another value, or cleared."""
    names = dict.fromkeys([*before.attributes, *after.attributes])
    return {
        name: {after.depth: after.version}
        for name in names
        if not same(before.attributes.get(name, _ABSENT), after.attributes.get(name, _ABSENT))
    }
