"""What a transaction is made of. Stores give writes; whoever composes a transaction sends them together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.keys import Item


@dataclass(frozen=True, slots=True)
class Write:
    """One item of a transaction: a Put, Update, Delete or ConditionCheck as DynamoDB's low-level interface spells it.

    It must ask for `ReturnValuesOnConditionCheckFailure=ALL_OLD`, so that a refusal tells what stood in its way.
    """

    request: Mapping[str, Any]


def put_new(table: str, item: Item) -> Write:
    """Writes an item where there is none."""
    return Write(
        {
            "Put": {
                "TableName": table,
                "Item": item,
                "ConditionExpression": "attribute_not_exists(pk)",
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }
    )
