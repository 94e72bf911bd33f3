"""Delimited text, with the warts of real exports."""

from __future__ import annotations

import csv
import io
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.feeds.readers import text as reading
from tests.support.feeds import prepare_content


def definition(key: Any = "sku", **layout: Any) -> dict[str, Any]:
    return {"format": {"type": "csv", **layout}, "entities": [{"entity": "product", "key": key}]}


def products(content: str | bytes, key: Any = "sku", **layout: Any) -> dict[str, dict[str, Any]]:
    return prepare_content(content, definition(key, **layout)).of("product")


PLAIN = {"A1": {"sku": "A1", "name": "Müller, Bohrer"}}


@pytest.mark.parametrize(
    ("content", "layout"),
    [
        pytest.param('sku,name\nA1,"Müller, Bohrer"\n', {}, id="comma"),
        pytest.param('sku,name\r\nA1,"Müller, Bohrer"\r\n', {}, id="crlf"),
        pytest.param('sku,name\rA1,"Müller, Bohrer"\r', {}, id="cr only"),
        pytest.param('sku,name\nA1,"Müller, Bohrer"', {}, id="no newline at the end"),
        pytest.param("sku;name\nA1;Müller, Bohrer\n", {}, id="semicolon sniffed"),
        pytest.param("sku\tname\nA1\tMüller, Bohrer\n", {}, id="tab sniffed"),
        pytest.param("sku|name\nA1|Müller, Bohrer\n", {}, id="bar sniffed"),
        pytest.param("sep=;\r\nsku;name\r\nA1;Müller, Bohrer\r\n", {}, id="delimiter stated as Excel does"),
        pytest.param("sku^name\nA1^Müller, Bohrer\n", {"delimiter": "^"}, id="delimiter given"),
        pytest.param("sku\tname\nA1\tMüller, Bohrer\n", {"type": "tsv"}, id="tsv"),
        pytest.param("sku,name\nA1,'Müller, Bohrer'\n", {"quote": "'"}, id="another quote"),
        pytest.param('\ufeffsku,name\nA1,"Müller, Bohrer"\n', {}, id="byte order mark"),
        pytest.param('sku,name\nA1,"Müller, Bohrer"\n'.encode("utf-16"), {}, id="utf-16 by its mark"),
        pytest.param(
            'sku,name\nA1,"Müller, Bohrer"\n'.encode("utf-16-be"), {"encoding": "utf-16-be"}, id="utf-16 stated"
        ),
        pytest.param(
            'sku,name\nA1,"Müller, Bohrer"\n'.encode("cp1252"), {"encoding": "windows-1252"}, id="windows-1252"
        ),
        pytest.param('sku,name\nA1,"Müller, Bohrer"\n'.encode("latin-1"), {"encoding": "latin-1"}, id="latin-1"),
        pytest.param('A1,"Müller, Bohrer"\n', {"header": ["sku", "name"]}, id="header listed"),
        pytest.param(' sku , name \nA1 ,  "Müller, Bohrer" \n'.replace('  "', '"'), {}, id="blanks around"),
        pytest.param('sku,name,\nA1,"Müller, Bohrer",\n', {}, id="trailing delimiter in header and rows"),
        pytest.param('sku,name\nA1,"Müller, Bohrer",,\n', {}, id="blank cells beyond the header"),
        pytest.param('\n\nsku,name\n\n,\nA1,"Müller, Bohrer"\n,,\n\n', {}, id="blank rows"),
        pytest.param('Artikel,name\nA1,"Müller, Bohrer"\n', {"rename": {"Artikel": "sku"}}, id="renamed"),
        pytest.param('SKU,g:Name\nA1,"Müller, Bohrer"\n', {"column_names": "snake_case"}, id="snake case"),
    ],
)
def test_the_same_product_however_it_is_written(content: str | bytes, layout: dict[str, Any]) -> None:
    assert products(content, **layout) == PLAIN


def test_columns_without_header_are_called_by_their_numbers() -> None:
    assert products("A1\tx\nB2\ty\n", key="1", type="tsv", header=False) == {
        "A1": {"1": "A1", "2": "x"},
        "B2": {"1": "B2", "2": "y"},
    }


def test_a_column_without_a_name_is_called_by_its_number() -> None:
    assert products("sku,,name\nA1,x,y\n") == {"A1": {"sku": "A1", "2": "x", "name": "y"}}


def test_newlines_and_quotes_inside_cells_stay_as_they_are() -> None:
    content = 'sku,text\r\nA1,"one\r\ntwo\nthree\rfour ""quoted"" \u2028five"\r\nB2,x\r\n'
    assert products(content)["A1"]["text"] == 'one\r\ntwo\nthree\rfour "quoted" \u2028five'


def test_untrimmed_cells_keep_their_blanks_but_a_blank_cell_is_no_value() -> None:
    assert products("sku,name,x\nA1, n ,  \n", trim=False) == {"A1": {"sku": "A1", "name": " n "}}


def test_a_quote_that_was_not_doubled_is_taken_as_it_stands() -> None:
    content = 'sku,name,n\nA1,"6" nails",1\nA2,5" pipe,2\nA3,"fine",3\n'
    assert [p["name"] for p in products(content).values()] == ['6 nails"', '5" pipe', "fine"]


def test_without_quoting_a_quote_is_a_letter() -> None:
    assert products('sku\tname\nA1\t"half\nA2\tx\n', quote=None)["A1"]["name"] == '"half'


def test_a_shorter_row_is_blank_at_its_end_and_a_longer_one_is_rejected() -> None:
    prepared = prepare_content("sku,name,price\nA1,x\nA2,y,1,surprise\nA3,z,2\n", definition())
    assert prepared.of("product") == {
        "A1": {"sku": "A1", "name": "x"},
        "A3": {"sku": "A3", "name": "z", "price": "2"},
    }
    [rejection] = prepared.rejections
    assert rejection["row"] == 3
    assert "4 cells and the header 3" in rejection["reason"]
    assert prepared.counts() == {"product": (2, 0, 1)}


def test_rows_are_numbered_as_a_spreadsheet_does() -> None:
    prepared = prepare_content('sku,name\nA1,"two\nlines"\n\nA2,x\n', definition())
    assert [(key, row) for _, key, _, row in prepared.records] == [("A1", 2), ("A2", 4)]
    headless = prepare_content("A1,x\nA2,y\n", definition("1", header=False))
    assert [row for *_, row in headless.records] == [1, 2]


def test_a_header_alone_is_an_empty_list() -> None:
    prepared = prepare_content("sku,name\n", definition())
    assert (prepared.feed.rows_read, prepared.feed.records, prepared.records) == (0, 0, [])
    assert prepared.feed.mapped == {"product": ("name", "sku")}


def test_a_row_larger_than_a_record_is_rejected_by_itself() -> None:
    prepared = prepare_content(f"sku,text\nA1,{'x' * 450_000}\nA2,{'y' * 390_000}\n", definition())
    assert list(prepared.of("product")) == ["A2"]
    [rejection] = prepared.rejections
    assert (rejection["row"], rejection["key"]) == (2, "A1")
    assert "the record takes 450,009 bytes" in rejection["reason"]


# NUL is where the csv module's own writer and reader part; a lone surrogate is no text of a file.
cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)


@given(
    rows=st.lists(st.lists(cells, min_size=3, max_size=3), max_size=8),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_the_csv_module_writes_is_read_back(rows: list[list[str]], delimiter: str, end: str) -> None:
    written = io.StringIO(newline="")
    # Python 3.11's writer leaves a lone "\r" without quotes.
    quoting: Literal[0, 1] = csv.QUOTE_ALL if any("\r" in cell for row in rows for cell in row) else csv.QUOTE_MINIMAL
    writer = csv.writer(written, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow(["key", "a", "b", "c"])
    for number, row in enumerate(rows):
        writer.writerow([f"k{number}", *row])
    found = products(written.getvalue(), key="key", trim=False)
    for number, row in enumerate(rows):
        values = {name: cell for name, cell in zip("abc", row, strict=True) if cell.strip()}
        assert found[f"k{number}"] == {"key": f"k{number}", **values}


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300), st.integers(1, 40))
def test_blocks_of_any_size_give_the_same_lines(text: str, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK_BYTES", size)
        found = list(reading.lines(io.BytesIO(text.encode()), "utf-8", 10_000))
    assert found == list(io.StringIO(text, newline=""))
