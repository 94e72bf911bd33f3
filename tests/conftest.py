"""What holds for every test: no real AWS, the same examples every time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.stack"]

FEEDS_VARIABLE = "PRODUCTSYNC_FEEDS"
"""Where the real feeds lie; the one setting of the shell that tests go by."""

# Whatever else the shell says must not reach a test. This runs before any test module makes a client.
for name in [name for name in os.environ if name.startswith(("AWS_", "POWERTOOLS_", "PRODUCTSYNC_"))]:
    if name != FEEDS_VARIABLE:
        del os.environ[name]
os.environ |= {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}

# The gate must not depend on luck: the same examples every time, at any speed. `thorough` looks for new ones.
settings.register_profile("gate", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gate")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that need the embedded stack, so that `-m "not stack"` leaves them out."""
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.stack)


@pytest.fixture(scope="session")
def project() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parents[1]
