"""Partly noised source clips: text to video against diffusers, and VACE."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from oracle import GUIDANCE, NEGATIVE, PROMPT, SEED, SHIFT, STEPS, TOLERANCE, ours, request
from PIL import Image

import kinema
from kinema.core.chunk import Chunk
from kinema.core.errors import RequestError
from kinema.diffusion.noise import noise
from kinema.families.wan.model import WanFamily, WanParts
from kinema.media.write import write

STRENGTH = 0.7


@pytest.fixture(scope="module")
def base(pipeline):
    """The base model without VACE's blocks."""
    from diffusers import WanTransformer3DModel

    config = {
        key: value
        for key, value in pipeline.transformer.config.items()
        if not key.startswith(("_", "vace")) and key != "added_kv_proj_dim"
    }
    model = WanTransformer3DModel(**config).eval()
    state = {key: value for key, value in pipeline.transformer.state_dict().items() if not key.startswith("vace")}
    model.load_state_dict(state)
    return model


@pytest.mark.parametrize("kind", ["UniPCMultistepScheduler", "FlowMatchEulerDiscreteScheduler"])
def test_text_to_video_from_a_clip_is_diffusers(mini, pipeline, base, inputs, monkeypatch, kind):
    import diffusers
    from diffusers.pipelines.wan import pipeline_wan_video2video as theirs_module

    folder, frames, *_ = inputs
    parts = pipeline.components
    scheduler = parts["scheduler"]
    if kind != type(scheduler).__name__:
        scheduler = getattr(diffusers, kind)(shift=SHIFT)
    ours_parts = WanParts(parts["tokenizer"], parts["text_encoder"], copy.deepcopy(base), parts["vae"], scheduler)
    card = mini.family.card.model_copy(update={"variant": "t2v", "accepts": ("source",)})
    family = WanFamily(card, ours_parts, torch.device("cpu"))
    source = {"kind": "source", "video": str(folder / "clip")}
    plan = mini.plan(request(conditions=(source,), options={"shift": SHIFT, "strength": STRENGTH}))
    latents = ours(family, plan)

    drawn = noise(SEED, "init/0", latents.shape)
    monkeypatch.setattr(theirs_module, "randn_tensor", lambda *args, **kwargs: drawn)
    pipe = theirs_module.WanVideoToVideoPipeline(
        tokenizer=parts["tokenizer"], text_encoder=parts["text_encoder"], vae=parts["vae"], scheduler=scheduler,
        transformer=base,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    theirs = pipe(
        video=[Image.fromarray(frame) for frame in frames], prompt=PROMPT, negative_prompt=NEGATIVE,
        num_inference_steps=STEPS, strength=STRENGTH,
        guidance_scale=GUIDANCE, height=64, width=64, max_sequence_length=plan.options["text_length"],
        output_type="latent",
    ).frames  # fmt: skip
    assert (latents - theirs).abs().max() < TOLERANCE


def test_vace_begins_with_its_source(mini, inputs):
    """Less noise stays closer to the clip; at 1, the default, sampling starts from pure noise."""
    folder, frames, *_ = inputs
    family = mini.family
    source = ({"kind": "source", "video": str(folder / "clip")},)
    clean = family.encode_pixels(torch.from_numpy(frames).movedim(-1, 0).float().div(127.5).sub(1)[None])

    def distance(**options) -> float:
        plan = mini.plan(request(conditions=source, options={"shift": SHIFT, **options}))
        return float((ours(family, plan) - clean).abs().mean())

    near, far, whole = distance(strength=0.2), distance(strength=0.8), distance()
    assert near < 0.9 * far and far < whole
    assert distance(strength=1.0) == whole


def test_references_stay_in_front(mini, inputs):
    folder, *_ = inputs
    conditions = (
        {"kind": "source", "video": str(folder / "clip")},
        {"kind": "reference", "images": (str(folder / "reference.png"),)},
    )
    plan = mini.plan(request(conditions=conditions, options={"shift": SHIFT, "strength": 0.5}))
    cond = mini.family.encode(plan, mini.family.prepare(plan))
    assert cond.source_BCTHW.shape == mini.family.latent_shape(cond, plan.spans[0])


def test_what_cannot_be_is_refused(tmp_path):
    with pytest.raises(RequestError, match="requires a source clip"):
        kinema.plan("x", model="wan2.1-t2v-1.3b", options={"strength": 0.5})
    with pytest.raises(RequestError, match="canvas = source") as refused:
        video = write([Chunk(np.zeros((9, 64, 64, 3), np.uint8), 0, 8.0)], tmp_path / "clip.mp4")
        asked = [{"kind": "source", "video": str(video)}, {"kind": "mask", "boxes": [(0.2, 0.2, 0.5, 0.5)]}]
        kinema.plan("x", model="wan2.1-t2v-1.3b", canvas="source", conditions=asked)
    assert "wan2.1-vace-1.3b" in refused.value.models and refused.value.legal == "model, upscale"
