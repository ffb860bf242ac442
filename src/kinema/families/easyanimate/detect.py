"""Detect EasyAnimate checkpoints (no torch): folders in diffusers' layout from their configurations, folders and files
of the authors from their tensors."""

from __future__ import annotations

from pathlib import Path

from ...core.card import Card
from ...core.errors import ModelError
from ...weights.configs import Config
from ...weights.headers import tensors
from ...weights.names import model_name
from . import original
from .cards import CARDS, sizes
from .paper import cards as paper

PIPELINES = {
    "EasyAnimatePipeline": ("t2v",),
    "EasyAnimateInpaintPipeline": ("inp",),
    "EasyAnimateControlPipeline": ("control", "camera"),
}
TRANSFORMER, AUTOENCODER = "EasyAnimateTransformer3DModel", "AutoencoderKLMagvit"
OLDER = {
    "HunyuanTransformer3DModel": "EasyAnimate V4",
    "Transformer3DModel": "EasyAnimate V1 to V3",
}
"""Transformers of earlier versions, in folders whose pipelines have the same names."""
AUTHORS = "mid_block_type"
"""A field of the autoencoder's configuration that only the authors' class has."""
PUBLISHED_VAE = Config({"block_out_channels": [128, 256, 512, 512]}, "the autoencoder")
MAX_LAYERS, MAX_HEADS, RAYS = 256, 1024, 6
"""RAYS: channels of a camera's rays."""


def recognise(path: Path) -> Card | None:
    """The card of a folder or file; None if it is not an EasyAnimate model. ModelError if it is damaged, or a
    relative that is not supported (named in the message)."""
    if not path.is_dir():
        return _of_file(path) if path.suffix == ".safetensors" and path.is_file() else None
    index = Config.maybe(path / "model_index.json")
    kind = index.text("_class_name", "") if index is not None else ""
    if kind == paper.PIPELINE:
        return paper.of_folder(path)
    own = _of_authors(path, kind)
    if index is None or kind not in PIPELINES:
        return own
    try:
        config = Config.read(path / "transformer" / "config.json")
        vae = Config.read(path / "vae" / "config.json")
    except FileNotFoundError as error:
        raise ModelError(f"{path}: {Path(str(error.filename)).parent.name}/config.json is missing.") from None
    name = config.text("_class_name", TRANSFORMER)
    if name in OLDER:
        raise ModelError(f"{path}: {OLDER[name]} is not supported; EasyAnimate V5.1 is.")
    if name != TRANSFORMER:
        raise ModelError(f"{path}: unsupported transformer class {name[:80]}; supported: {TRANSFORMER}.")
    if config.has("text_embed_dim_t5") or index.part("text_encoder_2"):
        raise ModelError(f"{path}: EasyAnimate V5 (two text encoders) is not supported; V5.1 is.")
    if (found := vae.text("_class_name", AUTOENCODER)) != AUTOENCODER:
        raise ModelError(f"{path}: unsupported autoencoder class {found[:80]}; supported: {AUTOENCODER}.")
    return own or _card(path, _variant(path, kind, config), config, vae)


def _of_authors(path: Path, pipeline: str) -> Card | None:
    """The card of a folder of the authors, whose index, if there is one, does not tell the variants apart; None for
    other folders."""
    if pipeline and not pipeline.startswith("EasyAnimate"):
        return None
    config, vae = (Config.maybe(path / part / "config.json") for part in ("transformer", "vae"))
    if config is None or vae is None or config.text("_class_name", TRANSFORMER) != TRANSFORMER:
        return None
    if not vae.has(AUTHORS) or config.has("text_embed_dim_t5"):
        return None
    return _card(path, _by_channels(path, config), config, vae)


def _of_file(path: Path) -> Card | None:
    shapes = tensors(path)
    if not original.is_transformer(shapes):
        return None
    config = Config(original.configuration(shapes, str(path)), str(path))
    base = original.base_of(path)
    vae = Config.maybe(base / "vae" / "config.json") if base is not None else None
    return _card(path, _by_channels(path, config), config, vae or PUBLISHED_VAE)


def _by_channels(path: Path, config: Config) -> str:
    """The variant of a model without a pipeline."""
    entering, latents = config.whole("in_channels", 16), config.whole("out_channels", 16)
    found = next((name for name, count in _layouts(latents).items() if count == entering), None)
    if found is None:
        raise ModelError(
            f"{path}: {entering} input channels; EasyAnimate V5.1 with {latents} output channels has "
            f"{', '.join(map(str, _layouts(latents).values()))}."
        )
    return found


def _layouts(latents: int) -> dict[str, int]:
    """Input channels by variant."""
    return {"t2v": latents, "inp": 2 * latents + 1, "control": 3 * latents, "camera": 2 * latents + RAYS}


def _variant(path: Path, kind: str, config: Config) -> str:
    """The variant, by the channels beside the noise. ModelError if the pipeline says otherwise."""
    entering, latents = config.whole("in_channels", 16), config.whole("out_channels", 16)
    layouts = _layouts(latents)
    found = next((name for name in PIPELINES[kind] if layouts[name] == entering), None)
    if kind == "EasyAnimateInpaintPipeline" and entering == 3 * latents:
        raise ModelError(f"{path}: a mask of {latents} channels (EasyAnimate V5) is not supported; one channel is.")
    if found is None:
        legal = " or ".join(str(layouts[name]) for name in PIPELINES[kind])
        raise ModelError(
            f"{path}: transformer/config.json has {entering} input channels; {kind} with {latents} output channels "
            f"has {legal}."
        )
    return found


def _card(path: Path, variant: str, config: Config, vae: Config) -> Card:
    named = {"id": model_name(path), "path": str(path), "hub": None, "aliases": ()}
    width = config.whole("num_attention_heads", 48, most=MAX_HEADS) * config.whole("attention_head_dim", 64, most=1024)
    layers = config.whole("num_layers", 48, most=MAX_LAYERS)
    known = [card for card in CARDS if card.variant == variant]
    for card in known:
        if (card.network.width, card.network.layers) == (width, layers):
            return card.model_copy(update=named)
    near = known[0]
    levels = len(vae.wholes("block_out_channels", most=65_536))
    space, time = 2 ** (levels - 1), 2 ** (levels - 2)
    grid = space * config.whole("patch_size", 2, most=16)
    trained = space * config.whole("sample_width", 90, most=1024), space * config.whole("sample_height", 60, most=1024)
    own = {
        "size": sizes(
            trained, multiple=grid, min_side=max(grid, 16), max_side=max(1344, 2 * max(trained)),
            max_area=max(1024 * 1024, 4 * trained[0] * trained[1]),
        ),
        "frames": near.frames.model_copy(update={"step": time}),
        "network": near.network.model_copy(
            update={
                "width": width, "layers": layers, "space_stride": space, "time_stride": time,
                "latent_channels": config.whole("out_channels", 16), "parameters": layers * 18 * width * width,
            }
        ),
        "notes": (*near.notes, "A checkpoint with an unpublished shape: its limits are from its configuration."),
    }  # fmt: skip
    return near.model_copy(update={**named, **own})
