"""Tora's models: a CogVideoX model with the parts that follow drawn paths. No torch.

Published: 49 frames of 720x480 at 8 fps, 50 steps, guidance 6 with dynamic guidance, DPM-Solver++ (the authors' script
sets this scheduler whatever the checkpoint names).
"""

from __future__ import annotations

from typing import Any

from ....core.card import Card, Network
from ....weights.configs import Config
from ..cards import CARDS as PLAIN
from ..options import LEAST_SIGMA_PX, MOST_SIGMA_PX, CogVideoXOptions
from .motion_map import SIGMA_PX

TRANSFORMER = "ToraTransformer3DModel"
PIPELINES = {"ToraPipeline": "t2v", "ToraImageToVideoPipeline": "i2v"}
"""Classes in the configurations of the published folders."""
CHANNELS = 128
"""Of the extractor in the published weights."""
LICENCE = "CogVideoX License"


def parameters(network: Network, channels: int = CHANNELS) -> int:
    """The number of parameters of the extractor and of adaptive-normalisation fusers."""
    tokens = network.latent_channels * network.patch**2 * (network.time_stride // 4)
    block = 2 * (9 * channels**2 + channels) + 4 * channels
    width, inner = network.width, network.width // 4
    fuser = 2 * (9 * channels * inner + inner + 3 * inner * width + width) + 2 * width
    return 9 * tokens * channels + channels + network.layers * (2 * block + fuser)


def with_motion(card: Card, *, sigma_px: float = SIGMA_PX, **changes: Any) -> Card:
    """The card of a CogVideoX model with Tora's parts. changes: other fields."""
    options = {name: each for name, each in card.options.items() if name != "strength"}
    options["solver"] = options["solver"].model_copy(update={"default": "dpm"})
    options["dynamic_guidance"] = options["dynamic_guidance"].model_copy(update={"default": True})
    options |= CogVideoXOptions.table(trajectory_sigma=sigma_px)
    kept = tuple(name for name in card.accepts if name != "source")
    network = card.network.model_copy(update={"parameters": card.network.parameters + parameters(card.network)})
    own = {"accepts": ("trajectory", "camera", *kept), "options": options, "network": network}
    return card.model_copy(update={**own, **changes})


def of_folder(card: Card, config: Config) -> Card:
    """The card of a folder of Tora, from that of its CogVideoX model. config: the transformer's. ModelError for a
    `motion_sigma_px` (of the motion maps in its training; default: the published one) that is no legal width."""
    sigma_px = config.number("motion_sigma_px", SIGMA_PX)
    if not LEAST_SIGMA_PX <= sigma_px <= MOST_SIGMA_PX:
        raise config.wrong("motion_sigma_px", f"a number from {LEAST_SIGMA_PX:g} to {MOST_SIGMA_PX:g}")
    same = [each for each in CARDS if each.variant == card.variant and each.network.width == card.network.width]
    title = same[0].title if same else f"Tora on {card.title}"
    return with_motion(card, sigma_px=sigma_px, title=title)


def _plain(name: str) -> Card:
    return next(card for card in PLAIN if card.id == name)


CARDS: tuple[Card, ...] = (
    with_motion(
        _plain("cogvideox-5b"), id="tora", title="Tora on CogVideoX-5b, text and paths to video", licence=LICENCE,
        hub="Alibaba-Research-Intelligence-Computing/Tora_T2V_diffusers", aliases=("Le0jc/Tora_T2V_diffusers",),
    ),
    with_motion(
        _plain("cogvideox-5b-i2v"), id="tora-i2v", title="Tora on CogVideoX-5b-I2V, image and paths to video",
        licence=LICENCE, hub=None, aliases=(),
        notes=("Its authors publish a SAT checkpoint only; `kinema models convert` makes a folder of it.",),
    ),
)  # fmt: skip
