"""Tora at full size with random weights on a GPU, and the same run at a small size on the CPU."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import kinema
from kinema.engine.generate import generate
from kinema.engine.plan import plan as make_plan
from kinema.families.cogvideox import CARDS
from kinema.families.cogvideox.model import CogVideoXFamily, CogVideoXParts
from kinema.families.cogvideox.tora.checkpoint import ToraGuide
from kinema.families.cogvideox.tora.networks import MotionGuidance

sys.path.insert(0, str(Path(__file__).parents[1]))
import tiny_cogvideox as tiny

FULL = {"num_attention_heads": 48, "num_layers": 42, "use_rotary_positional_embeddings": True}
SMALL = {
    "num_attention_heads": 2, "attention_head_dim": 16, "num_layers": 2, "time_embed_dim": 8, "text_embed_dim": 16,
    "max_text_seq_length": tiny.LENGTH, "use_rotary_positional_embeddings": True, "in_channels": 4, "out_channels": 4,
}  # fmt: skip
PATH = {"kind": "trajectory", "points": [(0.1, 0.5), (0.5, 0.2), (0.9, 0.8)]}


def family(config, vae, device, dtype, channels=128):
    """Tora with random weights, made on the device. The text encoder is a small one of the right width."""
    from diffusers import CogVideoXTransformer3DModel
    from transformers import T5Config, T5EncoderModel

    torch.manual_seed(0)
    with torch.device(device):
        torch.set_default_dtype(dtype)
        try:
            transformer = CogVideoXTransformer3DModel(**config)
            guidance = MotionGuidance.of(transformer.config, channels)
            autoencoder = vae()
        finally:
            torch.set_default_dtype(torch.float32)
    for fuser in guidance.fuser:  # so that the motion matters
        torch.nn.init.normal_(fuser.flow_beta_temporal.weight, std=0.02)
    words = tiny.words()
    width = transformer.config.text_embed_dim
    encoder = T5EncoderModel(
        T5Config(vocab_size=len(words["tokenizer"]), d_model=width, d_kv=8, d_ff=8, num_layers=1, num_heads=2)
    ).to(dtype)
    parts = CogVideoXParts(
        words["tokenizer"], encoder, transformer.to(dtype), autoencoder.to(dtype), tiny.scheduler("5b"),
        ToraGuide(guidance.to(dtype)),
    )  # fmt: skip
    for part in (transformer, autoencoder, encoder, guidance):
        part.eval().requires_grad_(False)
    card = next(card for card in CARDS if card.id == "tora")
    return CogVideoXFamily(card, parts, torch.device(device))


def planned(device="cpu", **fields):
    base = {"model": "tora", "prompt": tiny.PROMPT, "seed": 3, "profile": "exact", "conditions": [PATH]}
    return make_plan(kinema.Request(**(base | fields)), device=device)


def check(model, plan):
    frames = np.concatenate([chunk.frames for chunk in generate(plan, model)])
    assert frames.shape == (plan.frames, plan.height, plan.width, 3) and frames.dtype == np.uint8
    assert frames.std() > 1


@pytest.mark.parametrize("context_length", [0, 17])
def test_the_same_run_at_a_small_size(context_length):
    model = family(SMALL, tiny.autoencoder, "cpu", torch.float32, channels=8)
    options = {"context_length": context_length, "context_overlap": 8, "decode_tiles": "never"}
    check(model, planned(width=128, height=128, frames=25, steps=2, options=options))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="cannot start: no CUDA device")
@pytest.mark.parametrize(
    ("width", "height", "frames", "context_length"), [(720, 480, 49, 0), (1280, 720, 201, 0), (1280, 720, 201, 49)]
)
def test_full_size(width, height, frames, context_length):
    """Two steps at the published size, and at the paper's longest clip, whole and in windows: within the memory of the
    plan (which counts the text encoder of 4.8 billion parameters, absent here)."""
    from diffusers import AutoencoderKLCogVideoX

    model = family(FULL, lambda: AutoencoderKLCogVideoX(scaling_factor=0.7), "cuda", torch.bfloat16)
    options = {"context_length": context_length}
    plan = planned(width=width, height=height, frames=frames, steps=2, options=options, device="NVIDIA H200")
    torch.cuda.reset_peak_memory_stats()
    check(model, plan)
    peak = torch.cuda.max_memory_allocated() / 1e9
    print(f"{frames} frames of {width}x{height}, windows of {context_length}: {peak:.1f} GB")  # noqa: T201
    assert plan.estimate is not None and peak < 1.5 * plan.estimate.gb
