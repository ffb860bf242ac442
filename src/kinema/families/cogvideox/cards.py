"""The published CogVideoX models, with their publishers' defaults.

The publishers sample the 2B model with DDIM at a constant guidance scale, the 5B models with DPM-Solver++ and dynamic
guidance. Their checkpoints name these schedulers; `--set solver=...` changes the scheduler.
"""

from __future__ import annotations

from pydantic import JsonValue

from ...core.card import Card, Defaults, FramesRule, Network, ProfileRule, SizeRule
from ...core.request import Profile
from .options import CogVideoXOptions

ACCEPTS = {"t2v": ("source", "style"), "i2v": ("image:first", "style")}
NEEDS = {"t2v": (), "i2v": ("image:first",)}
STRENGTH = 0.8
"""The default of diffusers' video-to-video pipeline."""

PROFILES: dict[Profile, ProfileRule] = {
    "exact": ProfileRule(),
    "balanced": ProfileRule(guidance_interval=(0.0, 0.7), low_precision=True),
    "fast": ProfileRule(steps=25, guidance_interval=(0.0, 0.5), low_precision=True),
}
"""The loss of quality of the faster profiles was not measured with the published weights. No steps are forecast: the
DPM-Solver++ of the 5B models adds noise at every step."""

SIZE_480P, SIZE_768P = ((720, 480),), ((1360, 768),)
MAX_SIDE, MAX_AREA = 1360, 1360 * 768
FRAMES_V1 = FramesRule(step=8, trained=49, maximum=257)
FRAMES_V15 = FramesRule(step=8, trained=81, maximum=257)
FRAMES_LEARNED = FramesRule(step=8, trained=49, minimum=49, maximum=49)
"""8n + 1: the decoder doubles an odd number of latent frames twice, except the first. The image model of CogVideoX 1.0
has one table of learned positions, for 49 frames."""

_COMMON = {"text_parameters": 4_762_310_656, "text_length": 226, "autoencoder_parameters": 215_583_907}
NETWORK_2B = Network(parameters=1_693_783_872, width=1920, layers=30, **_COMMON)
NETWORK_5B = Network(parameters=5_570_283_072, width=3072, layers=42, **_COMMON)
NETWORK_V15 = Network(parameters=5_570_676_352, width=3072, layers=42, time_stride=8, **_COMMON)
"""time_stride of 1.5: a token covers two latent frames. Parameters: counted (tests/families/test_cogvideox.py)."""


def sizes(
    *trained: tuple[int, int], any_aspect: bool = False, only_trained: bool = False, grid: int = 16,
    min_side: int = 128, max_side: int = MAX_SIDE, max_area: int = MAX_AREA,
) -> SizeRule:  # fmt: skip
    """The sizes of a model that was trained on these."""
    return SizeRule(
        multiple=grid, trained=trained, min_side=min_side, max_side=max_side, max_area=max_area,
        any_aspect=any_aspect, only_trained=only_trained,
    )  # fmt: skip


def _card(
    name: str, variant: str, title: str, licence: str, size: SizeRule, frames: FramesRule, network: Network, *,
    fps: float, dynamic: bool,
) -> Card:  # fmt: skip
    hub = f"zai-org/{title.split(',')[0].replace(' ', '')}"
    return Card(
        id=name, family="cogvideox", title=title, licence=licence, variant=variant, hub=hub,
        aliases=(hub.replace("zai-org", "THUDM"),), accepts=ACCEPTS[variant], needs=NEEDS[variant], size=size,
        frames=frames, defaults=Defaults(fps=fps, steps=50, guidance=6.0), network=network, profiles=PROFILES,
        options=CogVideoXOptions.table(**options(variant, dynamic)),
    )  # fmt: skip


def options(variant: str, dynamic: bool) -> dict[str, JsonValue]:
    """Default values of the options of a variant, t2v or i2v."""
    own: dict[str, JsonValue] = {"strength": STRENGTH} if variant == "t2v" else {}
    return {"dynamic_guidance": dynamic, "solver": "checkpoint", "decode_tiles": "auto", **own}


OWN = "CogVideoX License"

CARDS: tuple[Card, ...] = (
    _card(
        "cogvideox-2b", "t2v", "CogVideoX-2b, text to video", "Apache-2.0", sizes(*SIZE_480P), FRAMES_V1, NETWORK_2B,
        fps=8.0, dynamic=False,
    ),
    _card(
        "cogvideox-5b", "t2v", "CogVideoX-5b, text to video", OWN, sizes(*SIZE_480P), FRAMES_V1, NETWORK_5B,
        fps=8.0, dynamic=True,
    ),
    _card(
        "cogvideox-5b-i2v", "i2v", "CogVideoX-5b-I2V, image to video", OWN, sizes(*SIZE_480P, only_trained=True),
        FRAMES_LEARNED, NETWORK_5B.model_copy(update={"parameters": 5_570_479_680}), fps=8.0, dynamic=True,
    ),
    _card(
        "cogvideox-1.5-5b", "t2v", "CogVideoX1.5-5B, text to video", OWN, sizes(*SIZE_768P), FRAMES_V15, NETWORK_V15,
        fps=16.0, dynamic=True,
    ),
    _card(
        "cogvideox-1.5-5b-i2v", "i2v", "CogVideoX1.5-5B-I2V, image to video", OWN, sizes(*SIZE_768P, any_aspect=True),
        FRAMES_V15, NETWORK_V15.model_copy(update={"parameters": 5_571_594_880}), fps=16.0, dynamic=True,
    ),
)  # fmt: skip
