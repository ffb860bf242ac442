"""Image models that a motion adapter or temporal layers stand on: where they are, and what a plan must know of them (no
torch)."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..core.card import Card, Option, SizeRule
from ..core.errors import ModelError, WeightsMissing
from ..core.outside import read_json
from ..core.request import Request
from ..weights.store import given

BUILT_IN = {"kinema-mini-image": "miniatures/mini_image"}
LAYERS = "TemporalLayers"
PARTS = ("tokenizer", "text_encoder", "unet", "vae", "scheduler")


@dataclass(frozen=True)
class Base:
    """place: a folder or a single file. stride: pixels that a latent spans each way. grid: sides are multiples of it.
    side_px: trained."""

    place: Path
    stride: int
    grid: int
    side_px: int


def option(default: str) -> Option:
    """The card's option that names the image model."""
    return Option(
        kind="str", default=default,
        help="the image model: a folder, a single file (.safetensors) of Stable Diffusion 1's layout, or a hub id that "
        "was pulled; any of the shape that this was trained on",
    )  # fmt: skip


def find(name: str) -> Base:
    """A folder or a single file, the name of a shipped image model, or a hub id that was pulled. WeightsMissing where
    it is not here, ModelError where it is not an image model."""
    place = Path(str(files("kinema"))) / BUILT_IN[name] if name in BUILT_IN else given(name)
    if place is None:
        raise WeightsMissing(
            f"The image model {name} is not on this machine. `kinema models pull {name}` fetches it from the hub; "
            "--set base=FOLDER or FILE takes one that you have."
        )
    if place.is_file():
        from .image_file import sizes as sizes_in

        return Base(place, *read_off(*sizes_in(place)))
    missing = [part for part in PARTS if not (place / part).is_dir()]
    if missing:
        raise ModelError(f"{place}: not an image model in diffusers' layout; missing: {', '.join(missing)}.")
    try:
        unet = read_json(place / "unet" / "config.json", dict, error=ModelError)
        vae = read_json(place / "vae" / "config.json", dict, error=ModelError)
        stride, grid, side_px = read_off(unet, vae)
        return Base(place, stride, grid, side_px)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{place}: its configuration cannot be read: {error!r}.") from None


def sizes(side_px: int, grid: int) -> SizeRule:
    """The limits of a network that was trained on squares of one size and is on no published card."""
    return SizeRule(
        multiple=grid, trained=((side_px, side_px),), min_side=grid, max_side=8 * side_px,
        max_area=(4 * side_px) ** 2,
    )  # fmt: skip


def read_off(unet: dict[str, Any], vae: dict[str, Any]) -> tuple[int, int, int]:
    """(stride, grid, side in px) of an image or video model from its configurations."""
    stride = 2 ** (len(vae["block_out_channels"]) - 1)
    sample = unet.get("sample_size") or 64
    side = sample[0] if isinstance(sample, list) else sample
    return stride, stride * 2 ** (len(unet["block_out_channels"]) - 1), side * stride


def named(request: Request, card: Card) -> str:
    """The image model that a request names, or the card's own."""
    return str(request.options.get("base", card.options["base"].default))


def with_base(name: str, card: Card) -> Card:
    """The card with the sizes of an image model, where that is on this machine and the card has none of its own."""
    try:
        base = find(name)
    except WeightsMissing:
        return card
    side_px = card.size.trained[0][0] if card.own_size else base.side_px
    if (base.stride, side_px) == (card.network.space_stride, card.size.trained[0][0]):
        return card
    network = card.network.model_copy(update={"space_stride": base.stride})
    return card.model_copy(update={"size": sizes(side_px, base.grid), "network": network})


def layers_in(folder: Path) -> dict[str, Any] | None:
    """The configuration of a folder of temporal layers (sd/temporal_layers.py); None for any other."""
    try:
        config: dict[str, Any] = read_json(folder / "config.json", dict, error=ModelError)
        return config if config["_class_name"] == LAYERS else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
