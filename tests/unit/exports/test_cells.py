"""Cells of CSV files: nothing in them runs, and nothing of them is lost."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.exports.cells import neutralized, plain
from tests.support.export_lines import restored

nasty = st.text(st.sampled_from("=+-@'\" ;,\t\r\nab\uff1d\u00a0"), max_size=12) | st.text(max_size=30)


@given(nasty)
def test_what_was_neutralized_can_be_restored(text: str) -> None:
    assert restored(neutralized(text)) == text


@given(nasty)
def test_no_cell_begins_with_a_formula_wherever_a_program_splits(text: str) -> None:
    for separator in ("\x00", ";", "\t", "\n", "\r"):
        for cell in neutralized(text).split(separator) if separator != "\x00" else [neutralized(text)]:
            assert not cell.strip().strip('"').startswith(("=", "+", "-", "@", "\uff1d"))


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\rx", "  =1", '"=1"', "a;=1", "a\n@b", "\uff1d1"]
)
def test_formulas_are_neutralized(text: str) -> None:
    assert "'" in neutralized(text)


@pytest.mark.parametrize("text", ["nightly", "a - b", "a=b", "it's", "5-3", "", "x, -y", "mail@example.org"])
def test_usual_texts_stay_as_they_are(text: str) -> None:
    assert neutralized(text) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0.010", "0.010"),
        ("0E-12", "0.000000000000"),
        ("1E+3", "1000"),
        ("-0.5", "-0.5"),
        ("0.000000012", "0.000000012"),
    ],
)
def test_money_has_all_its_digits_and_no_exponent(amount: str, text: str) -> None:
    assert plain(Decimal(amount)) == text
