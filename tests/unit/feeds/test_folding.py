"""Folding: the same entity and key anywhere in a file are one record, whatever way the rows lie."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.feeds import DEFAULT_LIMITS, FeedDefinition, FeedUnreadable, Limits
from shared.feeds.entities import PathDefinition
from shared.feeds.nodes import NodeSource
from shared.feeds.preparing import prepare
from tests.support.feeds import made_feed_definition, make_feed, prepare_content, prepare_file
from tests.unit.feeds.test_bad_files import sheet

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
REJECTION = '{"row": 2, "column": "sku", "entity": "product", "key": null, "reason": "no key: sku is blank"}\n'
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
    assert seen == sorted(seen)
    assert {5_000, 10_000, 12_000} <= set(seen)
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


BLANKS = "\n" * 600_000
SILENT_FILES = {
    "rejected rows": ("csv", "sku,name\n" + ",x\n" * 11_000),
    "blank rows": ("csv", "sku\n" + BLANKS),
    "blank lines": ("jsonl", '{"sku": 1}\n' + BLANKS),
    "blanks in a document": ("json", "[" + BLANKS + "]"),
    "a long comment": ("xml", "<p><!--" + BLANKS + "--><product><sku>1</sku></product></p>"),
    "rows that are left out": ("xlsx", sheet('<row r="1"><c><v>1</v></c></row><row r="40000"><c><v>2</v></c></row>')),
}


@pytest.mark.parametrize(("kind", "content"), SILENT_FILES.values(), ids=SILENT_FILES.keys())
def test_progress_is_told_where_no_record_comes(kind: str, content: str | bytes, tmp_path: Path) -> None:
    layout = {"type": kind} | ({"items": "product"} if kind == "xml" else {})
    key = "1" if kind == "xlsx" else "sku"
    definition = {"format": layout, "entities": [{"entity": "product", "key": key}]}
    source = tmp_path / "feed"
    source.write_bytes(content if isinstance(content, bytes) else content.encode())
    seen: list[int] = []
    feed = prepare(source, FeedDefinition.model_validate(definition), tmp_path, progress=seen.append)
    # One at the end of the rows, one at the end of all.
    before = seen[:-2]
    assert len(before) >= 3
    assert seen[-1] == feed.rows_read


@pytest.mark.parametrize("kind", ["json", "xlsx"])
def test_what_progress_raises_is_not_taken_for_a_broken_file(kind: str, tmp_path: Path) -> None:
    content = b'[{"1": 1}]' if kind == "json" else sheet('<row r="1"><c><v>1</v></c></row>')
    (tmp_path / "feed").write_bytes(content)
    definition = {"format": {"type": kind}, "entities": [{"entity": "product", "key": "1"}]}

    def stop(_rows: int) -> None:
        message = "enough"
        raise ValueError(message)

    with pytest.raises(ValueError, match=r"^enough$"):
        prepare(tmp_path / "feed", FeedDefinition.model_validate(definition), tmp_path, progress=stop)


def test_merging_can_be_stopped_and_leaves_nothing(tmp_path: Path) -> None:
    class Cancelled(Exception):
        pass

    source = tmp_path / "feed.csv"
    source.write_text("sku,one\n" + "".join(f"{n % 2_500},{n}\n" for n in range(5_000)), encoding="utf-8")
    workdir = tmp_path / "work"
    workdir.mkdir()

    def cancel(_rows: int) -> None:
        if (workdir / "records.jsonl.unmerged").exists():
            raise Cancelled

    with pytest.raises(Cancelled):
        prepare(source, FeedDefinition.model_validate(DEFINITION), workdir, limits=TINY_BATCHES, progress=cancel)
    assert list(workdir.iterdir()) == []


def test_rejections_beyond_the_bound_are_counted() -> None:
    content = "sku,one\n" + ",x\n" * 50 + "A,x\n"
    for limits in (Limits(max_rejections=7), Limits(max_rejections_bytes=1 + 6 * len(REJECTION))):
        prepared = prepare_content(content, DEFINITION, limits)
        assert [rejection["row"] for rejection in prepared.rejections] == [2, 3, 4, 5, 6, 7, 8]
        assert prepared.counts() == {"product": (1, 0, 50)}


@pytest.fixture
def _small_disk() -> Iterator[None]:
    """No file of this process may grow beyond 200 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("_small_disk")
def test_a_disk_that_is_full_is_too_much_data(tmp_path: Path) -> None:
    source = tmp_path / "feed.csv"
    header = ",".join(f"{'n' * 900}{number}" for number in range(100))
    source.write_text(f"sku,{header}\n" + "".join(f"{n}{',1' * 100}\n" for n in range(50)), encoding="utf-8")
    workdir = tmp_path / "work"
    workdir.mkdir()
    with pytest.raises(FeedUnreadable) as caught:
        prepare(source, FeedDefinition.model_validate(DEFINITION), workdir)
    assert caught.value.code == "too_much_data"
    assert "the space that there is" in caught.value.detail
    assert list(workdir.iterdir()) == []


def test_what_is_put_aside_for_merging_counts_as_written() -> None:
    content = "sku,one\n" + "".join(f"A,{'x' * 1_000}{n}\n" for n in range(40))
    limits = replace(TINY_BATCHES, batch_records=1, max_prepared_bytes=20_000)
    with pytest.raises(FeedUnreadable, match="20,000 bytes"):
        prepare_content(content, DEFINITION, limits)


def test_long_cells_that_name_little_are_not_all_remembered() -> None:
    source = NodeSource(PathDefinition.model_validate({"from": "c"}), DEFAULT_LIMITS)
    for number in range(300):
        source.of({"c": ">" * 100_000 + str(number)})
    assert sum(map(len, source.remembered())) < 10_000_000


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
