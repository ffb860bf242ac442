"""The world and the networks of kinema-mini-easyanimate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from transformers import T5Config, T5EncoderModel

from kinema.families.easyanimate.paper.slice_vae import SliceVae
from kinema.families.easyanimate.paper.transformer import PaperTransformer, initialize_transformer
from kinema.toyland.caption import describe
from kinema.toyland.scene import WORLD_MINI, sample_scene
from kinema.training.data.tokenizers import build_tokenizer
from kinema.training.tasks.slice_vae import initialize
from kinema.weights.folder import load_part

SIDE, FRAMES, FPS = 64, 17, 8.0
WORLD = replace(
    WORLD_MINI, kinds=("ball", "square", "triangle", "star"), backgrounds=("meadow", "sea", "desert", "snow"),
    lights=("day",), cameras=("still",), two_actors=0.0, moving_camera=0.0, some_change=0.0, some_spin=0.0,
)  # fmt: skip
"""The part of the world that kinema-mini-tora was trained on, with one object: four kinds, four places by day."""
VAE: dict[str, Any] = {"latent_channels": 16, "channels": (32, 64, 96), "patch": 2}
TOKENS = 32
TEXT: dict[str, Any] = {"d_model": 96, "d_kv": 48, "d_ff": 192, "num_heads": 2, "num_layers": 2}
TRANSFORMER: dict[str, Any] = {
    "num_attention_heads": 4, "attention_head_dim": 32, "num_layers": 5, "latent_channels": VAE["latent_channels"],
    "image_input": True, "patch_size": 2, "sample_size": SIDE // 8, "caption_channels": TEXT["d_model"],
    "motion": "hybrid", "motion_heads": 4, "motion_ratio": 0.75, "motion_groups": 8, "skips": True,
}  # fmt: skip
SHIFT, STEPS, GUIDANCE = 3.0, 25, 4.0
CAPTIONS = 8000
"""Number of scenes whose captions define the vocabulary."""


def new_vae(**changes: Any) -> Any:
    """An untrained autoencoder."""
    torch.manual_seed(0)
    vae = SliceVae(**{**VAE, **changes})
    initialize(vae, torch.Generator().manual_seed(0))
    return vae


def open_vae(folder: Path) -> Any:
    return load_part(SliceVae, folder, use_safetensors=True).float().eval()


def scheduler() -> FlowMatchEulerDiscreteScheduler:
    return FlowMatchEulerDiscreteScheduler(shift=SHIFT)


def new_parts(captions: list[str] | None = None, **changes: Any) -> dict[str, Any]:
    """Untrained transformer and text encoder, and a tokenizer for the words of these captions, or of many of Toyland's.
    changes: of the transformer's configuration."""
    torch.manual_seed(0)
    toyland = (describe(sample_scene(seed, WORLD), seed) for seed in range(CAPTIONS))
    tokenizer = build_tokenizer(list(toyland) if captions is None else captions, max_length=TOKENS)
    config = T5Config(
        vocab_size=len(tokenizer), dropout_rate=0.0, feed_forward_proj="gated-gelu", is_encoder_decoder=False, **TEXT
    )
    transformer = PaperTransformer(**{**TRANSFORMER, **changes})
    initialize_transformer(transformer)
    return {"transformer": transformer, "text_encoder": T5EncoderModel(config), "tokenizer": tokenizer}
