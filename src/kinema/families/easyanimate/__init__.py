"""EasyAnimate. paper/: the design of the paper (arXiv 2405.18991), which Kinema trains. The family's public module; no
torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...core.card import Card
from .detect import recognise
from .options import EasyAnimateOptions as OPTIONS
from .paper.cards import CARDS
from .paper.planning import plan

__all__ = ["CARDS", "OPTIONS", "load", "plan", "recognise"]


def load(card: Card, location: Path, device: Any = None, dtype: Any = None) -> Any:
    """Load a `PaperFamily`. See families/easyanimate/paper/checkpoint.py."""
    from .paper.checkpoint import load as load_paper

    return load_paper(card, location, device, dtype)
