"""The feed of the measurements: products of about 0.7 KB, as many as wanted, the same ones every time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

COLUMNS = ("sku", "name", "brand", "category", "price", "stock", "colour", "image", "description")

DEFINITION = json.dumps(
    {
        "format": {"type": "csv"},
        "entities": [
            {
                "entity": "product",
                "key": "sku",
                "attributes": {
                    **{name: name for name in COLUMNS if name not in {"sku", "price", "stock"}},
                    "price": {"from": "price", "type": "decimal"},
                    "stock": {"from": "stock", "type": "integer"},
                },
            }
        ],
        "skip_unchanged": True,
    }
)
"""One record for each row, so that a feed of n rows is a run of n records."""

_BRANDS = ("Nordwerk", "Alto & Figli", "Maison Verte", "Brightwater", "Kestrel", "Ondas", "Tallgrass")
_COLOURS = ("anthracite", "oat", "moss green", "signal red", "sky blue", "natural", "white", "black")
_CATEGORIES = ("Garden > Tools > Pruning", "Kitchen > Storage > Jars", "Office > Lighting > Lamps", "Bath > Textiles")
_TEXT = (
    "Made for every day: the parts are screwed and not glued so that each one can be replaced; the surface is oiled "
    "twice by hand and takes water well. It leaves the works assembled and in packaging without plastic. Wipe it with "
    "a damp cloth and avoid scouring agents. Spare parts are kept for ten years and the guarantee covers five. "
    "The matching accessories are listed under the same collection and are delivered together with it; what does not "
    "please goes back within sixty days and free of charge even if it was used."
)


def key_of(number: int, prefix: str) -> str:
    return f"{prefix}-{number:08d}"


def attributes_of(number: int, edition: int, prefix: str) -> dict[str, Any]:
    """One product. Each edition has another price and another stock for all of them."""
    return {
        "name": f"{_BRANDS[number % 7]} {_COLOURS[number % 8]} {number % 997} of series {number % 89}",
        "brand": _BRANDS[number % 7],
        "category": _CATEGORIES[number % 4],
        "price": f"{5 + number % 900}.{10 + (number + edition) % 90}",
        "stock": (number * 11 + edition) % 250,
        "colour": _COLOURS[number % 8],
        "image": f"https://images.example.com/catalogue/{prefix.lower()}-{number:08d}.jpg",
        "description": f"No. {number}. {_TEXT}",
    }


def write_feed(path: Path, rows: int, *, edition: int = 0, prefix: str = "P", repeat_every: int = 0) -> None:
    """Writes a feed of `rows` rows. With `repeat_every`, an even number, one row in so many repeats an earlier one."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.write(",".join(COLUMNS) + "\n")
        for row in range(rows):
            is_repeat = repeat_every and row % repeat_every == repeat_every - 1
            # Never a number that is such a row's itself, and each only once.
            number = row // 2 - 1 if is_repeat else row
            cells = attributes_of(number, edition, prefix).values()
            # No value here needs quotes.
            stream.write(f"{key_of(number, prefix)},{','.join(map(str, cells))}\n")
