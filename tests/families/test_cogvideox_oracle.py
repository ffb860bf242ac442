"""CogVideoX against diffusers' three pipelines, on tiny random weights in the layouts of the published checkpoints:
latents equal to 1e-4, frames to 1/255, with the same noise."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_cogvideox as tiny
import torch
from PIL import Image
from tiny_cogvideox import FRAMES, LENGTH, NEGATIVE, PROMPT, SIDE

import kinema
from kinema.diffusion.noise import noise, stream_seed
from kinema.engine.generate import generate, sample
from kinema.engine.plan import plan as make_plan
from kinema.families.cogvideox import load, recognise

STEPS, SEED, GUIDANCE, TOLERANCE = 5, 3, 4.0, 1e-4
TEXT, IMAGE = ("2b", "5b", "1.5"), ("5b-i2v", "1.5-i2v")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A function: (pipeline, folder, family) of a layout, made once."""
    known = {}

    def get(layout):
        if layout not in known:
            folder = tmp_path_factory.mktemp("models") / layout.replace(".", "_")
            pipe = tiny.pipeline(layout)
            pipe.save_pretrained(folder)
            known[layout] = pipe, folder, load(recognise(folder), folder, "cpu")
        return known[layout]

    return get


@pytest.fixture(autouse=True)
def posterior(monkeypatch):
    """diffusers' solver and autoencoder draw the noise that Kinema draws, from its named streams. The fixture is a
    function that sets the stream of the autoencoder."""
    from diffusers import CogVideoXDPMScheduler
    from diffusers.models.autoencoders import vae
    from diffusers.schedulers import scheduling_dpm_cogvideox as module

    published, drawn, stream = CogVideoXDPMScheduler.step, module.randn_tensor, []

    def step(self, output, old, t, before, x, **more):
        if type(self) is not CogVideoXDPMScheduler:  # Kinema's own
            return published(self, output, old, t, before, x, **more)
        number = self.timesteps.tolist().index(int(t))
        generator = torch.Generator("cpu").manual_seed(stream_seed(SEED, f"solver/{number}"))

        def channels_first(shape, **_):
            return torch.randn((shape[0], shape[2], shape[1], *shape[3:]), generator=generator).transpose(1, 2)

        module.randn_tensor = channels_first
        try:
            return published(self, output, old, t, before, x, **more)
        finally:
            module.randn_tensor = drawn

    monkeypatch.setattr(CogVideoXDPMScheduler, "step", step)
    monkeypatch.setattr(vae, "randn_tensor", lambda shape, **_: noise(SEED, stream[-1], tuple(shape)))
    return stream.append


def request(folder, **fields):
    base = {
        "model": str(folder), "prompt": PROMPT, "negative_prompt": NEGATIVE, "seed": SEED, "steps": STEPS,
        "guidance": GUIDANCE, "profile": "exact",
    }  # fmt: skip
    return make_plan(kinema.Request(**(base | fields)), device="cpu")


def common(plan):
    return {
        "prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": STEPS, "guidance_scale": GUIDANCE,
        "max_sequence_length": LENGTH, "use_dynamic_cfg": plan.options["dynamic_guidance"], "height": plan.height,
        "width": plan.width,
    }  # fmt: skip


def start(family, plan):
    """The initial noise, in diffusers' layout."""
    frames = family.num_latents(plan.spans[0])
    return noise(SEED, "init/0", (1, 4, frames, plan.height // 4, plan.width // 4)).transpose(1, 2)


def ours(family, plan):
    return sample(plan, family, family.encode(plan, family.prepare(plan)), plan.spans[0]).transpose(1, 2)


def check(latents, theirs):
    assert latents.shape == theirs.shape and theirs.std() > 0.1
    assert (latents - theirs).abs().max() < TOLERANCE


def check_frames(plan, family, pipe, **given):
    made = np.concatenate([chunk.frames for chunk in generate(plan, family)])
    theirs = pipe(**common(plan), **given, latents=start(family, plan), output_type="np").frames[0]
    assert made.shape == theirs.shape == (plan.frames, plan.height, plan.width, 3)
    assert np.abs(made / 255.0 - theirs).max() < 1.01 / 255


@pytest.mark.parametrize("solver", ("checkpoint", "ddim", "dpm"))
@pytest.mark.parametrize("layout", TEXT)
def test_from_words_it_is_diffusers(saved, monkeypatch, layout, solver):
    import diffusers

    pipe, folder, family = saved(layout)
    plan = request(folder, frames=17, options={"solver": solver})
    assert (plan.width, plan.height) == (SIDE, SIDE)
    if solver != "checkpoint":
        kind = {"ddim": diffusers.CogVideoXDDIMScheduler, "dpm": diffusers.CogVideoXDPMScheduler}[solver]
        monkeypatch.setattr(pipe, "scheduler", kind.from_config(pipe.scheduler.config))
    theirs = pipe(**common(plan), num_frames=17, latents=start(family, plan), output_type="latent").frames
    check(ours(family, plan), theirs)
    if solver == "checkpoint":
        check_frames(plan, family, pipe, num_frames=17)


@pytest.mark.parametrize("layout", TEXT)
@pytest.mark.parametrize("dynamic", (False, True))
def test_other_sizes_and_guidance(saved, layout, dynamic):
    """Positions depend on the size; so does the padding of 1.5 on the number of frames."""
    pipe, folder, family = saved(layout)
    plan = request(folder, frames=25, width=48, height=24, options={"dynamic_guidance": dynamic})
    theirs = pipe(**common(plan), num_frames=25, latents=start(family, plan), output_type="latent").frames
    check(ours(family, plan), theirs)


@pytest.mark.parametrize("layout", IMAGE)
def test_from_an_image_it_is_diffusers(saved, posterior, tmp_path, layout):
    pipe, folder, family = saved(layout)
    pixels = np.random.default_rng(0).integers(0, 255, (4, 4, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    first = {"kind": "image", "image": str(tmp_path / "picture.png"), "at": "first"}
    plan = request(folder, conditions=(first,))
    assert (plan.frames, plan.width, plan.height) == (FRAMES, SIDE, SIDE)
    posterior("image")
    given = {"image": Image.fromarray(pixels), "num_frames": plan.frames}
    theirs = pipe(**common(plan), **given, latents=start(family, plan), output_type="latent").frames
    latents = ours(family, plan)
    check(latents, theirs)
    check_frames(plan, family, pipe, **given)
    gray = np.full((SIDE, SIDE, 3), 90, np.uint8)
    Image.fromarray(gray).save(tmp_path / "gray.png")
    other = request(folder, conditions=({**first, "image": str(tmp_path / "gray.png")},))
    assert (ours(family, other) - latents).abs().mean() > 0.01, "the image has an effect"


@pytest.mark.parametrize("layout", ("2b", "5b"))
def test_from_a_clip_it_is_diffusers(saved, posterior, monkeypatch, tmp_path, layout):
    from diffusers import CogVideoXVideoToVideoPipeline
    from diffusers.pipelines.cogvideo import pipeline_cogvideox_video2video as module

    pipe, folder, family = saved(layout)
    frames = np.random.default_rng(1).integers(0, 255, (17, 4, 4, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"{index:03d}.png")
    source = {"kind": "source", "video": str(tmp_path)}
    plan = request(folder, conditions=(source,), options={"strength": 0.6})
    assert plan.frames == 17
    posterior("source")
    monkeypatch.setattr(module, "randn_tensor", lambda shape, **_: start(family, plan))
    editor = CogVideoXVideoToVideoPipeline(**pipe.components)
    editor.set_progress_bar_config(disable=True)
    given = {"video": [Image.fromarray(frame) for frame in frames], "strength": 0.6}
    theirs = editor(**common(plan), **given, output_type="latent").frames
    check(ours(family, plan), theirs)
    made = np.concatenate([chunk.frames for chunk in generate(plan, family)])
    pixels = editor(**common(plan), **given, output_type="np").frames[0]
    assert np.abs(made / 255.0 - pixels).max() < 1.01 / 255
