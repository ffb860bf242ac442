"""Image models for motion adapters and temporal layers: find them, and read their sizes for planning (no torch)."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..core.card import Card, Option, SizeRule
from ..core.errors import ModelError, WeightsMissing
from ..core.request import Request
from ..weights import quantised
from ..weights.configs import Config
from ..weights.store import local_path
from .options import ClipOptions

BUILT_IN = {"kinema-mini-image": "miniatures/mini_image"}
LAYERS = "TemporalLayers"
MAX_LEVELS = 8
PARTS = ("tokenizer", "text_encoder", "unet", "vae", "scheduler")


@dataclass(frozen=True)
class Base:
    """An image model. place: a folder or a single file. stride: pixels per latent in height and width. grid: sides must
    be multiples of it. side_px: the side of its training images."""

    place: Path
    stride: int
    grid: int
    side_px: int


def option(default: str) -> Option:
    """The card's option that names the image model."""
    return ClipOptions.table(base=default)["base"]


def find(name: str) -> Base:
    """Find an image model by folder, single file, name of a built-in model, or pulled hub id. WeightsMissing if it is
    not on this machine, ModelError if it is not an image model."""
    place = Path(str(files("kinema"))) / BUILT_IN[name] if name in BUILT_IN else local_path(name)
    if place is None:
        raise WeightsMissing(
            f"The image model {name} is not on this machine. `kinema models pull {name}` fetches it from the hub; "
            "--set base=FOLDER or base=FILE uses a local one."
        )
    if place.is_file():
        if place.suffix.lower() != ".safetensors":
            raise ModelError(
                f"{place}: a single-file image model must end with .safetensors; `kinema models convert` writes one."
            )
        from .image_file import sizes as sizes_in

        unet, vae = (Config(sizes, str(place)) for sizes in sizes_in(place))
        return Base(place, *sizes_from(unet, vae))
    missing = [part for part in PARTS if not (place / part).is_dir()]
    if missing:
        raise ModelError(f"{place}: not an image model in diffusers' layout; missing: {', '.join(missing)}.")
    quantised.refuse(place)
    return Base(place, *sizes_from(*configs(place)))


def sizes(side_px: int, grid: int) -> SizeRule:
    """The size limits of an unpublished network that was trained on squares of one size."""
    return SizeRule(
        multiple=grid, trained=((side_px, side_px),), min_side=grid, max_side=8 * side_px,
        max_area=(4 * side_px) ** 2,
    )  # fmt: skip


def configs(folder: Path) -> tuple[Config, Config]:
    """The configurations of UNet and VAE in a folder in diffusers' layout. ModelError if one is missing or damaged."""
    try:
        return Config.read(folder / "unet" / "config.json"), Config.read(folder / "vae" / "config.json")
    except OSError as error:
        raise ModelError(f"{folder}: its configuration cannot be read: {error}.") from None


def sizes_from(unet: Config, vae: Config) -> tuple[int, int, int]:
    """The (stride, grid, side in px) of an image or video model, from its configurations. ModelError for illegal
    sizes."""
    levels = [config.wholes("block_out_channels", most=65_536) for config in (unet, vae)]
    for config, found in zip((unet, vae), levels, strict=True):
        if len(found) > MAX_LEVELS:
            raise config.wrong("block_out_channels", f"a list of at most {MAX_LEVELS}")
    stride = 2 ** (len(levels[1]) - 1)
    side = unet.wholes("sample_size", most=4096)[0] if unet.values.get("sample_size") else 64
    return stride, stride * 2 ** (len(levels[0]) - 1), side * stride


def named(request: Request, card: Card) -> str:
    """The name of the request's image model, or the card's default."""
    return str(request.options.get("base", card.options["base"].default))


def with_base(name: str, card: Card) -> Card:
    """The card with the sizes of an image model, if that is on this machine and the card has no own sizes."""
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
    """The configuration of a folder of temporal layers (sd/temporal_layers.py); None for other folders."""
    config = Config.maybe(folder / "config.json")
    return dict(config.values) if config is not None and config.values.get("_class_name") == LAYERS else None
