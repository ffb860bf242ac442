"""Conditioning nodes as conditions of a request: planned for the models that they are for, nothing runs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from graphs import base, node, sampler, written
from PIL import Image

from kinema.core.errors import RequestError
from kinema.workflow.findings import examine
from kinema.workflow.formats.api import parse_api
from kinema.workflow.run.execute import planned_workflow
from kinema.workflow.run.folders import FolderInputs

SIZE = {"width": 160, "height": 128, "length": 9, "batch_size": 1}
WORDS = {"positive": ["good", 0], "negative": ["bad", 0], "vae": ["vae", 0]}


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """Plan a graph whose conditions are a node's, for a model; its weights are taken to be here."""
    monkeypatch.setattr("kinema.workflow.nodes.model_files.store.here", lambda card: True)
    Image.new("RGB", (320, 128), (200, 30, 30)).save(tmp_path / "red.png")
    kept = {}

    def plan(file, kind, more=None, latent=2, **inputs):
        graph = base(
            red=node("LoadImage", image="red.png"), guide=node(kind, **WORDS, **SIZE, **inputs),
            sampler=sampler(("guide", latent), ("guide", 0), ("guide", 1)), **written(), **(more or {}),
        )  # fmt: skip
        graph["model"]["inputs"]["unet_name"] = file
        found = planned_workflow(
            examine(parse_api(graph, "w.json")), models={}, inputs=FolderInputs(tmp_path)
        )  # fmt: skip
        (step,) = found.samplers.values()
        kept["plan"] = found
        assert (step.plan.width, step.plan.height, step.plan.frames) == (160, 128, 9)
        return step

    return plan


def test_first_and_last_frame_with_what_the_image_encoder_sees(planned):
    vision = {"vision": node("CLIPVisionLoader", clip_name="clip_vision_h.safetensors"),
              "seen": node("CLIPVisionEncode", clip_vision=["vision", 0], image=["red", 0], crop="none")}  # fmt: skip
    step = planned(
        "wan2.1_flf2v_720p_14B_fp16.safetensors", "WanFirstLastFrameToVideo", vision, start_image=["red", 0],
        end_image=["red", 0], clip_vision_start_image=["seen", 0], clip_vision_end_image=["seen", 0],
    )  # fmt: skip
    first, last = step.plan.conditions
    assert (first.at, last.at) == ("first", "last") and step.plan.model == "wan2.1-flf2v-14b-720p"
    assert first.image == last.image and first.seen == last.seen and len(step.media) == 2, "one picture is written once"


def test_tracks_are_picked_at_the_clips_rate(planned):
    track = [{"x": 16 + index, "y": 64} for index in range(121)]
    step = planned("Wan2_1-I2V-ATI-14B_fp16.safetensors", "WanTrackToVideo", tracks=json.dumps([track, track[:1]]),
                   temperature=100.0, topk=3, start_image=["red", 0])  # fmt: skip
    image, moving, still = step.plan.conditions
    assert (image.kind, moving.kind) == ("image", "trajectory")
    assert [round(x * 160) - 16 for x, _ in moving.points] == [0, 1, 3, 4, 6, 7, 9, 10, 12]
    assert {(x, y) for x, y in still.points} == {(0.1, 0.5)}
    assert (step.plan.options["track_temperature"], step.plan.options["track_points"]) == (100.0, 3)
    for wrong in ('[{"x": 1}]', '{"x": 1}', "["):
        with pytest.raises(RequestError, match=r"node guide .WanTrackToVideo.: .*track"):
            planned("Wan2_1-I2V-ATI-14B_fp16.safetensors", "WanTrackToVideo", tracks=wrong, temperature=1.0, topk=1,
                    start_image=["red", 0])  # fmt: skip


def test_vace_without_masks_keeps_a_short_control_clip_short(planned):
    more = {"two": node("RepeatImageBatch", image=["red", 0], amount=2)}
    step = planned("wan2.1_vace_1.3B_fp16.safetensors", "WanVaceToVideo", more, strength=0.7, control_video=["two", 0],
                   reference_image=["red", 0])  # fmt: skip
    source, reference = step.plan.conditions
    assert (source.kind, reference.kind) == ("source", "reference")
    assert step.plan.options["conditioning_scale"] == [0.7] and step.plan.options["vace_split"] == "soft"
    shapes = sorted((media.stream.count, media.is_clip, media.pad) for media in step.media.values())
    assert shapes == [(1, False, None), (2, True, None)] and step.stand_ins == {source.video}


def test_a_card_refuses_what_its_model_does_not_follow(planned):
    with pytest.raises(RequestError, match=r"node sampler .*wan2\.1-t2v-1\.3b does not support.*image:first"):
        planned("wan2.1_t2v_1.3B_fp16.safetensors", "WanImageToVideo", start_image=["red", 0])
    two = {"two": node("RepeatImageBatch", image=["red", 0], amount=2)}
    with pytest.raises(RequestError, match=r"its input start_image has 2 pictures.*1 picture"):
        planned("wan2.1_i2v_480p_14B_fp16.safetensors", "WanImageToVideo", two, start_image=["two", 0])


def test_patches_become_options_and_what_a_model_lacks_is_refused(planned, monkeypatch):
    more = {
        "zero": node("CFGZeroStar", model=["model", 0]),
        "skip": node("SkipLayerGuidanceDiT", model=["zero", 0], double_layers="9", single_layers="", scale=2.0,
                     start_percent=0.1, end_percent=0.5, rescaling_scale=0.0),
        "windows": node("WanContextWindowsManual", model=["skip", 0], context_length=81, context_overlap=16,
                        context_schedule="batched", context_stride=1, closed_loop=False, fuse_method="flat"),
    }  # fmt: skip
    more["sampler"] = sampler(("guide", 2), ("guide", 0), ("guide", 1)) | {}
    more["sampler"]["inputs"]["model"] = ["windows", 0]
    graph = base(guide=node("WanImageToVideo", **WORDS, **SIZE), **written(), **more)
    graph["model"]["inputs"]["unet_name"] = "wan2.1_t2v_1.3B_fp16.safetensors"
    found = planned_workflow(examine(parse_api(graph, "w.json")), models={}, inputs=FolderInputs("."))
    options = found.samplers["sampler"].plan.options
    assert (options["cfg_zero"], options["skip_layers"], options["skip_to"]) == ("comfyui", "9", 0.5)
    assert (options["context_length"], options["context_overlap"], options["context_fuse"]) == (81, 16, "flat")
    graph["zero"] = node("VideoLinearCFGGuidance", model=["model", 0], min_cfg=1.0)
    with pytest.raises(RequestError, match=r"wan2\.1-t2v-1\.3b has no option first_guidance"):
        planned_workflow(examine(parse_api(graph, "w.json")), models={}, inputs=FolderInputs("."))


def test_what_the_image_encoder_sees_is_the_whole_picture_at_224_px():
    from kinema.workflow.run.values import Pictures
    from kinema.workflow.run.vision import as_seen

    ramp = np.linspace(0, 1, 448, dtype=np.float32)
    frame_HWC = np.repeat(np.broadcast_to(ramp, (300, 448))[..., None], 3, -1)
    pictures = Pictures(1, 300, 448, 3, lambda start, stop: iter([frame_HWC[None]]))
    squashed, cropped = as_seen(pictures, "none"), as_seen(pictures, "center")
    assert squashed.shape == cropped.shape == (224, 224, 3)
    assert np.abs(squashed[100, :, 0] - np.linspace(0, 1, 224)).max() < 0.01
    side = 300 / 448
    assert np.abs(cropped[100, :, 0] - np.linspace((1 - side) / 2, (1 + side) / 2, 224)).max() < 0.01
    assert np.array_equal(squashed, np.round(squashed * 255).astype(np.float32) / np.float32(255))
