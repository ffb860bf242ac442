"""The oracle for editing: VACE's kinds of source clips, against diffusers' pipeline to 1e-4; and the packing of masks
against one written from the published description alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracle import SHIFT, TOLERANCE, common, ours, request
from PIL import Image

from kinema.families.wan import vace

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
