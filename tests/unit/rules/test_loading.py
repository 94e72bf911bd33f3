"""What only reads rules does not wait for rule-engine, which takes longer to load than all the rest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]

READING = """
import json
from shared.dynamo.values import to_item
from shared.rules.store import to_rule

definition = {
    "entity": "product",
    "trigger": {"on": ["updated"], "attributes": ["price"]},
    "condition": "price > 10",
    "actions": [{"set": "gross", "to": {"expression": "price * 1.2"}}],
}
at = "2026-01-01T00:00:00.000Z"
rule = to_rule(
    to_item(
        {
            "workspace_id": "w",
            "rule_id": "r",
            "definition": json.dumps(definition),
            "version": 1,
            "created_at": at,
            "updated_at": at,
        }
    )
)
assert rule.definition.writes == {"gross"}
assert rule.definition.listens_to("price")
"""


MODULES = [
    "shared.rules.expressions",
    "shared.rules.definition",
    "shared.rules.store",
    "shared.rules.commands",
    "shared.rules.evaluation",
    "functions.api.handler",
    "functions.credit_guard.handler",
    "functions.credit_sweep.handler",
    "functions.schedule_runner.handler",
]
LOADING = f"""
import importlib, sys

for module in {MODULES}:
    importlib.import_module(module)
    assert "rule_engine" not in sys.modules, f"{{module}} loads rule-engine"
"""


def loads_the_engine(script: str) -> bool:
    """Whether rule-engine is loaded at the end of it, in a process of its own."""
    told = subprocess.run(
        [sys.executable, "-c", f"{script}\nimport sys\nprint('rule_engine' in sys.modules)"],
        cwd=PROJECT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    return told.stdout.split()[-1] == "True"


@pytest.mark.parametrize("script", [LOADING, READING], ids=["loading modules", "reading a stored rule"])
def test_what_does_not_wait_for_the_engine(script: str) -> None:
    assert not loads_the_engine(script)


def test_the_first_expression_loads_the_engine() -> None:
    assert loads_the_engine("from shared.rules.expressions import parse\nparse('price > 1')")
