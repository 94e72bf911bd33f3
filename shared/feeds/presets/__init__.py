"""The presets: definitions of what shops really send, as data. definition.py gives them their meaning."""

from __future__ import annotations

from types import MappingProxyType

from shared.feeds.presets import akeneo, google_merchant, magento, shopify, woocommerce
from shared.feeds.presets.preset import Preset

__all__ = ["PRESETS", "Preset"]

PRESETS = MappingProxyType(
    {
        "akeneo": akeneo.PRESET,
        "google_merchant": google_merchant.PRESET,
        "magento": magento.PRESET,
        "shopify": shopify.PRESET,
        "woocommerce": woocommerce.PRESET,
    }
)
