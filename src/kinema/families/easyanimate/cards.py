"""The published EasyAnimate V5.1 models, with the defaults of their publishers' scripts."""

from __future__ import annotations

from pydantic import JsonValue

from ...core.card import Card, Defaults, FramesRule, Network, Option, ProfileRule, SizeRule
from ...core.request import Profile
from .options import EasyAnimateOptions

NEGATIVE_PROMPT = "Twisted body, limb deformities, text captions, comic, static, ugly, error, messy code."
"""Of the publishers' scripts."""
STRENGTH = 0.7
"""Of their script for video to video; used for a source of which nothing is kept."""
OVERLAP = 16
"""Frames that the context windows of a long clip share."""
TEXT_LENGTH = 256
LENS = (0.532139961, 0.946026558, 0.5, 0.5)
"""Of the publishers' pose files and workflow."""

CONTROLS = ("control:depth", "control:edge", "control:pose", "control:scribble")
ACCEPTS = {
    "t2v": ("source", "style"),
    "inp": ("image:first", "image:last", "source", "mask", "continue", "continue:end", "style"),
    "control": (*CONTROLS, "trajectory", "image:first", "style"),
    "camera": ("camera", "camera:poses", "image:first", "style"),
}

PROFILES: dict[Profile, ProfileRule] = {
    "exact": ProfileRule(),
    "balanced": ProfileRule(guidance_interval=(0.0, 0.7), low_precision=True),
    "fast": ProfileRule(steps=25, guidance_interval=(0.0, 0.5), reuse=2, low_precision=True),
}
"""The loss of quality of the faster profiles was not measured with the published weights."""

FRAMES = FramesRule(step=4, trained=49, maximum=257)
"""4n + 1: the first latent frame stands for one frame, every other for four."""
TRAINED = (
    (672, 384), (384, 672), (512, 512), (768, 768), (1344, 768), (768, 1344), (1024, 1024),
)  # fmt: skip

_COMMON = {
    "width": 3072, "text_parameters": 7_615_616_512, "text_length": TEXT_LENGTH,
    "autoencoder_parameters": 244_375_507,
}  # fmt: skip
PARAMETERS = {
    "7b": {"t2v": 6_814_462_016, "inp": 6_814_670_912, "control": 6_814_855_232, "camera": 6_814_732_352},
    "12b": {"t2v": 11_799_056_960, "inp": 11_799_265_856, "control": 11_799_450_176, "camera": 11_799_327_296},
}
"""Counted (tests/families/test_easyanimate.py)."""
LAYERS = {"7b": 36, "12b": 48}


def sizes(
    *trained: tuple[int, int], multiple: int = 16, min_side: int = 128, max_side: int = 1344,
    max_area: int = 1024 * 1024,
) -> SizeRule:  # fmt: skip
    """The sizes of a model that was trained on these."""
    return SizeRule(
        multiple=multiple, trained=trained, min_side=min_side, max_side=max_side, max_area=max_area, any_aspect=True
    )


def options(variant: str) -> dict[str, Option]:
    """The options of a variant, a key of ACCEPTS."""
    own: dict[str, JsonValue] = {"strength": 1.0} if "source" in ACCEPTS[variant] else {}
    if variant == "inp":
        own["image_noise"] = 0.0563
    if variant == "camera":
        own |= {"camera_lens": list(LENS), "camera_speed": 1.0}
    return EasyAnimateOptions.table(
        **own, guidance_rescale=0.0, decode_tiles="never", sampler="checkpoint", schedule="checkpoint", noise="stream",
        context_length=0, context_overlap=OVERLAP, context_schedule="standard_static", context_fuse="pyramid",
    )  # fmt: skip


def _card(size: str, variant: str, ending: str, title: str) -> Card:
    hub = f"alibaba-pai/EasyAnimateV5.1-{size}-zh{ending}"
    return Card(
        id=f"easyanimate-5.1-{size}{ending.lower()}", family="easyanimate", variant=variant,
        title=f"EasyAnimate V5.1 {size.upper()}, {title}", licence="Apache-2.0", hub=f"{hub}-diffusers",
        aliases=(hub,), accepts=ACCEPTS[variant], size=sizes(*TRAINED), frames=FRAMES,
        defaults=Defaults(fps=8.0, steps=50, guidance=6.0, negative_prompt=NEGATIVE_PROMPT),
        network=Network(parameters=PARAMETERS[size][variant], layers=LAYERS[size], **_COMMON),
        profiles=PROFILES, options=options(variant),
    )  # fmt: skip


CARDS: tuple[Card, ...] = tuple(
    _card(size, variant, ending, title)
    for size in ("7b", "12b")
    for variant, ending, title in (
        ("t2v", "", "text to video"),
        ("inp", "-InP", "from pictures and clips"),
        ("control", "-Control", "along a control clip or drawn paths"),
        ("camera", "-Control-Camera", "with a moving camera"),
    )
)
