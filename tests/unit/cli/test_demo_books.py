"""The last look of the demo: what it checks, and which wrong figure it names."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from productsync.client import Client
from productsync.demo import waiting
from productsync.demo.books_act import BooksAct, books
from productsync.demo.figures import CheckedFigures
from productsync.output import Output
from productsync.settings import Connection, Secret
from tests.unit.cli.conftest import ENDPOINT, FakeApi
from tests.unit.cli.test_exports import make_export, serve
from tests.unit.cli.test_usage import make_group, make_usage

COST = [{"currency": "EUR", "amount": "5.01"}]
BALANCE: Any = {"available": 499, "owed": 0}
OPERATIONS: Any = [{"cost": [{"currency": "EUR", "amount": "5"}]}, {"cost": COST}, {"cost": []}]


def story() -> dict[str, Any]:
    """What the API says when every figure is right; a test spoils one."""
    totals = make_export()["totals"] | {"credits": 5501}
    totals["cost"] = [{"currency": "EUR", "paid": "10.01", "free": "0", "corrected": "0"}]
    opening, closing = {"available": 0, "owed": 0}, {"available": 499, "owed": 0}
    moves = {"granted": 6000, "consumed": 5501, "owed": 0, "settled": 0, "expired": 0, "void": 0, "corrected_down": 0}
    export = make_export(
        totals=totals, books={**make_export()["books"], "opening": opening, "closing": closing, **moves}
    )
    return {
        "usage": make_usage("job", [make_group("stock", 5000, 500), make_group("every-minute", 0, 1)]),
        "export": export,
    }


def tell(api: FakeApi, story: dict[str, Any]) -> None:
    api.on("GET", "/usage", {**story["usage"], "pending_credits": 501}, story["usage"])
    serve(api, make_export("preparing"), story["export"])


@pytest.fixture
def act(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], BooksAct]]:
    monkeypatch.setattr(waiting, "EVERY", 0.0)
    monkeypatch.setattr("productsync.looking.FIRST_WAIT", 0.0)
    key = Secret("psk", "a test")
    with Client(Connection(ENDPOINT, key, None, None), transport=api.transport) as client:
        yield lambda: BooksAct(client, BALANCE, OPERATIONS, Output(as_json=False), CheckedFigures())


def test_the_last_look_ends_well_when_every_figure_is_right(
    act: Callable[[], BooksAct], api: FakeApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tell(api, story())
    played = act()
    document = books(played, tmp_path, steps_before=12)
    assert played.figures.wrong == []
    assert document["export"]["export_id"] == "exp_1"
    assert sorted(document["files"]) == sorted(path.name for path in tmp_path.iterdir())
    told = capsys.readouterr().out
    assert "13. Where did the shop's credits go?" in told
    assert "14. The month as files" in told
    assert "5,501 credits worth 10.01 EUR. They close at the balance, 499." in told
    assert len(api.sent("GET", "/usage")) == 2


def lost_job(story: dict[str, Any]) -> None:
    del story["usage"]["groups"][1]


def owes(story: dict[str, Any]) -> None:
    story["usage"]["total"]["credits"] += 1


def other_balance(story: dict[str, Any]) -> None:
    story["export"]["books"]["closing"]["available"] = 500


def disagrees(story: dict[str, Any]) -> None:
    story["export"]["disagreements"] = ["the debt changed"]


def lost_line(story: dict[str, Any]) -> None:
    story["export"]["totals"]["credits"] -= 1


def rounds(story: dict[str, Any]) -> None:
    story["export"]["totals"]["cost"][0]["paid"] = "10"


def no_books(story: dict[str, Any]) -> None:
    story["export"]["books"] = None


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lost_job, "Usage by job, credits: expected 5501, got 5500"),
        (owes, "Usage, free and paid: expected 5502, got 5501"),
        (other_balance, "The export's closing balance: expected (499, 0), got (500, 0)"),
        (disagrees, "What the export says does not add up: expected [], got ['the debt changed']"),
        (lost_line, "The export's credits, and those of usage: expected 5501, got 5500"),
        (rounds, "The export's money, and that of the log"),
        (no_books, "The books of an export that is ready"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_wrong_figure_is_named(
    act: Callable[[], BooksAct], api: FakeApi, tmp_path: Path, spoil: Callable[[dict[str, Any]], None], says: str
) -> None:
    told = story()
    spoil(told)
    tell(api, told)
    played = act()
    books(played, tmp_path, steps_before=0)
    assert says in "; ".join(played.figures.wrong)
