"""Detect EasyAnimate checkpoints in diffusers' layout from their configurations (no torch)."""

from __future__ import annotations

from pathlib import Path

from ...core.card import Card
from ...core.errors import ModelError
from ...weights.configs import Config
from ...weights.names import model_name
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
MAX_LAYERS, MAX_HEADS, RAYS = 256, 1024, 6
"""RAYS: channels of a camera's rays."""


def recognise(path: Path) -> Card | None:
    """The card of a diffusers folder; None if it is not an EasyAnimate model. ModelError if it is damaged, or a
    relative that is not supported (named in the message)."""
    parts = Config.maybe(path / "model_index.json") if path.is_dir() else None
    if parts is None:
        return None
    kind = parts.text("_class_name", "")
    if kind == paper.PIPELINE:
        return paper.of_folder(path)
    if kind not in PIPELINES:
        return None
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
    if config.has("text_embed_dim_t5") or parts.part("text_encoder_2"):
        raise ModelError(f"{path}: EasyAnimate V5 (two text encoders) is not supported; V5.1 is.")
    if (found := vae.text("_class_name", AUTOENCODER)) != AUTOENCODER:
        raise ModelError(f"{path}: unsupported autoencoder class {found[:80]}; supported: {AUTOENCODER}.")
    return _card(path, _variant(path, kind, config), config, vae)


def _variant(path: Path, kind: str, config: Config) -> str:
    """The variant, by the channels beside the noise. ModelError if the pipeline says otherwise."""
    entering, latents = config.whole("in_channels", 16), config.whole("out_channels", 16)
    layouts = {
        "t2v": latents, "inp": 2 * latents + 1, "control": 3 * latents, "camera": 2 * latents + RAYS,
    }  # fmt: skip
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
