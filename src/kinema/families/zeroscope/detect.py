"""Detect ModelScope and Zeroscope checkpoints from their configurations (no torch)."""

from __future__ import annotations

from pathlib import Path

from ...core.card import Card
from ...sd import bases
from ...weights.configs import Config
from ...weights.names import model_name
from .cards import PUBLISHED, on_image

PIPELINES = ("TextToVideoSDPipeline", "VideoToVideoSDPipeline")
PUBLISHED_WIDTH = 320


def recognise(path: Path) -> Card | None:
    """The card of a diffusers folder; None if it is not of this family."""
    if not path.is_dir():
        return None
    if (layers := bases.layers_in(path)) is not None:
        return on_image(model_name(path), layers).model_copy(update={"path": str(path)})
    parts = Config.maybe(path / "model_index.json")
    if parts is None or parts.text("_class_name", "") not in PIPELINES:
        return None
    unet, vae = bases.configs(path)
    name = model_name(path).lower()
    base = PUBLISHED[1] if "xl" in name else PUBLISHED[0] if "zeroscope" in name else PUBLISHED[2]
    named = {"id": model_name(path), "path": str(path), "hub": None, "aliases": ()}
    if unet.wholes("block_out_channels")[0] == PUBLISHED_WIDTH:
        return base.model_copy(update=named)
    stride, grid, side = bases.sizes_from(unet, vae)
    small = {"network": base.network.model_copy(update={"space_stride": stride}), "size": bases.sizes(side, grid)}
    note = "A checkpoint with an unpublished shape: its limits are from its configuration."
    return base.model_copy(update={**named, **small, "notes": (note,)})
