"""What a preset is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Preset:
    """A definition under a name: `definition` holds `format` and `entities`, as a user would send them."""

    description: str
    definition: Mapping[str, Any]
