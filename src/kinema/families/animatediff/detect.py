"""Detect motion adapters: folders in diffusers' layout, and published single files (no torch)."""

from __future__ import annotations

from pathlib import Path

from ...core.card import Card
from ...core.errors import ModelError
from ...weights import quantised
from ...weights.configs import Config
from ...weights.headers import header, tensors
from ...weights.names import model_name
from .cards import PUBLISHED, XL

WIDTHS, XL_WIDTHS = (320, 640, 1280, 1280), (320, 640, 1280)
MAX_FRAMES = 4096


def recognise(path: Path) -> Card | None:
    """The card of a folder with a MotionAdapter, or of a safetensors file of motion modules; None for others."""
    if path.suffix.lower() == ".safetensors":
        return _file(path)
    config = Config.maybe(path / "config.json")
    if config is None or config.text("_class_name", "") != "MotionAdapter":
        return None
    return _card(path, config)


def _file(path: Path) -> Card | None:
    from .layouts import MARK, facts, plain

    entries = header(path)
    if not any(plain(key) == MARK for key in entries):
        return None
    if scale := quantised.scaled(entries):
        raise ModelError(f"{path}: scaled float8 weights ({scale}) are not supported for this family.")
    found = facts(tensors(path))
    found["block_out_channels"] = list(found["block_out_channels"])
    return _card(path, Config(found, str(path)))


def _card(path: Path, config: Config) -> Card:
    widths, longest = config.wholes("block_out_channels"), config.whole("motion_max_seq_length", 32, most=MAX_FRAMES)
    v3, v2, v1 = PUBLISHED
    base = v2 if config.flag("use_motion_mid_block", True) else v1 if longest == 24 else v3
    base = XL if widths == XL_WIDTHS else base
    changes: dict[str, object] = {"id": model_name(path), "path": str(path), "hub": None, "aliases": ()}
    context = base.options["context_length"].model_copy(update={"maximum": float(longest)})
    if widths not in (WIDTHS, XL_WIDTHS):
        changes["title"] = f"A motion adapter of {len(widths)} levels, {widths[-1]} wide"
        changes["notes"] = ("An adapter with an unpublished shape; specify its image model with base.",)
    return base.model_copy(update={**changes, "options": {**base.options, "context_length": context}})
