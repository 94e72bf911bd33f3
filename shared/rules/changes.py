"""What has happened to records, as rules listen to it. Pure.

Rules are level-triggered, as the guard is: a change says that a rule has to look, and the rule looks at the record as
it is now. Up to which version a rule has acted is marked on the record itself, by the write that acted. So a change
that comes twice, late, or merged with others finds by the mark whether anything is left to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from shared.catalog import Record, same
from shared.rules.model import Change, Rule

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
        appeared=appeared,
        changed=changed,
        depth=after.depth,
    )


def merge_changes(one: Change, other: Change) -> Change:
    """Both changes of one record as one. Of a record and one that was made after it was deleted, the later counts."""
    if one.created_at != other.created_at:
        return max(one, other, key=lambda change: change.created_at)
    changed = dict(one.changed)
    for name, version in other.changed.items():
        changed[name] = max(version, changed.get(name, version))
    return replace(
        one,
        version=max(one.version, other.version),
        appeared=one.appeared or other.appeared,
        changed=changed,
        # Each firing answers the least deep of its changes, and answers it once. So what a change sets off is bounded
        # by the depth limit however changes are merged.
        depth=min(one.depth, other.depth),
    )


def merged(changes: Iterable[Change]) -> dict[tuple[str, str], Change]:
    """One change for each record, by entity and key."""
    found: dict[tuple[str, str], Change] = {}
    for change in changes:
        place = change.entity, change.key
        found[place] = merge_changes(found[place], change) if place in found else change
    return found


def is_due(rule: Rule, change: Change, record: Record) -> bool:
    """Whether the rule has to look at the record, as it is now, for what has changed.

    Not for its own writes, nor for those that it had before it when it fired: both are up to its mark.
    """
    if rule.definition.entity != change.entity or record.created_at != change.created_at:
        return False
    mark = record.marks.get(rule.rule_id)
    seen = mark.version if mark else 0
    if change.version <= seen:
        return False
    if change.appeared and seen == 0 and "created" in rule.definition.trigger.on:
        return True
    return any(version > seen and rule.definition.listens_to(name) for name, version in change.changed.items())


def _differences(before: Record, after: Record) -> Mapping[str, int]:
    """The attributes that the write set to another value, or cleared."""
    names = dict.fromkeys([*before.attributes, *after.attributes])
    return {
        name: after.version
        for name in names
        if not same(before.attributes.get(name, _ABSENT), after.attributes.get(name, _ABSENT))
    }
