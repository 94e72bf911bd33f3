"""What people are told about rules: what they do, what they have done, and what they would do and cost."""

from collections.abc import Iterable, Sequence
from typing import Any

from productsync.answers import Rule, RuleExample, RulePreview
from productsync.output import Cell, Column, Output, count_text, credits_text, moment, number
from productsync.reports import value_text

SHOWN_EXAMPLES = 3

_STATES = {
    "paused": "paused: out of credits; what changes meanwhile is looked at after a top-up",
    "suspended": "suspended: it fired too often; `productsync rules enable` lets it go on, with this hour's count",
}
_LENGTH = 60
"""Characters of a value in an example."""


def show_rules(output: Output, rules: Iterable[Rule]) -> None:
    """A list of rules."""
    columns = [
        Column("Rule"),
        Column("Entity", rank=2),
        Column("When", wraps=True, rank=3),
        Column("State"),
        Column("Fired", number=True),
        Column("Credits", number=True, rank=1),
        Column("Failed on", number=True, rank=4),
        Column("Last fired", rank=5),
    ]
    rows: list[list[Cell]] = [
        [
            one["rule_id"],
            one["entity"],
            _trigger_text(one["trigger"]),
            one["state"],
            one["fired"]["firings"],
            one["fired"]["credits"],
            one["fired"]["failures"],
            moment(one["fired"]["last_fired_at"]),
        ]
        for one in rules
    ]
    output.table(columns, rows, empty="No rules yet.")


def show_rule(output: Output, rule: Rule) -> None:
    """One rule in full."""
    fired = rule["fired"]
    output.facts(
        [
            ("Rule", f"{rule['rule_id']}, version {rule['version']}"),
            ("About", rule["description"] or None),
            ("State", _STATES.get(rule["state"], rule["state"])),
            ("Suspended", moment(rule["suspended_at"])),
            ("Changed", moment(rule["updated_at"])),
            ("When", f"{rule['entity']}: {_trigger_text(rule['trigger'])}"),
            ("If", rule["condition"]),
            *(("Then", _action_text(action)) for action in rule["actions"]),
            ("At most an hour", rule["max_firings_per_hour"]),
            ("Fired", f"{number(fired['firings'])}, {number(fired['fired_this_hour'])} of them this hour"),
            ("Last fired", moment(fired["last_fired_at"])),
            ("Credits", f"{number(fired['credits'])}, for firings and their records"),
            ("Failed on", count_text(fired["failures"], "record") if fired["failures"] else None),
            ("Last failure", _last_failure_text(rule)),
        ]
    )


def show_warnings(output: Output, warnings: Iterable[str]) -> None:
    """What looks odd about a rule that is valid."""
    for warning in warnings:
        output.note(f"Warning: {warning}")


def add_up(parts: Sequence[RulePreview]) -> RulePreview:
    """The parts of a preview as one; there is at least one."""
    return {
        "examined": sum(part["examined"] for part in parts),
        "matched": sum(part["matched"] for part in parts),
        "would_fire": sum(part["would_fire"] for part in parts),
        "would_update": sum(part["would_update"] for part in parts),
        "would_create": sum(part["would_create"] for part in parts),
        "unchanged": sum(part["unchanged"] for part in parts),
        "failed": sum(part["failed"] for part in parts),
        "credits": sum(part["credits"] for part in parts),
        "examples": [each for part in parts for each in part["examples"]][:SHOWN_EXAMPLES],
        "failures": [each for part in parts for each in part["failures"]][:SHOWN_EXAMPLES],
        "warnings": parts[0]["warnings"],
        "next_cursor": parts[-1]["next_cursor"],
    }


def show_preview(output: Output, preview: RulePreview, *, available: int, calls: int) -> None:
    """What a rule would do with today's records, with examples, and what it would cost. `calls` are those that it took
    to look at all of them.
    """
    output.facts(
        [
            ("Examined", preview["examined"]),
            ("Condition holds", preview["matched"]),
            ("Would fire", preview["would_fire"]),
            ("Would update", preview["would_update"]),
            ("Would create", preview["would_create"]),
            ("Would change nothing", preview["unchanged"]),
            ("Would fail", preview["failed"] or None),
        ]
    )
    for example in preview["examples"]:
        _show_example(output, example)
    if preview["failures"]:
        output.heading("Would fail, at no cost")
        columns = [Column("Key", wraps=True), Column("Reason", wraps=True)]
        output.table(columns, [[each["key"], each["reason"]] for each in preview["failures"]])
    output.line()
    output.line(_cost_text(preview, available, calls))
    show_warnings(output, preview["warnings"])


def _show_example(output: Output, example: RuleExample) -> None:
    """The attributes of one record that change, before and after."""
    output.heading(example["key"])
    names = list(dict.fromkeys([*example["before"], *example["after"]]))
    if names:
        columns = [Column("Attribute", wraps=True), Column("Before", wraps=True), Column("After", wraps=True)]
        rows: list[list[Cell]] = [
            [name, _side_text(example["before"], name), _side_text(example["after"], name)] for name in names
        ]
        output.table(columns, rows)
    for made in example["creates"]:
        attributes = ", ".join(f"{name}: {value_text(value, _LENGTH)}" for name, value in made["attributes"].items())
        output.line(f"creates {made['entity']} {made['key']}{f' ({attributes})' if attributes else ''}")


def _side_text(attributes: dict[str, Any], name: str) -> str | None:
    """The value of an attribute on one side; None where the record has none."""
    return value_text(attributes[name], _LENGTH) if name in attributes else None


def _cost_text(preview: RulePreview, available: int, calls: int) -> str:
    # A record that is to be created is counted once in each call: the calls do not know of each other.
    at_most = "at most " if calls > 1 and preview["would_create"] else ""
    return f"Would cost {at_most}{credits_text(preview['credits'])} of {number(available)} available."


def _trigger_text(trigger: dict[str, Any]) -> str:
    """`created, updated (price, cost)`."""
    names = trigger.get("attributes")
    of = f" ({', '.join(names)})" if names else ""
    return f"{', '.join(trigger['on'])}{of}"


def _action_text(action: dict[str, Any]) -> str:
    if "set" in action:
        return f"set {action['set']} to {_value_text(action['to'])}"
    if "clear" in action:
        return f"clear {action['clear']}"
    made = action["create"]
    attributes = ", ".join(f"{name}: {_value_text(value)}" for name, value in made.get("attributes", {}).items())
    return f"create {made['entity']} {_value_text(made['key'])}{f' ({attributes})' if attributes else ''}"


def _value_text(value: dict[str, Any]) -> str:
    """Where a value comes from, in the words of a definition."""
    if "expression" in value:
        decimals = value.get("decimals")
        places = "" if decimals is None else f", to {decimals} decimals"
        return f"{value['expression']}{places}"
    if "attribute" in value:
        return f"the attribute {value['attribute']}"
    if "lookup" in value:
        table = value["lookup"]["table"]
        default = value["lookup"].get("default")
        other = "" if default is None else f", else {value_text(default, _LENGTH)}"
        return f"{value['lookup']['of']} by a table of {number(len(table))}{other}"
    return value_text(value["value"], _LENGTH) if "value" in value else value_text(value, _LENGTH)


def _last_failure_text(rule: Rule) -> str | None:
    fired = rule["fired"]
    return None if fired["last_failure"] is None else f"{moment(fired['last_failure_at'])}: {fired['last_failure']}"
