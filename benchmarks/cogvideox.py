"""Kinema's `exact` against diffusers' CogVideoXPipeline: same weights, size, steps and prompt, in the same run.

    python benchmarks/cogvideox.py                     # random weights of the size of a miniature, 64x64, 17 frames
    python benchmarks/cogvideox.py --model FOLDER      # a diffusers folder of the family
    python benchmarks/cogvideox.py --runs 5 --steps 25

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
PROMPT, WORDS = "a red ball rolls left over a green hill at sunset", 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a diffusers folder")
    parser.add_argument("--runs", type=int, default=3, help="runs of each, after a warm-up run")
    parser.add_argument("--steps", type=int, default=25)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder = args.model or random_model(Path(work) / "model")
        compare(folder, args.runs, args.steps)


def random_model(folder: Path) -> Path:
    """Save a pipeline with random weights: 2.0 million parameters in the transformer, 1.2 in the autoencoder."""
    import torch
    from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXPipeline, CogVideoXTransformer3DModel
    from transformers import T5Config, T5EncoderModel

    from kinema.training.data.tokenizers import build_tokenizer

    torch.manual_seed(0)
    tokenizer = build_tokenizer([PROMPT], max_length=WORDS)
    text = T5Config(
        vocab_size=len(tokenizer), d_model=96, d_kv=48, d_ff=192, num_heads=2, num_layers=2,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=5, attention_head_dim=32, num_layers=5, time_embed_dim=48, text_embed_dim=96,
        sample_height=8, sample_width=8, sample_frames=17, max_text_seq_length=WORDS,
        use_rotary_positional_embeddings=True,
    )  # fmt: skip
    vae = AutoencoderKLCogVideoX(
        block_out_channels=(16, 32, 48, 32), latent_channels=16, layers_per_block=1, norm_num_groups=8,
        sample_height=64, sample_width=64, scaling_factor=0.7,
    )  # fmt: skip
    scheduler = CogVideoXDDIMScheduler(
        prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing", snr_shift_scale=1.0
    )
    pipe: Any = CogVideoXPipeline(tokenizer, T5EncoderModel(text), vae, transformer, scheduler)
    pipe.save_pretrained(folder)
    return folder


def compare(folder: Path, runs: int, steps: int) -> None:
    import numpy as np
    import torch
    from diffusers import CogVideoXPipeline

    import kinema
    from kinema.diffusion.noise import noise
    from kinema.families.cogvideox import autoencoder

    engine = kinema.load(str(folder), device="cpu", dtype="float32")
    pipe = CogVideoXPipeline.from_pretrained(folder, dtype=torch.float32, trust_remote_code=False)
    pipe.set_progress_bar_config(disable=True)
    plan = engine.plan(kinema.Request(prompt=PROMPT, seed=3, steps=steps, profile="exact", negative_prompt=""))
    family, length = engine.family, pipe.transformer.config.max_text_seq_length
    cond = family.encode(plan, family.prepare(plan))
    shape = family.latent_shape(cond, plan.spans[0])
    dynamic = bool(plan.options["dynamic_guidance"])

    def ours() -> Any:
        family.prompts.clear()
        return engine.generate(plan).frames()

    def plain() -> Any:
        return pipe(
            prompt=PROMPT, negative_prompt="", height=plan.height, width=plan.width, num_frames=plan.frames,
            num_inference_steps=steps, guidance_scale=plan.guidance, use_dynamic_cfg=dynamic,
            max_sequence_length=length, latents=noise(3, "init/0", shape).transpose(1, 2), output_type="np",
        ).frames[0]  # fmt: skip

    z = noise(0, "z", shape)

    def decode() -> Any:
        return torch.cat(list(autoencoder.decode(family.parts.vae, z)), dim=2)

    @torch.no_grad()
    def plain_decode() -> Any:
        return pipe.vae.decode(z / pipe.vae.config.scaling_factor).sample

    print(f"{plan.frames} frames of {plan.width}x{plan.height}, {steps} steps, {torch.get_num_threads()} thread(s)")
    difference = np.abs(ours() / 255.0 - plain()).max() * 255
    print(f"largest difference of the frames: {difference:.2f} of 255 (stochastic solvers differ)")
    print_ratios(runs, ("prompt to frames", ours, plain), ("decoding", decode, plain_decode))


if __name__ == "__main__":
    main()
