"""Rules through API Gateway on the deployed template: what is checked, shown, previewed, and who may do it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from productsync.cli import app
from shared.rules.store import RuleStore
from shared.times import utc_now
from tests.support.api import Caller, expect, fields, refusal
from tests.support.waiting import until

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from tests.support.stack import Tables

    AddRecord = Callable[[Caller, str, dict[str, Any]], None]

GROSS: dict[str, Any] = {
    "entity": "product",
    # The creation of the products may still be on its way through the stream: it is none of this rule's business.
    "trigger": {"on": ["updated"], "attributes": ["price"]},
    "condition": "price > 10",
    "actions": [{"set": "gross", "to": {"expression": "price * 1.2", "decimals": 2}}],
}


def put(customer: Caller, rule_id: str = "gross", status: int = 201, **changed: Any) -> dict[str, Any]:
    return dict(expect(customer("PUT", f"/rules/{rule_id}", GROSS | changed), status).json())


def following(source: str, name: str, expression: str) -> dict[str, Any]:
    """A rule that sets one attribute when another changes."""
    actions = [{"set": name, "to": {"expression": expression}}]
    return {"condition": "true", "trigger": {"on": ["updated"], "attributes": [source]}, "actions": actions}


def preview(customer: Caller, rule_id: str = "gross", **body: Any) -> dict[str, Any]:
    return dict(expect(customer("POST", f"/rules/{rule_id}/preview", body), 200).json())


@pytest.fixture
def shop(customer: Caller, add_record: AddRecord) -> Caller:
    """A customer with ten products, of which the rule matches five and would change four."""
    for number in range(10):
        add_record(customer, f"p{number}", {"price": 6 + number, "title": f"Product {number}"})
    add_record(customer, "right", {"price": 20, "gross": 24, "title": "Right already"})
    return customer


def test_a_rule_is_set_shown_and_free(shop: Caller) -> None:
    made = put(shop, description="with tax")
    assert made["warnings"] == []
    assert {name: made[name] for name in ("rule_id", "entity", "trigger", "condition", "actions")} == {
        "rule_id": "gross",
        **GROSS,
    }
    assert (made["enabled"], made["description"], made["max_firings_per_hour"]) == (True, "with tax", None)
    assert (made["state"], made["suspended_at"]) == ("enabled", None)
    assert made["fired"] == {
        "firings": 0,
        "credits": 0,
        "failures": 0,
        "last_fired_at": None,
        "last_failure_at": None,
        "last_failure": None,
        "fired_this_hour": 0,
    }
    shown = shop.get("/rules/gross")
    assert shown == {name: value for name, value in made.items() if name != "warnings"}
    assert shop.get("/rules")["items"] == [shown]
    assert shop.available() == 5000


def test_a_rule_is_replaced_as_a_whole(shop: Caller) -> None:
    first = put(shop, description="old", max_firings_per_hour=5)
    second = put(shop, status=200, condition="price > 11")
    assert second["version"] > first["version"]
    assert (second["created_at"], second["description"]) == (first["created_at"], "")
    assert (second["condition"], second["max_firings_per_hour"]) == ("price > 11", None)


def test_rules_are_listed_page_by_page(shop: Caller) -> None:
    for name in ("c", "a", "b"):
        put(shop, name, enabled=False)
    first = shop.get("/rules?limit=2")
    assert [each["rule_id"] for each in first["items"]] == ["a", "b"]
    assert {each["state"] for each in first["items"]} == {"disabled"}
    rest = shop.get(f"/rules?limit=2&cursor={first['next_cursor']}")
    assert [each["rule_id"] for each in rest["items"]] == ["c"]
    assert rest["next_cursor"] is None
    assert fields(shop("GET", "/rules?cursor=_")) == ["cursor"]


def test_a_deleted_rule_is_gone(shop: Caller) -> None:
    put(shop)
    assert expect(shop("DELETE", "/rules/gross"), 204).content == b""
    assert refusal(shop("GET", "/rules/gross"), 404) == "not-found"
    assert refusal(shop("DELETE", "/rules/gross"), 404) == "not-found"
    assert refusal(shop("POST", "/rules/gross/preview", {}), 404) == "not-found"


def test_a_rule_that_a_schedule_runs_stays(shop: Caller) -> None:
    put(shop, trigger={"on": ["schedule"]})
    expect(shop("PUT", "/schedules/yearly", {"rule_id": "gross", "expression": "cron(0 6 1 1 ? *)"}), 201)
    problem = expect(shop("DELETE", "/rules/gross"), 409).json()
    assert problem["type"] == "/problems/rule-in-use"
    assert "yearly" in problem["detail"]
    expect(shop("DELETE", "/schedules/yearly"), 204)
    expect(shop("DELETE", "/rules/gross"), 204)


# --- what a rule has done ---


def test_a_rule_shows_what_it_did_and_records_show_the_rule(shop: Caller) -> None:
    made = put(shop)
    expect(shop("PUT", "/records/product/new", {"attributes": {"price": 1}}), 201)
    expect(shop("PATCH", "/records/product/new", {"attributes": {"price": 100}}), 200)
    until(lambda: shop.get("/rules/gross")["fired"]["firings"] == 1)
    fired = shop.get("/rules/gross")["fired"]
    assert (fired["credits"], fired["fired_this_hour"], fired["failures"]) == (2, 1, 0)
    record = shop.get("/records/product/new")
    assert (record["attributes"]["gross"], record["version"]) == (120, 3)
    assert record["rules"] == {"gross": {"version": 3, "operation_id": record["operation_id"]}}
    operation = shop.get(f"/operations/{record['operation_id']}")
    assert (operation["kind"], operation["job_id"], operation["job_version"]) == ("rule", "gross", made["version"])
    assert (operation["credits"], operation["actions"]) == (2, {"rule_fired": 1, "record_updated": 1})
    assert [each["operation_id"] for each in shop.get("/operations?kind=rule&job_id=gross")["items"]] == [
        record["operation_id"]
    ]
    # Who wrote last is somebody else now; what the rule wrote is still told.
    patched = expect(shop("PATCH", "/records/product/new", {"attributes": {"note": "x"}}), 200).json()
    assert patched["operation_id"] != record["operation_id"]
    assert patched["rules"] == record["rules"]


def test_a_suspended_rule_says_so_until_it_is_put_again(shop: Caller, dynamodb: DynamoDBClient, tables: Tables) -> None:
    put(shop)
    store = RuleStore(dynamodb, tables.work)
    rule = store.get(shop.workspace_id, "gross")
    assert rule is not None
    assert store.suspend(rule, utc_now())
    shown = shop.get("/rules/gross")
    assert (shown["state"], shown["enabled"]) == ("suspended", True)
    assert shown["suspended_at"] is not None
    again = put(shop, status=200)
    assert (again["state"], again["suspended_at"]) == ("enabled", None)


def test_out_of_credits_rules_are_paused_and_can_be_put(shop: Caller, spend: Callable[[Caller, int], None]) -> None:
    put(shop, "first")
    spend(shop, 5000)
    assert put(shop)["state"] == "paused"
    assert {each["state"] for each in shop.get("/rules")["items"]} == {"paused"}
    assert preview(shop)["would_fire"] == 5


# --- mistakes ---


@pytest.mark.parametrize(
    ("changed", "field", "told"),
    [
        ({"condition": "price >"}, "condition", ""),
        ({"condition": "price > 10)"}, "condition", "(character 11)"),
        ({"condition": 'price > "abc"'}, "condition", "(character 9)"),
        ({"condition": "price + 1"}, "condition", ""),
        ({"condition": "1 / 0 == 1"}, "condition", ""),
        ({"condition": "(" * 1000 + "true" + ")" * 1000}, "condition", ""),
        ({"condition": "+".join(["1"] * 900)}, "condition", ""),
        ({"condition": "x" * 3000}, "condition", ""),
        ({"condition": 'title =~ "(a+)+$"'}, "condition", ""),
        ({"condition": "$now > 1"}, "condition", ""),
        ({"condition": ""}, "condition", ""),
        ({"actions": []}, "actions", ""),
        ({"actions": [{"set": "key", "to": {"value": 1}}]}, "actions.0.set", "never changes"),
        ({"actions": [{"clear": "key"}]}, "actions.0.clear", "never changes"),
        ({"actions": [{"set": "a", "to": {"expression": "price * title"}}]}, "actions.0.to.expression", "(character"),
        ({"actions": [{"set": "a", "to": {"value": 1}}, {"clear": "a"}]}, "actions.1.clear", "actions.0"),
        ({"actions": [{"set": "a", "to": {"value": 1, "attribute": "b"}}]}, "actions.0.to", "exactly one"),
        ({"actions": [{"explode": "a"}]}, "actions.0", "exactly one"),
        (
            {"actions": [{"create": {"entity": "product", "key": {"value": "a"}, "attributes": {}}}]},
            "actions.0.create.entity",
            "other entities",
        ),
        ({"trigger": {"on": []}}, "trigger.on", ""),
        ({"trigger": {"on": ["deleted"]}}, "trigger.on.0", ""),
        ({"trigger": {"on": ["schedule", "created"]}}, "trigger.on", ""),
        ({"trigger": {"on": ["created"], "attributes": ["price"]}}, "trigger.attributes", ""),
        ({"entity": "Product"}, "entity", ""),
        ({"max_firings_per_hour": 0}, "max_firings_per_hour", ""),
        ({"price": 1}, "price", "not permitted"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_nothing_is_saved(
    shop: Caller, changed: dict[str, Any], field: str, told: str
) -> None:
    problem = expect(shop("PUT", "/rules/gross", GROSS | changed), 422).json()
    assert [error["field"] for error in problem["errors"]] == [field], problem
    assert told in problem["errors"][0]["message"]
    assert len(problem["errors"][0]["message"]) < 500
    assert shop.get("/rules")["items"] == []
    # A dry run refuses the same.
    tried = expect(shop("POST", "/rules/gross/preview", {"definition": GROSS | changed}), 422).json()
    assert [error["field"] for error in tried["errors"]] == [f"definition.{field}"]


def test_unknown_names_are_warned_of(shop: Caller) -> None:
    made = put(shop, condition="prise > 10")
    (warning,) = made["warnings"]
    assert "prise" in warning
    assert "price" in warning
    (warned,) = preview(shop, definition=GROSS | {"condition": "prise > 10"})["warnings"]
    assert warned == warning


def test_a_rule_that_feeds_itself_is_refused_with_the_cycle(shop: Caller) -> None:
    put(shop, "a", **following("a", "b", "a + 1"))
    put(shop, "b", **following("b", "c", "b + 1"))
    loop = GROSS | following("c", "a", "c + 1")
    for answer in (
        shop("PUT", "/rules/c", loop),
        shop("POST", "/rules/c/preview", {"definition": loop}),
    ):
        problem = expect(answer, 409).json()
        assert problem["type"] == "/problems/rule-feeds-itself"
        assert sorted(problem["cycle"]) == ["a", "b", "c"]
        assert "record" in problem
        assert " -> " in problem["detail"]
    assert refusal(shop("GET", "/rules/c"), 404) == "not-found"
    put(shop, "c", **following("c", "a", "c + 1"), enabled=False)


def test_a_cycle_that_ends_by_itself_is_a_warning(shop: Caller) -> None:
    put(shop, "a", **following("a", "b", "a"))
    made = put(shop, "b", **following("b", "a", "b"))
    assert any("b -> a -> b" in warning for warning in made["warnings"])


@pytest.mark.parametrize("name", ["Gross", "-gross", "x" * 65, "a.b", "a b"])
def test_a_name_that_is_none_is_refused(shop: Caller, name: str) -> None:
    assert fields(shop("PUT", f"/rules/{name}", GROSS)) == ["rule_id"]
    assert fields(shop("POST", f"/rules/{name}/preview", {})) == ["rule_id"]


# --- previews ---


def test_a_preview_counts_what_would_happen_and_costs_nothing(shop: Caller) -> None:
    before = shop.get("/credits")
    found = preview(shop, definition=GROSS)
    counts = ("examined", "matched", "would_fire", "would_update", "would_create", "unchanged", "failed", "credits")
    assert [found[name] for name in counts] == [11, 6, 5, 5, 0, 1, 0, 10]
    assert len(found["examples"]) == 3
    for example in found["examples"]:
        price = 6 + int(example["key"].removeprefix("p"))
        assert example["before"] == {}
        assert example["after"] == {"gross": pytest.approx(price * 1.2)}
    assert found["next_cursor"] is None
    assert shop.get("/credits") == before
    assert shop.get("/operations")["items"] == []
    assert refusal(shop("GET", "/rules/gross"), 404) == "not-found"
    # The same of a rule that is saved; and of another definition of it.
    put(shop)
    assert preview(shop) == found
    assert preview(shop, definition=GROSS | {"condition": "price > 100"})["matched"] == 0
    assert preview(shop) == found


def test_a_preview_shows_what_would_be_created_and_what_would_fail(shop: Caller) -> None:
    create = {"create": {"entity": "shelf", "key": {"expression": "title"}, "attributes": {"n": {"value": 1}}}}
    found = preview(shop, definition=GROSS | {"actions": [create]})
    assert (found["would_create"], found["would_update"], found["credits"]) == (6, 0, 12)
    assert found["examples"][0]["creates"][0]["entity"] == "shelf"
    failing = preview(shop, definition=GROSS | {"actions": [{"set": "a", "to": {"expression": "1 / (price - price)"}}]})
    assert (failing["failed"], failing["credits"]) == (6, 0)
    assert len(failing["failures"]) == 3


def test_a_preview_goes_on_by_its_cursor_with_a_definition_that_parses(shop: Caller) -> None:
    found = expect(shop("POST", "/rules/gross/preview", {"definition": GROSS, "cursor": "_"}), 422).json()
    assert [error["field"] for error in found["errors"]] == ["cursor"]
    bad = {"definition": GROSS | {"condition": "price >"}, "cursor": "MDA6"}
    assert fields(shop("POST", "/rules/gross/preview", bad)) == ["definition.condition"]


# --- who ---


def test_another_workspaces_rules_are_not_there(shop: Caller, new_customer: Callable[[], Caller]) -> None:
    put(shop)
    stranger = new_customer()
    assert stranger.get("/rules")["items"] == []
    assert refusal(stranger("GET", "/rules/gross"), 404) == "not-found"
    assert refusal(stranger("DELETE", "/rules/gross"), 404) == "not-found"
    assert refusal(stranger("POST", "/rules/gross/preview", {}), 404) == "not-found"
    assert preview(stranger, definition=GROSS)["examined"] == 0
    put(stranger, condition="price > 1")
    assert shop.get("/rules/gross")["condition"] == "price > 10"


def test_an_operator_has_no_rules(operator: Caller) -> None:
    assert refusal(operator("GET", "/rules"), 403) == "forbidden"
    assert refusal(operator("PUT", "/rules/gross", GROSS), 403) == "forbidden"


# --- the command line ---


def test_the_command_line_previews_saves_and_shows(shop: Caller, tmp_path: Path) -> None:
    known = {
        "PRODUCTSYNC_ENDPOINT": shop.endpoint,
        "PRODUCTSYNC_API_KEY": shop.key,
        "PRODUCTSYNC_HOME": str(tmp_path),
        # So wide that no cell of a table is broken.
        "COLUMNS": "200",
    }
    file = tmp_path / "gross.json"
    file.write_text(json.dumps(GROSS), encoding="utf-8")

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, list(arguments), env=known)
        assert result.exit_code == 0, result.output
        return str(result.stdout)

    tried = run("rules", "put", "gross", str(file), "--dry-run")
    assert "Would cost 10 credits of 5,000 available." in tried
    assert json.loads(run("rules", "list", "--json"))["items"] == []
    assert "Saved gross" in run("rules", "put", "gross", str(file))
    assert run("rules", "preview", "gross") == tried
    assert "set gross to price * 1.2, to 2 decimals" in run("rules", "show", "gross")
    assert "gross is disabled." in run("rules", "disable", "gross")
    assert "gross is enabled." in run("rules", "enable", "gross")
    run("records", "set", "product", "new", "price:=1", "--replace")
    run("records", "set", "product", "new", "price:=100")
    until(lambda: shop.get("/rules/gross")["fired"]["firings"] == 1)
    assert "The rule gross last wrote version 3" in run("records", "get", "product", "new")
    assert "1 rule firing" in run("operations", "--rule-id", "gross")
    assert "Deleted gross." in run("rules", "delete", "gross")
