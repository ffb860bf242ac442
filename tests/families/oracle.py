"""Shared by the oracle tests: settings, Kinema's latents, and the same arguments for diffusers' pipeline."""

from __future__ import annotations

import torch

from kinema.core.request import Request
from kinema.diffusion.noise import noise
from kinema.engine.generate import sample

STEPS, GUIDANCE, SHIFT, SEED = 6, 3.0, 3.0, 11
TOLERANCE = 1e-4
PROMPT, NEGATIVE = "a red ball rolls left over a green hill at sunset", "snow"


def request(**fields) -> Request:
    settings = {
        "prompt": PROMPT, "negative_prompt": NEGATIVE, "seed": SEED, "steps": STEPS, "guidance": GUIDANCE,
        "profile": "exact", "options": {"shift": SHIFT, "motion_words": "text"},
    }  # fmt: skip
    return Request(**{**settings, **fields})


def ours(family, plan) -> torch.Tensor:
    return sample(plan, family, family.encode(plan, family.prepare(plan)), plan.spans[0])


def common(plan, shape):
    return {
        "prompt": PROMPT,
        "negative_prompt": NEGATIVE,
        "num_inference_steps": STEPS,
        "guidance_scale": GUIDANCE,
        "max_sequence_length": plan.options["text_length"],
        "latents": noise(SEED, "init/0", shape),
        "output_type": "latent",
    }
