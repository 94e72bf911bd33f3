"""Failures of runs: bounded, and told apart by whose they are."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.credits import Channel
from shared.runs.model import MAX_DETAIL_CHARACTERS, Failure, Run, RunState, failed

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
RUN = Run(
    run_id="run_1",
    workspace_id="ws_1",
    feed_id="stock",
    upload_id="up_1",
    channel=Channel.API,
    dry_run=False,
    state=RunState.PREPARING,
    created_at=NOW,
    updated_at=NOW,
    step_at=NOW,
)


@pytest.mark.parametrize("length", [MAX_DETAIL_CHARACTERS, MAX_DETAIL_CHARACTERS + 1, 50_000])
def test_a_detail_that_repeats_what_a_server_says_is_cut(length: int) -> None:
    detail = "ü" * length
    failure = failed(RUN, Failure("source_unreachable", detail, row=3, column="price"), NOW).failure
    assert failure is not None
    assert (failure.code, failure.row, failure.column) == ("source_unreachable", 3, "price")
    assert len(failure.detail) == MAX_DETAIL_CHARACTERS
    assert failure.detail.endswith("…") == (length > MAX_DETAIL_CHARACTERS)


@pytest.mark.parametrize(
    ("code", "is_ours"),
    [
        ("internal_error", True),
        ("not_storable", True),
        ("files_expired", False),
        ("empty_file", False),
        ("upload_replaced", False),
        ("source_slow", False),
    ],
)
def test_only_what_nobody_outside_could_avoid_is_ours(code: str, is_ours: bool) -> None:
    assert Failure(code, "…").is_ours is is_ours
