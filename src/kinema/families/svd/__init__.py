"""Stable Video Diffusion (arXiv 2311.15127): image to video. The family's public module; no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...core.card import Card
from .cards import CARDS
from .detect import recognise
from .options import SvdOptions as OPTIONS
from .planning import plan

__all__ = ["CARDS", "MODEL_FOLDER", "OPTIONS", "load", "plan", "recognise"]
MODEL_FOLDER = "checkpoints"


def load(card: Card, location: Path, device: Any = None, dtype: Any = None) -> Any:
    """Load an `SvdFamily`. See families/svd/checkpoint.py."""
    from .checkpoint import load as load_family

    return load_family(card, location, device, dtype)
