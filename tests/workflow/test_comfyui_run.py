"""Workflows as requests: what each node becomes, and what is refused before anything runs."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from kinema.core.errors import RequestError
from kinema.workflow.findings import examine
from kinema.workflow.formats.api import parse_api
from kinema.workflow.requests import wanted_clips
from kinema.workflow.settings import with_values

MINI = "kinema-mini-wan"
WAN = {"wan2.1_t2v_1.3B_fp16.safetensors": MINI}


@pytest.fixture
def goldens(real_data):
    return json.loads((real_data / "workflows" / "goldens.json").read_text(encoding="utf-8"))


def clips(prompt, models, inputs=".", settings=()):
    return wanted_clips(examine(parse_api(with_values(prompt, settings), "w.json")), models, inputs)


@pytest.fixture
def pictures(tmp_path):
    for name in ("mountains.png", "image_to_video_wan_start_image.png", "a.png"):
        Image.new("RGB", (64, 48), (30, 90, 200)).save(tmp_path / name)
    return tmp_path


def test_text_to_video(goldens):
    (clip,) = clips(goldens["text_to_video_wan"], WAN)
    found = clip.request
    assert found.prompt.startswith("a fox moving quickly") and found.negative_prompt.endswith("\u5012\u7740\u8d70")
    assert (found.model, found.seed, found.steps, found.guidance) == (MINI, 82628696717253, 30, 6.0)
    assert (found.fps, clip.fps, clip.name, found.profile) == (16.0, 16.0, "comfyui.mp4", "exact")
    assert found.options == {"shift": 8.0, "noise": "torch", "sampler": "uni_pc", "schedule": "simple"}
    assert found.width is None and "has the size and length of" in clip.notes[0]
    prompt = json.loads(json.dumps(goldens["text_to_video_wan"]))
    del prompt["48"]
    prompt["3"]["inputs"]["model"] = ["37", 0]
    (clip,) = clips(prompt, WAN, settings=["KSampler.seed=18446744073709551615", "3.steps=7"])
    assert clip.request.options["shift"] == 8.0, "without a node that sets it"
    assert (clip.request.seed, clip.request.steps) == (2**63 - 1, 7) and "seed" in " ".join(clip.notes)


def test_the_sizes_of_the_graph_are_those_of_its_own_model(goldens, monkeypatch):
    monkeypatch.setattr("kinema.workflow.nodes.model_files.store.here", lambda card: True)
    (clip,) = clips(goldens["text_to_video_wan"], {})
    found = clip.request
    assert (found.model, found.width, found.height, found.frames) == ("wan2.1-t2v-1.3b", 832, 480, 33)
    assert clip.notes == ()


def test_stable_video_diffusion_has_two_frame_rates(goldens, pictures):
    (clip,) = clips(goldens["ex_svd_image_to_video"], {"svd.safetensors": "kinema-mini-svd"}, pictures)
    found = clip.request
    assert (found.fps, clip.fps, clip.name) == (6.0, 10.0, "comfyui.webp")
    assert found.options == {
        "sampler": "euler", "schedule": "karras", "motion": 127, "augmentation": 0.0, "first_guidance": 1.0,
    }  # fmt: skip
    assert found.conditions[0].image == str(pictures / "mountains.png") and found.guidance == 2.5


def test_pictures_and_loras(goldens, pictures):
    models = {"wan2.1_i2v_480p_14B_fp16.safetensors": MINI}
    (clip,) = clips(goldens["image_to_video_wan"], models, pictures)
    assert [(each.kind, each.at) for each in clip.request.conditions] == [("image", "first")]
    vace = {"wan2.1_vace_14B_fp16.safetensors": MINI, "Wan21_CausVid_14B_T2V_lora_rank32.safetensors": "none"}
    (clip,) = clips(goldens["video_wan_vace_14B_t2v"], vace, pictures)
    assert clip.request.conditions == () and clip.request.options["conditioning_scale"] == [1.0]
    vace["Wan21_CausVid_14B_T2V_lora_rank32.safetensors"] = "causvid.safetensors"
    file = ["LoadImage.image=a.png"]
    (clip,) = clips(goldens["video_wan_vace_14B_ref2v"], vace, pictures, file)
    style, reference = clip.request.conditions
    assert (style.adapter, round(style.weight, 6)) == ("causvid.safetensors", 0.3)
    assert reference.images == (str(pictures / "a.png"),)


def test_everything_that_is_missing_is_named_at_once(goldens):
    with pytest.raises(RequestError) as error:
        clips(goldens["video_wan_vace_14B_t2v"], {})
    assert "models pull wan2.1-vace-14b" in str(error.value) and "CausVid" in str(error.value)
    with pytest.raises(RequestError, match="two-stage sampling"):
        clips(goldens["video_wan2_2_14B_t2v"], {})


@pytest.mark.parametrize(
    ("settings", "models", "words"),
    [
        ((), {"other.safetensors": MINI}, "names no model file other.safetensors"),
        (("KSampler.sampler_name=dpm_fast",), WAN, "node 3 .KSampler.: sampler_name = dpm_fast.*euler_ancestral"),
        (("KSampler.denoise=0.5",), WAN, "denoise = 0.5"), (("40.batch_size=2",), WAN, "batch_size = 2"),
        (("KSampler.steps=0",), WAN, "steps = 0"), (("Sampler.steps=3",), WAN, "No node 'Sampler'.*KSampler"),
        (("KSampler.step=3",), WAN, "No input of KSampler 'step'.*steps"), (("steps=3",), WAN, "NODE.INPUT=VALUE"),
        (("KSampler.model=3",), WAN, "linked to node 48"),
    ],
)  # fmt: skip
def test_what_is_refused(goldens, settings, models, words):
    with pytest.raises(RequestError, match=words):
        clips(goldens["text_to_video_wan"], models, settings=settings)


def test_a_picture_that_is_not_there(goldens, tmp_path):
    with pytest.raises(RequestError, match=r"mountains\.png is not in"):
        clips(goldens["ex_svd_image_to_video"], {"svd.safetensors": "kinema-mini-svd"}, tmp_path)
