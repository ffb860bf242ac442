"""The editions of kinema-mini-wan: small, for two CPU cores in two hours, and large, for one GPU in 25 minutes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from kinema.toyland.scene import WORLD, WORLD_MINI, World


@dataclass(frozen=True)
class Edition:
    """World, clip size, networks and training settings.

    vae, transformer, text: changes to the common configs of the recipe. most_clips: maximum number of rendered and
    cached clips. vae_scale: factor on the batch size of the VAE. batch: of the transformer, over all processes.
    """

    name: str
    world: World
    side: int
    most_clips: int
    vae: dict[str, Any]
    transformer: dict[str, Any]
    text: dict[str, Any]
    batch: int
    vae_scale: int
    frames: int = 17
    fps: float = 8.0
    tokens: int = 64
    rates: dict[str, float] = field(default_factory=lambda: {"muon": 2.4e-3, "adam": 1.2e-3})


SMALL = Edition(
    name="small",
    world=WORLD_MINI,
    side=64,
    most_clips=8192,
    vae={"base_dim": 16, "decoder_base_dim": 16},
    transformer={"num_attention_heads": 4, "num_layers": 6, "ffn_dim": 768, "vace_layers": [0, 3]},
    text={"d_model": 192, "num_layers": 3},
    batch=32,
    vae_scale=1,
)
"""For training on a CPU."""

LARGE = Edition(
    name="large",
    world=replace(WORLD, other_style=0.25, two_actors=0.2, radius=(0.17, 0.23)),
    side=96,
    most_clips=32_768,
    vae={"base_dim": 24, "decoder_base_dim": 24},
    transformer={"num_attention_heads": 5, "num_layers": 8, "ffn_dim": 960, "vace_layers": [0, 4]},
    text={"d_model": 192, "num_layers": 3},
    batch=512,
    vae_scale=16,
    rates={"muon": 2.0e-3, "adam": 1.0e-3},
)
"""All of Toyland: twelve kinds, every place in full detail, weather, styles and camera moves."""

EDITIONS = {edition.name: edition for edition in (SMALL, LARGE)}


SHARES = ("moving_camera", "two_actors")


def with_shares(edition: Edition, shares: dict[str, float]) -> Edition:
    """Return the edition with other shares of clips with a moving camera or two objects (`--set two_actors=0.5`).
    Raises ValueError for a share above 1."""
    for name, share in shares.items():
        if share > 1:
            raise ValueError(f"{name} must be a share from 0 to 1, got {share:g}.")
    return replace(edition, world=replace(edition.world, **shares))
