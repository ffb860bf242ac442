"""Kinema's `exact` against diffusers' EasyAnimatePipeline: same weights, size, steps and prompt, in the same run.

    python benchmarks/easyanimate.py                     # random weights of the size of a miniature, 64x64, 17 frames
    python benchmarks/easyanimate.py --runs 5 --steps 25

Prompt to frames in memory, both loaded, run alternately; medians of CPU time, which other processes disturb less than
wall-clock time, and of both. Decoding is also timed alone.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from beside_diffusers import print_ratios

os.environ.setdefault("HF_HUB_OFFLINE", "1")
PROMPT, SIDE, FRAMES = "a red ball rolls left over a green hill at sunset", 64, 17
CHAT = "{% for message in messages %}user {{ message['content'][0]['text'] }} {% endfor %}assistant"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="runs of each, after a warm-up run")
    parser.add_argument("--steps", type=int, default=10)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        compare(random_model(Path(work) / "model"), args.runs, args.steps)


def random_model(folder: Path) -> Path:
    """Save a pipeline with random weights: 2 million parameters in the transformer, 1.3 in the autoencoder."""
    import torch
    from diffusers import (
        AutoencoderKLMagvit,
        EasyAnimatePipeline,
        EasyAnimateTransformer3DModel,
        FlowMatchEulerDiscreteScheduler,
    )
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    from kinema.training.data.tokenizers import build_tokenizer

    torch.manual_seed(0)
    tokenizer = build_tokenizer([PROMPT, "user assistant"], max_length=256)
    tokenizer.chat_template = CHAT
    text = {
        "vocab_size": 64, "hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 512, "bos_token_id": 1,
        "eos_token_id": 1, "pad_token_id": 0,
        "rope_parameters": {"rope_type": "default", "mrope_section": [8, 8, 8], "rope_theta": 1e6},
    }  # fmt: skip
    config = Qwen2VLConfig(
        text_config=text, vision_config={"depth": 1, "embed_dim": 8, "hidden_size": 96, "num_heads": 1},
        image_token_id=60, video_token_id=61, vision_start_token_id=62, vision_end_token_id=63,
    )  # fmt: skip
    transformer = EasyAnimateTransformer3DModel(
        num_attention_heads=5, attention_head_dim=32, in_channels=16, out_channels=16, patch_size=2, num_layers=5,
        mmdit_layers=2, time_embed_dim=48, text_embed_dim=96, add_norm_text_encoder=True, sample_width=8,
        sample_height=8,
    )  # fmt: skip
    vae = AutoencoderKLMagvit(block_out_channels=(16, 32, 48, 32), layers_per_block=1, norm_num_groups=8)
    pipe: Any = EasyAnimatePipeline(
        vae, Qwen2VLForConditionalGeneration(config), tokenizer, transformer, FlowMatchEulerDiscreteScheduler(shift=3.0)
    )
    pipe.save_pretrained(folder)
    return folder


def compare(folder: Path, runs: int, steps: int) -> None:
    import numpy as np
    import torch
    from diffusers import EasyAnimatePipeline

    import kinema
    from kinema.diffusion.noise import noise
    from kinema.families.easyanimate import autoencoder

    engine = kinema.load(str(folder), device="cpu", dtype="float32")
    pipe = EasyAnimatePipeline.from_pretrained(folder, dtype=torch.float32, trust_remote_code=False)
    pipe.set_progress_bar_config(disable=True)
    plan = engine.plan(
        kinema.Request(prompt=PROMPT, seed=3, steps=steps, frames=FRAMES, profile="exact", negative_prompt="")
    )
    family = engine.family
    shape = family.latent_shape(family.encode(plan, family.prepare(plan)), plan.spans[0])

    def ours() -> Any:
        family.prompts.clear()
        return engine.generate(plan).frames()

    def plain() -> Any:
        return pipe(
            prompt=PROMPT, negative_prompt="", height=plan.height, width=plan.width, num_frames=plan.frames,
            num_inference_steps=steps, guidance_scale=plan.guidance, latents=noise(3, "init/0", shape),
            output_type="np",
        ).frames[0]  # fmt: skip

    z = noise(0, "z", shape)

    def decode() -> Any:
        return torch.cat(list(autoencoder.decode(family.parts.vae, z)), dim=2)

    @torch.no_grad()
    def plain_decode() -> Any:
        return pipe.vae.decode(z / pipe.vae.config.scaling_factor).sample

    print(f"{plan.frames} frames of {plan.width}x{plan.height}, {steps} steps, {torch.get_num_threads()} thread(s)")
    print(f"largest difference of the frames: {np.abs(ours() / 255.0 - plain()).max() * 255:.2f} of 255")
    print_ratios(runs, ("prompt to frames", ours, plain), ("decoding", decode, plain_decode))


if __name__ == "__main__":
    main()
