"""Tora's models: a CogVideoX model with the parts that follow drawn paths. No torch.

Published: 49 frames of 720x480 at 8 fps, 50 steps, guidance 6 with dynamic guidance, DPM-Solver++ (the authors' script
sets this scheduler whatever the checkpoint names). The built-in miniature is sampled as its recipe judges it: 17 frames
of 64x64, DDIM, 25 steps, a constant guidance scale of 4.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ....core.card import Card, Defaults, FramesRule, Network, ProfileRule
from ....weights.configs import Config
from ..cards import CARDS as PLAIN
from ..cards import sizes
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


def with_motion(card: Card, *, sigma_px: float = SIGMA_PX, published: bool = True, **changes: Any) -> Card:
    """The card of a CogVideoX model with Tora's parts. published: a model of the authors', with their sampling; others
    are sampled as their checkpoints say. changes: other fields."""
    options = {name: each for name, each in card.options.items() if name != "strength"}
    options |= CogVideoXOptions.table(trajectory_sigma=sigma_px)
    if published:
        options |= CogVideoXOptions.table(solver="dpm", dynamic_guidance=True)
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
    same = [each for each in PUBLISHED if each.variant == card.variant and each.network.width == card.network.width]
    if same:
        return with_motion(card, sigma_px=sigma_px, title=same[0].title)
    found = with_motion(card, sigma_px=sigma_px, published=False, title=f"Tora on {card.title}")
    return _like_the_miniature(found) if _shape(found) == _shape(MINI) else found


def _shape(card: Card) -> tuple[Any, ...]:
    return card.variant, card.network.width, card.network.layers, card.size.trained


def _like_the_miniature(card: Card) -> Card:
    """The card of a folder with the miniature's shape, such as the recipe's export: sampled as the miniature."""
    made_here = card.path is not None and (Path(card.path) / "card.json").is_file()
    own = {"defaults": MINI.defaults, "profiles": MINI.profiles, "network": MINI.network}
    return card.model_copy(
        update={
            **own, "title": "A model of the shape of kinema-mini-tora", "licence": "unknown",
            "domain": MINI.domain if made_here else "",
        }
    )  # fmt: skip


def _plain(name: str) -> Card:
    return next(card for card in PLAIN if card.id == name)


MINI = Card(
    id="kinema-mini-tora", family="cogvideox", variant="t2v", licence="Apache-2.0",
    title="The built-in miniature of Tora: a small CogVideoX that follows drawn paths, trained on Toyland",
    builtin="miniatures/mini_tora", domain="toyland", aliases=("mini-tora",), accepts=("trajectory", "style"),
    size=sizes((64, 64), grid=16, min_side=32, max_side=256, max_area=256 * 256),
    frames=FramesRule(step=8, trained=17, maximum=81),
    defaults=Defaults(fps=8.0, steps=25, guidance=4.0),
    network=Network(
        parameters=2_596_868, width=160, layers=5, text_parameters=193_408, text_length=32,
        autoencoder_parameters=1_096_115, bytes_per_parameter=4,
    ),
    # Measured on a circle with two seeds, error in % of the side: exact 6.1 and 6.0, balanced 6.1, 6.0, fast 6.1, 5.7.
    profiles={
        "exact": ProfileRule(),
        "balanced": ProfileRule(reuse=2, low_precision=True),
        "fast": ProfileRule(steps=10, low_precision=True),
    },
    options=CogVideoXOptions.table(
        dynamic_guidance=False, solver="ddim", decode_tiles="auto", context_length=0, context_overlap=8,
        trajectory_sigma=4.0,
    ),
    notes=("Knows only Toyland: simple objects before four places by day. See docs/mini_tora.md.",),
)  # fmt: skip
"""Its training has a still camera, so it takes no camera moves."""

PUBLISHED: tuple[Card, ...] = (
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
SHIPPED = (Path(__file__).parents[3] / str(MINI.builtin)).is_dir()
"""Whether the weights of the miniature are in the package; without them its card is not offered."""
CARDS: tuple[Card, ...] = (MINI, *PUBLISHED) if SHIPPED else PUBLISHED
