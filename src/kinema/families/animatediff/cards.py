"""The published motion adapters, with their publishers' defaults. Their image model is the option `base`."""

from __future__ import annotations

from ...core.card import Card, Defaults, FramesRule, Network, Option, ProfileRule, SizeRule
from ...core.request import Profile
from ...sd import bases
from .options import AnimateDiffOptions

BASE = "stable-diffusion-v1-5/stable-diffusion-v1-5"
PROFILES: dict[Profile, ProfileRule] = {
    "exact": ProfileRule(),
    "balanced": ProfileRule(low_precision=True, reuse=2),
    "fast": ProfileRule(steps=15, low_precision=True, reuse=2, guidance_interval=(0.0, 0.8)),
}
"""The quality of the faster profiles was not measured with the published weights."""
SIZE = SizeRule(multiple=64, trained=((512, 512),), min_side=192, max_side=1344, max_area=1024 * 1024)
LONGEST = 1024
ACCEPTS = (
    "source", "style", *(f"control:{kind}" for kind in ("depth", "flow", "gray", "scribble", "edge", "pose", "layout")),
    "image:first", "image:last", "image:frame",
)  # fmt: skip
"""Control clips and images require the option `controlnet`."""


def options(base: str, context: int) -> dict[str, Option]:
    found = AnimateDiffOptions.table(
        base=base, context_length=context, context_overlap=4, strength=0.8, free_init=1, controlnet="",
        control_scale=1.0, clip_skip=0, decode_chunk=8, prompt_weights="off",
    )  # fmt: skip
    for name, most in (("context_length", 32), ("context_overlap", 31)):
        found[name] = found[name].model_copy(update={"maximum": float(most)})
    return found


def _card(name: str, title: str, hub: str, motion: int, *, longest: int = 32, notes: tuple[str, ...] = ()) -> Card:
    return Card(
        id=name, family="animatediff", title=title, licence="Apache-2.0 (adapter); the base has its own",
        variant="motion", hub=hub, accepts=ACCEPTS, size=SIZE,
        frames=FramesRule(step=1, trained=16, minimum=2, maximum=LONGEST),
        defaults=Defaults(fps=8.0, steps=25, guidance=8.0),
        network=Network(
            parameters=859_520_964 + motion, width=1280, layers=4, text_parameters=123_060_480, text_length=77,
            autoencoder_parameters=83_653_863, latent_channels=4, time_stride=1, space_stride=8, patch=1,
            flop_per_cell=2.4e8,
        ),
        profiles=PROFILES, options=options(BASE, min(16, longest)), notes=notes,
    )  # fmt: skip


MINI = Card(
    id="kinema-mini-animatediff", family="animatediff", variant="motion", licence="Apache-2.0",
    title="The built-in miniature of AnimateDiff: motion modules for kinema-mini-image, trained on Toyland",
    builtin="miniatures/mini_animatediff", domain="toyland", aliases=("mini-animatediff",), accepts=ACCEPTS,
    size=bases.sizes(64, 16), frames=FramesRule(step=1, trained=16, minimum=2, maximum=LONGEST),
    defaults=Defaults(fps=8.0, steps=25, guidance=5.0),
    network=Network(
        parameters=2_941_508 + 1_367_808, width=96, layers=3, text_parameters=460_000, text_length=40,
        autoencoder_parameters=1_150_000, latent_channels=4, time_stride=1, space_stride=4, patch=1,
        bytes_per_parameter=4, flop_per_cell=3.0e6,
    ),
    profiles={"exact": ProfileRule(), "balanced": ProfileRule(reuse=2), "fast": ProfileRule(steps=12, reuse=2)},
    options=options("kinema-mini-image", 16),
    notes=("Knows only Toyland: simple objects, skies and grounds. See docs/mini_motion.md.",),
)  # fmt: skip

PUBLISHED: tuple[Card, ...] = (
    _card(
        "animatediff-v3", "AnimateDiff v3", "guoyww/animatediff-motion-adapter-v1-5-3", 416_905_600,
        notes=("Its domain adapter is a separate LoRA; without it (weight 0) the base keeps its style.",),
    ),
    _card("animatediff-v2", "AnimateDiff v2", "guoyww/animatediff-motion-adapter-v1-5-2", 453_209_600,
          notes=("The eight published MotionLoRAs are for this model (`--style FILE:WEIGHT`).",)),
    _card("animatediff-v1", "AnimateDiff v1", "guoyww/animatediff-motion-adapter-v1-5", 416_905_600, longest=24),
)  # fmt: skip
XL = Card(
    id="animatediff-sdxl", family="animatediff", title="AnimateDiff for Stable Diffusion XL, a beta", variant="motion",
    licence="Apache-2.0 (adapter); the base has its own", hub="guoyww/animatediff-motion-adapter-sdxl-beta",
    accepts=("source", "style"),
    size=SizeRule(multiple=64, trained=((1024, 1024),), min_side=512, max_side=2048, max_area=1536 * 1024),
    frames=FramesRule(step=1, trained=16, minimum=2, maximum=LONGEST),
    defaults=Defaults(fps=8.0, steps=100, guidance=8.5),
    network=Network(
        parameters=2_804_242_884, width=1280, layers=3, text_parameters=817_720_320, text_length=77,
        autoencoder_parameters=83_653_863, latent_channels=4, time_stride=1, space_stride=8, patch=1,
        flop_per_cell=4.8e8,
    ),
    profiles=PROFILES | {"fast": ProfileRule(steps=30, low_precision=True, reuse=2)},
    options=options("stabilityai/stable-diffusion-xl-base-1.0", 16),
    notes=("A beta, according to its authors: less motion than with the adapters for Stable Diffusion 1.5.",),
)  # fmt: skip
CARDS: tuple[Card, ...] = (MINI, *PUBLISHED, XL)
