"""What only the name of a file or folder can tell, if it does not (no torch). A card carries these doubts, and every
plan of the model states them: nothing is assumed silently."""

from __future__ import annotations

from pathlib import Path

from ...core.card import Card
from .variants import Signs, first_generation, names_expert, words

FOURTEEN = 5120
"""Width of the models that have relatives with the same tensors."""


def doubts(path: Path, card: Card, signs: Signs) -> tuple[str, ...]:
    """Sentences about a model that could be another one by its tensors and its name."""
    found = []
    said, kind = words(signs.name), card.variant
    if card.stage and not names_expert(signs.name):
        found.append("Its name does not say which of the two experts of Wan 2.2 A14B it is.")
    if path.is_dir() or signs.width != FOURTEEN:
        return tuple(found)
    if kind in ("t2v", "vace") and not first_generation(signs.name):
        other = "Wan 2.2 A14B" if kind == "t2v" else "VACE-Fun A14B"
        found.append(
            f"Detected as Wan 2.1 by its shapes, which an expert of {other} shares. Do not use such an expert alone; "
            "a name with wan2.1 or wan2.2 and high_noise or low_noise tells."
        )
    if kind == "i2v" and not said & {"i2v", "480p", "720p", "480", "720"}:
        found.append("Detected as image to video by its shapes, which Fun-InP, ATI and WanMove share.")
    if kind == "i2v" and not any("480" in word or "720" in word for word in said):
        found.append("Its name does not say 480p or 720p: sizes and shift are those of 480p (for 720p: --set shift=5).")
    return tuple(found)
