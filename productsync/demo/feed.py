"""A supplier's file for the demo: 1,000 products, each in a category of its own.

The categories are a tree of exactly 1,000 nodes (10 departments, 9 families in each, 10 kinds in each of those), and
every node, the inner ones too, has one product. So the file makes 1,000 products and 1,000 categories. It is the same
at every run, and a product record is about 0.7 KB, the size that the design counts with (section 11).
"""

import csv
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

PRODUCTS = 1_000
CATEGORIES = 1_000
CHANGED = 37

DEFINITION: dict[str, Any] = {
    "format": {"type": "csv"},
    "entities": [
        {"entity": "category", "path": {"from": "Category", "separator": ">"}},
        {
            "entity": "product",
            "key": "SKU",
            "attributes": {
                "name": "Name",
                "description": "Description",
                "brand": "Brand",
                "category": "Category",
                "price": {"from": "Price", "type": "decimal"},
                "currency": "Currency",
                "colour": "Colour",
                "material": "Material",
                "weight_kg": {"from": "Weight", "type": "decimal"},
                "ean": "EAN",
                "stock": {"from": "Stock", "type": "integer"},
                "image": "Image",
            },
        },
    ],
    "skip_unchanged": True,
}
"""How the file is read: one row is a product and the nodes of its category path."""

PRODUCTS_ALONE: dict[str, Any] = {**DEFINITION, "entities": DEFINITION["entities"][1:]}
"""How the file is read where nobody wants records of its categories."""

_DEPARTMENTS = ("Garden", "Kitchen", "Office", "Bath", "Bedroom", "Workshop", "Camping", "Cycling", "Nursery", "Pets")
_FAMILIES = ("Tools", "Storage", "Lighting", "Textiles", "Furniture", "Cleaning", "Safety", "Electronics", "Decoration")
_KINDS = ("Basic", "Classic", "Compact", "Folding", "Heavy Duty", "Junior", "Outdoor", "Premium", "Recycled", "Travel")
_BRANDS = ("Nordwerk", "Alto & Figli", "Maison Verte", "Brightwater", "Kestrel", "Ondas", "Tallgrass")
_COLOURS = ("anthracite", "oat", "moss green", "signal red", "sky blue", "natural", "white", "black")
_MATERIALS = ("beech wood", "stainless steel", "recycled polypropylene", "linen", "powder-coated aluminium", "glass")
_TEXT = (
    "The {name} by {brand} is made of {material} and comes in {colour}. It was designed for everyday use, weighs "
    "{weight} kg, and leaves the factory fully assembled in packaging without plastic. Wipe it with a damp cloth; "
    "avoid scouring agents. Spare parts are kept for ten years, and the guarantee covers five. Customers in this "
    "range also ask for matching accessories, which are listed beside it under {category}."
)


@dataclass(frozen=True)
class Product:
    """One row of the file."""

    sku: str
    name: str
    brand: str
    category: str
    price: Decimal
    colour: str
    material: str
    weight: Decimal
    ean: str
    stock: int

    def row(self) -> dict[str, str]:
        """The row, under the file's column names."""
        description = _TEXT.format(
            name=self.name,
            brand=self.brand,
            material=self.material,
            colour=self.colour,
            weight=self.weight,
            category=self.category,
        )
        return {
            "SKU": self.sku,
            "Name": self.name,
            "Description": description,
            "Brand": self.brand,
            "Category": self.category,
            "Price": str(self.price),
            "Currency": "EUR",
            "Colour": self.colour,
            "Material": self.material,
            "Weight": str(self.weight),
            "EAN": self.ean,
            "Stock": str(self.stock),
            "Image": f"https://images.example.com/catalogue/{self.sku.lower()}.jpg",
        }


def category_paths() -> list[str]:
    """The 1,000 nodes of the tree, each as the path of names that leads to it."""
    paths: list[str] = []
    for department in _DEPARTMENTS:
        paths.append(department)
        for family in _FAMILIES:
            paths.append(f"{department} > {family}")
            paths.extend(f"{department} > {family} > {kind}" for kind in _KINDS)
    return paths


def products() -> list[Product]:
    """The products of the file, one for each category."""
    return [_product(number, category) for number, category in enumerate(category_paths(), start=1)]


def with_new_prices(listed: list[Product]) -> list[Product]:
    """The same products a week later: 37 of them, spread over the file, have another price."""
    step = len(listed) // CHANGED
    changed = {place * step for place in range(CHANGED)}
    return [
        replace(one, price=one.price + Decimal("1.50")) if place in changed else one for place, one in enumerate(listed)
    ]


def with_dearer_prices(listed: list[Product]) -> list[Product]:
    """The same products a month later: all of them have another price."""
    return [replace(one, price=one.price + Decimal("0.50")) for one in listed]


def write_feed(file: Path, listed: list[Product]) -> None:
    """Writes products as CSV."""
    rows = [one.row() for one in listed]
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _product(number: int, category: str) -> Product:
    brand = _BRANDS[number % len(_BRANDS)]
    department, family, kind = [*category.split(" > "), "", ""][:3]
    return Product(
        sku=f"PS-{number:05d}",
        name=" ".join(word for word in (brand, kind, department, family, str(100 + number)) if word),
        brand=brand,
        category=category,
        price=Decimal(995 + number * 37 % 9000) / 100,
        colour=_COLOURS[number % len(_COLOURS)],
        material=_MATERIALS[number % len(_MATERIALS)],
        weight=Decimal(20 + number * 13 % 480) / 100,
        ean=_ean13(f"40{number * 7919 % 10**10:010d}"),
        stock=number * 11 % 250,
    )


def _ean13(digits: str) -> str:
    """Twelve digits with their check digit, as scanners want it."""
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
    return f"{digits}{-total % 10}"
