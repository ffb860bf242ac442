"""LoRA adapters on a network."""

from __future__ import annotations

from typing import Any


def use(network: Any, styles: tuple[tuple[str, float], ...]) -> None:
    """Make exactly these (adapter, weight) pairs active on the network."""
    if styles:
        raise RuntimeError("adapters are being written")
