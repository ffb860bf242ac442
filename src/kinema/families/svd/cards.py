"""The published Stable Video Diffusion models, with their publishers' defaults.

Frame rate and first guidance have several published defaults (6 or 7 fps; a first guidance of 1.0 in the script and
diffusers, 1.5 in the configuration of the 25-frame models); the cards use diffusers'.
"""

from __future__ import annotations

from ...core.card import Card, Defaults, FramesRule, Network, ProfileRule, SizeRule
from ...core.request import Profile
from ...sd import bases
from .options import SvdOptions

LICENCE = "Stable Video Diffusion Community License"
SIZE = SizeRule(
    multiple=64, trained=((1024, 576), (576, 1024)), min_side=256, max_side=1536, max_area=1280 * 768, any_aspect=True
)
PROFILES: dict[Profile, ProfileRule] = {
    "exact": ProfileRule(),
    "balanced": ProfileRule(low_precision=True, reuse=2),
    "fast": ProfileRule(steps=15, low_precision=True, reuse=2),
}
"""The quality of the faster profiles was not measured with the published weights."""
OPTIONS = SvdOptions.table(
    motion=127, augmentation=0.02, first_guidance=1.0, guidance_shape="linear", decode_chunk=14, sampler="checkpoint",
    schedule="checkpoint", noise="stream",
)  # fmt: skip
NETWORK = Network(
    parameters=1_524_623_082, width=1280, layers=4, text_parameters=632_076_800, text_length=1,
    autoencoder_parameters=97_742_847, latent_channels=4, time_stride=1, space_stride=8, patch=1,
    flop_per_cell=2.794e8,
)  # fmt: skip
"""flop_per_cell: counted on the published configuration (tests/families/test_svd.py)."""


def _card(name: str, title: str, hub: str, frames: int, *files: str, aliases: tuple[str, ...] = ()) -> Card:
    return Card(
        id=name, family="svd", title=title, licence=LICENCE, variant="i2v", hub=hub, aliases=aliases,
        single_files=files, accepts=("image:first", "style"), needs=("image:first",), size=SIZE,
        frames=FramesRule(step=1, trained=frames, minimum=2, maximum=64),
        defaults=Defaults(fps=7.0, steps=25, guidance=3.0), network=NETWORK, profiles=PROFILES, options=OPTIONS,
        notes=("It ignores the prompt; the image is its only input.",),
    )  # fmt: skip


MINI = Card(
    id="kinema-mini-svd", family="svd", variant="i2v", licence="Apache-2.0",
    title="The built-in miniature of Stable Video Diffusion, trained on Toyland", builtin="miniatures/mini_svd",
    domain="toyland", aliases=("mini-svd",),
    accepts=("image:first", "style"), needs=("image:first",), size=bases.sizes(64, 16),
    frames=FramesRule(step=1, trained=14, minimum=2, maximum=64), defaults=Defaults(fps=8.0, steps=25, guidance=2.0),
    network=Network(
        parameters=5_108_438, width=96, layers=3, text_parameters=760_000, text_length=1,
        autoencoder_parameters=1_500_000, latent_channels=4, time_stride=1, space_stride=4, patch=1,
        bytes_per_parameter=4, flop_per_cell=4.0e6,
    ),
    profiles={"exact": ProfileRule(), "balanced": ProfileRule(reuse=2), "fast": ProfileRule(steps=12, reuse=2)},
    options=OPTIONS, notes=("Knows only Toyland. It ignores the prompt; the image is its only input.",),
)  # fmt: skip

PUBLISHED: tuple[Card, ...] = (
    _card(
        "svd", "Stable Video Diffusion, 14 frames", "stabilityai/stable-video-diffusion-img2vid", 14,
        "svd.safetensors", "svd_image_decoder.safetensors",
    ),
    _card(
        "svd-xt", "Stable Video Diffusion XT, 25 frames", "stabilityai/stable-video-diffusion-img2vid-xt", 25,
        "svd_xt.safetensors", "svd_xt_image_decoder.safetensors",
    ),
    _card(
        "svd-xt-1.1", "Stable Video Diffusion XT 1.1, 25 frames", "stabilityai/stable-video-diffusion-img2vid-xt-1-1",
        25, "svd_xt_1_1.safetensors",
    ),
)  # fmt: skip
CARDS: tuple[Card, ...] = (MINI, *PUBLISHED)
