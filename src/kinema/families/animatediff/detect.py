"""Motion adapters: folders in diffusers' layout, and single files as they were published (no torch)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...core.card import Card
from ...core.errors import ModelError
from ...core.outside import read_json
from ...weights.store import header
from .cards import PUBLISHED, XL

WIDTHS, XL_WIDTHS = (320, 640, 1280, 1280), (320, 640, 1280)


def recognise(path: Path) -> Card | None:
    """The card of a folder with a MotionAdapter, or of a safetensors file of motion modules; None for others."""
    if path.suffix == ".safetensors":
        return _file(path)
    try:
        config = read_json(path / "config.json", dict, error=ModelError)
        if config["_class_name"] != "MotionAdapter":
            return None
        return _card(path, path.name, config)
    except (OSError, ValueError, KeyError):
        return None


def _file(path: Path) -> Card | None:
    from .layouts import MARK, facts, plain

    entries = {key: tuple(entry["shape"]) for key, entry in header(path).items() if key != "__metadata__"}
    return _card(path, path.stem, facts(entries)) if any(plain(key) == MARK for key in entries) else None


def _card(path: Path, name: str, config: dict[str, Any]) -> Card:
    widths, longest = tuple(config["block_out_channels"]), config["motion_max_seq_length"]
    v3, v2, v1 = PUBLISHED
    base = v2 if config.get("use_motion_mid_block", True) else v1 if longest == 24 else v3
    base = XL if widths == XL_WIDTHS else base
    changes: dict[str, object] = {"id": name, "path": str(path), "hub": None, "aliases": ()}
    context = base.options["context_length"].model_copy(update={"maximum": float(longest)})
    if widths not in (WIDTHS, XL_WIDTHS):
        changes["title"] = f"A motion adapter of {len(widths)} levels, {widths[-1]} wide"
        changes["notes"] = ("An adapter of unpublished shape; name the image model that it belongs to with base.",)
    return base.model_copy(update={**changes, "options": {**base.options, "context_length": context}})
