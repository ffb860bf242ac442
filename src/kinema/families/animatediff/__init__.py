"""AnimateDiff (arXiv 2307.04725): motion adapters for Stable Diffusion image models. The family's public module; no
torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...core.card import Card
from .adapter_names import ADAPTER_NAMES
from .cards import CARDS
from .detect import recognise
from .options import AnimateDiffOptions as OPTIONS
from .planning import plan

__all__ = ["ADAPTER_NAMES", "CARDS", "OPTIONS", "load", "plan", "recognise"]


def load(card: Card, location: Path, device: Any = None, dtype: Any = None) -> Any:
    """Load an `AnimateDiffFamily`. See families/animatediff/checkpoint.py."""
    from .checkpoint import load as load_family

    return load_family(card, location, device, dtype)
