"""Rules, in any story: people who write, change and delete, batches that come twice or late, runners and workers that
die at any request, credits that end and come back, rules that are put anew. Whatever happens, no match is lost, none
fires twice, and the books balance.

A step that makes requests has a script: what happens before its request number n, which may be a whole other step, or
its end. A batch whose runner died comes again, as a stream brings it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.credits import Action
from shared.rules.backlog import DrainOutcome, drain
from tests.support.faults import Fault, Killed, Line, killed_after_sending, killed_before_sending
from tests.support.money import Account
from tests.support.rules import Shop, setting

KEYS = ("a", "b", "c")

DOUBLE = setting("double", "price * 2", condition="price != null")
"""Must hold in the end, whatever happened."""

BORN = setting("born", "(born ?? 0) + 1", trigger={"on": ["created"]})
"""Fires once for each record that is made."""

CHANGES = setting("changes", "(changes ?? 0) + 1", trigger={"on": ["updated"], "attributes": ["price"]})
"""Fires for changes of the price: several may be one to it, none may be two."""


@dataclass(frozen=True)
class Dies:
    """The process ends, before the request is sent or after it was carried out."""

    after_sending: bool


@dataclass(frozen=True)
class Write:
    """A person sets the price, of a new record if there is none."""

    key: str
    price: int


@dataclass(frozen=True)
class Rename:
    """A person changes something that no rule listens to."""

    key: str


@dataclass(frozen=True)
class Delete:
    """A person deletes a record."""

    key: str


@dataclass(frozen=True)
class Put:
    """An owner puts a rule anew, as it was."""

    rule_id: str


@dataclass(frozen=True)
class TopUp:
    """Some credits come: enough, or for a while."""

    credits: int


@dataclass(frozen=True)
class Deliver:
    """The next batch of the stream comes to a runner."""

    script: Script


@dataclass(frozen=True)
class Again:
    """A batch that was delivered before comes once more."""

    which: int


@dataclass(frozen=True)
class Drain:
    """A worker is called for the backlog."""

    script: Script


Step = Write | Rename | Delete | Put | TopUp | Deliver | Again | Drain
Script = tuple[tuple[int, "Step | Dies"], ...]

WRITES: st.SearchStrategy[Step] = st.builds(Write, st.sampled_from(KEYS), st.integers(1, 4))
EDITS: st.SearchStrategy[Step] = st.one_of(
    WRITES,
    WRITES,
    st.builds(Rename, st.sampled_from(KEYS)),
    st.builds(Delete, st.sampled_from(KEYS)),
    st.builds(Put, st.sampled_from(("born", "changes", "double"))),
    st.builds(TopUp, st.integers(1, 5)),
)
QUIET: st.SearchStrategy[Script] = st.just(())
BETWEEN: st.SearchStrategy[Step] = st.one_of(
    EDITS, st.builds(Deliver, QUIET), st.builds(Again, st.integers(0, 5)), st.builds(Drain, QUIET)
)
SCRIPTS: st.SearchStrategy[Script] = st.dictionaries(
    st.integers(0, 12), st.one_of(BETWEEN, BETWEEN, st.builds(Dies, st.booleans())), max_size=3
).map(lambda each: tuple(each.items()))
STEPS: st.SearchStrategy[Step] = st.one_of(
    WRITES,
    EDITS,
    st.builds(Deliver, SCRIPTS),
    st.builds(Deliver, QUIET),
    st.builds(Drain, SCRIPTS),
    st.builds(Drain, QUIET),
    st.builds(Again, st.integers(0, 5)),
)


@dataclass
class Story:
    """What has happened so far. `born` and `changed` count what each record that is there has seen."""

    shop: Shop
    waiting: list[list[dict[str, object]]] = field(default_factory=list)
    delivered: list[list[dict[str, object]]] = field(default_factory=list)
    changed: dict[str, int] = field(default_factory=dict)

    def tell(self, step: Step) -> None:
        match step:
            case Write() | Rename() | Delete():
                self._edit(step)
            case Put(rule_id):
                self.shop.put_rule(rule_id, {"double": DOUBLE, "born": BORN, "changes": CHANGES}[rule_id])
            case TopUp(credits):
                self.shop.top_up(credits)
            case Deliver(script):
                self._deliver(script)
            case Again(which):
                if self.delivered:
                    self.shop.deliver(self.delivered[which % len(self.delivered)])
            case Drain(script):
                self._drain(script)

    def end(self) -> None:
        """Credits are there, nobody dies, and everything is delivered."""
        self.shop.top_up(1000)
        for _ in range(30):
            self._fill()
            while self.waiting:
                self._deliver(())
            if self.shop.drain() not in (None, DrainOutcome.DONE):
                continue
            self._fill()
            if not self.waiting:
                return
        raise AssertionError("the rules go on and on")

    def _edit(self, step: Write | Rename | Delete) -> None:
        record = self._there().get(step.key)
        match step:
            case Write(key, price) if record is None:
                self.shop.write(key, price=price)
                self.changed[key] = 0
            case Write(key, price) if record and record["price"] != price:
                self.shop.patch(key, price=price)
                self.changed[key] += 1
            case Rename(key) if record is not None:
                self.shop.patch(key, title=f"at {self.shop.account.clock().isoformat()}")
            case Delete(key) if record is not None:
                self.shop.remove(key)
                self.changed.pop(key)

    def _there(self) -> dict[str, dict[str, object]]:
        return {key: dict(record.attributes) for (_, key), record in self.shop.account.records().items()}

    def _fill(self) -> None:
        batch = self.shop.take()
        if batch:
            self.waiting.append(batch)

    def _deliver(self, script: Script) -> None:
        self._fill()
        if not self.waiting:
            return
        batch = self.waiting[0]
        client = self.shop.world.dynamodb()
        Line(client, script=self._script(script))
        with suppress(Killed):
            self.shop.deliver(batch, client)
            # Another step of its script may have delivered it meanwhile.
            self.waiting = [each for each in self.waiting if each is not batch]
            self.delivered.append(batch)

    def _drain(self, script: Script) -> None:
        client = self.shop.world.dynamodb()
        room = self.shop.room()
        room.backlog.ring(self.shop.workspace_id, self.shop.account.clock())
        backlog = room.backlog.get(self.shop.workspace_id)
        if backlog is None:
            return
        Line(client, script=self._script(script))
        with suppress(Killed):
            drain(self.shop.room(client), self.shop.workspace_id, backlog.leg)

    def _script(self, script: Script) -> Callable[[int, str], Fault | None]:
        events = dict(script)

        def happens(index: int, _operation: str) -> Fault | None:
            match events.pop(index, None):
                case None:
                    return None
                case Dies(after_sending=after):
                    return killed_after_sending if after else killed_before_sending
                case step:
                    self.tell(step)
                    return None

        return happens


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(starter=st.integers(0, 16), steps=st.lists(STEPS, min_size=10, max_size=24))
def test_no_match_is_lost_and_none_fires_twice(
    open_account: Callable[[int], Account], starter: int, steps: list[Step]
) -> None:
    shop = Shop(open_account(starter))
    for rule_id, rule in (("double", DOUBLE), ("born", BORN), ("changes", CHANGES)):
        shop.put_rule(rule_id, rule)
    story = Story(shop)
    # Of every story, a part is told with credits and a part without.
    for step in [*(Write(key, 1) for key in KEYS), *steps]:
        story.tell(step)
        assert shop.account.balance().available >= 0
    story.end()

    for (_, key), record in shop.account.records().items():
        attributes = record.attributes
        assert attributes["double"] == attributes["price"] * 2, "a match was lost"
        assert attributes["born"] == 1, "a record's creation was lost, or came twice"
        assert attributes.get("changes", 0) <= story.changed[key], "a change fired twice"
        assert (attributes.get("changes", 0) > 0) is (story.changed[key] > 0), "a change was lost"
    shop.check_the_figures()
    fired = shop.fired()
    assert all(entry.credits == 2 * entry.actions[Action.RULE_FIRED] for entry in fired)
    assert all(entry.actions[Action.RECORD_UPDATED] == entry.actions[Action.RULE_FIRED] for entry in fired)
    assert sum(shop.meter(rule_id).firings for rule_id in ("double", "born", "changes")) == shop.actions()["rule_fired"]
