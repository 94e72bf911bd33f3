"""The third act of the demo: its supplier, what it checks, and which wrong figure it names."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from productsync.client import Client
from productsync.demo import person, supplier, sync_act, waiting
from productsync.demo.figures import CheckedFigures, RunDidNotFinish
from productsync.demo.supplier import PRODUCTS, SOLD, Supplier, after_sales, stock_at_first
from productsync.demo.sync_act import EDIT, EDITED, SyncAct, prepare_sync, sync
from productsync.demo.waiting import DidNotComeAbout, until
from productsync.output import Output
from productsync.settings import Connection, Secret
from productsync.sign_in import UserPool
from productsync.stack import EmbeddedStack
from shared.feeds.definition import FeedDefinition
from tests.unit.cli.conftest import ENDPOINT, FakeApi, make_credits, make_run
from tests.unit.cli.test_schedules import make_schedule

FREE, TOP_UP = 5000, 1000
WRITTEN = FREE - PRODUCTS - 1


def counted(**counts: int) -> dict[str, int]:
    return dict.fromkeys(("created", "updated", "unchanged", "duplicates", "rejected", "credits"), 0) | counts


def run_of(run_id: str, state: str, **changed: Any) -> dict[str, Any]:
    counts = counted(**{name: value for name, value in changed.items() if name in counted()})
    return make_run(state, run_id=run_id, feed_id=sync_act.FEED, by_entity={"product": counts}, **{**counts, **changed})


def entry(number: int, kind: str, run_id: str | None, credits: int, **actions: int) -> dict[str, Any]:
    return {
        "operation_id": f"op_{number}",
        "at": "2026-11-22T08:00:01.000Z",
        "kind": kind,
        "channel": "import" if run_id else "person",
        "job_id": sync_act.FEED,
        "run_id": run_id,
        "credits": credits,
        "owed": 0,
        "actions": actions,
        "drawn": [],
        "cost": [],
        "description": None,
        "refused": None,
    }


def catalogue(stock: dict[str, int], versions: dict[str, int]) -> dict[str, dict[str, Any]]:
    return {
        sku: {"entity": "product", "key": sku, "attributes": {"stock": count}, "version": versions.get(sku, 1)}
        for sku, count in stock.items()
    }


def changed_skus() -> list[str]:
    first = stock_at_first()
    return [sku for sku, count in after_sales(first).items() if count != first[sku]]


def at_the_pause() -> dict[str, dict[str, Any]]:
    written = set(changed_skus()[:WRITTEN])
    stock = {sku: count - (sku in written) for sku, count in stock_at_first().items()}
    return catalogue(stock, dict.fromkeys(written, 2))


def at_the_end() -> dict[str, dict[str, Any]]:
    records = catalogue(after_sales(stock_at_first()), dict.fromkeys(changed_skus(), 2))
    records[EDITED]["attributes"] |= EDIT
    records[EDITED]["version"] = 3
    return records


@dataclass
class Story:
    """What the API says during an act in which every figure is right; a test spoils one."""

    first: dict[str, Any] = field(
        default_factory=lambda: run_of("run_1", "finished", created=PRODUCTS, credits=PRODUCTS, channel="person")
    )
    first_charged: int = 0
    left: int = FREE - PRODUCTS
    paused: dict[str, Any] = field(
        default_factory=lambda: run_of(
            "run_2", "paused", updated=WRITTEN, credits=WRITTEN, schedule_id=sync_act.SCHEDULE
        )
    )
    finished: dict[str, Any] = field(
        default_factory=lambda: run_of("run_2", "finished", updated=SOLD, credits=SOLD, unchanged=500)
    )
    empty: dict[str, Any] = field(
        default_factory=lambda: {
            **make_credits(0),
            "paused": {
                "since": "2026-11-22T08:00:02.000Z",
                "reason": "out_of_credits",
                "waiting": {"schedules": 1, "runs": 1, "passes": 0, "changes": False},
            },
        }
    )
    final: dict[str, Any] = field(
        default_factory=lambda: {**make_credits(499), "granted": FREE + TOP_UP, "consumed": 5501}
    )
    halfway: dict[str, dict[str, Any]] = field(default_factory=at_the_pause)
    records: dict[str, dict[str, Any]] = field(default_factory=at_the_end)
    edit_charged: int | None = None
    edited: dict[str, str] = field(default_factory=lambda: dict(EDIT))
    operations: list[dict[str, Any]] = field(
        default_factory=lambda: [
            entry(4, "import", "run_2", WRITTEN, record_updated=WRITTEN),
            entry(3, "scheduled_job", None, 1, scheduled_job=1),
            entry(2, "import", "run_1", PRODUCTS, record_created=PRODUCTS),
            entry(1, "api_call", None, 0),
        ]
    )
    later: list[dict[str, Any]] = field(
        default_factory=lambda: [
            entry(6, "import", "run_2", SOLD - WRITTEN, record_updated=SOLD - WRITTEN),
            entry(5, "api_call", None, 0),
        ]
    )

    def serve(self, api: FakeApi) -> None:
        feed, schedule = f"/feeds/{sync_act.FEED}", f"/schedules/{sync_act.SCHEDULE}"
        expected = {"runs_per_day": "1440", "per_month": {"triggers": "43200"}}
        daily = {"expression": "rate(1 day)", "per_month": {"triggers": "30"}}
        past = {"updated_at": "2020-01-01T00:00:05.000Z", "next_firings": ["2020-01-01T00:01:00.000Z"]}
        made = make_schedule(**past, expected=expected, frequencies=[daily])
        api.on("PUT", feed, {}, status=201)
        api.on("PUT", schedule, made, status=201)
        api.on("GET", schedule, {**made, "state": "paused"})
        api.on("DELETE", schedule, httpx.Response(204))
        api.on("POST", f"{feed}/runs", self.first, status=202, headers={"X-Credits-Charged": str(self.first_charged)})
        api.on(
            "GET", f"{feed}/runs", *({"items": runs, "next_cursor": None} for runs in ([], [self.paused, self.first]))
        )
        running = {**self.paused, "state": "running"}
        api.on("GET", "/runs/run_2", running, self.paused, self.paused, self.finished)
        noted_late = {**self.empty, "paused": self.empty["paused"] and {**self.empty["paused"], "since": None}}
        left = {**make_credits(self.left), "available": self.left}
        api.on("GET", "/credits", left, self.empty, noted_late, self.empty, self.empty, self.final)
        logs = [self.operations, self.later + self.operations]
        api.on("GET", "/operations", *({"items": log, "next_cursor": None} for log in logs))
        api.on("GET", "/records/product", *self._pages(self.halfway), *self._pages(self.records))
        charged = {} if self.edit_charged is None else {"X-Credits-Charged": str(self.edit_charged)}
        edited = {**self.records.get(EDITED, {"key": EDITED}), "attributes": self.edited}
        api.on("PATCH", f"/records/product/{EDITED}", edited, headers=charged)
        api.on("POST", "/workspaces/ws_1/top-ups", {"credits": TOP_UP}, status=201)

    @staticmethod
    def _pages(records: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
        items = list(records.values())
        yield {"items": items[:1000], "next_cursor": "more"}
        yield {"items": items[1000:], "next_cursor": None}


@pytest.fixture
def act(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncAct]:
    monkeypatch.setattr(waiting, "EVERY", 0.0)
    states = ["ENABLED", "ENABLED", "DISABLED", "DISABLED", "ENABLED"]
    key = Secret("psk", "a test")
    with (
        Supplier(stock_at_first()) as server,
        Client(Connection(ENDPOINT, key, key, None), transport=api.transport) as client,
    ):
        yield SyncAct(
            person=client,
            operator=client,
            workspace_id="ws_1",
            free=FREE,
            supplier=server,
            copy_state=lambda: states.pop(0),
            output=Output(as_json=False),
            figures=CheckedFigures(),
        )


def play(act: SyncAct) -> dict[str, Any]:
    return sync(act, prepare_sync(act), steps_before=4)


def test_the_act_ends_well_when_every_figure_is_right(
    act: SyncAct, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    Story().serve(api)
    document = play(replace(act, output=Output(as_json=False)))
    assert act.figures.wrong == []
    assert document["stopped"]["run"]["credits"] == WRITTEN
    assert document["finished"]["run"]["credits"] == SOLD
    assert document["credits"]["available"] == 499
    told = capsys.readouterr().out
    assert "5. The schedule fires" in told
    assert "1,999 products have their new stock, and the other 501 wait" in told
    assert "1,999 before the top-up, 501 after it" in told
    (order,) = api.sent("POST", "/top-ups")
    assert json.loads(order.content)["credits"] == TOP_UP
    # Nobody resumed anything.
    assert not api.sent("POST", "/resume")


def paid_call(story: Story) -> None:
    story.first_charged = 1


def paid_twice(story: Story) -> None:
    story.left -= 1


def stops_early(story: Story) -> None:
    story.paused |= {"updated": WRITTEN - 1, "credits": WRITTEN - 1}


def writes_for_free(story: Story) -> None:
    story.paused |= {"credits": WRITTEN - 1}


def runs_ahead(story: Story) -> None:
    sku = changed_skus()[WRITTEN]
    story.halfway[sku]["attributes"]["stock"] -= 1


def other_reason(story: Story) -> None:
    story.paused["paused"] = {"reason": "cancelled", "since": "2026-11-22T08:00:02.000Z"}


def nothing_waits(story: Story) -> None:
    story.empty["paused"]["waiting"] = {"schedules": 0, "runs": 1, "passes": 0, "changes": False}


def owes(story: Story) -> None:
    story.empty["owed"] = 2


def charged_edit(story: Story) -> None:
    story.edit_charged = 1


def lost_row(story: Story) -> None:
    del story.records["ST-02000"]


def old_row(story: Story) -> None:
    story.records["ST-02000"]["attributes"]["stock"] += 1


def written_twice(story: Story) -> None:
    story.records["ST-02000"]["version"] += 1


def lost_edit(story: Story) -> None:
    del story.records[EDITED]["attributes"]["shelf"]


def lost_entry(story: Story) -> None:
    del story.later[0]


def doubled_entry(story: Story) -> None:
    story.later.append(story.later[0])


def charged_hand(story: Story) -> None:
    story.later[1]["credits"] = 1


def wrong_balance(story: Story) -> None:
    story.final["available"] = 500


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (paid_call, "The first sync, the call of a person: expected 0, got 1"),
        (paid_twice, "Credits after the first sync: expected 2000, got 1999"),
        (stops_early, "The sync at its pause, records: expected 1999, got 1998"),
        (writes_for_free, "The sync at its pause, credits: expected 1999, got 1998"),
        (runs_ahead, "Products with their new stock at the pause: expected 1999, got 2000"),
        (other_reason, "The sync at its pause, why: expected out_of_credits, got cancelled"),
        (nothing_waits, "What waits: expected {'schedules': 1, 'runs': 1, 'passes': 0, 'changes': False}"),
        (owes, "Credits at the pause: expected (0, 0), got (0, 2)"),
        (charged_edit, "The hand edit, credits: expected 0, got 1"),
        (lost_row, "Products as the supplier has them: expected (3000, 3000), got (2999, 2999)"),
        (old_row, "Products as the supplier has them: expected (3000, 3000), got (2999, 3000)"),
        (written_twice, "Writes of records: expected 5501, got 5502"),
        (lost_edit, "The hand edit after the sync: expected window, left, got None"),
        (lost_entry, "Credits of the sync in the log: expected 2500, got 1999"),
        (doubled_entry, "The log's entries, each once: expected 7, got 6"),
        (charged_hand, "What people did by hand, credits: expected 0, got 1"),
        (wrong_balance, "Credits left to the shop: expected (499, 0), got (500, 0)"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_wrong_figure_is_named(act: SyncAct, api: FakeApi, spoil: Callable[[Story], None], says: str) -> None:
    story = Story()
    spoil(story)
    story.serve(api)
    play(act)
    assert says in "; ".join(act.figures.wrong)


@pytest.mark.parametrize("state", ["finished", "failed"])
def test_a_sync_that_does_not_pause_ends_the_demo(act: SyncAct, api: FakeApi, state: str) -> None:
    story = Story()
    story.paused = run_of("run_2", state, updated=SOLD, credits=SOLD, schedule_id=sync_act.SCHEDULE)
    story.serve(api)
    with pytest.raises(RunDidNotFinish, match=f"the run is {state}, not paused"):
        play(act)


def test_a_first_sync_that_fails_ends_the_demo(act: SyncAct, api: FakeApi) -> None:
    story = Story()
    story.first = run_of("run_1", "failed", error={"code": "oops", "detail": "broken", "row": None, "column": None})
    story.serve(api)
    with pytest.raises(RunDidNotFinish, match="broken"):
        prepare_sync(act)


def test_a_schedule_that_is_never_paused_ends_the_demo(
    act: SyncAct, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    Story().serve(api)
    stuck = replace(act, copy_state=lambda: "ENABLED")
    prepared = prepare_sync(stuck)
    clock = iter(range(0, 10_000, 30))
    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=lambda _: None))
    with pytest.raises(DidNotComeAbout, match="DISABLED"):
        sync(stuck, prepared, steps_before=4)


def test_waiting_ends_when_it_is_found_and_after_its_patience() -> None:
    found = iter([None, None, 0])
    assert until("It", lambda: next(found)) == 0
    with pytest.raises(DidNotComeAbout, match="It did not come about"):
        until("It", lambda: None, patience=0.0)


def test_a_person_is_let_in_and_chooses_a_password(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    added = {"person_id": "p", "workspace_id": "ws_1", "email": person.EMAIL, "temporary_password": "temporary"}
    api.on("POST", "/workspaces/ws_1/people", added, status=201)
    challenge = {"ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": "s", "ChallengeParameters": {}}
    tokens = {"AuthenticationResult": {"IdToken": "token", "RefreshToken": "refresh", "ExpiresIn": 3600}}
    api.on("POST", "/", challenge, tokens)
    monkeypatch.setattr(person, "UserPool", lambda place: UserPool(place, transport=api.transport))
    stack = SimpleNamespace(outputs={"SignIn": "us-east-1_x/client"}, state=SimpleNamespace(aws_endpoint=ENDPOINT))
    key = Secret("psk", "a test")
    with Client(Connection(ENDPOINT, key, key, None), transport=api.transport) as operator:
        token = person.sign_in(cast("EmbeddedStack", stack), operator, "ws_1")
    assert token.value == "token"
    assert json.loads(api.sent("POST", "/")[-1].content)["ChallengeResponses"]["NEW_PASSWORD"] != "temporary"


def test_the_supplier_gives_its_file_to_whoever_has_another() -> None:
    first = stock_at_first()
    with Supplier(first) as server, httpx.Client(trust_env=False) as http:
        answer = http.get(server.url)
        assert answer.content == supplier.stock_file(first)
        etag = {"If-None-Match": answer.headers["ETag"]}
        assert http.get(server.url, headers=etag).status_code == 304
        server.offers(after_sales(first))
        later = http.get(server.url, headers=etag)
        assert (later.status_code, later.content) == (200, supplier.stock_file(after_sales(first)))
        assert http.get(server.url.replace("stock", "prices")).status_code == 404
    with pytest.raises(httpx.ConnectError), httpx.Client(trust_env=False) as http:
        http.get(server.url)


def test_the_suppliers_stock_is_what_it_says() -> None:
    first, later = stock_at_first(), after_sales(stock_at_first())
    assert len(first) == PRODUCTS
    assert list(first) == list(later)
    assert len(changed_skus()) == SOLD
    assert changed_skus()[-1] == EDITED
    assert min(later.values()) >= 0
    # More than there are credits for, and in reach after the top-up.
    assert FREE - PRODUCTS < SOLD < FREE - PRODUCTS + TOP_UP
    assert sync_act.TOP_UP == TOP_UP


def test_the_suppliers_definition_validates_and_pulls() -> None:
    assert FeedDefinition.model_validate(supplier.definition("http://127.0.0.1:1/stock.csv")).pulls
