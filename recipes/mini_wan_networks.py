"""The transformer, text encoder, tokenizer and scheduler of kinema-mini-wan."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UniPCMultistepScheduler, WanVACETransformer3DModel
from mini_wan_editions import Edition
from transformers import UMT5Config, UMT5EncoderModel

from kinema.toyland.caption import describe, describe_place
from kinema.toyland.scene import sample_scene
from kinema.training.data.tokenizers import build_tokenizer
from kinema.training.tasks.video import initialize_transformer

STEPS, GUIDANCE, SHIFT = 30, 3.0, 3.0
CAPTIONS = 20_000
"""Number of scenes whose captions define the vocabulary."""


def text_config(edition: Edition, vocab_size: int) -> UMT5Config:
    width = edition.text["d_model"]
    return UMT5Config(
        vocab_size=vocab_size, d_kv=48, d_ff=2 * width, num_heads=width // 48, dropout_rate=0.0,
        feed_forward_proj="gated-gelu", is_encoder_decoder=False, **edition.text,
    )  # fmt: skip


def transformer_config(edition: Edition) -> dict[str, Any]:
    return {
        "patch_size": (1, 2, 2), "attention_head_dim": 48, "in_channels": 16, "out_channels": 16,
        "text_dim": edition.text["d_model"], "freq_dim": 256, "cross_attn_norm": True,
        "qk_norm": "rms_norm_across_heads", "vace_in_channels": 96, **edition.transformer,
    }  # fmt: skip


def scheduler() -> UniPCMultistepScheduler:
    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=SHIFT)


def new_parts(edition: Edition) -> dict[str, Any]:
    """Untrained transformer and text encoder, and a tokenizer for the words of many captions."""
    torch.manual_seed(0)
    scenes = [sample_scene(seed, edition.world) for seed in range(CAPTIONS)]
    captions = [caption(scene, seed) for seed, scene in enumerate(scenes) for caption in (describe, describe_place)]
    tokenizer = build_tokenizer(captions, max_length=edition.tokens)
    transformer = WanVACETransformer3DModel(**transformer_config(edition))
    initialize_transformer(transformer)
    return {
        "transformer": transformer,
        "text_encoder": UMT5EncoderModel(text_config(edition, len(tokenizer))),
        "tokenizer": tokenizer,
    }
