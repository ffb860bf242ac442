"""The world and the networks of kinema-mini-tora."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXTransformer3DModel
from transformers import T5Config, T5EncoderModel

from kinema.families.cogvideox.tora.networks import MotionGuidance
from kinema.toyland.caption import describe
from kinema.toyland.scene import WORLD_MINI, sample_scene
from kinema.training.data.tokenizers import build_tokenizer
from kinema.training.tasks.cogvideox import initialize

SIDE, FRAMES, FPS = 64, 17, 8.0
WORLD = replace(
    WORLD_MINI, kinds=("ball", "square", "triangle", "star"), backgrounds=("meadow", "sea", "desert", "snow"),
    lights=("day",), cameras=("still",), two_actors=0.25, moving_camera=0.0, some_change=0.0, some_spin=0.0,
)  # fmt: skip
"""A part of the world of the other miniatures that half an hour of one core can teach: four kinds of objects, four
places by day, a still camera, one or two objects."""

PATHS = replace(WORLD, free_paths=0.6)
"""The same, and most objects follow free paths: lines, waves, circles, pauses and curves."""

LATENT_CHANNELS, SCALING = 16, 0.7
VAE: dict[str, Any] = {
    "block_out_channels": (16, 32, 48, 32), "latent_channels": LATENT_CHANNELS, "layers_per_block": 1,
    "norm_num_groups": 8, "temporal_compression_ratio": 4, "sample_height": SIDE, "sample_width": SIDE,
    "scaling_factor": SCALING,
}  # fmt: skip

TOKENS = 32
TEXT: dict[str, Any] = {"d_model": 96, "d_kv": 48, "d_ff": 192, "num_heads": 2, "num_layers": 2}
TRANSFORMER: dict[str, Any] = {
    "num_attention_heads": 5, "attention_head_dim": 32, "num_layers": 5, "time_embed_dim": 48,
    "in_channels": LATENT_CHANNELS, "out_channels": LATENT_CHANNELS, "text_embed_dim": TEXT["d_model"],
    "patch_size": 2, "sample_height": SIDE // 8, "sample_width": SIDE // 8, "sample_frames": FRAMES,
    "max_text_seq_length": TOKENS, "use_rotary_positional_embeddings": True,
}  # fmt: skip
"""As CogVideoX-5B, which Tora builds on: rotary positions, two by two cells a patch."""
STEPS, GUIDANCE = 25, 4.0
MOTION_CHANNELS, SIGMA_PX = 32, 4.0
"""Channels of Tora's extractor; standard deviation of the Gaussian of motion maps, a third of an object's radius."""
CAPTIONS = 8000
"""Number of scenes whose captions define the vocabulary."""


def new_guidance(transformer: Any) -> MotionGuidance:
    """Untrained motion guidance, which changes nothing."""
    torch.manual_seed(0)
    return MotionGuidance.of(transformer.config, MOTION_CHANNELS)


def scheduler() -> CogVideoXDDIMScheduler:
    """Return the scheduler of CogVideoX-5B."""
    return CogVideoXDDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=True,
        prediction_type="v_prediction", timestep_spacing="trailing", rescale_betas_zero_snr=True, snr_shift_scale=1.0,
    )  # fmt: skip


def new_parts() -> dict[str, Any]:
    """Untrained transformer and text encoder, and a tokenizer for the words of many captions."""
    torch.manual_seed(0)
    captions = [describe(sample_scene(seed, WORLD), seed) for seed in range(CAPTIONS)]
    tokenizer = build_tokenizer(captions, max_length=TOKENS)
    config = T5Config(
        vocab_size=len(tokenizer), dropout_rate=0.0, feed_forward_proj="gated-gelu", is_encoder_decoder=False, **TEXT
    )
    transformer = CogVideoXTransformer3DModel(**TRANSFORMER)
    initialize(transformer)
    return {"transformer": transformer, "text_encoder": T5EncoderModel(config), "tokenizer": tokenizer}
