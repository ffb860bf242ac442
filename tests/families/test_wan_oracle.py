"""The oracle: same weights, noise and settings, float32 - Kinema's latents equal diffusers' pipelines' to 1e-4.

This is how the published 14B weights are known to run right on machines that cannot hold them.
"""

from __future__ import annotations

import numpy as np
import torch
from oracle import NEGATIVE, PROMPT, SHIFT, TOLERANCE, common, ours, request

from kinema.engine.generate import generate
from kinema.families.wan import model as wan_model
from kinema.families.wan.model import WanFamily, WanParts
from kinema.weights.device import precision


def test_vace_text_only(mini, pipeline):
    plan = mini.plan(request())
    latents = ours(mini.family, plan)
    theirs = pipeline(height=64, width=64, num_frames=17, **common(plan, latents.shape)).frames
    assert (latents - theirs).abs().max() < TOLERANCE


def test_vace_source_mask_reference(mini, pipeline, inputs):
    folder, frames, mask, reference = inputs
    plan = mini.plan(
        request(
            conditions=(
                {"kind": "source", "video": str(folder / "clip")},
                {"kind": "mask", "image": str(folder / "mask.png")},
                {"kind": "reference", "images": (str(folder / "reference.png"),)},
            ),
            options={"shift": SHIFT, "conditioning_scale": [0.8]},
        )
    )
    latents = ours(mini.family, plan)
    assert latents.shape[2] == 6, "a latent frame for the reference goes in front"
    # Kinema fills the masked region with mid-gray; diffusers receives the filled clip.
    video = torch.from_numpy(frames).movedim(-1, 1).float().div(127.5).sub(1)[None] * torch.from_numpy(mask == 0)
    theirs = pipeline(
        video=video,
        mask=torch.from_numpy(mask > 0).float().expand(1, 17, 3, 64, 64),
        reference_images=reference,
        conditioning_scale=0.8,
        height=64,
        width=64,
        num_frames=17,
        **common(plan, latents.shape),
    ).frames
    assert (latents - theirs).abs().max() < TOLERANCE


def test_vace_decoded_frames(mini, pipeline):
    plan = mini.plan(request())
    frames = np.concatenate([chunk.frames for chunk in generate(plan, mini.family)])
    shape = mini.family.latent_shape(mini.family.encode(plan, mini.family.prepare(plan)), plan.spans[0])
    theirs = pipeline(height=64, width=64, num_frames=17, **{**common(plan, shape), "output_type": "np"}).frames[0]
    assert np.abs(frames / 255.0 - theirs).max() < 1.01 / 255


def test_text_to_video(mini, pipeline, monkeypatch):
    """The base model without VACE's blocks, as WanPipeline runs it."""
    from diffusers import WanPipeline, WanTransformer3DModel

    config = {
        key: value
        for key, value in pipeline.transformer.config.items()
        if not key.startswith(("_", "vace")) and key != "added_kv_proj_dim"
    }
    base = WanTransformer3DModel(**config).eval()
    state = {key: value for key, value in pipeline.transformer.state_dict().items() if not key.startswith("vace")}
    base.load_state_dict(state)
    reference = WanTransformer3DModel(**config).eval()
    reference.load_state_dict(state)
    parts = pipeline.components
    theirs_pipe = WanPipeline(
        tokenizer=parts["tokenizer"], text_encoder=parts["text_encoder"], vae=parts["vae"],
        scheduler=parts["scheduler"], transformer=reference,
    )  # fmt: skip
    theirs_pipe.set_progress_bar_config(disable=True)
    card = mini.family.card.model_copy(update={"variant": "t2v", "accepts": ()})
    family = WanFamily(
        card,
        WanParts(parts["tokenizer"], parts["text_encoder"], base, parts["vae"], parts["scheduler"]),
        torch.device("cpu"),
    )
    plan = mini.plan(request())
    latents = ours(family, plan)
    theirs = theirs_pipe(height=64, width=64, num_frames=17, **common(plan, latents.shape)).frames
    # Without its VACE blocks the miniature magnifies rounding: noise changed by 1e-7 changes WanPipeline's own latents
    # by 1.2e-4. Kinema rounds differently in two places: a prompt is encoded without padding, and both branches of a
    # step run as one batch. Without these two, the latents are the same.
    assert (latents - theirs).abs().max() < TOLERANCE * theirs.abs().max()
    monkeypatch.setattr(wan_model, "BATCH_TOKENS", 0)
    length = plan.options["text_length"]
    with torch.no_grad():
        padded = theirs_pipe.encode_prompt(PROMPT, NEGATIVE, max_sequence_length=length)
    for prompt, states in zip((PROMPT, NEGATIVE), padded):
        assert (family.prompts[prompt, length, False] - states).abs().max() < 1e-5
        family.prompts[prompt, length, False] = states
    assert (ours(family, plan) - theirs).abs().max() < TOLERANCE / 100


def test_references_keep_their_order(mini):
    """Reference images come first, in the order of the request (diffusers' pipeline reverses them)."""
    from kinema.families.wan import vace

    pictures = (torch.full((1, 3, 64, 64), -0.5), torch.full((1, 3, 64, 64), 0.5))
    from kinema.families.wan.prepare import WanPrepared

    plan = mini.plan(request())
    family = mini.family
    made = vace.context(plan, WanPrepared(references=pictures), family.encode_pixels, family.space, family.patch)
    alone = [family.encode_pixels(picture[:, :, None]) for picture in pictures]
    assert torch.equal(made[:, :16, 0], alone[0][:, :, 0])
    assert torch.equal(made[:, :16, 1], alone[1][:, :, 0])
    assert made[:, 16:, :2].abs().max() == 0, "no reactive latents, no mask for a reference"


def test_a_quick_profile_leaves_no_rounding_behind(mini):
    """The cache of mid-gray's latents is separate for each precision."""
    family, exact = mini.family, mini.plan(request())
    family.gray.clear()
    alone = family.encode(exact, family.prepare(exact)).control_BCTHW
    family.gray.clear()
    quick = mini.plan(request(profile="fast"))
    assert quick.low_precision
    family.encode(quick, family.prepare(quick))
    assert torch.equal(family.encode(exact, family.prepare(exact)).control_BCTHW, alone)


def test_the_memory_layout_of_pixels_changes_nothing(mini):
    """Latents of mid-gray are the same whether a text's request or an edit's has computed them first."""
    family, quick = mini.family, mini.plan(request(profile="fast"))
    frames, pixels = quick.frames, torch.rand(1, 3, quick.frames, 64, 64) * 2 - 1
    for flat in (torch.zeros(1, 3, frames, 64, 64), pixels):
        channels_last = flat.movedim(1, -1).contiguous().movedim(-1, 1)
        assert channels_last.stride() != flat.stride()
        for low in (True, False):
            found = []
            for each in (flat, channels_last):
                family.gray.clear()
                with torch.inference_mode(), precision(family.device, low):
                    found.append(family.encode_pixels(each))
            assert torch.equal(*found)
