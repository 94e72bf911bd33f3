"""A pass of a rule to try things on: a rule, a catalogue, and a naive model of what must come of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared.catalog import CatalogStore, Record
from shared.credits import Action, OperationKind, PriceList
from shared.rules.definition import RuleDefinition
from shared.rules.firing import FiringRoom, RuleLimits
from shared.rules.meters import MeterStore
from shared.rules.model import Rule
from shared.rules.passes.commands import new_pass
from shared.rules.passes.model import PassCounts, PassState, RulePass
from shared.rules.passes.store import PassStore, put_new_pass
from shared.rules.passes.worker import PassRoom, work
from shared.rules.store import RuleStore
from tests.support.imports import Attributes, Name, fill_catalogue, never
from tests.support.money import AT_ONCE, Account, World, plain_dynamodb

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RULE = "sale"
ENTITIES = ("product", "category")
LIMITS = RuleLimits(max_depth=5, firings_per_hour=100_000)

SALE: dict[str, Any] = {
    "entity": "product",
    "trigger": {"on": ["schedule"]},
    "condition": "price < 400",
    "actions": [{"set": "label", "to": {"value": "sale"}}],
}
"""Labels what is cheap."""

FILE_AWAY: dict[str, Any] = {
    "entity": "product",
    "trigger": {"on": ["schedule"]},
    "condition": "price < 400",
    "actions": [{"create": {"entity": "category", "key": {"attribute": "brand"}, "attributes": {}}}],
}
"""Creates a category for each brand of what is cheap."""

DIVIDE: dict[str, Any] = {
    "entity": "product",
    "trigger": {"on": ["schedule"]},
    "condition": "price < 400",
    "actions": [{"set": "label", "to": {"expression": "100 / divisor"}}],
}
"""Fails where the divisor is zero."""


def products(count: int, *, labelled_every: int = 4) -> dict[Name, Attributes]:
    """Products with their number as the price. Of those that are labelled already, one in `labelled_every` is."""
    return {
        ("product", f"p{n}"): {"price": n, "brand": f"brand {n % 5}"}
        | ({"label": "sale"} if n % labelled_every == 0 else {})
        for n in range(count)
    }


def rules_of(world: World, client: DynamoDBClient | None = None) -> RuleStore:
    return RuleStore(client or plain_dynamodb(world), world.work_table, backoff=AT_ONCE)


def passes_of(world: World, client: DynamoDBClient | None = None) -> PassStore:
    return PassStore(client or plain_dynamodb(world), world.work_table, backoff=AT_ONCE)


def put_rule(account: Account, definition: Mapping[str, Any], rule_id: str = RULE) -> Rule:
    """Puts the rule as it is now, or as the next version."""
    rules = rules_of(account.world)
    wanted = RuleDefinition.model_validate(definition)
    seen = rules.get(account.workspace_id, rule_id)
    rule = rules.put(account.workspace_id, rule_id, wanted, account.clock(), seen=seen)
    assert rule is not None
    return rule


@dataclass
class Expected:
    """What one pass of `SALE` must come to, by a model that knows nothing of steps, credits or cursors."""

    records: dict[Name, tuple[Attributes, int]] = field(default_factory=dict)
    counts: PassCounts = field(default_factory=PassCounts)

    @classmethod
    def of(cls, catalogue: Mapping[Name, Attributes]) -> Expected:
        expected = cls()
        for name, attributes in catalogue.items():
            matches = name[0] == "product" and attributes.get("price", 400) < 400
            changes = matches and attributes.get("label") != "sale"
            expected.records[name] = (attributes | {"label": "sale"}, 2) if changes else (attributes, 1)
            one = PassCounts(fired=1, updated=1, credits=2) if changes else PassCounts(unchanged=int(matches))
            expected.counts += one
        return expected


@dataclass
class Passing:
    """One pass on one account."""

    account: Account
    catalogue: Mapping[Name, Attributes]
    rule: Rule
    pass_id: str
    limits: RuleLimits
    prices: PriceList

    @classmethod
    def start(
        cls,
        account: Account,
        catalogue: Mapping[Name, Attributes],
        definition: Mapping[str, Any] = SALE,
        *,
        limits: RuleLimits = LIMITS,
        prices: PriceList | None = None,
        fill: bool = True,
    ) -> Passing:
        """Lays down the catalogue, the rule, and a pass of it that begins."""
        if fill:
            fill_catalogue(account, catalogue)
        rule = put_rule(account, definition)
        begun = new_pass(rule, schedule_id="nightly", now=account.clock())
        write = put_new_pass(account.world.work_table, begun)
        plain_dynamodb(account.world).put_item(**write.request["Put"])
        return cls(account, catalogue, rule, begun.pass_id, limits, prices or PriceList())

    def again(self) -> Passing:
        """The next pass of the same rule."""
        begun = new_pass(self.rule, schedule_id="nightly", now=self.account.clock())
        write = put_new_pass(self.account.world.work_table, begun)
        plain_dynamodb(self.account.world).put_item(**write.request["Put"])
        return Passing(self.account, self.catalogue, self.rule, begun.pass_id, self.limits, self.prices)

    def room(self, dynamodb: DynamoDBClient | None = None) -> PassRoom:
        """What a worker needs, remembering nothing: another process."""
        world = self.account.world
        client = dynamodb or plain_dynamodb(world)
        firing = FiringRoom(
            rules=rules_of(world, client),
            meters=MeterStore(client, world.work_table),
            catalog=CatalogStore(client, world.catalog_table, backoff=AT_ONCE),
            ledger=self.account.ledger(client),
            prices=self.prices,
            limits=self.limits,
            clock=self.account.clock,
        )
        return PassRoom(firing, passes_of(world, client))

    def work(
        self,
        dynamodb: DynamoDBClient | None = None,
        out_of_time: Callable[[], bool] = never,
        leg: int | None = None,
    ) -> RulePass:
        """One worker, from a cold start to its end."""
        after = work(self.room(dynamodb), self.account.workspace_id, self.pass_id, out_of_time, leg)
        assert after is not None
        return after

    def now(self) -> RulePass:
        found = passes_of(self.account.world).get(self.account.workspace_id, self.pass_id)
        assert found is not None
        return found

    def check(self, expected: Expected | None = None) -> None:
        """That the pass is over and everything is exactly as it must be: records, counts, credits and books."""
        expected = expected or Expected.of(self.catalogue)
        after = self.now()
        assert after.state is PassState.FINISHED
        assert after.position == sum(entity == "product" for entity, _ in self.catalogue)
        records = self.account.records(*ENTITIES)
        assert {name: (record.attributes, record.version) for name, record in records.items()} == expected.records
        assert after.counts == expected.counts
        self.check_the_books()

    def check_the_books(self) -> None:
        """Laws 1, 3 and 4, for stories in which a rule writes no record twice: what the log says was fired and paid for
        is what the records say, and what the pass and the meter have counted.
        """
        account, after = self.account, self.now()
        operations = [entry for entry in account.operations() if entry.kind is OperationKind.RULE]
        account.check_the_figures(account.balance(), account.operations())
        records = account.records(*ENTITIES)
        written = Counter(record.operation_id for record in records.values() if record.operation_id is not None)
        marked = Counter(
            mark.operation_id
            for record in records.values()
            for rule_id, mark in record.marks.items()
            if rule_id == RULE
        )
        paid: Counter[str | None] = Counter()
        fired: Counter[str] = Counter()
        for entry in operations:
            paid[entry.operation_id] += entry.actions.get(Action.RECORD_UPDATED, 0)
            paid[entry.operation_id] += entry.actions.get(Action.RECORD_CREATED, 0)
            fired[entry.operation_id] += entry.actions.get(Action.RULE_FIRED, 0)
            assert (entry.job_id, entry.job_version) == (RULE, self.rule.version)
        assert +paid == written
        assert +fired == marked
        of_this = [entry for entry in operations if entry.run_id == self.pass_id]
        assert sum(entry.credits for entry in of_this) == after.counts.credits
        assert sum(entry.actions.get(Action.RULE_FIRED, 0) for entry in of_this) == after.counts.fired
        assert sum(entry.actions.get(Action.RECORD_UPDATED, 0) for entry in of_this) == after.counts.updated
        assert sum(entry.actions.get(Action.RECORD_CREATED, 0) for entry in of_this) == after.counts.created
        meter = MeterStore(plain_dynamodb(account.world), account.world.work_table).get(account.workspace_id, RULE)
        if meter is not None:
            assert meter.firings == sum(fired.values())
            assert meter.credits == sum(entry.credits for entry in operations)


def of_product(account: Account, key: str) -> Record | None:
    return account.world.catalog().get(account.workspace_id, "product", key)
