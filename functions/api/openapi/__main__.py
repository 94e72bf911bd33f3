"""`python -m functions.api.openapi` writes the document anew; `make openapi` calls it."""

from __future__ import annotations

import json
from typing import Any

from functions.api.handler import app
from functions.api.openapi import PATH
from functions.api.openapi.document import document


def as_text(whole: dict[str, Any]) -> str:
    """The document as it is kept: readable, so that a change of it can be reviewed."""
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(as_text(document(app)), encoding="utf-8")
