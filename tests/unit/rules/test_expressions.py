"""The language of conditions and values: what it computes, what it refuses and where, and that nothing gets past it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.catalog import same
from shared.edits.attributes import kept
from shared.rules.expressions import (
    MAX_BYTES,
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_NESTING,
    MAX_WORDS,
    EvaluationFailed,
    ExpressionRefused,
    Kind,
    Missing,
    Subject,
    parse,
    parsing,
)
from shared.rules.expressions.kinds import TooMuch

KINDS = {
    "price": Kind.NUMBER,
    "cost": Kind.NUMBER,
    "name": Kind.TEXT,
    "sold": Kind.BOOLEAN,
    "tags": Kind.LIST,
    "size": Kind.MAP,
}
RECORD: Mapping[str, Any] = {
    "price": Decimal("12.50"),
    "cost": 5,
    "name": "Shirt",
    "sold": True,
    "tags": ["new", "red"],
    "size": {"width": 20, "unit": "cm"},
    "nothing": None,
    "none": 0,
    "code": "12.50",
    "endless": "inf",
    "Body (HTML)": "<p>",
    "in": "within",
    "mixed": ["a", 1],
    "huge": Decimal("9E125"),
}

NOT_ADDED = "they cannot be added; .to_str makes a text of a number, .to_flt a number of a text"


def computed(text: str, **others: Any) -> Any:
    return parse(text).evaluate("sku-1", {**RECORD, **others})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", True),
        ("not sold", False),
        ("price * 1.2", Decimal(15)),
        ("price - cost", Decimal("7.5")),
        ("-cost", -5),
        ("0.1 + 0.2 == 0.3", True),
        ("7 % cost", 2),
        ("1 / 3", Decimal("0." + "3" * 38)),
        ("2 / 3", Decimal("0." + "6" * 37 + "7")),
        ("(price / 3).floor", 4),
        ("(price / 3).ceiling", 5),
        ('name + " " + key', "Shirt sku-1"),
        ('"Größe: " + cost.to_str', "Größe: 5"),
        ("(100 * 10.0).to_str", "1000"),
        ('"caf\\u00e9 \\"x\\"\\n"', 'café "x"\n'),
        ("'it is \"so\"'", 'it is "so"'),
        ("code.to_flt * 2", 25),
        ('" 7 ".to_int', 7),
        ("name.length", 5),
        ("tags.length", 2),
        ('"".is_empty', True),
        ("name.as_upper", "SHIRT"),
        ('name.as_lower.starts_with("sh")', True),
        ('name.ends_with("")', True),
        ('"new" in tags', True),
        ('name not in ["Shirt", "Skirt"]', False),
        ('"hir" in name', True),
        ('"width" in size', True),
        ('size["width"] > 10', True),
        ('size["depth"]', None),
        ("tags[0]", "new"),
        ("tags[7]", None),
        ("name[1:3]", "hi"),
        ("tags[1:]", ["red"]),
        ("tags", ["new", "red"]),
        ("size", {"width": 20, "unit": "cm"}),
        ("[cost, name]", [5, "Shirt"]),
        ("$min([price, cost])", 5),
        ("$max([price, cost])", Decimal("12.5")),
        ("$sum([price, cost, 1])", Decimal("18.5")),
        ("$sum([])", 0),
        ("$abs(cost - price)", Decimal("7.5")),
        ('price > 10 ? "dear" : "cheap"', "dear"),
        ('attributes["Body (HTML)"]', "<p>"),
        ("attributes['in']", "within"),
        ("true or nothing > 3", True),
        ("1\n  + 2\t", 3),
    ],
)
def test_what_it_computes(text: str, expected: Any) -> None:
    assert same(computed(text), expected)


@pytest.mark.parametrize("missing", ["nothing", "absent", 'attributes["absent"]', 'attributes["not there"]'])
def test_what_is_missing_is_null(missing: str) -> None:
    assert computed(missing) is None
    assert computed(f"{missing} == null") is True
    assert computed(f"{missing} != null") is False
    assert computed(f"{missing} ?? 7") == 7
    assert computed(f'({missing} ?? "").is_empty') is True
    assert computed(f"not {missing}") is True
    assert computed(f"{missing} and true") is False
    assert computed(f'{missing}["part"]') is None
    assert computed(f"{missing} in [1, 2]") is False
    assert computed(f"[{missing}, 1]") == [None, 1]
    for stumbling in (
        f"{missing} > 3",
        f"{missing} >= {missing}",
        f"3 * {missing}",
        f"{missing} + {missing}",
        f"-{missing}",
        f"{missing}.length",
        f"1 in {missing}",
        f"{missing} in name",
        f"name.starts_with({missing})",
        f"name[0:{missing}]",
        f"tags[{missing}]",
        f"$abs({missing})",
        f"$sum({missing})",
        f"$sum([1, {missing}])",
        f"{missing} ? {missing} + 1 : 2 - {missing}",
    ):
        with pytest.raises(Missing) as caught:
            computed(stumbling)
        assert caught.value.reason == f"{missing} is missing"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("price / none", "none is 0 here, and nothing is divided by 0"),
        ("price % (cost - 5)", "cost - 5 is 0 here, and nothing is divided by 0"),
        ('price > "abc"', 'price is a number and "abc" a text here: they cannot be compared'),
        ("name * 2", "name is a text here, and * takes numbers"),
        (
            "name + price",
            f"name is a text and price a number here: {NOT_ADDED}",
        ),
        ("price and true", "price is a number here, and not true or false"),
        ("name ? 1 : 2", "name is a text here, and not true or false"),
        ("name.to_flt", '"Shirt" is no number'),
        ("code.to_int", "12.5 is no whole number"),
        ("endless.to_flt", '"inf" is no number'),
        ("price.to_int", "12.5 is no whole number"),
        ("sold.to_str", "sold is true or false here, and .to_str is of texts and numbers"),
        ("tags[name]", "name is a text here, and places in lists and texts are numbers"),
        ("tags[0.5]", "tags[0.5]: places are whole numbers"),
        ("price[0]", "price is a number here, and […] takes a part of lists, texts and maps"),
        ("1 in name", "1 is a number here, and texts hold texts only"),
        ("name.starts_with(cost)", "cost is a number here, and .starts_with takes a text"),
        ("$sum(mixed)", "$sum(mixed) takes a list of numbers that is not empty, and gets another here"),
        ("huge * huge", "huge * huge is beyond the numbers that are kept: 38 digits, up to 1E125"),
        ("huge + huge", "huge + huge is beyond the numbers that are kept: 38 digits, up to 1E125"),
        ("1 / huge / huge", "1 / huge / huge is beyond the numbers that are kept: 38 digits, up to 1E125"),
    ],
)
def test_what_cannot_be_computed_says_why(text: str, reason: str) -> None:
    with pytest.raises(EvaluationFailed) as caught:
        computed(text)
    assert caught.value.reason == reason
    assert not isinstance(caught.value, Missing)


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        # Types: the operand that does not fit, wherever it stands
        ('price > "abc"', 9, 'price is a number and "abc" a text: they cannot be compared'),
        ('"abc" > price', 9, "cannot be compared"),
        ('price == "abc"', 10, "never equal"),
        ("name * 2", 1, "name is a text, and * takes numbers"),
        ("2 * name", 5, "name is a text"),
        ("name + price", 8, "cannot be added"),
        ("tags + tags", 1, "tags is a list"),
        ("sold and (price > 1 or (name - 1) == 2)", 25, "name is a text"),
        ('name.starts_with("a" + price)', 24, "cannot be added"),
        ("name.starts_with(price)", 18, "price is a number, and .starts_with takes a text"),
        ("$max([price, name])", 14, "name is a text, and $max takes numbers"),
        ("$abs(tags)", 6, "$abs takes a number"),
        ("$sum(price)", 6, "$sum takes a list of numbers"),
        ("$min(price, 1)", 13, "takes one value"),
        ("$max([])", 6, "not empty"),
        ("name - 1 > tags * 2", 1, "name is a text"),
        ("price > 1 and\n  price < name", 25, "cannot be compared"),
        ("price and sold", 1, "`and` takes what is true or false"),
        ("not name", 5, "`not` takes"),
        ("name ? 1 : 2", 1, "`?` takes"),
        ("-name", 2, "- takes a number"),
        ("price.length", 1, ".length is of texts, lists and maps"),
        ("name.floor", 1, ".floor is of numbers"),
        ("1 in name", 1, "texts hold texts only"),
        ("name in price", 9, "`in` looks into"),
        ('tags["a"]', 6, "places in lists and texts are numbers"),
        ("size[0]", 6, "the names in a map are texts"),
        ("size[0:1]", 1, "lists and texts"),
        ('price ?? "none"', 10, "two of one kind"),
        ("price > null", 9, "null goes with"),
        # Constants
        ("1 / 0", 5, "nothing is divided by 0"),
        ("price / 0.00", 9, "nothing is divided by 0"),
        ("price / (1 - 1)", 10, "nothing is divided by 0"),
        ('1 + "abc".to_flt', 5, '"abc" is no number'),
        ('1 > "a"', 5, "cannot be compared"),
        # Grammar
        ("", 1, "empty"),
        ("  ", 1, "empty"),
        ("price >", 8, "something is missing"),
        ("(price", 7, "something is missing"),
        ("> price", 1, "> is not expected here"),
        ("price price", 7, "price is not expected here"),
        ("1 < price < 3", 11, "joined by and"),
        ("price) > 1", 6, ") is not expected here"),
        # Vocabulary
        ('name =~ "a+"', 6, "patterns"),
        ('name !~~ "a+"', 6, "patterns"),
        ("[x for x in tags]", 4, "for is not known"),
        ("if price", 1, "if is not known"),
        ('d"2026-01-01"', 1, "nothing before"),
        ('t"P1D"', 1, "nothing before"),
        ('b"00"', 1, "nothing before"),
        ('r"x"', 1, "nothing before"),
        ("$now", 1, "$now is not known; there are $abs, $max, $min, $sum"),
        ("$random()", 1, "$random is not known"),
        ("$min", 1, "followed by parentheses"),
        ("min([1])", 1, "min is no function"),
        ("name(1)", 1, "name is no function"),
        ("(name)(1)", 7, "no function"),
        ('"abc"(1)', 6, "no function"),
        ("price ** 99999999", 7, "powers"),
        ("1 // 2", 3, "floor"),
        ("1 << 9", 3, "bits"),
        ("1 & 2", 3, "and"),
        ("sold && sold", 6, "and"),
        ("sold || sold", 6, "or"),
        ("!sold", 1, "not"),
        ("price = 3", 7, "=="),
        ("price <> 3", 7, "!="),
        ("{1, 2}", 1, "lists are"),
        ("price # the price", 7, "comments"),
        ("name&.length", 5, "??"),
        ("name.encode", 6, ".encode is not known"),
        ("name.__class__", 6, ".__class__ is not known"),
        ("size.width", 6, 'map["width"]'),
        ("name.starts_with", 6, "parentheses"),
        ("name.length()", 6, "without parentheses"),
        ("price.", 6, "a point"),
        (".5", 1, "a point"),
        ("5.", 1, "a number is written"),
        ("1e9", 1, "a number is written"),
        ("0x10", 1, "a number is written"),
        ("007", 1, "zeros"),
        ("1" * 39, 1, "at most 38"),
        ('"abc', 1, "closing quote"),
        (r'"a\qb"', 3, "backslash"),
        (r'"\ud83d"', 2, "surrogate"),
        ("price @ 2", 7, "@"),
        ("price ; 2", 7, ";"),
        ("\x00", 1, "not known here"),
        # Attributes
        ("attributes", 1, 'attributes["name"]'),
        ("attributes[name]", 12, 'attributes["name"]'),
        ('attributes["a" + "b"]', 12, 'attributes["name"]'),
        ('attributes[" "]', 12, "not blank"),
    ],
)
def test_what_is_refused_and_where(text: str, position: int, said: str) -> None:
    with pytest.raises(ExpressionRefused) as caught:
        parse(text, KINDS)
    assert said in caught.value.reason
    assert caught.value.position == position
    assert str(caught.value).endswith(f" (character {position})")


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("(" * 1000 + "1" + ")" * 999, MAX_NESTING + 1, "brackets"),
        ("[" * 60 + "1" + "]" * 60, MAX_NESTING + 1, "brackets"),
        ("+".join(["1"] * 3000), MAX_CHARACTERS + 1, "characters"),
        ("a" * 2001, MAX_CHARACTERS + 1, "characters"),
        ("+".join(["1"] * 900), MAX_WORDS + 1, "words"),
        ("+".join(["1"] * (MAX_DEPTH + 5)), 2 * MAX_DEPTH + 1, "in one chain"),
        ("not " * 150 + "true", 4 * (151 - MAX_DEPTH) + 1, "in one chain"),
        ("-" * 190 + "1", 191 - MAX_DEPTH + 1, "in one chain"),
        ("1 ?? " * 150 + "2", 5 * (151 - MAX_DEPTH) + 1, "in one chain"),
    ],
)
def test_what_is_too_long_or_too_deep(text: str, position: int, said: str) -> None:
    with pytest.raises(ExpressionRefused) as caught:
        parse(text)
    assert said in caught.value.reason
    assert caught.value.position == position


def test_the_deepest_and_longest_that_are_taken() -> None:
    assert computed("+".join(["cost"] * MAX_DEPTH)) == 5 * MAX_DEPTH
    nested = "1" + "+(1" * MAX_NESTING + ")" * MAX_NESTING
    assert computed(nested) == MAX_NESTING + 1
    assert computed("not " * (MAX_DEPTH - 2) + "sold") is True
    assert computed("not sold ? 1 : " * 60 + "2") == 2
    assert computed("name in [" + ", ".join(['"x"'] * 190) + "]") is False


@pytest.mark.parametrize("text", ["price > 1", 'attributes["price"] > 1', "(price ?? 2) > 1", "price == null"])
def test_a_known_kind_may_still_be_missing(text: str) -> None:
    assert parse(text, KINDS).kind is Kind.BOOLEAN


def test_names_are_exact() -> None:
    text = 'price > 1 ? attributes["Body (HTML)"] : (größe ?? attributes["key"]) + key.as_lower'
    assert parse(text).names == {"price", "Body (HTML)", "größe", "key"}
    assert parse("key").names == frozenset()
    assert parse('name["x"]').names == {"name"}
    assert parse("nan == inf").names == {"nan", "inf"}
    assert parse('attributes["$min"] == attributes["null"]').names == {"$min", "null"}
    assert parse(r'attributes["a\"b\\c"]').names == {'a"b\\c'}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("price", Kind.NUMBER),
        ("key", Kind.TEXT),
        ("price * 2", Kind.NUMBER),
        ("price + cost", Kind.NUMBER),
        ("name + name", Kind.TEXT),
        ("unknown + 1", Kind.UNKNOWN),
        ("unknown * 1", Kind.NUMBER),
        ("unknown.length", Kind.NUMBER),
        ('unknown.starts_with("a")', Kind.BOOLEAN),
        ("price > 1", Kind.BOOLEAN),
        ("not unknown", Kind.BOOLEAN),
        ("price ?? 0", Kind.NUMBER),
        ("price ?? null", Kind.NUMBER),
        ("sold ? 1 : 2", Kind.NUMBER),
        ('sold ? 1 : "a"', Kind.UNKNOWN),
        ("tags[0]", Kind.UNKNOWN),
        ("tags[0:1]", Kind.LIST),
        ("size", Kind.MAP),
        ("[1]", Kind.LIST),
        ("null", Kind.UNKNOWN),
        ("$sum(tags)", Kind.NUMBER),
    ],
)
def test_the_kind_of_a_result(text: str, kind: Kind) -> None:
    assert parse(text, KINDS).kind is kind


def test_without_kinds_everything_may_fit() -> None:
    assert parse("price * name - tags").evaluate("k", {"price": 2, "name": 3, "tags": 4}) == 2
    assert parse("price > 1", {"price": Kind.UNKNOWN}).kind is Kind.BOOLEAN


def test_texts_stay_within_a_record() -> None:
    half = "x" * (MAX_BYTES // 2)
    assert len(computed("t + t", t=half)) == MAX_BYTES
    for text in ('t + t + "y"', '(t + t + "y").length', "t + t + t == null"):
        with pytest.raises(EvaluationFailed, match="a text of more than"):
            computed(text, t=half)


ELEMENTS = {
    "a": list(range(100)),
    "b": list(range(100)),
    "nested": [[1, 2], {"x": [3]}, "text"],
    "m": {f"n{number}": number for number in range(50)},
    "s": "x",
    "t": "y" * 1_000,
    "huge": list(range(130_000)),
}


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("s + s == null", 0),
        ("a == null", 100),
        ("a == null or a == null or (a ?? b) == null", 100),
        ("a.length + m.length + huge.length", 0),
        ("huge.is_empty", 0),
        ("a[0] + a[-1]", 100),
        ("nested[1]", 7 + 2 * 2),
        ("nested == []", 7 + 7),
        ("a == b", 100 + 100 + 200),
        ("a != 1", 100),
        ("a < b", 100 + 100 + 200),
        ("1 in a", 100 + 100),
        ("1 not in a", 100 + 100),
        ("a in [a]", 100 + 1 + 100 + 101),
        ("'n1' in m", 50),
        ("m['n1'] > 0", 50),
        ("$sum(a) + $max(a)", 100 + 100 + 100),
        ("$sum([s.length, 2])", 2 + 2),
        ("a[10:].length", 100 + 90),
        ("a[10:20] == null", 100 + 10),
        ("a[0:][0:].length", 100 + 100 + 100),
        ("a", 100 + 200),
        ("[a, a]", 100 + 2 + 2 * 202),
        ("t == null or t.starts_with('y')", 0),
        ("t", 2 * 10),
        ("(t + t).length", 20),
        ("t[1:601].length", 6),
        ("t.as_upper == t", 10 + 10),
        ("'z' in t", 10 + 1),
        ("'0123456789' not in t", 10 + 10),
        ("t.to_flt", 10),
    ],
)
def test_what_is_gone_through_is_counted(text: str, elements: int) -> None:
    subject = Subject("sku-1", ELEMENTS)
    with suppress(EvaluationFailed):
        parse(text).value_for(subject)
    assert subject.spent == elements


NUMBERS = {
    "a": list(range(MAX_ELEMENTS - 1_000)),
    "b": [{"x": number} for number in range(4_000)],
    "m": {f"n{number}": number for number in range(8_000)},
    "t": "ß" * 200_000,
    "huge": list(range(130_000)),
}
MUCH = [
    "huge == null",
    "huge" + "[0:]" * 97,
    "a" + "[0:]" * 90,
    "a" + "[0:]" * 90 + " + 1",
    "(" + "[a,a,a][0:]" + "[0:]" * 80 + ").length + a[0:][0:].length == 0",
    "[" * 20 + ",".join(["a"] * 100) + "]" * 20,
    "$sum(a) + $sum(a) + $sum(a)",
    " or ".join(["'z' in a"] * 60),
    " or ".join(["b == [b]", "[b] == [b, b]"] * 20),
    " or ".join(["a < a"] * 60),
    "m[a] ?? m[a] ?? m[a]",
    " or ".join(["t.as_upper == t"] * 60),
    " or ".join(["(t + t) == t"] * 30),
    " or ".join(["'ßb' in t"] * 60),
    " or ".join(["t[1:] == s"] * 30),
    "[" + ",".join(["t"] * 100) + "]",
    "[" + ",".join(["b"] * 100) + "]",
]


@pytest.mark.parametrize("text", MUCH, ids=range(len(MUCH)))
def test_an_expression_is_stopped_before_it_goes_through_too_much(text: str) -> None:
    subject = Subject("sku-1", NUMBERS)
    with pytest.raises(TooMuch, match=f"more than {MAX_ELEMENTS:,} elements"):
        parse(text).value_for(subject)


def test_a_failure_is_explained_as_far_as_that_goes() -> None:
    subject = Subject("sku-1", {"a": list(range(9_000))})
    with pytest.raises(EvaluationFailed, match=r"cannot be computed here") as failed:
        parse("a[0:] + 1").value_for(subject)
    assert not isinstance(failed.value, TooMuch)
    with pytest.raises(EvaluationFailed, match=r"a\[0:\] is a list here, and \+ takes"):
        computed("a[0:] + 1", a=list(range(5_000)))


def test_a_name_in_a_large_map_is_found_as_often_as_one_likes() -> None:
    names = {f"n{number}": number for number in range(8_000)}
    assert computed(" or ".join(["'z' in m"] * 60), m=names) is False


def test_maps_are_equal_whatever_their_order() -> None:
    assert computed("a == b", a={"x": 1, "y": [{"p": 1, "q": 2}]}, b={"y": [{"q": 2, "p": Decimal("1.0")}], "x": 1})


def test_a_record_is_not_changed() -> None:
    record = {"tags": [{"a": [1]}], "n": 1}
    result = parse("tags").evaluate("k", record)
    result[0]["a"].append(2)
    assert record == {"tags": [{"a": [1]}], "n": 1}


def test_expressions_are_remembered_as_long_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "MAX_REMEMBERED", 5 * (20 + len("price + 10")))
    texts = [f"price + {n}" for n in range(10, 18)]
    fresh = parsing.Memory()
    monkeypatch.setattr(parsing, "_memory", fresh)
    first = parse(texts[0])
    assert parse(texts[0]) is first
    for text in texts[1:]:
        parse(text)
    assert [fresh.find(text) is not None for text in texts] == [False] * 3 + [True] * 5


def test_threads_share_expressions() -> None:
    failures: list[object] = []

    def work(number: int) -> None:
        for turn in range(50):
            text = f"n * {number} + {turn}"
            if parse(text).evaluate("k", {"n": 10}) != 10 * number + turn:
                failures.append(text)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


# Whatever is sent


WORDS = [
    *("price", "name", "tags", "size", "absent", "key", 'attributes["Body (HTML)"]', "attributes", "in", "for", "if"),
    *("and", "or", "not", "true", "false", "null", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "**"),
    *("??", "?", ":", "(", ")", "[", "]", ",", ".", "{", "}", "=~", "&", "|", "^", "<<", "#", "'", '"', "\\"),
    *(".length", '.starts_with("S")', ".as_upper", ".to_str", ".to_flt", ".to_int", ".floor", ".is_empty", ".encode"),
    *("$abs(", "$min([", "$sum(", "$now", "0", "1", "2.50", "007", "1e9", "99999999999999999999", '"abc"', "'x'", "é"),
]
OPERATORS = ["==", "!=", "<", ">=", "+", "-", "*", "/", "%", "??", "and", "or", "in", "not in"]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**38) + 1, 10**38 - 1),
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**6), max_value=10**6),
    st.text(max_size=5),
    st.lists(st.one_of(st.integers(-9, 9), st.text(max_size=2), st.none()), max_size=4),
    st.dictionaries(st.text(min_size=1, max_size=3), st.integers(-9, 9), max_size=3),
)
ATTRIBUTES = st.dictionaries(st.sampled_from(["price", "name", "tags", "size"]), VALUES)
SOUND = st.recursive(
    st.sampled_from(["price", "name", "tags", "size", "absent", "key", "0", "1", "2.5", '"abc"', "true", "null", "[]"]),
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(OPERATORS), inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
        st.builds("{}[{}]".format, inner, inner),
        st.builds("{}[{}:{}]".format, inner, inner, inner),
        st.builds("(not {})".format, inner),
        st.builds("(-{})".format, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("({}){}".format, inner, st.sampled_from([".length", ".to_str", ".to_flt", ".as_upper", ".floor"])),
        st.builds("({}).starts_with({})".format, inner, inner),
        st.builds("${}({})".format, st.sampled_from(["abs", "min", "max", "sum"]), inner),
    ),
    max_leaves=12,
)


def refusal(text: str, kinds: Mapping[str, Kind] | None = None) -> ExpressionRefused | None:
    try:
        parse(text, kinds)
    except ExpressionRefused as refused:
        return refused
    return None


def outcome(text: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What it comes to, or why it does not, as a record could keep it."""
    try:
        return kept({"value": parse(text).evaluate("sku-1", attributes)})
    except EvaluationFailed as failed:
        return {"reason": failed.reason}


def try_out(text: str, attributes: Mapping[str, Any]) -> None:
    """Refused, failed, or a value that a record can keep; and the same again."""
    for refused in (refusal(text), refusal(text, KINDS)):
        if refused is not None:
            assert refused.position is not None
            assert 1 <= refused.position <= len(text) + 1
    if refusal(text) is None:
        assert same(outcome(text, attributes), outcome(text, attributes))
        assert outcome(text, attributes).get("reason") != ""


@given(st.text(max_size=60), ATTRIBUTES)
@example("\ud800", {})
@example("price \ud800", {})
@example('"\ud800"', {})
def test_any_text(text: str, attributes: Mapping[str, Any]) -> None:
    try_out(text, attributes)


@given(st.lists(st.sampled_from(WORDS), max_size=20).map(" ".join), ATTRIBUTES)
@settings(max_examples=400)
def test_any_words(text: str, attributes: Mapping[str, Any]) -> None:
    try_out(text, attributes)


@given(SOUND, ATTRIBUTES)
@settings(max_examples=500, deadline=None)
def test_any_expression_on_any_record(text: str, attributes: Mapping[str, Any]) -> None:
    try_out(text, attributes)


@given(SOUND, ATTRIBUTES)
@settings(max_examples=200, deadline=None)
def test_the_kind_of_a_result_is_foretold(text: str, attributes: Mapping[str, Any]) -> None:
    """What is accepted for the kinds that a record has comes to the kind that was foretold."""
    kinds = {name: _KINDS_OF[type(value)] for name, value in attributes.items()}
    if refusal(text, kinds) is not None:
        return
    foretold = parse(text, kinds).kind
    value = outcome(text, attributes).get("value")
    if value is not None and foretold is not Kind.UNKNOWN:
        assert _KINDS_OF[type(value)] is foretold


_KINDS_OF = {
    type(None): Kind.UNKNOWN,
    bool: Kind.BOOLEAN,
    int: Kind.NUMBER,
    Decimal: Kind.NUMBER,
    str: Kind.TEXT,
    list: Kind.LIST,
    dict: Kind.MAP,
}
