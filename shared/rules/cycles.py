"""Rules that set each other off: who may feed whom, which of that comes round, and what is shown to go on for ever.

That rule A may feed rule B is read from the definitions: A writes what B listens to. Most of what comes round in that
way settles by itself, since a condition stops holding or a value stays as it is. So saving is refused only for a cycle
that a trial shows to go on: the rules are carried out in memory, on records of today and on made-up ones, in the order
and with the marks and depths that they really have. What is possible but not shown is worth a warning, and the depth
limit stops it when it comes to that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Any

from shared.catalog import Record, RecordName, record_size
from shared.rules.attributes import plausible_kinds
from shared.rules.changes import change_between, is_due, merge_changes
from shared.rules.evaluation import CompiledRule, compile_rule
from shared.rules.expressions import Kind
from shared.rules.model import Change, Effect, Rule
from shared.rules.planning import firing_of, record_after

MAX_CYCLES = 100
"""Cycles that are looked at of one rule, shortest first."""

MAX_SAMPLES = 50
"""Records of today that are tried."""

MAX_SAMPLE_BYTES = 100_000
"""What a record that is tried holds at most: it is computed hundreds of times over."""

_MAX_STEPS = 20_000
"""Rules that the search for cycles goes through: a hundred rules that all feed each other have more cycles than atoms
fit anywhere.
"""

_MAX_EVALUATIONS = 10_000
"""Conditions and actions that the trials of one rule compute: some tenths of a second as rules usually are; with large
records, or long expressions, time is over first. Half of them are kept for made-up records.
"""

_MAX_WORLD = 200
"""Records that one trial may come to hold."""

_MAX_NAMES = 20
"""Attributes of one entity whose change a trial begins with."""

_TRIAL = "trial"
_MADE_UP = "made-up"
_THEN = datetime(2000, 1, 1, tzinfo=UTC)

Cycle = tuple[str, ...]
"""Rules by their identifiers: each may feed the next, and the last one the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A cycle that goes on for ever. On which record: one of today, or a made-up one if `record_key` is None, with
    these attributes. It began with a change of the attribute `changed`, or with the record's creation if that is None;
    and it was still going at `depth`.
    """

    cycle: Cycle
    record_key: str | None
    depth: int
    entity: str
    attributes: Mapping[str, Any]
    changed: str | None


@dataclass(frozen=True, slots=True)
class Untried:
    """Time ended before all was tried. What had been tried until then does not go on."""


def spelled(cycle: Cycle) -> str:
    """The cycle as people read it: `a -> b -> a`."""
    return " -> ".join((*cycle, cycle[0]))


def feeding(rules: Iterable[Rule]) -> dict[str, tuple[str, ...]]:
    """For each rule that fires, the others that may be set off by what it writes, in order.

    A rule never fires on its own write. One that goes by schedules is set off by nothing, though it may feed others.
    """
    firing = sorted((rule for rule in rules if rule.fires), key=lambda rule: rule.rule_id)
    return {
        rule.rule_id: tuple(other.rule_id for other in firing if other is not rule and _feeds(rule, other))
        for rule in firing
    }


def _feeds(rule: Rule, other: Rule) -> bool:
    does, listens = rule.definition, other.definition
    updates = does.entity == listens.entity and any(map(listens.listens_to, does.writes))
    creates = listens.entity in does.creates and "created" in listens.trigger.on
    return updates or creates


def cycles_through(rule: Rule, rules: Iterable[Rule]) -> list[Cycle]:
    """The cycles that the rule would be part of, beside the others as they are: each begins with it, shortest first.

    At most `MAX_CYCLES`, and what is found in a bounded number of steps.
    """
    graph = feeding(_beside(rule, rules))
    if rule.rule_id not in graph:
        return []
    home = _steps_to(rule.rule_id, graph)
    found: list[Cycle] = []
    steps = 0
    for length in range(2, len(home) + 1):
        ways: list[Cycle] = [(rule.rule_id,)]
        while ways:
            way = ways.pop()
            steps += 1
            if steps > _MAX_STEPS or len(found) == MAX_CYCLES:
                return found
            if len(way) == length:
                if rule.rule_id in graph[way[-1]]:
                    found.append(way)
                continue
            onward = [
                step for step in graph[way[-1]] if step not in way and step in home and len(way) + home[step] <= length
            ]
            ways += [(*way, step) for step in reversed(onward)]
    return found


def _beside(rule: Rule, rules: Iterable[Rule]) -> list[Rule]:
    return [rule, *(other for other in rules if other.rule_id != rule.rule_id)]


def _steps_to(goal: str, graph: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """How many feedings lead from each rule to `goal`, of those from which any do; 0 from itself."""
    steps = {goal: 0}
    edge = [goal]
    while edge:
        edge = [name for name, fed in graph.items() if name not in steps and any(step in fed for step in edge)]
        steps |= dict.fromkeys(edge, max(steps.values()) + 1)
    return steps


def samples_of(records: Iterable[Record], most: int) -> Iterator[Record]:
    """Up to `most` of the records, as far as they are small enough to be tried."""
    return islice((record for record in records if record_size(record) <= MAX_SAMPLE_BYTES), most)


def shown(
    cycles: Sequence[Cycle],
    rules: Iterable[Rule],
    samples: Iterable[Record],
    *,
    max_depth: int,
    kinds: Mapping[str, Mapping[str, Kind]] | None = None,
    out_of_time: Callable[[], bool] = lambda: False,
) -> Shown | Untried | None:
    """The first of the cycles that is seen to go on for ever; None when none is, `Untried` when that takes longer than
    there is time. It is `out_of_time` after one rule on one record more at the latest.

    `rules` are all of the workspace, since what is not part of a cycle may end it; `kinds` are what is known of the
    attributes of entities. A trial begins with one record, and one attribute of it that was set to what it is, or to
    another value, or with its creation. It goes on, as the rules would fire, to the depth limit or through twice the
    cycle, whichever is more; and what would still fire then, having come round, is shown. Up to `MAX_SAMPLES` records
    and `_MAX_EVALUATIONS` conditions and actions are tried.
    """
    if not cycles:
        return None
    trials = _Trials(cycles, rules, max_depth, kinds or {}, out_of_time)
    entities = list(dict.fromkeys(trials.rules[name].definition.entity for cycle in cycles for name in cycle))
    trials.left = _MAX_EVALUATIONS // 2
    for sample in islice(samples, MAX_SAMPLES):
        if sample.entity in entities and (found := trials.on(sample)):
            return replace(found, record_key=sample.key)
    trials.left += _MAX_EVALUATIONS // 2
    for entity in entities:
        for made_up in trials.made_up(entity):
            if found := trials.on(made_up):
                return found
    return Untried() if trials.is_late else None


@dataclass(frozen=True, slots=True)
class _Written:
    """What a firing wrote: an attribute of a record, or the record itself (None). `lengths` says, for each cycle by its
    number, how many firings in a row led to it that follow that cycle.
    """

    name: str | None
    version: int
    rule_id: str
    lengths: Mapping[int, int]


class _Trials:
    """The rules of a workspace, to be tried on one record after the other. `left` bounds the work, and so does time:
    `is_late` says that it was over before the work was.
    """

    def __init__(
        self,
        cycles: Sequence[Cycle],
        rules: Iterable[Rule],
        max_depth: int,
        kinds: Mapping[str, Mapping[str, Kind]],
        out_of_time: Callable[[], bool],
    ) -> None:
        self.rules = {rule.rule_id: rule for rule in sorted(rules, key=lambda rule: rule.rule_id) if rule.fires}
        self.left = 0
        self.is_late = False
        self._out_of_time = out_of_time
        self._cycles = cycles
        self._limits = [max(max_depth, 2 * len(cycle)) for cycle in cycles]
        self._before = [dict(zip(cycle, (cycle[-1], *cycle[:-1]), strict=True)) for cycle in cycles]
        self._involved = [self.rules[name] for name in dict.fromkeys(name for cycle in cycles for name in cycle)]
        self._compiled: dict[str, CompiledRule] = {}
        self._known = kinds
        self._likely: dict[str, Mapping[str, Kind]] = {}

    def is_over(self) -> bool:
        """Whether nothing more may be tried."""
        self.is_late = self.is_late or self._out_of_time()
        return self.is_late or self.left <= 0

    def on(self, record: Record) -> Shown | None:
        """Tries the rules on one record, with each beginning in turn."""
        if self.is_over():
            return None
        for begun, change, name in self._beginnings(record):
            if self.is_over():
                return None
            run = self._run(begun, change)
            if run is not None:
                number, depth = run
                return Shown(
                    cycle=self._cycles[number],
                    record_key=None,
                    depth=depth,
                    entity=begun.entity,
                    attributes=begun.attributes,
                    changed=name,
                )
        return None

    def made_up(self, entity: str) -> Iterator[Record]:
        """Records that have every attribute that rules read or write, and one that has none."""
        workspace_id = self._involved[0].workspace_id
        if self.is_over():
            return
        for values in _PLAUSIBLE:
            attributes = {name: values[kind] for name, kind in self._kinds(entity).items()}
            yield _record(workspace_id, entity, _MADE_UP, attributes, 0)
        yield _record(workspace_id, entity, _MADE_UP, {}, 0)

    def _kinds(self, entity: str) -> Mapping[str, Kind]:
        """What attributes probably are. Those of rules beside the cycles too: by them such a rule may end a cycle."""
        if entity not in self._likely:
            about = [rule for rule in self.rules.values() if rule.definition.entity == entity]
            self._likely[entity] = plausible_kinds(about, self._known.get(entity, {}), self._out_of_time)
        return self._likely[entity]

    def _beginnings(self, record: Record) -> Iterator[tuple[Record, Change, str | None]]:
        """What may set off the cycles' rules: the record as it then is, and the attribute that changed."""
        involved = [rule for rule in self._involved if rule.definition.entity == record.entity]
        if any("created" in rule.definition.trigger.on for rule in involved):
            new = replace(record, version=1, marks={}, depth=0)
            yield new, _change(new, None), None
        touched = {name for rule in involved for name in rule.definition.reads | rule.definition.writes}
        named = {name for rule in involved for name in rule.definition.trigger.attributes or ()}
        names = [name for name in sorted(touched | named) if any(rule.definition.listens_to(name) for rule in involved)]
        for name in names[:_MAX_NAMES]:
            as_it_is = replace(record, version=record.version + 1, depth=0)
            if name in record.attributes:
                yield as_it_is, _change(as_it_is, name), name
            kind = self._kinds(record.entity).get(name, Kind.UNKNOWN)
            other = _other(record.attributes.get(name), _PLAUSIBLE[0][kind])
            changed = replace(as_it_is, attributes={**record.attributes, name: other})
            yield changed, _change(changed, name), name

    def _run(self, record: Record, change: Change) -> tuple[int, int] | None:
        """Carries the rules out, one batch of changes after the other; the number of a cycle that is still going, and
        the depth that it has come to.
        """
        world: dict[RecordName, Record] = {(record.entity, record.key): record}
        changes: dict[RecordName, Change] = {(change.entity, change.key): change}
        written: dict[RecordName, list[_Written]] = {}
        # A chain may change from one cycle to another; among so many firings in a row one comes round.
        last = max(self._limits) + len(self._involved) + 1
        for depth in range(1, last + 1):
            batch = _Batch(self, world, changes, written, depth)
            going = batch.carry_out()
            if going is not None:
                return going, self._limits[going]
            if not batch.changes or self.is_over() or len(world) > _MAX_WORLD:
                return None
            changes, written = batch.changes, batch.written
        return None

    def compiled(self, rule: Rule) -> CompiledRule:
        if rule.rule_id not in self._compiled:
            self._compiled[rule.rule_id] = compile_rule(rule)
        return self._compiled[rule.rule_id]

    def lengths(self, rule: Rule, causes: Iterable[_Written]) -> dict[int, int]:
        """How far a firing of the rule, set off by these writes, follows each cycle that the rule is part of."""
        reached = list(causes)
        return {
            number: 1
            + max((each.lengths.get(number, 0) for each in reached if each.rule_id == before[rule.rule_id]), default=0)
            for number, before in enumerate(self._before)
            if rule.rule_id in before
        }

    def going_on(self, lengths: Mapping[int, int], depth: int) -> int | None:
        """The cycle that a firing at this depth shows to go on: beyond where it has to stop, and come round."""
        for number, length in lengths.items():
            if depth > self._limits[number] and length > len(self._cycles[number]):
                return number
        return None


class _Batch:
    """All changes of one depth, merged by record as the stream's are, and what the rules write on them."""

    def __init__(
        self,
        trials: _Trials,
        world: dict[RecordName, Record],
        seen: Mapping[RecordName, Change],
        causes: Mapping[RecordName, list[_Written]],
        depth: int,
    ) -> None:
        self._trials = trials
        self._world = world
        self._seen = seen
        self._causes = causes
        self._depth = depth
        self.changes: dict[RecordName, Change] = {}
        self.written: dict[RecordName, list[_Written]] = {}

    def carry_out(self) -> int | None:
        """Lets every rule that is due fire, in their order; the number of a cycle that is shown to go on."""
        for rule in self._trials.rules.values():
            for place, change in self._seen.items():
                record = self._world[place]
                if is_due(rule, change, record):
                    if self._trials.is_over():
                        return None
                    going = self._look(rule, record, place)
                    if going is not None:
                        return going
        return None

    def _look(self, rule: Rule, record: Record, place: RecordName) -> int | None:
        self._trials.left -= 1 + len(rule.definition.actions)
        effect = self._trials.compiled(rule).examine(record)
        if not isinstance(effect, Effect):
            return None
        firing = firing_of(record, effect, self._world.keys(), depth=self._depth, trigger=_TRIAL)
        if firing is None:
            return None
        mark = record.marks.get(rule.rule_id)
        seen = mark.version if mark else 0
        causes = [
            each
            for each in self._causes.get(place, [])
            if each.name is None or (each.version > seen and rule.definition.listens_to(each.name))
        ]
        lengths = self._trials.lengths(rule, causes)
        going = self._trials.going_on(lengths, self._depth)
        if going is not None:
            return going
        self._write(rule, record, record_after(rule, firing, _TRIAL, record.marks.keys(), _THEN), lengths)
        for made in firing.creations:
            new = _record(rule.workspace_id, made.entity, made.key, made.attributes, self._depth)
            self._write(rule, None, new, lengths)
        return None

    def _write(self, rule: Rule, before: Record | None, after: Record, lengths: Mapping[int, int]) -> None:
        place = after.entity, after.key
        self._world[place] = after
        change = change_between(before, after)
        if change is None:
            return
        self.changes[place] = merge_changes(self.changes[place], change) if place in self.changes else change
        names: list[str | None] = [None] if change.appeared is not None else list(change.changed)
        self.written.setdefault(place, []).extend(
            _Written(name, after.version, rule.rule_id, lengths) for name in names
        )


_PLAUSIBLE: tuple[Mapping[Kind, Any], ...] = (
    {
        Kind.NUMBER: 1,
        Kind.TEXT: "a",
        Kind.BOOLEAN: True,
        Kind.LIST: ["a"],
        Kind.MAP: {"a": 1},
        Kind.UNKNOWN: 1,
    },
    {
        Kind.NUMBER: 100,
        Kind.TEXT: "b",
        Kind.BOOLEAN: False,
        Kind.LIST: [],
        Kind.MAP: {},
        Kind.UNKNOWN: "a",
    },
    {
        Kind.NUMBER: 0,
        Kind.TEXT: "",
        Kind.BOOLEAN: True,
        Kind.LIST: [1],
        Kind.MAP: {"a": "a"},
        Kind.UNKNOWN: True,
    },
)
"""Values that attributes of made-up records have."""


def _other(value: Any, first: Any) -> Any:
    """Another value of the same kind, as somebody might set it; `first` where there is none."""
    match value:
        case bool():
            return not value
        case int() | Decimal():
            return value + 1
        case str():
            return value + "a"
        case list():
            return [*value, "a"]
        case Mapping():
            return {**value, "a": 1}
        case _:
            return first


def _change(record: Record, name: str | None) -> Change:
    return Change(
        workspace_id=record.workspace_id,
        entity=record.entity,
        key=record.key,
        created_at=record.created_at,
        version=record.version,
        appeared=0 if name is None else None,
        changed={} if name is None else {name: {0: record.version}},
    )


def _record(workspace_id: str, entity: str, key: str, attributes: Mapping[str, Any], depth: int) -> Record:
    return Record(
        workspace_id=workspace_id,
        entity=entity,
        key=key,
        attributes=attributes,
        version=1,
        created_at=_THEN,
        updated_at=_THEN,
        operation_id=None,
        depth=depth,
    )
