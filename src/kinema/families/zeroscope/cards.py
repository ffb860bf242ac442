"""ModelScope text to video and its fine-tuned models, with their publishers' defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.card import Card, Defaults, FramesRule, Network, Option, ProfileRule, SizeRule
from ...core.request import Profile
from ...sd import bases
from ...weights.configs import Config
from .options import ZeroscopeOptions

PROFILES: dict[Profile, ProfileRule] = {
    "exact": ProfileRule(),
    "balanced": ProfileRule(low_precision=True, reuse=2),
    "fast": ProfileRule(steps=20, low_precision=True, reuse=2, guidance_interval=(0.0, 0.8)),
}
"""The quality of the faster profiles was not measured with the published weights."""
NETWORK = Network(
    parameters=1_411_233_860, width=1280, layers=4, text_parameters=340_387_840, text_length=77,
    autoencoder_parameters=83_653_863, latent_channels=4, time_stride=1, space_stride=8, patch=1,
    flop_per_cell=2.87e8,
)  # fmt: skip
"""flop_per_cell: counted on the published configuration (tests/families/test_zeroscope.py)."""
SMALL = Network(
    parameters=4_899_812, width=96, layers=3, text_parameters=460_000, text_length=40,
    autoencoder_parameters=1_150_000, latent_channels=4, time_stride=1, space_stride=4, patch=1, bytes_per_parameter=4,
    flop_per_cell=3.0e6,
)  # fmt: skip
"""Counted on the miniature; a good approximation for other small models."""

MAX_FRAMES, MAX_SIDE_PX = 1024, 4096
"""Limits of the training sizes in a configuration of temporal layers."""


def options(strength: float) -> dict[str, Option]:
    return ZeroscopeOptions.table(
        strength=strength, low_memory=False, decode_chunk=8, clip_skip=0, prompt_weights="off"
    )  # fmt: skip


def _card(
    name: str, title: str, hub: str, licence: str, sizes: tuple[tuple[int, int], ...], frames: int, *, steps: int,
    guidance: float, strength: float = 0.7, upscaler: str | None = None, notes: tuple[str, ...] = (),
) -> Card:  # fmt: skip
    return Card(
        id=name, family="zeroscope", title=title, licence=licence, variant="t2v", hub=hub,
        accepts=("source", "style"),
        size=SizeRule(multiple=64, trained=sizes, min_side=192, max_side=1344, max_area=1280 * 768),
        frames=FramesRule(step=1, trained=frames, minimum=1, maximum=96),
        defaults=Defaults(fps=8.0, steps=steps, guidance=guidance), network=NETWORK, profiles=PROFILES,
        options=options(strength), upscaler=upscaler, notes=notes,
    )  # fmt: skip


def on_image(name: str, layers: Mapping[str, Any]) -> Card:
    """The card of a folder of temporal layers (sd/temporal_layers.py), from its configuration; the request's image
    model sets the sizes."""
    config = Config(layers, f"{name}: config.json")
    base, frames = config.text("base"), config.whole("num_frames", most=MAX_FRAMES)
    side_px = config.whole("side_px", most=MAX_SIDE_PX) if config.has("side_px") else None
    return Card(
        id=name, family="zeroscope", title=f"Temporal layers for {base}", licence="unknown", variant="t2v",
        accepts=("source", "style"), size=bases.sizes(side_px or 64, 16), own_size=side_px is not None,
        frames=FramesRule(step=1, trained=frames, minimum=1, maximum=4 * frames),
        defaults=Defaults(fps=8.0, steps=25, guidance=5.0), network=SMALL,
        profiles={"exact": ProfileRule(), "balanced": ProfileRule(reuse=2), "fast": ProfileRule(steps=12, reuse=2)},
        options={"base": bases.option(base), **options(0.7)},
    )  # fmt: skip


MINI = on_image("kinema-mini-zeroscope", {"base": "kinema-mini-image", "num_frames": 16}).model_copy(
    update={
        "title": "The built-in miniature of Video LDM and Zeroscope: temporal layers on kinema-mini-image",
        "licence": "Apache-2.0", "builtin": "miniatures/mini_zeroscope", "domain": "toyland",
        "aliases": ("mini-zeroscope",),
        "upscaler": "kinema-mini-zeroscope-xl",
        "notes": ("Knows only Toyland: simple objects, skies and grounds. See docs/mini_motion.md.",),
    }
)  # fmt: skip

MINI_XL = on_image(
    "kinema-mini-zeroscope-xl", {"base": "kinema-mini-image", "num_frames": 16, "side_px": 96}
).model_copy(
    update={
        "title": "The built-in miniature of Zeroscope XL: upscales to 96x96", "licence": "Apache-2.0",
        "builtin": "miniatures/mini_zeroscope_xl", "domain": "toyland", "aliases": ("mini-zeroscope-xl",),
        "options": {"base": bases.option("kinema-mini-image"), **options(0.6)},
        "notes": ("For clips from kinema-mini-zeroscope as source, with the same prompt.",),
    }
)  # fmt: skip

PUBLISHED: tuple[Card, ...] = (
    _card(
        "zeroscope", "Zeroscope v2 576w", "cerspense/zeroscope_v2_576w", "CC-BY-NC-4.0", ((576, 320),), 24, steps=40,
        guidance=9.0, upscaler="zeroscope-xl",
        notes=("Fewer than 24 frames, or smaller frames, reduce quality, according to its model card.",),
    ),
    _card(
        "zeroscope-xl", "Zeroscope v2 XL, which upscales", "cerspense/zeroscope_v2_XL", "CC-BY-NC-4.0",
        ((1024, 576),), 24, steps=40, guidance=15.0,
        notes=("For clips from zeroscope as source, with the same prompt.",),
    ),
    _card(
        "modelscope", "ModelScope text to video, 1.7B", "ali-vilab/text-to-video-ms-1.7b", "CC-BY-NC-4.0",
        ((256, 256),), 16, steps=50, guidance=9.0,
    ),
)  # fmt: skip
CARDS: tuple[Card, ...] = (MINI, MINI_XL, *PUBLISHED)
