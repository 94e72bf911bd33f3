"""What supplier data may do to a terminal: nothing, in tables and in JSON alike; and what tables leave whole."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from productsync.output import Column, Output, clean, to_json

UTF8 = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
COMMANDS = ["\x1b[2J", "\x9b2J", "\x07", "\x7f", "\u2028", "\u2029"]
"""What moves a cursor, clears a screen, rings or breaks a line: C0 and C1 controls, DEL, separators."""
REORDERING = [chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))]
"""Embeddings, overrides and isolates: text after them is shown in another order than it is in."""


@pytest.mark.parametrize("hostile", COMMANDS + REORDERING, ids=ascii)
def test_json_spells_out_what_would_command_a_terminal(hostile: str) -> None:
    text = to_json({hostile: [f"a{hostile}b"]}, UTF8)
    assert hostile not in text
    assert f"\\u{ord(hostile[0]):04x}" in text
    assert json.loads(text) == {hostile: [f"a{hostile}b"]}


def test_json_leaves_the_letters_of_all_scripts_as_they_are() -> None:
    assert "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 Ø 日本 \u200d" in to_json(
        "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 Ø 日本 \u200d", UTF8
    )


@given(st.text())
def test_json_says_what_it_was_given(text: str) -> None:
    assert json.loads(to_json(text, UTF8)) == text


@pytest.mark.parametrize("hostile", COMMANDS, ids=ascii)
def test_commands_are_blanks_in_a_table(hostile: str) -> None:
    assert clean(f"a{hostile}b") == "a " + hostile[1:] + "b"


@pytest.mark.parametrize("mark", REORDERING, ids=ascii)
def test_text_is_shown_in_the_order_that_it_is_in(mark: str) -> None:
    assert clean(f"invoice{mark}fdp.exe") == "invoicefdp.exe"


def test_marks_that_scripts_need_stay() -> None:
    assert clean("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u200f") == (
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u200f"
    )


def test_a_long_name_takes_no_room_from_an_identifier(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    output = Output(as_json=False)
    identifier = "key_01JD9ZJ0000000000000000001"
    names = [Column(f"Name {place}", wraps=True) for place in range(5)]
    output.table([Column("Key"), *names, Column("By")], [[identifier, *["a long name " * 5] * 5, identifier]])
    assert capsys.readouterr().out.count(identifier) == 2
