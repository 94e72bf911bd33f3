"""The demo and its first act: what it makes, what it checks, and that it always stops what it started."""

from collections.abc import Callable
from contextlib import nullcontext
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from productsync.client import Client
from productsync.demo import feed as demo_feed
from productsync.demo import play
from shared.feeds.definition import FeedDefinition
from tests.unit.cli.conftest import ENDPOINT, FakeApi, Shell, make_credits, make_run, serve_import

COUNTS = ("created", "updated", "unchanged", "duplicates", "rejected", "credits")


class FakeStack:
    """Stands where the embedded stack would be."""

    endpoint = ENDPOINT
    operator_key = "psk_operator"
    started: list["FakeStack"]

    def __init__(self) -> None:
        self.is_stopped = False

    def stop(self) -> None:
        self.is_stopped = True


@pytest.fixture
def stacks(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> list[FakeStack]:
    stacks: list[FakeStack] = []

    class Starter:
        @staticmethod
        def start(directory: Path) -> FakeStack:
            assert not directory.exists() or not any(directory.iterdir())
            stacks.append(FakeStack())
            return stacks[-1]

    monkeypatch.setattr(play, "EmbeddedStack", Starter)
    monkeypatch.setattr(play, "Client", partial(Client, transport=api.transport))
    # The other acts have tests of their own, beside these.
    monkeypatch.setattr(play, "rules", lambda *_, steps_before: {"steps_before": steps_before})
    monkeypatch.setattr(play, "_shop", lambda *_: nullcontext(SimpleNamespace(operator=None)))
    monkeypatch.setattr(play, "prepare_sync", lambda _: None)
    synced: dict[str, Any] = {"credits": {}, "operations": []}
    monkeypatch.setattr(play, "sync", lambda *_, steps_before: {**synced, "steps_before": steps_before})
    monkeypatch.setattr(play, "books", lambda *_, steps_before: {"steps_before": steps_before})
    return stacks


def counted(**counts: int) -> dict[str, Any]:
    return {name: counts.get(name, 0) for name in COUNTS}


def run_of(run_id: str, products: dict[str, int], categories: dict[str, int], **changed: Any) -> dict[str, Any]:
    by_entity = {"product": counted(**products), "category": counted(**categories)}
    total = {name: sum(counts[name] for counts in by_entity.values()) for name in COUNTS}
    return make_run(**{"run_id": run_id, "feed_id": "demo-supplier", "by_entity": by_entity, **total, **changed})


def operation(credits_used: int, run_id: str | None) -> dict[str, Any]:
    return {
        "operation_id": f"op_{run_id}_{credits_used}",
        "at": "2026-11-22T08:00:01.000Z",
        "kind": "import" if run_id else "api_call",
        "channel": "import" if run_id else "api",
        "job_id": "demo-supplier",
        "run_id": run_id,
        "credits": credits_used,
        "owed": 0,
        "actions": {"record_created": credits_used} if run_id else {"api_call": 1},
        "drawn": [],
        "cost": [{"currency": "EUR", "amount": "0.00"}],
        "description": None,
        "refused": None,
    }


def story() -> dict[str, Any]:
    """What the API says during a demo in which every figure is right."""
    new = {"created": 1000, "credits": 1000}
    same = {"unchanged": 1000}
    runs = [
        run_of("run_1", new, new, dry_run=True),
        run_of("run_2", new, new),
        run_of("run_3", same, same),
        run_of("run_4", {"updated": 37, "unchanged": 963, "credits": 37}, same),
    ]
    operations = [operation(37, "run_4"), operation(1000, "run_2"), operation(1000, "run_2")]
    return {
        "runs": runs,
        "charged": [0, 1, 1, 1],
        "credits": make_credits(5000 - 2040),
        "operations": [*operations, *[operation(1, None)] * 3],
    }


def serve(api: FakeApi, story: dict[str, Any]) -> None:
    serve_import(api, feed_id="demo-supplier")
    workspace = {
        "workspace_id": "ws_1",
        "name": "Demo",
        "created_at": "2026-11-22T08:00:00.000Z",
        "api_key": {"key_id": "key_1", "secret": "psk_demo", "scopes": []},
        "credits": {"available": 5000},
    }
    api.on("POST", "/workspaces", workspace, status=201)
    api.on("GET", "/credits", story["credits"])
    api.on("GET", "/operations", {"items": story["operations"], "next_cursor": None})
    upload = {
        "upload_id": "up_1",
        "method": "PUT",
        "url": "https://bucket.test/v1/uploads/up_1",
        "headers": {},
        "expires_at": "2026-11-22T09:00:00.000Z",
        "max_bytes": 10**9,
    }
    api.on("POST", "/feeds/demo-supplier/uploads", upload, status=201)
    answers = [
        httpx.Response(202, json=run, headers={"X-Credits-Charged": str(charged)})
        for run, charged in zip(story["runs"], story["charged"], strict=True)
    ]
    api.on("POST", "/feeds/demo-supplier/runs", *answers)


def test_the_demo_ends_well_when_every_figure_is_right(shell: Shell, api: FakeApi, stacks: list[FakeStack]) -> None:
    serve(api, story())
    result = shell.run("demo")
    assert result.exit_code == 0, result.output
    assert "2,000 credits: 1,000 products and 1,000 categories are new" in result.stdout
    assert "agree to the last credit" in result.stdout
    assert [stack.is_stopped for stack in stacks] == [True]
    assert [len(one.content) > 600_000 for one in api.sent("PUT", "/uploads/up_1")] == [True] * 4


def wrong_preview(story: dict[str, Any]) -> None:
    story["runs"][0] = run_of(
        "run_1", {"created": 999, "credits": 999}, {"created": 1000, "credits": 1000}, dry_run=True
    )


def charged_preview(story: dict[str, Any]) -> None:
    story["charged"][0] = 1


def free_call(story: dict[str, Any]) -> None:
    story["charged"][2] = 0


def paid_again(story: dict[str, Any]) -> None:
    story["runs"][2] = run_of("run_3", {"updated": 1, "credits": 1, "unchanged": 999}, {"unchanged": 1000})


def too_many_changes(story: dict[str, Any]) -> None:
    story["runs"][3] = run_of("run_4", {"updated": 38, "credits": 38}, {"unchanged": 1000})


def wrong_balance(story: dict[str, Any]) -> None:
    story["credits"]["available"] += 1


def lost_entry(story: dict[str, Any]) -> None:
    del story["operations"][1]


def shifted_entry(story: dict[str, Any]) -> None:
    story["operations"][1]["run_id"] = "run_3"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (wrong_preview, "The preview: expected 2000, got 1999"),
        (charged_preview, "expected 0, got 1"),
        (free_call, "expected 1, got 0"),
        (paid_again, "The same file again, credits: expected 0, got 1"),
        (too_many_changes, "The changed file, credits: expected 37, got 38"),
        (wrong_balance, "Credits available: expected 2960, got 2961"),
        (lost_entry, "Credits in the operation log: expected 2040, got 1040"),
        (shifted_entry, "Send the same file again, credits in the log: expected 0, got 1000"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_wrong_figure_fails_the_demo_and_is_named(
    shell: Shell, api: FakeApi, stacks: list[FakeStack], spoil: Callable[[dict[str, Any]], None], says: str
) -> None:
    told = story()
    spoil(told)
    serve(api, told)
    result = shell.run("demo")
    assert result.exit_code == 1
    assert says in result.stderr
    assert [stack.is_stopped for stack in stacks] == [True]


def test_with_json_the_demo_prints_its_figures_alone(shell: Shell, api: FakeApi, stacks: list[FakeStack]) -> None:
    serve(api, story())
    answer = shell.json("demo")
    assert [step["run"]["credits"] for step in answer["steps"]] == [2000, 2000, 0, 37]
    assert answer["wrong"] == []
    assert (answer["rules"], answer["sync"]["steps_before"]) == ({"steps_before": 4}, 7)
    assert answer["books"] == {"steps_before": 12}
    assert len(stacks) == 1


@pytest.mark.parametrize("state", ["failed", "paused"])
def test_a_run_that_does_not_finish_ends_the_demo(
    shell: Shell, api: FakeApi, stacks: list[FakeStack], state: str
) -> None:
    told = story()
    told["runs"][1] = make_run(state, error={"code": "oops", "detail": "broken", "row": None, "column": None})
    serve(api, told)
    result = shell.run("demo")
    assert result.exit_code == 3
    assert "broken" in result.stderr
    assert [stack.is_stopped for stack in stacks] == [True]


def test_an_interrupted_demo_stops_its_stack(shell: Shell, api: FakeApi, stacks: list[FakeStack]) -> None:
    def interrupt(_request: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    serve(api, story())
    api.on("POST", "/feeds/demo-supplier/runs", interrupt)
    assert shell.run("demo").exit_code == 130
    assert [stack.is_stopped for stack in stacks] == [True]


def test_a_file_and_its_preset_go_together(shell: Shell, stacks: list[FakeStack], feed_file: Path) -> None:
    assert shell.run("demo", "--feed", str(feed_file)).exit_code == 2
    assert shell.run("demo", "--preset", "shopify").exit_code == 2
    assert not stacks


def test_a_file_of_the_users_that_costs_more_than_the_free_credits_is_topped_up(
    shell: Shell, api: FakeApi, stacks: list[FakeStack], feed_file: Path
) -> None:
    new, same = {"created": 6000, "credits": 6000}, {"unchanged": 6000}
    told = story()
    told["runs"] = [
        run_of("run_1", new, {}, dry_run=True, feed_id="products-shopify"),
        run_of("run_2", new, {}, feed_id="products-shopify"),
        run_of("run_3", same, {}, feed_id="products-shopify"),
    ]
    told["charged"] = [0, 1, 1]
    told["operations"] = [operation(6000, "run_2"), operation(1, None), operation(1, None)]
    before, after = make_credits(5000), {**make_credits(0), "granted": 6002, "consumed": 6002}
    serve(api, told)
    for method, path in [("PUT", ""), ("POST", "/uploads"), ("POST", "/runs")]:
        api.answers[method, f"/feeds/products-shopify{path}"] = api.answers[method, f"/feeds/demo-supplier{path}"]
    api.on("GET", "/credits", before, after)
    api.on("POST", "/workspaces/ws_1/top-ups", {}, status=201)
    result = shell.run("demo", "--feed", str(feed_file), "--preset", "shopify")
    assert result.exit_code == 0, result.output
    assert "tops up 1,002 credits" in result.stdout
    assert len(stacks) == 1


def test_the_demos_feed_is_what_it_says() -> None:
    listed = demo_feed.products()
    assert len(listed) == len({one.sku for one in listed}) == len({one.name for one in listed}) == demo_feed.PRODUCTS
    paths = {one.category for one in listed}
    parents = {path.rpartition(" > ")[0] for path in paths} - {""}
    assert len(paths) == demo_feed.CATEGORIES
    assert parents <= paths
    later = demo_feed.with_new_prices(listed)
    changed = [(old, new) for old, new in zip(listed, later, strict=True) if old != new]
    assert len(changed) == demo_feed.CHANGED
    assert all(new.price - old.price == Decimal("1.50") for old, new in changed)
    sizes = [sum(len(name) + len(value.encode()) for name, value in one.row().items()) for one in listed]
    assert 650 < sum(sizes) / len(sizes) < 750
    assert len({one.ean for one in listed}) == demo_feed.PRODUCTS


def test_the_demos_definition_validates() -> None:
    FeedDefinition.model_validate(demo_feed.DEFINITION)
