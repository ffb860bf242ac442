"""Wan 2.1 (text to video, image to video), VACE, its all-in-one editor, and Wan 2.2 TI2V-5B. The family's public
module; no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...core.card import Card
from ...weights.quantised import STORED as WEIGHTS
from .adapter_names import ADAPTER_NAMES
from .card_list import CARDS
from .detect import identify, recognise
from .extras import complete
from .file_parts import PATTERNS as PART_FILES
from .file_parts import beside, missing
from .options import WanOptions as OPTIONS
from .pairs import pair, pair_of
from .planning import plan

__all__ = [
    "ADAPTER_NAMES",
    "BLOCK_BY_BLOCK",
    "CARDS",
    "MODEL_FOLDER",
    "OPTIONS",
    "PART_FILES",
    "WEIGHTS",
    "beside",
    "complete",
    "identify",
    "load",
    "missing",
    "pair",
    "pair_of",
    "plan",
    "recognise",
]
MODEL_FOLDER = "diffusion_models"
BLOCK_BY_BLOCK = True
"""A network that would fill a GPU runs block by block."""


def load(card: Card, location: Path, device: Any = None, dtype: Any = None) -> Any:
    """Load a `WanFamily`. See families/wan/checkpoint.py."""
    from .checkpoint import load as load_family

    return load_family(card, location, device, dtype)
