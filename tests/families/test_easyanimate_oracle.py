"""EasyAnimate V5.1 against diffusers' three pipelines, on tiny random weights in the layouts of the published
checkpoints: latents equal to 1e-4, frames to 1/255, with the same noise."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_easyanimate as tiny
import torch
from tiny_easyanimate import CHANNELS, FRAMES, NEGATIVE, PROMPT, SIDE

import kinema
from kinema.diffusion.noise import noise
from kinema.engine.generate import generate, sample
from kinema.engine.plan import plan as make_plan
from kinema.families.easyanimate import load, recognise

STEPS, SEED, GUIDANCE, TOLERANCE = 4, 3, 4.0, 1e-4


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A function: (pipeline, folder, family) of a layout, made once."""
    known = {}

    def get(layout):
        if layout not in known:
            folder = tmp_path_factory.mktemp("models") / layout
            pipe = tiny.pipeline(layout, dynamic=layout == "inp")
            pipe.save_pretrained(folder)
            known[layout] = pipe, folder, load(recognise(folder), folder, "cpu")
        return known[layout]

    return get


def request(folder, **fields):
    base = {
        "model": str(folder), "prompt": PROMPT, "negative_prompt": NEGATIVE, "seed": SEED, "steps": STEPS,
        "guidance": GUIDANCE, "profile": "exact", "frames": FRAMES, "width": SIDE, "height": SIDE,
    }  # fmt: skip
    given = {key: value for key, value in (base | fields).items() if value is not None}
    return make_plan(kinema.Request(**given), device="cpu")


def common(plan):
    return {
        "prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": STEPS, "guidance_scale": plan.guidance,
        "height": plan.height, "width": plan.width, "num_frames": plan.frames,
        "guidance_rescale": plan.options["guidance_rescale"],
    }  # fmt: skip


def start(plan):
    return noise(SEED, "init/0", (1, CHANNELS, (plan.frames - 1) // 2 + 1, plan.height // 4, plan.width // 4))


def ours(family, plan):
    return sample(plan, family, family.encode(plan, family.prepare(plan)), plan.spans[0])


def check(plan, family, pipe, frames=False, **given):
    made, theirs = ours(family, plan), pipe(**common(plan), latents=start(plan), output_type="latent", **given).frames
    assert made.shape == theirs.shape and theirs.std() > 0.1
    assert (made - theirs).abs().max() < TOLERANCE
    if frames:
        shown = np.concatenate([chunk.frames for chunk in generate(plan, family)])
        with torch.no_grad():
            pixels = pipe.vae.decode(theirs / pipe.vae.config.scaling_factor).sample
        pixels = pipe.video_processor.postprocess_video(pixels, output_type="np")[0]
        assert shown.shape == pixels.shape == (plan.frames, plan.height, plan.width, 3)
        assert np.abs(shown / 255.0 - pixels).max() < 1.01 / 255
    return made


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"guidance": 1.0}, {"frames": 1}, {"width": 48, "height": 16, "options": {"guidance_rescale": 0.7}},
    ],
    ids=("plain", "without guidance", "picture", "rescaled"),
)  # fmt: skip
def test_from_words_it_is_diffusers(saved, fields):
    pipe, folder, family = saved("t2v")
    check(request(folder, **fields), family, pipe, frames=not fields)
