"""Image models that a motion adapter can stand on: where they are, and what a plan must know of them (no torch)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from ...core.errors import ModelError, WeightsMissing
from ...weights.store import fetched

BUILT_IN = {"kinema-mini-image": "miniatures/mini_image"}
PARTS = ("tokenizer", "text_encoder", "unet", "vae", "scheduler")


@dataclass(frozen=True)
class Base:
    """stride: pixels that a latent spans each way. grid: sides are multiples of it. side_px: trained."""

    folder: Path
    stride: int
    grid: int
    side_px: int


def find(name: str) -> Base:
    """A folder, the name of a shipped image model, or a hub id that was pulled. WeightsMissing where it is not here,
    ModelError where it is not an image model."""
    place = Path(name).expanduser()
    if name in BUILT_IN:
        place = Path(str(files("kinema"))) / BUILT_IN[name]
    elif not place.exists():
        found = fetched(name) if name.count("/") == 1 else None
        if found is None:
            raise WeightsMissing(
                f"The image model {name} is not on this machine. `kinema models pull {name}` fetches it from the hub; "
                "--set base=FOLDER takes one that you have."
            )
        place = found
    missing = [part for part in PARTS if not (place / part).is_dir()]
    if missing:
        raise ModelError(f"{place}: not an image model in diffusers' layout; missing: {', '.join(missing)}.")
    try:
        unet = json.loads((place / "unet" / "config.json").read_text(encoding="utf-8"))
        vae = json.loads((place / "vae" / "config.json").read_text(encoding="utf-8"))
        stride = 2 ** (len(vae["block_out_channels"]) - 1)
        return Base(
            place, stride, stride * 2 ** (len(unet["block_out_channels"]) - 1), (unet["sample_size"] or 64) * stride
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{place}: its configuration cannot be read: {error!r}.") from None
