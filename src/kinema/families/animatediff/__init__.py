"""AnimateDiff (arXiv 2307.04725): a motion adapter that makes any image model of Stable Diffusion's kind move. Public
door of the family; no torch here."""

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
    """A loaded `AnimateDiffFamily`. See families/animatediff/checkpoint.py."""
    from .checkpoint import load as load_family

    return load_family(card, location, device, dtype)
