"""Detect CogVideoX checkpoints in diffusers' layout from their configurations (no torch)."""

from __future__ import annotations

from pathlib import Path

from ...core.card import Card, FramesRule
from ...core.errors import ModelError
from ...weights.configs import Config
from ...weights.names import model_name
from .cards import CARDS, FRAMES_LEARNED, options, sizes
from .options import CogVideoXOptions
from .tora import cards as tora

PIPELINES = {"CogVideoXPipeline": "t2v", "CogVideoXVideoToVideoPipeline": "t2v", "CogVideoXImageToVideoPipeline": "i2v"}
UNSUPPORTED = {"CogVideoXFunControlPipeline": "CogVideoX-Fun (control)", "ConsisIDPipeline": "ConsisID"}
TRANSFORMER = "CogVideoXTransformer3DModel"
MAX_LAYERS, MAX_HEADS, MAX_SIDE = 256, 1024, 1024


def recognise(path: Path) -> Card | None:
    """The card of a diffusers folder; None if it is not a CogVideoX model. ModelError if it is damaged, or a relative
    that is not supported (named in the message)."""
    parts = Config.maybe(path / "model_index.json") if path.is_dir() else None
    if parts is None:
        return None
    kind = parts.text("_class_name", "")
    if kind in UNSUPPORTED:
        raise ModelError(f"{path}: {UNSUPPORTED[kind]} is not supported; CogVideoX 1.0 and 1.5 are.")
    pipelines = PIPELINES | tora.PIPELINES
    if kind not in pipelines:
        return None
    try:
        config = Config.read(path / "transformer" / "config.json")
        vae = Config.read(path / "vae" / "config.json")
    except FileNotFoundError as error:
        raise ModelError(f"{path}: {Path(str(error.filename)).parent.name}/config.json is missing.") from None
    expected = tora.TRANSFORMER if kind in tora.PIPELINES else TRANSFORMER
    if (name := config.text("_class_name", expected)) != expected:
        raise ModelError(f"{path}: unsupported transformer class {name[:80]}; supported: {expected}.")
    card = _card(path, variant_of(path, config, pipelines[kind]), config, vae)
    return tora.of_folder(card, config) if kind in tora.PIPELINES else card


def variant_of(path: Path, config: Config, kind: str) -> str:
    """t2v or i2v: the image model has twice the input channels. ModelError if the pipeline says otherwise."""
    entering, leaving = config.whole("in_channels", 16), config.whole("out_channels", 16)
    found = {leaving: "t2v", 2 * leaving: "i2v"}.get(entering)
    if found != kind:
        raise ModelError(
            f"{path}: transformer/config.json has {entering} input channels; a {kind} model of {leaving} output "
            f"channels has {leaving if kind == 't2v' else 2 * leaving}."
        )
    return kind


def _card(path: Path, variant: str, config: Config, vae: Config) -> Card:
    width = config.whole("num_attention_heads", 30, most=MAX_HEADS) * config.whole("attention_head_dim", 64, most=1024)
    layers = config.whole("num_layers", 30, most=MAX_LAYERS)
    late = config.has("patch_size_t")
    named = {"id": model_name(path), "path": str(path), "hub": None, "aliases": ()}
    same = [
        card
        for card in CARDS
        if card.variant == variant and (card.network.time_stride == 8) == late
        and (card.network.width, card.network.layers) == (width, layers)
    ]  # fmt: skip
    if same:
        return same[0].model_copy(update=named)
    near = next(card for card in CARDS if card.variant == variant and (card.network.time_stride == 8) == late)
    space = 2 ** (len(vae.wholes("block_out_channels", most=65_536)) - 1)
    grid = space * config.whole("patch_size", 2, most=16)
    trained = _size(config, vae, space, late)
    learned = config.flag("use_learned_positional_embeddings")
    count = config.whole("sample_frames", 49, most=1024)
    frames = FramesRule(step=8, trained=count, maximum=8 * ((256 + count) // 8) + 1)
    if learned:
        frames = FRAMES_LEARNED.model_copy(update={"trained": count, "minimum": count, "maximum": count})
    size = sizes(
        trained, only_trained=learned, grid=grid, min_side=max(grid, 16), max_side=max(1360, 4 * max(trained)),
        max_area=max(1360 * 768, 16 * trained[0] * trained[1]),
    )  # fmt: skip
    network = near.network.model_copy(
        update={
            "width": width, "layers": layers, "space_stride": space,
            "parameters": layers * 18 * width * width,
        }
    )  # fmt: skip
    dynamic = near.options["dynamic_guidance"].default is True
    note = "A checkpoint with an unpublished shape: its limits are from its configuration."
    table = CogVideoXOptions.table(**options(variant, dynamic))
    own = {"size": size, "frames": frames, "network": network, "options": table, "notes": (*near.notes, note)}
    return near.model_copy(update={**named, **own})


def _size(config: Config, vae: Config, space: int, late: bool) -> tuple[int, int]:
    """The (width, height) of the training. The transformer of CogVideoX 1.5 states the largest size of its table of
    positions, so the autoencoder's is taken."""
    if late:
        return vae.whole("sample_width", 720, most=8192), vae.whole("sample_height", 480, most=8192)
    return space * config.whole("sample_width", 90, most=MAX_SIDE), space * config.whole(
        "sample_height", 60, most=MAX_SIDE
    )
