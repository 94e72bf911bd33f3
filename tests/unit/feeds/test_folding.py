"""Folding: the same entity and key anywhere in a file are one record, whatever way the rows lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.feeds import DEFAULT_LIMITS, FeedDefinition, prepare
from tests.support.feeds import made_feed_definition, make_feed, prepare_content, prepare_file

DEFINITION = {"format": {"type": "csv"}, "entities": [{"entity": "product", "key": "sku"}]}
SPANNING = {
    "format": {"type": "csv"},
    "entities": [
        {
            "entity": "product",
            "key": "sku",
            "spans_rows": True,
            "attributes": {"images": {"from": "image", "collect": True}, "*": "*"},
        }
    ],
}
TINY_BATCHES = replace(DEFAULT_LIMITS, batch_records=3)

cell = st.sampled_from(["", "x", "y", "z"])
rows = st.lists(st.tuples(st.sampled_from("abcdef"), cell, cell), max_size=40)


def csv_of(found: Sequence[tuple[str, ...]], header: str) -> str:
    return header + "\n" + "".join(",".join(row) + "\n" for row in found)


@settings(max_examples=40)
@given(rows)
def test_later_values_win_and_a_blank_erases_nothing(found: list[tuple[str, str, str]]) -> None:
    expected: dict[str, dict[str, str]] = {}
    for sku, one, two in found:
        record = expected.setdefault(sku, {"sku": sku})
        record |= {name: value for name, value in (("one", one), ("two", two)) if value}
    for limits in (DEFAULT_LIMITS, TINY_BATCHES):
        prepared = prepare_content(csv_of(found, "sku,one,two"), DEFINITION, limits)
        assert prepared.of("product") == expected
        assert [key for _, key, _, _ in prepared.records] == list(expected), "order of first appearance"
        assert prepared.counts() == {"product": (len(expected), len(found) - len(expected), 0)}
        assert prepared.feed.rows_read == len(found)


@settings(max_examples=40)
@given(rows)
def test_batches_make_no_difference(found: list[tuple[str, str, str]]) -> None:
    content = csv_of(found, "sku,image,two")
    whole, cut = (prepare_content(content, SPANNING, limits) for limits in (DEFAULT_LIMITS, TINY_BATCHES))
    assert whole.records == cut.records
    assert whole.feed.by_entity == cut.feed.by_entity


@settings(max_examples=40)
@given(rows)
def test_rows_that_repeat_change_nothing_but_the_count_of_duplicates(found: list[tuple[str, str, str]]) -> None:
    for definition in (DEFINITION, SPANNING):
        once = prepare_content(csv_of(found, "sku,image,two"), definition, TINY_BATCHES)
        twice = prepare_content(csv_of(found + found, "sku,image,two"), definition, TINY_BATCHES)
        assert once.records == twice.records
    assert prepare_content(csv_of(found + found, "sku,image,two"), SPANNING).feed.duplicates == 0


def test_rows_of_one_record_collect_each_value_once() -> None:
    found = [("a", "1"), ("b", "9"), ("a", ""), ("a", "2"), ("a", "1"), ("b", ""), ("a", "3")]
    for limits in (DEFAULT_LIMITS, TINY_BATCHES, replace(DEFAULT_LIMITS, batch_records=1)):
        prepared = prepare_content(csv_of(found, "sku,image"), SPANNING, limits)
        assert prepared.of("product") == {
            "a": {"sku": "a", "images": ["1", "2", "3"]},
            "b": {"sku": "b", "images": ["9"]},
        }
        assert prepared.counts() == {"product": (2, 0, 0)}


def test_collected_maps_are_left_out_without_their_first_field() -> None:
    images = {"fields": {"src": "src", "alt": "alt"}, "collect": True}
    definition = {
        "format": {"type": "csv"},
        "entities": [{"entity": "p", "key": "sku", "attributes": {"images": images}}],
    }
    content = "sku,src,alt\na,1,one\na,,none\na,2,\na,1,one\n"
    assert prepare_content(content, definition).of("p") == {"a": {"images": [{"src": "1", "alt": "one"}, {"src": "2"}]}}


@pytest.mark.parametrize("batch", [1, 4_096])
def test_a_record_that_grows_too_large_is_rejected_once_and_alone(batch: int) -> None:
    limits = replace(DEFAULT_LIMITS, batch_records=batch, max_record_bytes=4_000)
    big = [("a", f"{n:04d}" + "x" * 96) for n in range(200)]
    found = [("z", "first"), *big, ("b", "fine")]
    prepared = prepare_content(csv_of(found, "sku,image"), SPANNING, limits)
    assert list(prepared.of("product")) == ["z", "b"]
    [rejection] = prepared.rejections
    assert (rejection["row"], rejection["entity"], rejection["key"], rejection["column"]) == (3, "product", "a", None)
    assert "at most 4,000 can be stored" in rejection["reason"]
    assert prepared.counts() == {"product": (2, 0, 1)}


def test_rows_records_duplicates_and_rejections_add_up() -> None:
    big = "x" * 3_000
    content = csv_of([("a", big, ""), ("a", "", big), ("b", "1", ""), ("b", "2", ""), ("", "1", "")], "sku,one,two")
    prepared = prepare_content(content, DEFINITION, replace(DEFAULT_LIMITS, max_record_bytes=4_000))
    feed = prepared.feed
    assert (feed.rows_read, feed.records, feed.duplicates, feed.rejected) == (5, 1, 2, 2)


def test_a_large_feed_is_folded_over_many_batches(tmp_path: Path) -> None:
    source = make_feed(tmp_path / "feed.csv", 6_000, changed=5)
    again = make_feed(tmp_path / "again.csv", 6_000, changed=0).read_text(encoding="utf-8").split("\n", 1)[1]
    with source.open("a", encoding="utf-8", newline="") as file:
        file.write(again.replace("\n", "\r\n"))
    seen: list[int] = []
    definition = FeedDefinition.model_validate(made_feed_definition())
    feed = prepare(source, definition, tmp_path, progress=seen.append)
    assert (feed.rows_read, feed.records, feed.duplicates, feed.rejected) == (12_000, 6_041, 6_000, 0)
    assert seen == [5_000, 10_000, 12_000]
    assert prepare_file(source, made_feed_definition()).of("product")["SKU-00000001"]["image"].startswith("https://")


def test_what_progress_raises_ends_the_preparation(tmp_path: Path) -> None:
    class Cancelled(Exception):
        pass

    def cancel(_rows: int) -> None:
        raise Cancelled

    workdir = tmp_path / "work"
    workdir.mkdir()
    source = make_feed(tmp_path / "feed.csv", 10)
    with pytest.raises(Cancelled):
        prepare(source, FeedDefinition.model_validate(made_feed_definition()), workdir, progress=cancel)
    assert list(workdir.iterdir()) == []


def test_lines_are_found_by_newline_bytes(tmp_path: Path) -> None:
    source = tmp_path / "feed.csv"
    source.write_text('sku,t\na,"1\u2028\u0085\n2"\nb,"\x1c\\""q"\n', encoding="utf-8")
    feed = prepare(source, FeedDefinition.model_validate(DEFINITION), tmp_path)
    lines = feed.records_path.read_bytes().split(b"\n")
    assert lines[-1] == b""
    assert [line[:15] for line in lines[:-1]] == [b'["product","a",', b'["product","b",']


def any_kind(values: dict[str, Any]) -> set[str]:
    return {type(value).__name__ for value in values.values()}


def test_numbers_stay_exact_through_merging() -> None:
    definition = {"format": {"type": "jsonl"}, "entities": [{"entity": "product", "key": "id"}]}
    content = '{"id": 1, "a": 0.10, "b": 12345678901234567890.123}\n' + '{"id": 2}\n' * 3 + '{"id": 1, "c": 1}\n'
    prepared = prepare_content(content, definition, TINY_BATCHES)
    found = prepared.of("product")["1"]
    assert {name: str(value) for name, value in found.items()} == {
        "id": "1",
        "a": "0.10",
        "b": "12345678901234567890.123",
        "c": "1",
    }
    assert any_kind(found) == {"int", "Decimal"}
