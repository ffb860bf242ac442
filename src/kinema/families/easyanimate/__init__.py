"""EasyAnimate (arXiv 2405.18991). V5.1: text to video, pictures and masks (InP), control clips (Control). paper/: the
design of the paper, which Kinema trains. The family's public module; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...core.card import Card
from ...core.plan import Plan
from ...core.request import Request
from .cards import CARDS as PUBLISHED
from .detect import recognise
from .options import EasyAnimateOptions as OPTIONS
from .original import missing
from .paper.cards import CARDS as PAPER

CARDS = (*PUBLISHED, *PAPER)
BLOCK_BY_BLOCK = True
"""A network that would fill a GPU runs block by block."""
__all__ = ["BLOCK_BY_BLOCK", "CARDS", "OPTIONS", "load", "missing", "plan", "recognise"]


def plan(request: Request, card: Card, known: Sequence[Card] = ()) -> Plan:
    """Resolve the request against a card of this family. See planning.py and paper/planning.py."""
    if card.variant == "paper":
        from .paper.planning import plan as plan_paper

        return plan_paper(request, card, known)
    from .planning import plan as plan_published

    return plan_published(request, card, known)


def load(card: Card, location: Path, device: Any = None, dtype: Any = None) -> Any:
    """Load an `EasyAnimateFamily` (checkpoint.py), or a `PaperFamily` (paper/checkpoint.py)."""
    if card.variant == "paper":
        from .paper.checkpoint import load as load_paper

        return load_paper(card, location, device, dtype)
    from .checkpoint import load as load_published

    return load_published(card, location, device, dtype)
