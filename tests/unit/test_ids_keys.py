"""Identifiers say when their thing began, times sort as text, and keys spread."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import ids, keys
from shared.times import parse_rfc3339, to_rfc3339, utc_now

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001 - given by timezones
    lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)
)
WORKSPACE = "ws_01ARZ3NDEKTSV4RRFFQ69G5FAV"


@given(MOMENTS, st.lists(st.text(max_size=20), max_size=4))
def test_an_operation_has_the_same_identifier_at_every_retry(at: datetime, trigger: list[str]) -> None:
    assert ids.operation_id(at, *trigger) == ids.operation_id(at, *trigger)
    assert ids.time_of(ids.operation_id(at, *trigger)) == at


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_other_triggers_have_other_identifiers(one: list[str], other: list[str]) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert (ids.operation_id(at, *one) == ids.operation_id(at, *other)) is (one == other)
    assert (ids.fingerprint(*one) == ids.fingerprint(*other)) is (one == other)


def test_parts_of_a_trigger_do_not_run_into_each_other() -> None:
    assert ids.fingerprint("ab", "c") != ids.fingerprint("a", "bc") != ids.fingerprint("abc")


@given(MOMENTS, MOMENTS)
def test_identifiers_sort_by_time(one: datetime, other: datetime) -> None:
    first, second = ids.operation_id(one, "a"), ids.operation_id(other, "b")
    if one != other:
        assert (first < second) is (one < other)


@pytest.mark.parametrize(
    ("make", "prefix"),
    [
        (ids.new_workspace_id, "ws_"),
        (ids.new_run_id, "run_"),
        (ids.new_upload_id, "up_"),
        (ids.new_key_id, "key_"),
        (ids.grant_id, "gr_"),
    ],
)
def test_identifiers_say_what_they_name_and_when_it_began(make: object, prefix: str) -> None:
    at = datetime(2026, 11, 22, 8, 0, 0, 123_000, tzinfo=UTC)
    made = make(at)  # type: ignore[operator]
    assert made.startswith(prefix)
    assert len(made) == len(prefix) + 26
    assert ids.time_of(made) == at


def test_new_identifiers_differ() -> None:
    at = utc_now()
    assert len({ids.new_run_id(at) for _ in range(1000)}) == 1000


@given(st.text() | st.text(alphabet="0123456789ABCDEFGHJKMNPQRSTVWXYZ", min_size=26, max_size=26).map("op_{}".format))
def test_what_is_no_identifier_has_no_time(text: str) -> None:
    with suppress(ValueError):
        assert ids.time_of(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text", ["", "op", "op_", "op_x", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "op_" + "Z" * 26, "op_" + "7" + "Z" * 25]
)
def test_no_identifier(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ids.time_of(text)


# --- times ---


@given(MOMENTS, MOMENTS)
def test_times_read_back_and_sort_as_text(one: datetime, other: datetime) -> None:
    assert parse_rfc3339(to_rfc3339(one)) == one
    assert (to_rfc3339(one) < to_rfc3339(other)) is (one < other)


def test_times_are_utc_and_have_milliseconds() -> None:
    eastern = timezone(timedelta(hours=-5))
    assert to_rfc3339(datetime(2026, 1, 2, 20, 4, 5, 678_999, tzinfo=eastern)) == "2026-01-03T01:04:05.678Z"
    assert parse_rfc3339("2026-01-02T20:04:05-05:00") == datetime(2026, 1, 3, 1, 4, 5, tzinfo=UTC)
    assert utc_now().microsecond % 1000 == 0
    assert utc_now().tzinfo is UTC
    with pytest.raises(ValueError, match="offset"):
        parse_rfc3339("2026-01-02T20:04:05")


# --- keys ---


def test_records_spread_over_all_shards_evenly() -> None:
    found = Counter(keys.record(WORKSPACE, "product", f"sku-{n}").pk for n in range(16_000))
    assert len(found) == keys.RECORD_SHARDS == 16
    assert set(found) == {keys.records_of_shard(WORKSPACE, "product", shard) for shard in range(16)}
    assert max(found.values()) < 1.2 * min(found.values())


@given(st.text(min_size=1), st.text(min_size=1))
def test_records_have_keys_of_their_own(one: str, other: str) -> None:
    assert (keys.record(WORKSPACE, "product", one) == keys.record(WORKSPACE, "product", other)) is (one == other)
    assert keys.record(WORKSPACE, "product", one) != keys.record(WORKSPACE, "category", one)
    assert keys.record(WORKSPACE, "product", one).sk == one


def test_shards_never_move() -> None:
    """A one-way door: records that are written lie where these say."""
    assert [keys.record_shard(key) for key in ("", "a", "sku-1", "Ünï / çode")] == [0, 3, 14, 7]


def test_operations_lie_under_the_day_of_their_trigger() -> None:
    at = datetime(2026, 11, 22, 23, 59, 59, 999_000, tzinfo=UTC)
    assert keys.operation(WORKSPACE, ids.operation_id(at, "x")).pk == f"W#{WORKSPACE}#OPERATIONS#2026-11-22"
    later = at + timedelta(milliseconds=1)
    assert keys.operation(WORKSPACE, ids.operation_id(later, "x")).pk == f"W#{WORKSPACE}#OPERATIONS#2026-11-23"
    with pytest.raises(ValueError, match=r".+"):
        keys.operation(WORKSPACE, "nonsense")


def test_no_two_kinds_of_things_share_a_key() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    run, grant, operation = ids.new_run_id(at), ids.grant_id(at, "x"), ids.operation_id(at, "x")
    made = [
        keys.balance(WORKSPACE),
        keys.grant(WORKSPACE, grant),
        keys.operation(WORKSPACE, operation),
        keys.call(WORKSPACE, "POST /runs", "key"),
        keys.call(WORKSPACE, "POST /runs", "another key"),
        keys.call(WORKSPACE, "POST /feeds", "key"),
        keys.record(WORKSPACE, "product", "key"),
        keys.workspace(WORKSPACE),
        keys.api_key("key_x"),
        keys.feed(WORKSPACE, "feed"),
        keys.run(WORKSPACE, run),
    ]
    assert len({key.pk for key in made}) == len(made)
    assert keys.balance(WORKSPACE).attributes() == {"pk": {"S": keys.balance(WORKSPACE).pk}, "sk": {"S": "BALANCE"}}
    assert keys.runs_of_feed(WORKSPACE, "feed", at).endswith("2026-01")
