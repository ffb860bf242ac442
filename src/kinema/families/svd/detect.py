"""Detect Stable Video Diffusion checkpoints from configurations and safetensors headers (no torch)."""

from __future__ import annotations

import fnmatch
from pathlib import Path

from ...core.card import Card, FramesRule
from ...core.errors import ModelError
from ...sd import bases
from ...weights import quantised
from ...weights.configs import Config
from ...weights.headers import header
from ...weights.names import model_name
from .cards import PUBLISHED

UNET_KEY = "model.diffusion_model.input_blocks.1.1.time_stack.0.attn1.to_q.weight"
MAX_FRAMES = 1024


def recognise(path: Path) -> Card | None:
    """The card of a diffusers folder or an original single file; None if it is not of this family."""
    if path.is_dir():
        return _folder(path)
    if path.suffix.lower() != ".safetensors":
        return None
    entries = header(path)
    if UNET_KEY not in entries:
        return None
    if scale := quantised.scaled(entries):
        raise ModelError(f"{path}: scaled float8 weights ({scale}) are not supported for this family.")
    return _with_path(path, _published(path))


def _published(path: Path) -> Card:
    """The published card by file name, the only difference between 14 and 25 frames; defaults to 14 frames."""
    return next(
        (c for c in PUBLISHED if any(fnmatch.fnmatch(path.name, name) for name in c.single_files)), PUBLISHED[0]
    )


def _folder(path: Path) -> Card | None:
    parts = Config.maybe(path / "model_index.json")
    if parts is None or parts.text("_class_name", "") != "StableVideoDiffusionPipeline":
        return None
    unet, vae = bases.configs(path)
    frames = unet.whole("num_frames", 14, most=MAX_FRAMES)
    base = next((card for card in PUBLISHED if card.frames.trained == frames), PUBLISHED[0])
    if unet.wholes("block_out_channels")[0] == 320:
        return _with_path(path, base)
    stride, grid, side = bases.sizes_from(unet, vae)
    rule = FramesRule(step=1, trained=frames, minimum=2, maximum=64)
    small = {
        "network": base.network.model_copy(update={"space_stride": stride}),
        "size": bases.sizes(side, grid),
        "frames": rule,
    }
    note = "A checkpoint with an unpublished shape: its limits are from its configuration."
    return _with_path(path, base.model_copy(update={**small, "notes": (*base.notes, note)}))


def _with_path(path: Path, card: Card) -> Card:
    return card.model_copy(update={"id": model_name(path), "path": str(path), "hub": None, "aliases": ()})
