"""Which cancellation reason decides, and what is tried again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from shared.dynamo.transactions import (
    Backoff,
    NotStorable,
    Reason,
    Refused,
    StoreUnavailable,
    transact_get,
    transact_write,
)
from shared.keys import Key

ITEMS: list[Any] = [{"Put": {}}, {"Update": {}}, {"Put": {}}]
OLD = {"pk": {"S": "old"}}


class Refusing:
    """A client that answers with one error after the other, and then with success."""

    def __init__(self, *errors: ClientError) -> None:
        self.errors = list(errors)
        self.calls = 0

    def transact_write_items(self, **_: Any) -> dict[str, Any]:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return {}

    def transact_get_items(self, **request: Any) -> dict[str, Any]:
        self.transact_write_items()
        return {"Responses": [{"Item": OLD}, *({} for _ in request["TransactItems"][1:])]}


def error(code: str, reasons: Sequence[str] | None = None) -> ClientError:
    response: dict[str, Any] = {"Error": {"Code": code, "Message": code}}
    if reasons is not None:
        response["CancellationReasons"] = [
            {"Code": reason} | ({"Item": OLD} if reason == "ConditionalCheckFailed" else {}) for reason in reasons
        ]
    return ClientError(cast("Any", response), "TransactWriteItems")


def cancelled(*reasons: str) -> ClientError:
    return error("TransactionCanceledException", reasons)


def write(client: Refusing, attempts: int = 4) -> tuple[Refused | None, list[float]]:
    waits: list[float] = []
    return transact_write(cast("Any", client), ITEMS, Backoff(attempts, 1.0, 3.0, waits.append)), waits


NO, FAILED, CONFLICT = "None", "ConditionalCheckFailed", "TransactionConflict"


@pytest.mark.parametrize(
    ("reasons", "refused"),
    [
        ((FAILED, NO, NO), (0,)),
        ((NO, FAILED, NO), (1,)),
        ((FAILED, FAILED, FAILED), (0, 1, 2)),
        ((FAILED, CONFLICT, NO), (0,)),
        ((NO, FAILED, CONFLICT), (1,)),
        ((FAILED, "ThrottlingError", FAILED), (0, 2)),
    ],
)
def test_a_failed_condition_that_comes_first_decides(reasons: tuple[str, ...], refused: tuple[int, ...]) -> None:
    client = Refusing(cancelled(*reasons))
    outcome, waits = write(client)
    assert outcome == Refused(tuple(Reason(cast("Any", OLD)) if n in refused else None for n in range(3)))
    assert (client.calls, waits) == (1, [])


@pytest.mark.parametrize(
    "transient",
    [
        cancelled(CONFLICT, NO, NO),
        cancelled(NO, CONFLICT, FAILED),
        cancelled(CONFLICT, FAILED, FAILED),
        cancelled("ThrottlingError", NO, FAILED),
        cancelled(NO, "ProvisionedThroughputExceeded", NO),
        error("TransactionInProgressException"),
        error("TransactionConflictException"),
        error("ThrottlingException"),
        error("ProvisionedThroughputExceededException"),
        error("RequestLimitExceeded"),
    ],
    ids=lambda each: str(each.response.get("CancellationReasons", each.response["Error"]["Code"])),
)
def test_conflicts_and_throttling_are_tried_again(transient: ClientError) -> None:
    client = Refusing(transient, transient)
    outcome, waits = write(client)
    assert (outcome, client.calls) == (None, 3)
    assert 0 <= waits[0] <= 1 < 2 + waits[1]
    again = Refusing(transient)
    found = transact_get(cast("Any", again), "table", [Key("a", "b"), Key("c", "d")], Backoff(sleep=waits.append))
    assert found == [OLD, None]
    assert again.calls == 2


@pytest.mark.parametrize(
    "bug",
    [
        error("AccessDeniedException"),
        error("IdempotentParameterMismatchException"),
    ],
    ids=lambda each: str(each.response.get("CancellationReasons", each.response["Error"]["Code"])),
)
def test_bugs_and_outages_are_raised_as_they_are(bug: ClientError) -> None:
    client = Refusing(bug)
    with pytest.raises(ClientError) as raised:
        write(client)
    assert raised.value is bug
    assert client.calls == 1


@pytest.mark.parametrize(
    "refused",
    [
        cancelled("ValidationError", NO, NO),
        cancelled(NO, "ItemCollectionSizeLimitExceeded", FAILED),
        error("ValidationException"),
    ],
    ids=lambda each: str(each.response.get("CancellationReasons", each.response["Error"]["Code"])),
)
def test_what_can_never_be_stored_is_told_apart(refused: ClientError) -> None:
    client = Refusing(refused)
    with pytest.raises(NotStorable) as raised:
        write(client)
    assert raised.value.__cause__ is refused
    assert client.calls == 1


def test_retries_are_bounded_and_then_the_store_is_unavailable() -> None:
    client = Refusing(*(cancelled(CONFLICT, NO, NO) for _ in range(100)))
    with pytest.raises(StoreUnavailable):
        write(client)
    assert client.calls == 4
    with pytest.raises(StoreUnavailable):
        transact_get(cast("Any", client), "table", [Key("a", "b")], Backoff(attempts=3, sleep=lambda _seconds: None))
    assert client.calls == 7


def test_waits_grow_to_a_cap_with_full_jitter() -> None:
    waits: list[float] = []
    backoff = Backoff(base=0.5, cap=4.0, sleep=waits.append)
    for attempt in range(200):
        backoff.wait(min(attempt, 10))
    assert 0 <= waits[0] <= 0.5
    assert max(waits) <= 4.0
    assert min(waits[10:]) < 0.5
    assert max(waits[10:]) > 3.5
