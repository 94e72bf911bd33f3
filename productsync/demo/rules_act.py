"""The second act: a rule is previewed and saved, a new price list sets it off, and each credit of it is accounted for.

The price list changes every product, and the rule is about two brands. What must hold: the preview says what it will
cost; it costs that; what the rule leaves alone costs nothing; and each record says which operation made it so.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from productsync.answers import Operation, RulePreview, Run
from productsync.client import Client, gather
from productsync.demo import feed as demo_feed
from productsync.demo.figures import ALL_OPERATIONS, CheckedFigures, RunDidNotFinish, credits_of, show_log_summary
from productsync.demo.waiting import PATIENCE, until
from productsync.importing import Imported, start_import, wait_for
from productsync.output import Output, credits_text, number
from productsync.reports import error_text, show_credits
from productsync.rule_reports import add_up, show_preview

FEED = "demo-prices"
ENTITY = "product"
RULE = "margin"
BRANDS = ("Kestrel", "Ondas")
MARGIN = Decimal("1.35")
SHOP_PRICE = "shop_price"

DEFINITION: dict[str, Any] = {
    "entity": ENTITY,
    "trigger": {"on": ["updated"], "attributes": ["price"]},
    "condition": " or ".join(f'brand == "{brand}"' for brand in BRANDS),
    "actions": [{"set": SHOP_PRICE, "to": {"expression": f"price * {MARGIN}", "decimals": 2}}],
    "description": "Two brands are sold with a margin of 35 %",
}


_TITLES = ("What would a rule do?", "A new price list sets it off", "Who changed this, and what did it cost?")
STEPS = len(_TITLES)


@dataclass(frozen=True)
class RulesAct:
    """The act under way, on a workspace of its own that was given `free` credits."""

    client: Client
    free: int
    output: Output
    figures: CheckedFigures


def rules(act: RulesAct, folder: Path, *, steps_before: int) -> dict[str, Any]:
    """The act itself, from an empty catalogue to the last figure. The act as a document."""
    ask, set_off, explain = (f"{place}. {title}" for place, title in enumerate(_TITLES, start=steps_before + 1))
    listed = demo_feed.products()
    later = demo_feed.with_dearer_prices(listed)
    wanted = [one for one in later if one.brand in BRANDS]
    act.client.feeds.put(FEED, demo_feed.PRODUCTS_ALONE)
    first = _import(act, "Importing the products", folder / "prices.csv", listed)

    act.output.heading(ask)
    preview = _preview(act, len(wanted))
    act.output.heading(set_off)
    second = _set_off(act, folder / "dearer-prices.csv", later, len(wanted))
    act.output.heading(explain)
    _explain(act, wanted[0])
    return {"preview": preview, "imports": [first.run, second.run], **_settle(act, first, second, len(wanted))}


def _import(act: RulesAct, title: str, file: Path, listed: list[demo_feed.Product]) -> Imported:
    """One import, to its end. Raises RunDidNotFinish when it ends otherwise."""
    demo_feed.write_feed(file, listed)
    started = start_import(act.client, act.output, FEED, file, dry_run=False)
    run = wait_for(act.client, act.output, started.run, name=title)
    if run["state"] != "finished":
        raise RunDidNotFinish(f"{title}: the run is {run['state']}", error_text(run))
    act.figures.check(f"{title}, the call that starts it", started.charged, 1)
    act.figures.check(f"{title}, credits", run["credits"], len(listed))
    return Imported(run, started.charged)


def _preview(act: RulesAct, wanted: int) -> RulePreview:
    """What the rule would do, asked before it is saved."""
    check = act.figures.check
    act.output.line(
        f"The rule {RULE}: when the price of a product changes, and {DEFINITION['condition']}, "
        f"{SHOP_PRICE} becomes price * {MARGIN}, to 2 decimals."
    )
    before = act.client.credits.get().body["available"]
    parts = list(act.client.rules.preview_all(RULE, DEFINITION))
    preview, after = add_up(parts), act.client.credits.get().body["available"]
    show_preview(act.output, preview, available=after, calls=len(parts))
    check("The rule's preview, records", preview["examined"], demo_feed.PRODUCTS)
    check("The rule's preview, firings", (preview["would_fire"], preview["would_update"]), (wanted, wanted))
    check("The rule's preview, credits", preview["credits"], 2 * wanted)
    check("What the preview cost", before - after, 0)
    act.output.line("Asking is free, and nothing was written: the rule is not even saved.")
    return preview


def _set_off(act: RulesAct, file: Path, later: list[demo_feed.Product], wanted: int) -> Imported:
    """The rule is saved, and an import changes what it listens to."""
    saved = act.client.rules.put(RULE, DEFINITION).body
    act.output.line(f"Saved {RULE}, version {saved['version']}. No record changes by that.")
    imported = _import(act, "Importing the new prices", file, later)
    with act.output.stage("The rule fires by itself", total=wanted) as stage:

        def look() -> bool | None:
            fired = act.client.rules.get(RULE).body["fired"]["firings"]
            stage.advance_to(fired)
            stage.detail(f"{number(fired)} of {number(wanted)}")
            return True if fired >= wanted else None

        until(f"{number(wanted)} firings of the rule", look, patience=PATIENCE)
        stage.done(f"{number(wanted)} of {number(len(later))} products are of its brands")
    fired = act.client.rules.get(RULE).body["fired"]
    act.figures.check(
        "Firings of the rule, and their credits", (fired["firings"], fired["credits"]), (wanted, 2 * wanted)
    )
    act.output.line(
        f"{credits_text(imported.run['credits'])} for the import's records and 1 for its call. "
        f"{credits_text(2 * wanted)} for the rule, as previewed: 1 for each firing, 1 for each record that it changed. "
        f"The other {number(len(later) - wanted)} products it looked at for nothing."
    )
    return imported


def _explain(act: RulesAct, product: demo_feed.Product) -> None:
    """A record names the operation that wrote it, and the operation its rule."""
    check = act.figures.check
    answer = act.client.records.get(ENTITY, product.sku)
    price = answer.body["attributes"].get(SHOP_PRICE)
    check("Reading a record, credits", answer.charged, 1)
    check(f"The {SHOP_PRICE} of {product.sku}", price, _shop_price(product))
    operation = act.client.operations.get(answer.body["operation_id"] or "").body
    check(f"Who wrote {product.sku}", (operation["kind"], operation["job_id"]), ("rule", RULE))
    fired = operation["actions"].get("rule_fired", 0)
    act.output.line(
        f"{product.sku}: price {product.price}, {SHOP_PRICE} {price}. Written by {operation['operation_id']}: rule "
        f"{operation['job_id']} on {number(fired)} products in one transaction, {credits_text(operation['credits'])}. "
        "Reading the record cost 1."
    )
    act.output.line()


def _settle(act: RulesAct, first: Imported, second: Imported, wanted: int) -> dict[str, Any]:
    """The log and the balance, each figure held against the others."""
    check = act.figures.check
    balance = act.client.credits.get().body
    operations = gather(act.client.operations.list, limit=ALL_OPERATIONS)["items"]
    by_rule = [one for one in operations if one["kind"] == "rule"]
    groups: dict[str, list[Operation]] = {
        "The products": _of(operations, first.run),
        "The new prices": _of(operations, second.run),
        f"The rule {RULE}": by_rule,
        "Calls that start an import or read a record": [one for one in operations if one["kind"] == "api_call"],
    }
    spent = 2 * (1 + demo_feed.PRODUCTS) + 2 * wanted + 1
    actions = [sum(one["actions"].get(name, 0) for one in by_rule) for name in ("rule_fired", "record_updated")]
    check("The rule in the operation log", (actions, credits_of(by_rule)), ([wanted, wanted], 2 * wanted))
    check("Whose entries they are", {one["job_id"] for one in by_rule}, {RULE})
    check("Entries of the log that the act knows", sum(map(len, groups.values())), len(operations))
    check("Credits in the log of the rule's workspace", credits_of(operations), spent)
    left = (balance["consumed"], balance["available"])
    check("Credits consumed and left beside a rule", left, (spent, act.free - spent))
    show_log_summary(act.output, groups)
    act.output.line()
    show_credits(act.output, balance)
    return {"credits": balance, "operations": operations}


def _of(operations: list[Operation], run: Run) -> list[Operation]:
    return [one for one in operations if one["run_id"] == run["run_id"]]


def _shop_price(product: demo_feed.Product) -> Decimal:
    return (product.price * MARGIN).quantize(Decimal("0.01"), ROUND_HALF_UP)
