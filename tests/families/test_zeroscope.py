"""ModelScope and Zeroscope against diffusers' pipelines on tiny random weights: from a prompt, and from a clip."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_sd
import torch
from PIL import Image
from tiny_sd import NEGATIVE, PROMPT

import kinema
from kinema.core.errors import RequestError
from kinema.core.registry import built_in_cards
from kinema.diffusion.noise import noise
from kinema.engine.generate import generate, sample
from kinema.engine.plan import plan as make_plan
from kinema.families.zeroscope import load, recognise
from kinema.sd import discrete

FRAMES, SIDE = 5, 32


def parts():
    from diffusers import UNet3DConditionModel

    torch.manual_seed(0)
    unet = UNet3DConditionModel(
        sample_size=8, block_out_channels=(32, 64), layers_per_block=1, cross_attention_dim=32, attention_head_dim=8,
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"), up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
    )  # fmt: skip
    with torch.no_grad():  # temporal layers start at zero; here they must have an effect
        for name, parameter in unet.named_parameters():
            if "temp" in name and not parameter.any():
                parameter.copy_(0.03 * torch.randn(parameter.shape))
    return {**tiny_sd.words(), "unet": unet.eval(), "vae": tiny_sd.autoencoder()}


SCHEDULERS = {
    "DDIMScheduler": {"beta_schedule": "scaled_linear", "clip_sample": False, "steps_offset": 1},
    "DPMSolverMultistepScheduler": {"beta_schedule": "scaled_linear", "algorithm_type": "dpmsolver++"},
    "EulerDiscreteScheduler": {"beta_schedule": "scaled_linear", "prediction_type": "v_prediction"},
}


def folder_with(tmp_path, name):
    import diffusers
    from diffusers.pipelines.deprecated.text_to_video_synthesis import TextToVideoSDPipeline

    settings = {"beta_start": 0.00085, "beta_end": 0.012, **SCHEDULERS[name]}
    pipe = TextToVideoSDPipeline(scheduler=getattr(diffusers, name)(**settings), **parts())
    pipe.set_progress_bar_config(disable=True)
    pipe.save_pretrained(tmp_path / "tiny")
    return pipe, tmp_path / "tiny"


def request(folder, **fields):
    base = {
        "model": str(folder), "prompt": PROMPT, "negative_prompt": NEGATIVE, "seed": 3, "steps": 6, "frames": FRAMES,
        "guidance": 2.0, "profile": "exact",
    }  # fmt: skip
    return kinema.Request(**(base | fields))


def common(plan):
    return {
        "prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": plan.steps,
        "guidance_scale": plan.guidance,
    }  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULERS)
def test_from_words_it_is_diffusers(tmp_path, name):
    pipe, folder = folder_with(tmp_path, name)
    family = load(recognise(folder), folder, "cpu")
    plan = make_plan(request(folder), device="cpu")
    assert (plan.width, plan.height, plan.frames) == (SIDE, SIDE, FRAMES)
    ours = sample(plan, family, family.encode(plan, family.prepare(plan)), plan.spans[0])
    start = noise(plan.seed, "init/0", (1, 4, FRAMES, SIDE // 4, SIDE // 4)) * pipe.scheduler.init_noise_sigma
    size = {"num_frames": FRAMES, "height": SIDE, "width": SIDE}
    theirs = pipe(**common(plan), **size, latents=start / pipe.scheduler.init_noise_sigma, output_type="latent").frames
    assert (ours - theirs).abs().max() < 1e-4
    made = np.concatenate([chunk.frames for chunk in generate(plan, family)])
    with torch.no_grad():
        decoded = pipe.decode_latents(theirs)
    pixels = pipe.video_processor.postprocess_video(decoded, output_type="np")[0] * 255
    assert made.shape == (FRAMES, SIDE, SIDE, 3) and np.abs(made - pixels).max() <= 1
    sparing = make_plan(request(folder, options={"low_memory": True}), device="cpu")
    again = sample(sparing, family, family.encode(sparing, family.prepare(sparing)), sparing.spans[0])
    assert (again - ours).abs().max() < 1e-4


@pytest.mark.parametrize("name", SCHEDULERS)
def test_from_a_clip_it_is_diffusers(tmp_path, monkeypatch, name):
    from diffusers.pipelines.deprecated.text_to_video_synthesis import VideoToVideoSDPipeline
    from diffusers.pipelines.deprecated.text_to_video_synthesis import (
        pipeline_text_to_video_synth_img2img as module,
    )

    pipe, folder = folder_with(tmp_path, name)
    frames = np.random.default_rng(0).integers(0, 255, (FRAMES, 4, 4, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    (tmp_path / "clip").mkdir()
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / "clip" / f"{index:03d}.png")
    family = load(recognise(folder), folder, "cpu")
    source = {"kind": "source", "video": str(tmp_path / "clip")}
    plan = make_plan(request(folder, frames=None, conditions=(source,), options={"strength": 0.7}), device="cpu")
    assert plan.frames == FRAMES
    steps = []
    ours = sample(
        plan, family, family.encode(plan, family.prepare(plan)), plan.spans[0],
        on_event=lambda event: steps.append(event) if event.stage == "sample" else None,
    )  # fmt: skip
    assert len(steps) == int(6 * 0.7)
    drawn = noise(plan.seed, "init/0", (1, 4, FRAMES, SIDE // 4, SIDE // 4))[0].transpose(0, 1)
    monkeypatch.setattr(module, "randn_tensor", lambda *_, **__: drawn)
    monkeypatch.setattr(module, "retrieve_latents", lambda encoded, **_: encoded.latent_dist.mode())
    editor = VideoToVideoSDPipeline(**pipe.components)
    editor.set_progress_bar_config(disable=True)
    pictures = [Image.fromarray(frame) for frame in frames]
    theirs = editor(video=pictures, strength=0.7, **common(plan), output_type="latent").frames
    assert (ours - theirs).abs().max() < 1e-4


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_previews_point_at_the_clean_latents(name, prediction):
    """With the true output, every noise level predicts the clean latents exactly."""
    import diffusers

    from kinema.diffusion.scheduling import noise_level

    settings = {"beta_start": 0.00085, "beta_end": 0.012, **SCHEDULERS[name], "prediction_type": prediction}
    scheduler = discrete.scheduler_of(getattr(diffusers, name)(**settings), 10, torch.device("cpu"))
    clean, drawn = (torch.randn(1, 4, 2, 3, 3, generator=torch.Generator().manual_seed(n)) for n in (0, 1))
    for step in (0, 4, 8):
        sigma = noise_level(scheduler, step)
        a, s = (sigma**2 + 1) ** -0.5, sigma * (sigma**2 + 1) ** -0.5
        x = clean + sigma * drawn if name.startswith("Euler") else a * clean + s * drawn
        output = drawn if prediction == "epsilon" else a * drawn - s * clean
        assert (discrete.denoised(x, output, sigma, scheduler) - clean).abs().max() < 1e-3


def test_refusals(tmp_path):
    _, folder = folder_with(tmp_path, "DDIMScheduler")
    (tmp_path / "clip").mkdir()
    for index in range(3):
        Image.new("RGB", (32, 32)).save(tmp_path / "clip" / f"{index}.png")
    source = {"kind": "source", "video": str(tmp_path / "clip")}
    for fields, words in (
        ({"conditions": (source,)}, "3 frames, but 5 are requested"),
        ({"options": {"strength": 0.5}}, "requires a source clip"),
        ({"width": 30, "height": 32}, "cannot generate"),
        ({"conditions": (source | {"grow": (0.2, 0, 0, 0)},)}, "does not support outpainting"),
        ({"conditions": ({"kind": "mask", "everything": True},)}, "does not support"),
    ):
        with pytest.raises(RequestError, match=words):
            make_plan(request(folder, **fields), device="cpu")


def test_the_published_sizes():
    from diffusers import UNet3DConditionModel
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils.flop_counter import FlopCounterMode

    network = next(card.network for card in built_in_cards() if card.id == "zeroscope")
    with FakeTensorMode():
        unet = UNet3DConditionModel(cross_attention_dim=1024, attention_head_dim=64)
        assert sum(parameter.numel() for parameter in unet.parameters()) == network.parameters
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            unet(torch.zeros(1, 4, 24, 40, 72), torch.tensor(1.0), torch.zeros(1, 77, 1024))
    assert counter.get_total_flops() / (24 * 40 * 72) == pytest.approx(network.flop_per_cell, rel=0.02)
