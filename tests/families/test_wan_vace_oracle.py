"""The oracle for editing: VACE's kinds of source clips, against diffusers' pipeline to 1e-4; and the packing of masks
against one written from the published description alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracle import SHIFT, TOLERANCE, common, ours, request
from PIL import Image

import kinema
from kinema.engine.plan import plan as make_plan
from kinema.families.wan import vace
from kinema.families.wan.checkpoint import load
from kinema.families.wan.detect import recognise

SIZE = {"height": 64, "width": 64, "num_frames": 17}


def unit(frames):
    return torch.from_numpy(np.ascontiguousarray(frames)).movedim(-1, 1).float().div(127.5).sub(1)[None]


def everything():
    return torch.ones(1, 17, 3, 64, 64)


def control_of(frames, folder, **fields):
    return request(conditions=({"kind": "control", "control": "layout", "video": str(folder / "clip")},), **fields)


def test_control_alone(mini, pipeline, inputs):
    folder, frames, _, _ = inputs
    plan = mini.plan(control_of(frames, folder))
    latents = ours(mini.family, plan)
    theirs = pipeline(video=unit(frames), mask=everything(), **SIZE, **common(plan, latents.shape)).frames
    assert (latents - theirs).abs().max() < TOLERANCE


def test_a_scale_for_each_layer(mini, pipeline, inputs):
    folder, frames, _, _ = inputs
    plan = mini.plan(control_of(frames, folder, options={"shift": SHIFT, "conditioning_scale": [0.3, 1.4]}))
    latents = ours(mini.family, plan)
    theirs = pipeline(
        video=unit(frames), mask=everything(), conditioning_scale=[0.3, 1.4], **SIZE, **common(plan, latents.shape)
    ).frames
    assert (latents - theirs).abs().max() < TOLERANCE
    plain = ours(mini.family, mini.plan(control_of(frames, folder)))
    assert (latents - plain).abs().max() > 100 * TOLERANCE


def test_two_references_which_diffusers_puts_in_front_backwards(mini, pipeline, inputs):
    folder, _, _, first = inputs
    second = Image.fromarray(np.random.default_rng(5).integers(0, 255, (40, 24, 3), dtype=np.uint8))
    second.save(folder / "second.png")
    images = (str(folder / "reference.png"), str(folder / "second.png"))
    plan = mini.plan(request(conditions=({"kind": "reference", "images": images},)))
    latents = ours(mini.family, plan)
    assert latents.shape[2] == 7
    theirs = pipeline(reference_images=[second, first], **SIZE, **common(plan, latents.shape)).frames
    assert (latents - theirs).abs().max() < TOLERANCE
    other = pipeline(reference_images=[first, second], **SIZE, **common(plan, latents.shape)).frames
    assert (latents - other).abs().max() > 100 * TOLERANCE


@pytest.mark.parametrize("place", ["start", "end"])
def test_extension_from_frames_that_are_known(mini, pipeline, inputs, place):
    folder, frames, _, _ = inputs
    going_on = {"kind": "continue", "clip": str(folder / "clip"), "frames": 5, "place": place}
    plan = mini.plan(request(conditions=(going_on,), fps=8))
    latents = ours(mini.family, plan)
    video, mask = torch.zeros(1, 17, 3, 64, 64), everything()
    at, given = (slice(0, 5), slice(-5, None)) if place == "start" else (slice(-5, None), slice(0, 5))
    video[:, at], mask[:, at] = unit(frames)[:, given], 0.0
    theirs = pipeline(video=video, mask=mask, **SIZE, **common(plan, latents.shape)).frames
    assert (latents - theirs).abs().max() < TOLERANCE


def test_masks_are_packed_as_published():
    """Cells of 8 x 8 become 64 channels, channel 8 * row + column; time is resampled nearest-exact."""
    mask = torch.rand(1, 1, 17, 32, 48)
    packed = vace.pack_mask(mask, 5, 8, 2)
    expected = np.zeros((64, 5, 4, 6), np.float32)
    for row in range(32):
        for column in range(48):
            channel = 8 * (row % 8) + column % 8
            for latent in range(5):
                frame = int((latent + 0.5) * 17 / 5)
                expected[channel, latent, row // 8, column // 8] = mask[0, 0, frame, row, column]
    assert np.array_equal(packed[0].numpy(), expected)


def comfy_context(pipeline, control, masks, reference=None):
    """VACE's context by ComfyUI's published rule, in its own terms: pixels in [0, 1], 0.5 where nothing is given.
    control: (F, H, W, 3). masks: (F, H, W)."""
    vae = pipeline.vae
    mean, std = (torch.tensor(each).view(1, 16, 1, 1, 1) for each in (vae.config.latents_mean, vae.config.latents_std))

    def encode(pixels):
        x = torch.from_numpy(pixels).permute(3, 0, 1, 2)[None] * 2 - 1
        with torch.no_grad():
            return (vae.encode(x).latent_dist.mode() - mean) / std

    soft = masks[..., None]
    inactive, reactive = encode((control - 0.5) * (1 - soft) + 0.5), encode((control - 0.5) * soft + 0.5)
    cells = torch.from_numpy(masks).view(17, 8, 8, 8, 8).permute(2, 4, 0, 1, 3).reshape(64, 17, 8, 8)
    packed = cells[None, :, [int((t + 0.5) * 17 / 5) for t in range(5)]]
    streams, zero = torch.cat([inactive, reactive], 1), torch.zeros(1, 64, 1, 8, 8)
    if reference is not None:
        latent = encode(reference[None])
        streams = torch.cat([torch.cat([latent, torch.zeros_like(latent)], 1), streams], 2)
        packed = torch.cat([zero, packed], 2)
    return torch.cat([streams, packed], 1)


@pytest.mark.parametrize("given", ["control, masks, reference", "short control", "masks", "nothing"])
def test_soft_split_of_exact_arrays_is_comfyui_s(mini, pipeline, tmp_path, given):
    """WanVaceToVideo's inputs as a request: a control clip is a source, its masks a mask with fill="source"."""
    rng = np.random.default_rng(6)
    control, masks, reference = (
        rng.random(shape, dtype=np.float32) for shape in ((17, 64, 64, 3), (17, 64, 64), (64, 64, 3))
    )
    gray, everything = np.full_like(control, 0.5), np.ones_like(masks)
    for name, values in (("control", control), ("short", control[:6]), ("masks", masks), ("gray", gray)):
        np.save(tmp_path / f"{name}.npy", values)
    np.save(tmp_path / "reference.npy", reference)

    def source(name):
        return {"kind": "source", "video": str(tmp_path / f"{name}.npy")}

    mask = {"kind": "mask", "video": str(tmp_path / "masks.npy"), "fill": "source"}
    one = {"kind": "reference", "images": (str(tmp_path / "reference.npy"),)}
    conditions, expected = {
        "control, masks, reference": ((source("control"), mask, one), (control, masks, reference)),
        "short control": ((source("short"),), (np.concatenate([control[:6], gray[6:]]), everything)),
        "masks": ((source("gray"), mask), (gray, masks)),
        "nothing": ((), (gray, everything)),
    }[given]
    size = {"frames": 17, "fps": 8, "width": 64, "height": 64}
    options = {"motion_words": "text", "vace_split": "soft", "conditioning_scale": [1000.0]}
    plan = mini.plan(request(conditions=conditions, options=options, **size))
    cond = mini.family.encode(plan, mini.family.prepare(plan))
    assert (cond.control_BCTHW - comfy_context(pipeline, *expected)).abs().max() < TOLERANCE
    assert cond.control_scale == (1000.0, 1000.0)


@pytest.fixture(scope="module")
def two_experts(pipeline, tmp_path_factory):
    """A folder of VACE-Fun A14B in small: the miniature, and the same with other weights for low noise."""
    from diffusers import WanVACEPipeline, WanVACETransformer3DModel

    other = WanVACETransformer3DModel.from_config(pipeline.transformer.config)
    other.load_state_dict(pipeline.transformer.state_dict())
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 0.2 * parameter.std().nan_to_num() * torch.randn(parameter.shape, generator=generator)
    folder = tmp_path_factory.mktemp("vace") / "Wan2.2-VACE-Fun-small"
    parts = {name: getattr(pipeline, name) for name in ("tokenizer", "text_encoder", "vae", "scheduler", "transformer")}
    WanVACEPipeline(**parts, transformer_2=other.eval(), boundary_ratio=0.8).save_pretrained(folder)
    return folder


def test_two_experts_edit_as_diffusers_pipeline(two_experts, inputs):
    """VACE-Fun A14B: both experts read the same context, each with its guidance, on both sides of the boundary."""
    from diffusers import WanVACEPipeline

    folder, frames, mask, reference = inputs
    card = recognise(two_experts)
    assert (card.variant, card.network.experts) == ("vace-a14b", 2)
    family = load(card, two_experts, "cpu")
    conditions = (
        {"kind": "source", "video": str(folder / "clip")}, {"kind": "mask", "image": str(folder / "mask.png")},
        {"kind": "reference", "images": (str(folder / "reference.png"),)},
    )  # fmt: skip
    options = {"shift": SHIFT, "boundary": 0.8, "low_guidance": 2.0}
    plan = make_plan(request(conditions=conditions, options=options, model=str(two_experts)))
    latents = ours(family, plan)
    pipe = WanVACEPipeline.from_pretrained(two_experts, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, flow_shift=SHIFT)
    filled = unit(frames) * torch.from_numpy(mask == 0)  # mid-gray inside the mask
    theirs = pipe(
        video=filled, mask=torch.from_numpy(mask > 0).float().expand(1, 17, 3, 64, 64), reference_images=[reference],
        guidance_scale_2=2.0, **SIZE, **common(plan, latents.shape),
    ).frames  # fmt: skip
    assert (latents - theirs).abs().max() < TOLERANCE
    branches = [step.branches[0] for step in family.guidance(plan, plan.spans[0], family.scheduler(plan))]
    assert {"high/cond", "low/cond"} == set(branches)


def test_edits_in_place_run_on_two_experts(two_experts, inputs):
    folder, frames, _, _ = inputs
    clip = kinema.load(str(two_experts)).generate(
        "a red ball", canvas="source", steps=2, seed=1, conditions=[
            {"kind": "source", "video": str(folder / "clip")},
            {"kind": "mask", "boxes": [(0.2, 0.2, 0.6, 0.6)]},
        ],
    )  # fmt: skip
    found = clip.frames()
    assert found.shape == frames.shape and (found[:, :4] == frames[:, :4]).all() and (found != frames).any()
