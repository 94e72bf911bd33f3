"""Every plan says what became of its records, and what they cost: with the call, the firing or the job, the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.catalog import Record
from shared.credits import Action, Channel, Plan, PriceList, RecordCounts
from shared.dynamo.writes import Write
from shared.edits import Batch, BatchItem, Decision, Edit, Merge, Remove, Replace
from shared.edits.planning import decide, plan_batch, plan_edit
from shared.rules.definition import RuleDefinition
from shared.rules.model import Creation, Rule
from shared.rules.planning import Firing, plan_firings
from shared.runs.artifacts import PreparedRecord
from shared.runs.model import Counts, Cursor, Run, RunState, noted
from shared.runs.planning import Change, Examined, after_step, plan_note, plan_step
from shared.runs.store import move_run

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
WORKSPACE = "ws_01ARZ3NDEKTSV4RRFFQ69G5FAV"
TRIGGERS = (Action.API_CALL, Action.SCHEDULED_JOB, Action.RULE_FIRED)
RECORDS = {Action.RECORD_CREATED: "created", Action.RECORD_UPDATED: "updated"}

price_lists = st.builds(
    PriceList, st.fixed_dictionaries({action: st.integers(min_value=0, max_value=5) for action in Action})
)
attributes = st.dictionaries(st.sampled_from(["title", "price"]), st.integers(0, 1), max_size=2)
changes = st.one_of(st.builds(Replace, attributes), st.builds(Merge, attributes), st.just(Remove()))
keys = st.sampled_from("pqrstu")
catalogues = st.dictionaries(keys, attributes)
channels = st.sampled_from([Channel.API, Channel.PERSON])
ENTITIES = ("product", "category", "brand")


def record(key: str, there: Mapping[str, Any] | None, entity: str = "product") -> Record | None:
    if there is None:
        return None
    return Record(
        workspace_id=WORKSPACE,
        entity=entity,
        key=key,
        attributes=there,
        version=3,
        created_at=NOW,
        updated_at=NOW,
        operation_id=None,
    )


def check(plan: Plan, prices: PriceList) -> None:
    """The plan's records cost what it costs beside its trigger, and are as many as its actions and its writes say."""
    counts = RecordCounts.total(plan.records.values())
    trigger = prices.cost({action: plan.actions.get(action, 0) for action in TRIGGERS})
    assert counts.credits + trigger == plan.credits
    by_hand = plan.channel is Channel.PERSON and not plan.actions
    for action, name in RECORDS.items():
        assert by_hand or plan.actions.get(action, 0) == getattr(counts, name)
    for entity, named in plan.keys.items():
        of_entity = plan.records[entity]
        assert len(named) == len(set(named)) == of_entity.created + of_entity.updated + of_entity.deleted
    if plan.step is None:
        assert sum(map(len, plan.keys.values())) == counts.created + counts.updated + counts.deleted
    else:
        assert plan.step.written.bit_count() == counts.created + counts.updated


@given(change=changes, there=st.none() | attributes, channel=channels, prices=price_lists)
def test_edits(
    change: Replace | Merge | Remove, there: dict[str, Any] | None, channel: Channel, prices: PriceList
) -> None:
    edit = Edit(
        workspace_id=WORKSPACE,
        entity="product",
        key="p",
        change=change,
        channel=channel,
        request_id="r1",
        requested_at=NOW,
        actor="somebody",
    )
    decision = decide(edit, record("p", there), NOW)
    if not isinstance(decision, Decision):
        return
    plan = plan_edit(edit, decision, "catalog", prices, None)
    check(plan, prices)
    assert plan.actor == "somebody"
    met = plan.records["product"]
    assert met.created + met.updated + met.unchanged + met.deleted == 1
    assert len(plan.writes) == len(plan.keys.get("product", ()))
    assert channel is Channel.API or met.credits == 0


@given(
    items=st.lists(
        st.builds(BatchItem, key=keys, change=changes), min_size=1, max_size=6, unique_by=lambda each: each.key
    ),
    catalogue=catalogues,
    channel=channels,
    prices=price_lists,
)
def test_batches(
    items: list[BatchItem], catalogue: dict[str, dict[str, Any]], channel: Channel, prices: PriceList
) -> None:
    batch = Batch(
        workspace_id=WORKSPACE,
        entity="product",
        items=tuple(items),
        channel=channel,
        request_id="r1",
        requested_at=NOW,
        actor="somebody",
    )
    results = [decide(edit, record(edit.key, catalogue.get(edit.key)), NOW) for edit in batch.edits]
    plan = plan_batch(batch, results, "catalog", prices, None)
    check(plan, prices)
    assert plan.actor == "somebody"
    assert [write_key(write) for write in plan.writes] == list(plan.keys.get("product", ()))
    made = sum(isinstance(result, Decision) for result in results)
    met = RecordCounts.total(plan.records.values())
    assert met.created + met.updated + met.unchanged + met.deleted == made


def write_key(write: Write) -> str:
    (request,) = write.request.values()
    key: str = (request.get("Item") or request["Key"])["sk"]["S"]
    return key


firings = st.lists(
    st.builds(
        lambda key, changed, made: (key, changed, made),
        keys,
        st.none() | attributes,
        st.lists(st.tuples(st.sampled_from(["category", "brand"]), st.text("abc", min_size=1, max_size=2)), max_size=2),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda each: each[0],
)
RULE = Rule(
    workspace_id=WORKSPACE,
    rule_id="sale",
    definition=RuleDefinition.model_validate(
        {"entity": "product", "trigger": {"on": ["schedule"]}, "actions": [{"clear": "old"}]}
    ),
    version=1,
    created_at=NOW,
    updated_at=NOW,
)


@given(drawn=firings, prices=price_lists)
def test_firings(drawn: list[tuple[str, dict[str, Any] | None, list[tuple[str, str]]]], prices: PriceList) -> None:
    taken: set[tuple[str, str]] = set()
    fired: list[Firing] = []
    for key, changed, wanted in drawn:
        made = tuple(Creation(*place, {}) for place in dict.fromkeys(wanted) if place not in taken)
        taken.update(wanted)
        seen = record(key, {"old": 1})
        assert seen is not None
        fired.append(Firing(record=seen, attributes=changed, creations=made, depth=1, trigger=key))
    meter = Write({"Update": {"Key": {"sk": {"S": "METER"}}}})
    planned = plan_firings(
        RULE, fired, lambda _: meter, rule_ids=("sale",), catalog_table="catalog", prices=prices, at=NOW, now=NOW
    )
    check(planned.plan, prices)
    assert planned.plan.actor == "sale"
    # One that only carries the mark is written, and has not changed.
    only_marked = sum(firing.attributes is None for firing in fired)
    assert sum(map(len, planned.plan.keys.values())) == len(planned.plan.writes) - 1 - only_marked


steps = st.lists(st.tuples(st.sampled_from(Change), st.sampled_from(ENTITIES)), min_size=1, max_size=30)
RUN = Run(
    run_id="run_01ARZ3NDEKTSV4RRFFQ69G5FAV",
    workspace_id=WORKSPACE,
    feed_id="feed",
    upload_id="up",
    channel=Channel.API,
    dry_run=False,
    state=RunState.RUNNING,
    created_at=NOW,
    updated_at=NOW,
    step_at=NOW,
    started_by="key_1",
    records=1000,
)


def examined(drawn: list[tuple[Change, str]], first: int) -> list[Examined]:
    found = []
    for number, (change, entity) in enumerate(drawn, first):
        prepared = PreparedRecord(entity, f"{entity}{number}", {}, number, Cursor(number + 1, 10 * (number + 1)))
        seen = record(f"{entity}{number}", {"title": "old"}, entity) if change is Change.UPDATE else None
        found.append(Examined(prepared, change, seen, {}))
    return found


@given(drawn=st.lists(steps, min_size=1, max_size=6), prices=price_lists)
def test_the_entries_of_a_run_tell_of_each_record_once(
    drawn: list[list[tuple[Change, str]]], prices: PriceList
) -> None:
    """Whatever is written is told by its step, whatever is passed over by the next one, or at the end."""
    anchor = run = RUN
    told: dict[str, RecordCounts] = {}
    plans: list[Plan] = []
    for pattern in drawn:
        step = examined(pattern, run.cursor.position)
        after = after_step(run, step, prices, NOW)
        if any(each.is_write for each in step):
            after = noted(after)
            plan = plan_step(anchor, run, step, move_run("work", anchor, after), "catalog", prices, NOW)
            assert plan.step is not None
            assert (plan.step.position, plan.step.offset) == (run.cursor.position, run.cursor.offset)
            assert [bool(plan.step.written >> nth & 1) for nth in range(len(step))] == [each.is_write for each in step]
            plans.append(plan)
            anchor = after
        run = after
    if run.unnoted:
        plans.append(plan_note(run, move_run("work", anchor, noted(run))))
        assert plans[-1].credits == 0
    for plan in plans:
        check(plan, prices)
        assert plan.actor == "key_1"
        for entity, counts in plan.records.items():
            told[entity] = told.get(entity, RecordCounts()) + counts
    assert len({plan.operation_id for plan in plans}) == len(plans)
    assert told == {entity: _as_told(counts) for entity, counts in run.by_entity.items() if _as_told(counts) != _NONE}
    assert noted(run).unnoted == {}
    assert replace(run, dry_run=True).unnoted == {}


_NONE = RecordCounts()


def _as_told(counts: Counts) -> RecordCounts:
    return RecordCounts(counts.created, counts.updated, counts.unchanged, credits=counts.credits)
