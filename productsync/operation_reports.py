"""What people are told about the operation log: what used credits, what else moved them, which records it was."""

from collections.abc import Iterable, Mapping

from productsync.answers import Drawn, Operation, WrittenRecord
from productsync.output import Cell, Column, Output, count_text, credits_text, moment, number
from productsync.usage_reports import money_of

NOUNS = {
    "record_created": ("record created", "records created"),
    "record_updated": ("record updated", "records updated"),
    "scheduled_job": ("scheduled job", "scheduled jobs"),
    "rule_fired": ("rule firing", "rule firings"),
    "api_call": ("API call", "API calls"),
}
"""What is paid for, once and several times."""

_LEFT = {
    "expiry": ("expired", "Expired of"),
    "void": ("made void", "Made void of"),
    "correction": ("taken back", "Taken back from"),
}
"""What became of credits that left the account unused, by the kind of the operation; and of which grants."""

_UNUSED = ("left unused", "Left unused of")


def show_operations(output: Output, operations: Iterable[Operation], *, is_filtered: bool = False) -> None:
    """Entries of the operation log; `is_filtered` when they are not all that there are."""
    columns = [
        Column("At"),
        Column("Kind", rank=3),
        Column("Job", wraps=True, rank=1),
        Column("Credits", number=True),
        Column("Actions", wraps=True),
        Column("Money", number=True, rank=2),
        Column("What", wraps=True, rank=6),
        Column("Run", rank=5),
        Column("Operation", rank=4),
    ]
    rows: list[list[Cell]] = [
        [
            moment(one["at"]),
            one["kind"],
            one["job_id"],
            one["credits"],
            f"refused: {_refusal_text(one)}" if one["refused"] else _done_text(one),
            money_of(one["cost"]),
            one["description"],
            one["run_id"],
            one["operation_id"],
        ]
        for one in operations
    ]
    output.table(columns, rows, empty="Nothing matches the filter." if is_filtered else "No operations yet.")


def show_operation(output: Output, operation: Operation) -> None:
    """One entry of the operation log in full, with the grants that paid, or that lost what left the account."""
    output.facts(
        [
            ("Operation", operation["operation_id"]),
            ("At", moment(operation["at"])),
            ("Kind", operation["kind"]),
            ("Channel", operation["channel"]),
            ("Actor", operation["actor"]),
            ("Job", operation["job_id"]),
            ("Rule version", _text(operation.get("job_version"))),
            ("Run", operation["run_id"]),
            ("What", operation["description"]),
            ("Reference", operation.get("reference")),
            ("Corrects", operation.get("corrects")),
            ("Refused", _refusal_text(operation)),
            ("Actions", _done_text(operation)),
            *_records_facts(operation),
            ("Credits", operation["credits"]),
            ("Owed", operation["owed"] or None),
            ("Money", money_of(operation["cost"])),
        ]
    )
    output.line()
    if operation["withdrawn"]:
        show_parts(output, _LEFT.get(operation["kind"], _UNUSED)[1], operation["withdrawn"])
    elif operation["drawn"]:
        show_parts(output, "Drawn from", operation["drawn"])
    elif _gives_back(operation):
        output.line("The grant that they became is in `productsync grants list`, with this reference.")
    else:
        output.line("It drew on no grant.")


def show_written(output: Output, records: Iterable[WrittenRecord]) -> None:
    """The records of an operation."""
    since = {True: "as it was written", False: "written again since", None: "is gone"}
    rows: list[list[Cell]] = [[one["entity"], one["key"], since[one["current"]]] for one in records]
    columns = [Column("Entity"), Column("Key", wraps=True), Column("Now", wraps=True)]
    output.table(columns, rows, empty="It wrote no record.")


def show_parts(output: Output, title: str, parts: Iterable[Drawn]) -> None:
    """What was drawn or taken, grant by grant."""
    rows: list[list[Cell]] = [
        [one["grant_id"], one["credits"], f"{one['unit_price']} {one['currency']}"] for one in parts
    ]
    output.table([Column(title), Column("Credits", number=True), Column("Unit price", number=True)], rows)


def actions_text(actions: Mapping[str, int]) -> str | None:
    """`60 records created, 37 records updated`."""
    told = [_action_text(name, count) for name, count in actions.items() if count]
    return ", ".join(told) or None


def _done_text(operation: Operation) -> str | None:
    """What it did that has a price; or what it did to the account beside using credits, which has none."""
    return actions_text(operation["actions"]) or _moved_text(operation)


def _moved_text(operation: Operation) -> str | None:
    left = sum(one["credits"] for one in operation["withdrawn"])
    if left:
        return f"{credits_text(left)} {_LEFT.get(operation['kind'], _UNUSED)[0]}"
    if _gives_back(operation):
        # How many they are stands in the grant that they became.
        return "credits given back, as a grant"
    if operation["kind"] == "settlement":
        return f"{credits_text(sum(one['credits'] for one in operation['drawn']))} of earlier debts settled"
    return None


def _gives_back(operation: Operation) -> bool:
    return operation["kind"] == "correction" and not operation["withdrawn"]


def _action_text(name: str, count: int) -> str:
    words = name.replace("_", " ")
    # Of one that is not known here, an s might stand at the wrong end.
    return count_text(count, *NOUNS.get(name, (words, words)))


def _records_facts(operation: Operation) -> list[tuple[str, Cell]]:
    """What became of records, a line for each entity."""
    facts: list[tuple[str, Cell]] = []
    for entity, counts in sorted(operation["records"].items()):
        kinds = [
            (counts["created"], "created"),
            (counts["updated"], "updated"),
            (counts["unchanged"], "unchanged"),
            (counts["deleted"], "deleted"),
        ]
        told = ", ".join(f"{number(count)} {kind}" for count, kind in kinds if count)
        facts.append((f"Of {entity}", told or None))
    return facts


def _refusal_text(operation: Operation) -> str | None:
    """Why what was due did not happen."""
    return None if operation["refused"] is None else operation["refused"].replace("_", " ")


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)
