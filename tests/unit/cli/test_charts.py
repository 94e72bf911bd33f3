"""Pictures: they fit, they keep their proportions, and they say the same without colours and without Unicode."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from productsync.charts import ASCII, BLOCKS, NARROWEST_BAR, Bar, Glyphs, Part, Point, area, bars, glyphs_for, legend

PARTS = (Part("free", "▒", "cyan"), Part("paid", "█", "yellow"), Part("owed", "▚", "red"))
AMOUNTS = st.tuples(*(st.integers(0, 10**18) for _ in PARTS))
ROWS = st.lists(
    st.builds(lambda label, amounts: Bar(label, amounts, f"{sum(amounts):,}"), st.text("ab-日"), AMOUNTS), min_size=1
)


def drawn(rows: list[Bar], width: int, glyphs: Glyphs = BLOCKS) -> list[str]:
    return [line.plain.rstrip() for line in bars(rows, PARTS, width, glyphs)]


def plain(lines: list[Text]) -> list[str]:
    return [line.plain for line in lines]


def test_bars_keep_their_proportions() -> None:
    rows = [Bar("Mon", (20, 20, 0), "40"), Bar("Tuesday", (0, 0, 0), "0"), Bar("Wed", (0, 5, 5), "10")]
    assert drawn(rows, 33) == [
        "Mon      ▒▒▒▒▒▒▒▒▒▒██████████  40",
        "Tuesday                         0",
        "Wed      ███▚▚                 10",
    ]


@given(ROWS, st.integers(40, 200))
def test_bars_fit_and_are_as_long_as_what_they_stand_for(rows: list[Bar], width: int) -> None:
    rows.sort(key=lambda row: row.total)
    lines = bars(rows, PARTS, width, BLOCKS)
    told = max(len(row.told) for row in rows)
    # Figures are never cut: where they leave too little room, bars are as short as may be, and the line too long.
    assert {line.cell_len for line in lines} == {lines[0].cell_len}
    assert lines[0].cell_len <= max(width, told + NARROWEST_BAR + 5)
    lengths = [sum(line.plain.count(part.glyph) for part in PARTS) for line in lines]
    assert lengths == sorted(lengths)
    assert [length > 0 for length in lengths] == [row.total > 0 for row in rows]


def test_what_is_not_nothing_is_seen() -> None:
    rows = [Bar("much", (10**15, 0, 0), "1,000,000,000,000,000"), Bar("little", (0, 1, 0), "1")]
    assert drawn(rows, 60)[1].startswith("little  █ ")


def test_a_long_label_leaves_room_for_its_bar() -> None:
    [line] = drawn([Bar("a-feed-with-a-very-long-name-indeed-" * 3, (7, 0, 0), "7")], 60)
    assert len(line) == 60
    assert "…  " + "▒" * NARROWEST_BAR in line


def test_wide_letters_count_as_wide() -> None:
    lines = bars([Bar("日本語", (1, 0, 0), "1"), Bar("abc", (1, 0, 0), "1")], PARTS, 60, BLOCKS)
    assert [line.cell_len for line in lines] == [60, 60]


def test_no_bars_are_no_lines() -> None:
    assert bars([], PARTS, 60, BLOCKS) == []


def test_a_label_does_not_command_the_terminal() -> None:
    assert "\x1b" not in drawn([Bar("a\x1b[2Jb", (1, 0, 0), "1")], 60)[0]


def test_the_legend_names_parts_by_what_they_look_like() -> None:
    assert legend(PARTS[:2]).plain == "▒▒ free   ██ paid"


def test_an_area_over_time() -> None:
    points = [Point("1", 8), Point("2", 6, is_marked=True), Point("3", 4), Point("4", 0)]
    assert plain(area(points, 12, 2, "green", BLOCKS)) == [
        "8 ┤██▄▄",
        "  │██████",
        "0 └────────",
        "     ▲",
        "   1      4",
    ]


def test_an_area_in_ascii() -> None:
    points = [Point("Mon", 9), Point("Tue", 1)]
    assert plain(area(points, 60, 3, "green", ASCII)) == [
        "9 |######",
        "  |######",
        "  |######......",
        "0 +------------",
        "   Mon      Tue",
    ]


@given(
    st.lists(st.builds(Point, st.just("2026-11-22"), st.integers(0, 10**18), st.booleans()), min_size=1, max_size=400),
    st.integers(40, 200),
    st.sampled_from([BLOCKS, ASCII]),
)
def test_an_area_fits(points: list[Point], width: int, glyphs: Glyphs) -> None:
    lines = area(points, width, 6, "green", glyphs)
    # The labels of a single step may be wider than that.
    assert max(cell_len(line.plain) for line in lines[:-1]) <= width
    assert (glyphs.mark in "".join(plain(lines))) is any(point.is_marked for point in points)
    top = max(point.value for point in points)
    assert f"{max(1, top):,}" in lines[0].plain


def test_of_more_points_than_columns_none_is_lost() -> None:
    points = [Point(str(day), day, is_marked=day == 200) for day in range(366)]
    lines = plain(area(points, 60, 3, "green", BLOCKS))
    assert lines[0].endswith("█")
    assert lines[-2].count("▲") == 1
    assert lines[-1].split() == ["0", "365"]


def test_nothing_at_all_is_a_floor() -> None:
    assert area([], 60, 6, "green", BLOCKS) == []
    lines = plain(area([Point("11-22 Sun", 0)], 60, 2, "green", BLOCKS))
    assert lines == ["1 ┤", "  │", "0 └──────", "   11-22 Sun"]


@pytest.mark.parametrize(
    ("encoding", "glyphs"), [("utf-8", BLOCKS), ("UTF8", BLOCKS), ("ascii", ASCII), ("cp1252", ASCII)]
)
def test_a_terminal_is_given_what_it_can_spell(encoding: str, glyphs: Glyphs) -> None:
    assert glyphs_for(encoding) is glyphs
    everything = "".join(ASCII.parts) + "".join(value for value in vars(ASCII).values() if isinstance(value, str))
    assert everything.isascii()
