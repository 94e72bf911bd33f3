"""The command line, as a customer runs it against the deployed API."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from productsync.cli import app
from tests.support.api import Caller


@dataclass(frozen=True)
class Command:
    """Runs commands as a customer, in a home of its own."""

    customer: Caller
    home: Path

    def __call__(self, *arguments: str, key: str | None = None, exit_code: int = 0) -> Result:
        """What a command says; with another key of the customer's, where one is given."""
        known = {
            "PRODUCTSYNC_ENDPOINT": self.customer.endpoint,
            "PRODUCTSYNC_API_KEY": self.customer.key if key is None else key,
            "PRODUCTSYNC_HOME": str(self.home),
        }
        result = CliRunner().invoke(app, list(arguments), env=known)
        assert result.exit_code == exit_code, result.output
        return result

    def json(self, *arguments: str, key: str | None = None, exit_code: int = 0) -> Any:
        """What a command answers to programs."""
        return json.loads(self(*arguments, "--json", key=key, exit_code=exit_code).stdout)
