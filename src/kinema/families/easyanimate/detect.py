"""Detect EasyAnimate checkpoints in diffusers' layout from their configurations (no torch)."""

from __future__ import annotations

from pathlib import Path

from ...core.card import Card
from ...weights.configs import Config
from .paper import cards as paper


def recognise(path: Path) -> Card | None:
    """The card of a diffusers folder; None if it is not an EasyAnimate model. ModelError if it is damaged."""
    parts = Config.maybe(path / "model_index.json") if path.is_dir() else None
    if parts is None:
        return None
    return paper.of_folder(path) if parts.text("_class_name", "") == paper.PIPELINE else None
