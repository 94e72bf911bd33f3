"""Usage that cannot be answered: an answer that would be too large, and figures that are damaged."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest

from functions.api.handler import logger
from functions.api.routes import usage
from shared.usage import MOST_GROUPS, Figures, Group, Grouping, Period, UnknownGrant, UsageReport

if TYPE_CHECKING:
    from tests.unit.api.conftest import Answer

Event = dict[str, Any]
CURRENCIES = [f"{first}{second}{third}" for first in "ABCD" for second in "ABCDEF" for third in "ABCDEF"]


def a_group(value: str, currencies: list[str]) -> Group:
    cost = dict.fromkeys(currencies, Decimal("1234.56"))
    return Group(value=value, figures=Figures(credits=5), free_credits=0, paid_credits=5, free_value={}, cost=cost)


def a_report(groups: int, currencies: list[str]) -> UsageReport:
    return UsageReport(
        period=Period(date(2026, 11, 1), date(2026, 11, 30)),
        grouping=Grouping.JOB,
        groups=tuple(a_group(f"feed-{number}", currencies) for number in range(groups)),
        total=a_group("total", currencies),
        pending_credits=0,
    )


@pytest.fixture
def ask(
    event: Callable[[str], Event], call: Callable[[Event], Answer], monkeypatch: pytest.MonkeyPatch
) -> Callable[[Any], Answer]:
    """Asks for usage by job, which comes to what is given, or raises it."""
    request = event("api_list_operations") | {"resource": "/usage", "path": "/usage"}
    request["queryStringParameters"] = {"group_by": "job"}
    request["multiValueQueryStringParameters"] = {"group_by": ["job"]}

    def asked(outcome: Any) -> Answer:
        def usage_of(*_arguments: Any) -> Any:
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        monkeypatch.setattr(usage, "usage_of", usage_of)
        return call(request)

    return asked


def test_the_largest_answer_with_two_currencies_fits(ask: Callable[[Any], Answer]) -> None:
    answer = ask(a_report(MOST_GROUPS, ["EUR", "USD"]))
    assert answer.status == 200
    assert len(answer.body["groups"]) == MOST_GROUPS


def test_an_answer_that_lambda_would_not_give_is_refused_with_a_reason(ask: Callable[[Any], Answer]) -> None:
    answer = ask(a_report(1_500, CURRENCIES))
    assert answer.status == 422
    assert [error["field"] for error in answer.body["errors"]] == ["from"]
    assert "more than an answer holds" in answer.body["detail"]


def test_damaged_figures_are_told_of_in_the_log_by_the_grant_that_they_name(
    ask: Callable[[Any], Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", log)
    answer = ask(UnknownGrant("gr_never, which paid for 2 credits"))
    assert answer.status == 500
    assert "gr_never" not in answer.text
    assert "UnknownGrant: gr_never" in log.getvalue()
