"""What a deployment can decide, read from the environment once, when a function starts (see template.yaml)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from shared.credits.prices import PriceList


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The environment of every function.

    `starter_credits` and `owed_cap` are credits, `max_feed_bytes` bytes. A worker hands a run over to another after
    `import_leg_seconds`. `currency` is the ISO 4217 code of prices that name none.
    """

    credit_table: str
    catalog_table: str
    work_table: str
    data_bucket: str
    prepare_queue_url: str
    import_queue_url: str
    starter_credits: int
    prices: PriceList
    currency: str
    owed_cap: int
    max_feed_bytes: int
    import_leg_seconds: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Raises KeyError for what is missing, ValueError for what does not parse: such a function must not start."""
        return cls(
            credit_table=environment["CREDIT_TABLE"],
            catalog_table=environment["CATALOG_TABLE"],
            work_table=environment["WORK_TABLE"],
            data_bucket=environment["DATA_BUCKET"],
            prepare_queue_url=environment["PREPARE_QUEUE_URL"],
            import_queue_url=environment["IMPORT_QUEUE_URL"],
            starter_credits=int(environment["STARTER_CREDITS"]),
            prices=PriceList.from_json(environment["ACTION_PRICES"]),
            currency=environment["CURRENCY"],
            owed_cap=int(environment["OWED_CAP"]),
            max_feed_bytes=int(environment["MAX_FEED_BYTES"]),
            import_leg_seconds=int(environment["IMPORT_LEG_SECONDS"]),
        )
