"""CogVideoX (arXiv 2408.06072): text, image and video to video; with Tora (arXiv 2407.21705), along drawn paths.
The family's public module; no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...core.card import Card
from .cards import CARDS as PLAIN
from .detect import recognise
from .options import CogVideoXOptions as OPTIONS
from .planning import plan
from .tora.cards import CARDS as TORA

CARDS = (*PLAIN, *TORA)
BLOCK_BY_BLOCK = True
"""A network that would fill a GPU runs block by block."""
__all__ = ["BLOCK_BY_BLOCK", "CARDS", "OPTIONS", "assemble", "load", "plan", "recognise"]


def load(card: Card, location: Path, device: Any = None, dtype: Any = None) -> Any:
    """Load a `CogVideoXFamily`. See families/cogvideox/checkpoint.py."""
    from .checkpoint import load as load_family

    return load_family(card, location, device, dtype)


def assemble(file: Path, base: Card, folder: Path, target: Path) -> int:
    """Convert a Tora checkpoint in SAT's layout. See families/cogvideox/tora/sat.py."""
    from .tora.sat import assemble as assemble_tora

    return assemble_tora(file, folder, target, base.variant)
