"""EasyAnimate V5.1 (arXiv 2405.18991): text to video, pictures and masks (InP), control clips (Control).
The family's public module; no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...core.card import Card
from .cards import CARDS
from .detect import recognise
from .options import EasyAnimateOptions as OPTIONS
from .planning import plan

__all__ = ["CARDS", "OPTIONS", "load", "plan", "recognise"]


def load(card: Card, location: Path, device: Any = None, dtype: Any = None) -> Any:
    """Load an `EasyAnimateFamily`. See families/easyanimate/checkpoint.py."""
    from .checkpoint import load as load_family

    return load_family(card, location, device, dtype)
