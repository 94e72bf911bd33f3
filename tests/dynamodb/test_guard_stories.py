"""The credit guard, in any story: credits that end and come back, guards that are late, doubled, out of order, or die
midway, owners who change their schedules, and the sweep. Whatever happens between whichever two requests, it ends as it
should be.

A story is a list of steps. A step that makes requests has a script: what happens before its request number n, which may
be a whole other step, or its end. Messages are delivered until they are worked off, as queues and streams do; those of
a guard that died may be lost for good, and then the sweep has to find what it left.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.automation.guard import attend, attend_schedule
from shared.automation.store import AutomationState
from shared.automation.sweep import Call, sweep
from shared.runs.model import RunState
from tests.support.automation import Office, office
from tests.support.faults import Fault, Killed, Line, killed_after_sending, killed_before_sending
from tests.support.money import Account

if TYPE_CHECKING:
    from shared.automation.guard import GuardRoom

IDS = ("first", "second")
MOST_REQUESTS = 24
"""More than any guard of two schedules makes, if nobody comes between."""


@dataclass(frozen=True)
class Dies:
    """The process ends, before the request is sent or after it was carried out."""

    after_sending: bool


@dataclass(frozen=True)
class Turn:
    """The credits end, and the run that goes on pauses; or they come back."""


@dataclass(frozen=True)
class Put:
    """An owner puts a schedule."""

    schedule_id: str
    enabled: bool
    script: Script


@dataclass(frozen=True)
class Delete:
    """An owner deletes one."""

    schedule_id: str


@dataclass(frozen=True)
class Deliver:
    """The guard is called by one of the messages that wait; one whose guard dies comes again, unless it is lost."""

    which: int
    script: Script
    is_lost: bool


@dataclass(frozen=True)
class DeliverAgain:
    """A message that was worked off comes once more."""

    script: Script


@dataclass(frozen=True)
class Handled:
    """Something happens, and all that waits is worked off at once: another guard is done before this one goes on."""

    step: Step


@dataclass(frozen=True)
class Sweep:
    """The sweep looks around, and calls the guard."""


Step = Turn | Put | Delete | Deliver | DeliverAgain | Handled | Sweep
Script = tuple[tuple[int, "Step | Dies"], ...]

CHANGES: st.SearchStrategy[Step] = st.one_of(
    st.just(Turn()),
    st.just(Turn()),
    st.builds(Put, st.sampled_from(IDS), st.booleans(), st.just(())),
    st.builds(Delete, st.sampled_from(IDS)),
)
HANDLED: st.SearchStrategy[Step] = st.builds(Handled, CHANGES)


def scripts(events: st.SearchStrategy[Step]) -> st.SearchStrategy[Script]:
    """What happens to a process, mostly while it has still much to do."""
    indexes = st.one_of(st.integers(0, MOST_REQUESTS // 2), st.integers(0, MOST_REQUESTS))
    happens = st.one_of(events, events, events, st.builds(Dies, st.booleans()))
    return st.dictionaries(indexes, happens, min_size=1, max_size=3).map(lambda each: tuple(each.items()))


def calls(happens: st.SearchStrategy[Script]) -> st.SearchStrategy[Step]:
    return st.one_of(
        # The last one to be called is the one that somebody comes between.
        st.builds(Deliver, st.just(-1), happens, st.booleans()),
        st.builds(Deliver, st.just(-1), happens, st.just(value=False)),
        st.builds(Deliver, st.integers(0, 3), happens, st.booleans()),
        st.builds(DeliverAgain, happens),
        st.builds(Put, st.sampled_from(IDS), st.booleans(), happens),
    )


SHALLOW = calls(scripts(st.one_of(HANDLED, HANDLED, CHANGES)))
DEEP = calls(scripts(st.one_of(HANDLED, SHALLOW)))
STORIES = st.lists(
    st.tuples(st.one_of(CHANGES, HANDLED, st.just(Sweep())), st.one_of(SHALLOW, SHALLOW, DEEP)), min_size=2, max_size=6
)
"""Something changes, and then somebody is at work, to whom things happen; and so on."""


@dataclass
class Story:
    """What has happened so far, and which messages are under way."""

    here: Office
    run_id: str
    waiting: list[Call] = field(default_factory=list)
    was_lost: bool = False

    def tell(self, step: Step) -> None:
        match step:
            case Turn():
                self.turn()
            case Put(schedule_id, enabled, script):
                self.put(schedule_id, enabled, dict(script))
            case Delete(schedule_id):
                self.here.delete(schedule_id)
            case Deliver(which, script, is_lost):
                if self.waiting:
                    self.deliver(self.waiting.pop(which % len(self.waiting)), dict(script), is_lost=is_lost)
            case DeliverAgain(script):
                self.deliver(self.whole, dict(script), is_lost=True)
            case Handled(change):
                self.tell(change)
                self.work_off()
            case Sweep():
                self.sweep()

    @property
    def whole(self) -> Call:
        return Call(self.here.workspace_id)

    def turn(self) -> None:
        if self.here.account.balance().available:
            self.here.spend_all()
            self.here.pause(self.run_id)
        else:
            self.here.top_up()
        self.waiting.append(self.whole)

    def put(self, schedule_id: str, enabled: bool, script: Mapping[int, Step | Dies]) -> None:
        room = self.room(script)
        before = self.here.room().schedules.schedules.get(self.here.workspace_id, schedule_id)
        with suppress(Killed):
            self.here.put(schedule_id, room, enabled=enabled)
        if self.here.room().schedules.schedules.get(self.here.workspace_id, schedule_id) != before:
            # The row was written, and its doorbell with it.
            self.waiting.append(Call(self.here.workspace_id, schedule_id))

    def deliver(self, call: Call, script: Mapping[int, Step | Dies], *, is_lost: bool = False) -> None:
        room = self.room(script)
        try:
            if call.schedule_id is None:
                attend(room, call.workspace_id)
            else:
                attend_schedule(room, call.workspace_id, call.schedule_id)
        except Killed:
            if is_lost:
                self.was_lost = True
            else:
                self.waiting.append(call)

    def sweep(self) -> None:
        for call in list(sweep(self.here.room())):
            if call.workspace_id == self.here.workspace_id:
                self.deliver(call, {})

    def room(self, script: Mapping[int, Step | Dies]) -> GuardRoom:
        """A process to which happens what the script says, once each."""
        left = dict(script)

        def before(index: int, _operation: str) -> Fault | None:
            match left.pop(index, None):
                case None:
                    return None
                case Dies(after_sending):
                    return killed_after_sending if after_sending else killed_before_sending
                case step:
                    self.tell(step)
                    return None

        dynamodb, scheduler = self.here.clients()
        Line(dynamodb, scheduler, script=before)
        return self.here.room(dynamodb, scheduler)

    def work_off(self) -> None:
        while self.waiting:
            self.deliver(self.waiting.pop(0), {})

    def end(self) -> None:
        """What is under way arrives; what was lost is found."""
        self.work_off()
        if self.was_lost:
            self.was_lost = False
            self.sweep()


def check(story: Story) -> None:
    here = story.here
    assert here.states() == here.should_be()
    rows = {each.schedule_id: each for each in here.room().schedules.schedules.all(here.workspace_id)}
    for schedule_id, copy in here.copies().items():
        assert json.loads(copy["Target"]["Input"])["version"] == rows[schedule_id].version
        assert copy["Description"] == rows[schedule_id].definition.description
    is_exhausted = here.account.balance().is_exhausted(here.account.clock())
    if not is_exhausted:
        assert here.run_state(story.run_id) is RunState.RUNNING
    record = here.room().automation.get(here.workspace_id)
    if record is not None:
        assert (record.state is AutomationState.PAUSED) is is_exhausted
        assert record.is_settled
    # The last thing that was told is how it is. What comes between is told at least once, or is over before.
    told = {int(one.announcement_id.rpartition(".")[2]): one.kind.value for one in here.told.announcements}
    assert not told or (told[max(told)] == "Automation Paused") is is_exhausted


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=STORIES)
def test_every_story_ends_as_it_should_be(
    story: list[tuple[Step, Step]], open_account: Callable[[int], Account]
) -> None:
    with office(open_account(100)) as here:
        told = Story(here, here.paused_run().run_id)
        told.waiting.append(told.whole)
        for schedule_id in IDS:
            here.put(schedule_id)
        for change, work in story:
            told.tell(change)
            told.tell(work)
            told.end()
            check(told)
