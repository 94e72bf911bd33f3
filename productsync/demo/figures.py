"""What the demo holds its figures against, and how it ends when one is wrong."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from productsync.answers import Operation
from productsync.failures import CommandFailure, ExitCode
from productsync.operation_reports import actions_text
from productsync.output import Cell, Column, Output

ALL_OPERATIONS = 100_000
"""More entries of the operation log than any demo makes."""


class WrongFigures(CommandFailure):
    """Something cost other than it has to."""


class RunDidNotFinish(CommandFailure):
    """A run of the demo ended, or stopped, otherwise than it has to."""

    exit_code = ExitCode.RUN_FAILED


@dataclass
class CheckedFigures:
    """The figures that are not what they have to be."""

    wrong: list[str] = field(default_factory=list)

    def check(self, what: str, actual: object, expected: object) -> None:
        """Notes a figure that is not what it has to be. The demo goes on, so that all of them are seen."""
        if actual != expected:
            self.wrong.append(f"{what}: expected {expected}, got {actual}")

    def settle(self) -> None:
        """Raises WrongFigures when one was wrong."""
        if self.wrong:
            raise WrongFigures("The demo's figures are not what they have to be", "; ".join(self.wrong))


def credits_of(operations: Iterable[Operation], run_id: str | None = None) -> int:
    """The credits of entries of the log: of all of them, or of those of one run."""
    return sum(one["credits"] for one in operations if run_id is None or one["run_id"] == run_id)


def show_log_summary(output: Output, groups: dict[str, list[Operation]]) -> None:
    """The operation log by what it was for, one line for each group of entries."""
    columns = [
        Column("For", wraps=True),
        Column("Entries", number=True, rank=3),
        Column("Actions", wraps=True, rank=2),
        Column("Credits", number=True),
        Column("Money", number=True, rank=1),
    ]
    rows: list[list[Cell]] = [
        [title, len(group), actions_text(_actions(group)), credits_of(group), _money(group)]
        for title, group in groups.items()
    ]
    output.table(columns, rows)


def _actions(operations: list[Operation]) -> dict[str, int]:
    total: dict[str, int] = defaultdict(int)
    for one in operations:
        for action, count in one["actions"].items():
            total[action] += count
    return total


def _money(operations: list[Operation]) -> str | None:
    total: dict[str, Decimal] = defaultdict(Decimal)
    for one in operations:
        for amount in one["cost"]:
            total[amount["currency"]] += Decimal(amount["amount"])
    return " + ".join(f"{amount} {currency}" for currency, amount in total.items()) or None
