"""ModelScope's text to video and what was trained on from it, with their publishers' defaults."""

from __future__ import annotations

from ...core.card import Card, Defaults, FramesRule, Network, Option, ProfileRule, SizeRule
from ...core.request import Profile

PROFILES: dict[Profile, ProfileRule] = {
    "exact": ProfileRule(),
    "balanced": ProfileRule(low_precision=True, reuse=2),
    "fast": ProfileRule(steps=20, low_precision=True, reuse=2, guidance_interval=(0.0, 0.8)),
}
"""What the quicker ones cost in quality was not measured with the published weights."""
NETWORK = Network(
    parameters=1_411_233_860, width=1280, layers=4, text_parameters=340_387_840, text_length=77,
    autoencoder_parameters=83_653_863, latent_channels=4, time_stride=1, space_stride=8, patch=1,
    flop_per_cell=2.87e8,
)  # fmt: skip
"""flop_per_cell: counted on the published configuration (tests/families/test_zeroscope.py)."""


def options(strength: float) -> dict[str, Option]:
    return {
        "strength": Option(
            kind="float", default=strength, minimum=0.05, maximum=1.0,
            help="how far a given clip is taken back to noise; 0.66 to 0.85 for the XL pass",
        ),
        "low_memory": Option(
            kind="bool", default=False, help="frame by frame where that changes nothing: slower, half the memory",
        ),
        "decode_chunk": Option(kind="int", default=8, minimum=1, maximum=128, help="frames decoded at once"),
        "clip_skip": Option(kind="int", default=0, minimum=0, maximum=4, help="layers of CLIP left out at its end"),
    }  # fmt: skip


def _card(
    name: str, title: str, hub: str, licence: str, sizes: tuple[tuple[int, int], ...], frames: int, *, steps: int,
    guidance: float, strength: float = 0.7, notes: tuple[str, ...] = (),
) -> Card:  # fmt: skip
    return Card(
        id=name, family="zeroscope", title=title, licence=licence, variant="t2v", hub=hub,
        accepts=("source", "style"),
        size=SizeRule(multiple=64, trained=sizes, min_side=192, max_side=1344, max_area=1280 * 768),
        frames=FramesRule(step=1, trained=frames, minimum=1, maximum=96),
        defaults=Defaults(fps=8.0, steps=steps, guidance=guidance), network=NETWORK, profiles=PROFILES,
        options=options(strength), notes=notes,
    )  # fmt: skip


CARDS: tuple[Card, ...] = (
    _card(
        "zeroscope", "Zeroscope v2 576w", "cerspense/zeroscope_v2_576w", "CC-BY-NC-4.0", ((576, 320),), 24, steps=40,
        guidance=9.0, notes=("Fewer than 24 frames, or smaller ones, look worse (its card says).",),
    ),
    _card(
        "zeroscope-xl", "Zeroscope v2 XL, the second pass", "cerspense/zeroscope_v2_XL", "CC-BY-NC-4.0",
        ((1024, 576),), 24, steps=40, guidance=15.0,
        notes=("Made for a clip of zeroscope as its source, with the same prompt.",),
    ),
    _card(
        "modelscope", "ModelScope text to video, 1.7B", "ali-vilab/text-to-video-ms-1.7b", "CC-BY-NC-4.0",
        ((256, 256),), 16, steps=50, guidance=9.0,
    ),
)  # fmt: skip
