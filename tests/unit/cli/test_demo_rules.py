"""The second act of the demo: what it checks, and which wrong figure it names."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from productsync.client import Client
from productsync.demo import feed as demo_feed
from productsync.demo import rules_act, waiting
from productsync.demo.figures import CheckedFigures, RunDidNotFinish
from productsync.demo.rules_act import BRANDS, RULE, STEPS, RulesAct, rules
from productsync.demo.waiting import DidNotComeAbout
from productsync.output import Output
from productsync.settings import Connection, Secret
from shared.feeds.definition import FeedDefinition
from shared.rules.checking import check
from shared.rules.definition import RuleDefinition
from shared.rules.expressions import Kind
from tests.unit.cli.conftest import ENDPOINT, FakeApi, make_credits, make_run
from tests.unit.cli.test_rules import FIRED, make_preview, make_rule

FREE, WANTED = 5000, 286
SPENT = 2 * 1001 + 2 * WANTED + 1
SKU = "PS-00004"
"""The first product of those brands."""


def run_of(run_id: str, **changed: Any) -> dict[str, Any]:
    counts = {name: changed.get(name, 0) for name in ("created", "updated", "unchanged", "duplicates", "rejected")}
    counts["credits"] = 1000
    return make_run(run_id=run_id, feed_id=rules_act.FEED, by_entity={"product": counts}, **{**counts, **changed})


def entry(number: int, kind: str, run_id: str | None, credits: int, **actions: int) -> dict[str, Any]:
    return {
        "operation_id": f"op_{number}",
        "at": "2026-11-22T08:00:01.000Z",
        "kind": kind,
        "channel": kind,
        "job_id": RULE if kind == "rule" else rules_act.FEED,
        "run_id": run_id,
        "credits": credits,
        "owed": 0,
        "actions": actions,
        "drawn": [],
        "cost": [],
        "description": None,
        "refused": None,
    }


@dataclass
class Story:
    """What the API says during an act in which every figure is right; a test spoils one."""

    runs: list[dict[str, Any]] = field(
        default_factory=lambda: [run_of("run_1", created=1000), run_of("run_2", updated=1000)]
    )
    charged: list[int] = field(default_factory=lambda: [1, 1])
    preview: dict[str, Any] = field(
        default_factory=lambda: make_preview(
            matched=WANTED, would_fire=WANTED, would_update=WANTED, would_create=0, unchanged=0, credits=2 * WANTED
        )
    )
    before: int = FREE - 1001
    after_preview: int = FREE - 1001
    fired: dict[str, Any] = field(
        default_factory=lambda: {**FIRED, "firings": WANTED, "credits": 2 * WANTED, "fired_this_hour": WANTED}
    )
    read_charged: int = 1
    price: str = "16.11"
    final: dict[str, Any] = field(default_factory=lambda: make_credits(FREE - SPENT))
    operations: list[dict[str, Any]] = field(
        default_factory=lambda: [
            entry(7, "api_call", None, 1, api_call=1),
            entry(6, "rule", None, 400, rule_fired=200, record_updated=200),
            entry(5, "rule", None, 172, rule_fired=86, record_updated=86),
            entry(4, "import", "run_2", 1000, record_updated=1000),
            entry(3, "api_call", None, 1, api_call=1),
            entry(2, "import", "run_1", 1000, record_created=1000),
            entry(1, "api_call", None, 1, api_call=1),
        ]
    )

    def serve(self, api: FakeApi) -> None:
        feed = f"/feeds/{rules_act.FEED}"
        upload = {
            "upload_id": "up_1",
            "method": "PUT",
            "url": "https://bucket.test/v1/uploads/up_1",
            "headers": {},
            "expires_at": "2026-11-22T09:00:00.000Z",
            "max_bytes": 10**9,
        }
        api.on("PUT", feed, {}, status=201)
        api.on("POST", f"{feed}/uploads", upload, status=201)
        api.on("PUT", "/uploads/up_1", {})
        started = [
            httpx.Response(202, json=run, headers={"X-Credits-Charged": str(charged)})
            for run, charged in zip(self.runs, self.charged, strict=True)
        ]
        api.on("POST", f"{feed}/runs", *started)
        left = (self.before, self.after_preview)
        api.on("GET", "/credits", *({**make_credits(), "available": each} for each in left), self.final)
        api.on("POST", f"/rules/{RULE}/preview", self.preview)
        api.on("PUT", f"/rules/{RULE}", make_rule(rule_id=RULE, warnings=[]), status=201)
        some = {**self.fired, "firings": 97}
        api.on("GET", f"/rules/{RULE}", *(make_rule(rule_id=RULE, fired=fired) for fired in (some, self.fired)))
        record = f'{{"key": "{SKU}", "attributes": {{"shop_price": {self.price}}}, "operation_id": "op_6"}}'
        charged = {"X-Credits-Charged": str(self.read_charged)}
        api.on("GET", f"/records/product/{SKU}", httpx.Response(200, content=record, headers=charged))
        api.on("GET", "/operations/op_6", self.operations[1])
        api.on("GET", "/operations", {"items": self.operations, "next_cursor": None})


@pytest.fixture
def act(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Iterator[RulesAct]:
    monkeypatch.setattr(waiting, "EVERY", 0.0)
    key = Secret("psk", "a test")
    with Client(Connection(ENDPOINT, key, None, None), transport=api.transport) as client:
        yield RulesAct(client=client, free=FREE, output=Output(as_json=False), figures=CheckedFigures())


def test_the_act_ends_well_when_every_figure_is_right(
    act: RulesAct, api: FakeApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Story().serve(api)
    document = rules(replace(act, output=Output(as_json=False)), tmp_path, steps_before=4)
    assert act.figures.wrong == []
    assert document["preview"]["credits"] == 2 * WANTED
    assert [run["run_id"] for run in document["imports"]] == ["run_1", "run_2"]
    assert document["credits"]["consumed"] == SPENT
    told = " ".join(capsys.readouterr().out.split())
    assert "5. What would a rule do?" in told
    assert f"{4 + STEPS}. Who changed this" in told
    assert "Would cost 572 credits of 3,999 available." in told
    assert "572 credits for the rule, as previewed" in told
    assert f"{SKU}: price 11.93, shop_price 16.11. Written by op_6: rule margin on 200 products" in told
    (previewed,) = api.sent("POST", "/preview")
    (saved,) = api.sent("PUT", f"/rules/{RULE}")
    assert json.loads(previewed.content)["definition"] == json.loads(saved.content) == rules_act.DEFINITION


def paid_call(story: Story) -> None:
    story.charged[1] = 2


def fewer_records(story: Story) -> None:
    story.runs[1] |= {"credits": 999}


def other_preview(story: Story) -> None:
    story.preview |= {"would_fire": 285}


def dearer_preview(story: Story) -> None:
    story.preview |= {"credits": 573}


def partly_examined(story: Story) -> None:
    story.preview |= {"examined": 999}


def paid_preview(story: Story) -> None:
    story.after_preview -= 1


def fired_too_often(story: Story) -> None:
    story.fired |= {"firings": 287, "credits": 574}


def free_read(story: Story) -> None:
    story.read_charged = 0


def other_price(story: Story) -> None:
    story.price = "16.10"


def other_writer(story: Story) -> None:
    story.operations[1] |= {"job_id": "other"}


def lost_entry(story: Story) -> None:
    del story.operations[2]


def free_firings(story: Story) -> None:
    story.operations[2] |= {"credits": 86}


def unknown_entry(story: Story) -> None:
    story.operations.append(entry(8, "settlement", None, 0))


def wrong_balance(story: Story) -> None:
    story.final["available"] += 1


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (paid_call, "Importing the new prices, the call that starts it: expected 1, got 2"),
        (fewer_records, "Importing the new prices, credits: expected 1000, got 999"),
        (other_preview, "The rule's preview, firings: expected (286, 286), got (285, 286)"),
        (dearer_preview, "The rule's preview, credits: expected 572, got 573"),
        (partly_examined, "The rule's preview, records: expected 1000, got 999"),
        (paid_preview, "What the preview cost: expected 0, got 1"),
        (fired_too_often, "Firings of the rule, and their credits: expected (286, 572), got (287, 574)"),
        (free_read, "Reading a record, credits: expected 1, got 0"),
        (other_price, f"The shop_price of {SKU}: expected 16.11, got 16.1"),
        (other_writer, f"Who wrote {SKU}: expected ('rule', 'margin'), got ('rule', 'other')"),
        (lost_entry, "The rule in the operation log: expected ([286, 286], 572), got ([200, 200], 400)"),
        (free_firings, "The rule in the operation log: expected ([286, 286], 572), got ([286, 286], 486)"),
        (unknown_entry, "Entries of the log that the act knows: expected 8, got 7"),
        (wrong_balance, f"Credits consumed and left beside a rule: expected ({SPENT}, 2425), got ({SPENT}, 2426)"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_wrong_figure_is_named(
    act: RulesAct, api: FakeApi, tmp_path: Path, spoil: Callable[[Story], None], says: str
) -> None:
    story = Story()
    spoil(story)
    story.serve(api)
    rules(act, tmp_path, steps_before=4)
    assert says in "; ".join(act.figures.wrong)


def test_an_import_that_does_not_finish_ends_the_demo(act: RulesAct, api: FakeApi, tmp_path: Path) -> None:
    story = Story()
    story.runs[0] = make_run("failed", error={"code": "oops", "detail": "broken", "row": None, "column": None})
    story.serve(api)
    with pytest.raises(RunDidNotFinish, match="broken"):
        rules(act, tmp_path, steps_before=4)


def test_a_rule_that_does_not_fire_ends_the_demo(
    act: RulesAct, api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story()
    story.fired |= {"firings": 0}
    story.serve(api)
    monkeypatch.setattr(rules_act, "PATIENCE", 0.0)
    with pytest.raises(DidNotComeAbout, match="286 firings of the rule"):
        rules(act, tmp_path, steps_before=4)


def test_the_rule_and_its_feed_validate_and_are_about_so_many_products() -> None:
    FeedDefinition.model_validate(demo_feed.PRODUCTS_ALONE)
    definition = RuleDefinition.model_validate(rules_act.DEFINITION)
    assert check(definition, {"brand": Kind.TEXT, "price": Kind.NUMBER}) == []
    listed = demo_feed.products()
    later = demo_feed.with_dearer_prices(listed)
    assert len([one for one in later if one.brand in BRANDS]) == WANTED
    assert {new.price - old.price for old, new in zip(listed, later, strict=True)} == {Decimal("0.50")}
    assert next(one.sku for one in later if one.brand in BRANDS) == SKU
