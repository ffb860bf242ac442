"""Workflows planned: what each node becomes in the requests of samplers, and what is refused before anything runs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from kinema.core.errors import RequestError
from kinema.workflow.findings import examine
from kinema.workflow.formats.api import parse_api
from kinema.workflow.run.execute import planned_workflow
from kinema.workflow.run.folders import FolderInputs
from kinema.workflow.settings import with_values

MINI = "kinema-mini-wan"
WAN = {"wan2.1_t2v_1.3B_fp16.safetensors": MINI}


@pytest.fixture
def goldens(real_data):
    return json.loads((real_data / "workflows" / "goldens.json").read_text(encoding="utf-8"))


def plan_of(prompt, models, inputs=".", settings=()):
    work = examine(parse_api(with_values(prompt, settings), "w.json"))
    return planned_workflow(work, models=models, inputs=FolderInputs(inputs))


def only(planned):
    (step,) = planned.samplers.values()
    return step.request


@pytest.fixture
def pictures(tmp_path):
    for name in ("mountains.png", "image_to_video_wan_start_image.png", "a.png"):
        Image.new("RGB", (64, 48), (30, 90, 200)).save(tmp_path / name)
    return tmp_path


def test_text_to_video(goldens):
    planned = plan_of(goldens["text_to_video_wan"], WAN)
    found = only(planned)
    assert found.prompt.startswith("a fox moving quickly") and found.negative_prompt.endswith("\u5012\u7740\u8d70")
    assert (found.model, found.seed, found.steps, found.guidance) == (MINI, 82628696717253, 30, 6.0)
    assert found.profile == "exact"
    assert found.options == {
        "shift": 8.0, "noise": "torch", "sampler": "uni_pc", "schedule": "simple", "prompt_weights": "comfyui",
    }  # fmt: skip
    assert (found.width, found.frames) == (64, 17) and "has the size and length of" in planned.notes[0]
    prompt = json.loads(json.dumps(goldens["text_to_video_wan"]))
    del prompt["48"]
    prompt["3"]["inputs"]["model"] = ["37", 0]
    planned = plan_of(prompt, WAN, settings=["KSampler.seed=18446744073709551615", "3.steps=7", "40.width=96",
                                             "40.height=64", "40.length=12"])  # fmt: skip
    found = only(planned)
    assert found.options["shift"] == 8.0, "without a node that sets it"
    assert (found.seed, found.steps) == (2**63 - 1, 7) and "seed" in " ".join(planned.notes)
    assert (found.width, found.height, found.frames) == (96, 64, 9), "a size that the model can make is kept"


def test_the_sizes_of_the_graph_are_those_of_its_own_model(goldens, monkeypatch):
    monkeypatch.setattr("kinema.workflow.nodes.model_files.store.here", lambda card: True)
    planned = plan_of(goldens["text_to_video_wan"], {})
    found = only(planned)
    assert (found.model, found.width, found.height, found.frames) == ("wan2.1-t2v-1.3b", 832, 480, 33)
    assert planned.notes == []


def test_stable_video_diffusion_has_two_frame_rates(goldens, pictures):
    planned = plan_of(goldens["ex_svd_image_to_video"], {"svd.safetensors": "kinema-mini-svd"}, pictures)
    found = only(planned)
    (result,) = planned.results
    assert (found.fps, planned.nodes[result].given["fps"]) == (6.0, 10.0)
    assert found.options == {
        "sampler": "euler", "schedule": "karras", "noise": "torch", "motion": 127, "augmentation": 0.0,
        "first_guidance": 1.0,
    }  # fmt: skip
    assert found.conditions[0].at == "first" and found.guidance == 2.5


def test_pictures_and_loras(goldens, pictures):
    models = {"wan2.1_i2v_480p_14B_fp16.safetensors": MINI}
    found = only(plan_of(goldens["image_to_video_wan"], models, pictures))
    assert [(each.kind, each.at) for each in found.conditions] == [("image", "first")]
    vace = {"wan2.1_vace_14B_fp16.safetensors": MINI, "Wan21_CausVid_14B_T2V_lora_rank32.safetensors": "none"}
    found = only(plan_of(goldens["video_wan_vace_14B_t2v"], vace, pictures))
    assert found.conditions == () and found.options["conditioning_scale"] == [1.0]
    lora = pictures / "causvid.safetensors"
    name = "diffusion_model.blocks.0.self_attn.q"
    save_file({f"{name}.lora_A.weight": np.zeros((2, 8), np.float32),
               f"{name}.lora_B.weight": np.zeros((8, 2), np.float32)}, lora)  # fmt: skip
    vace["Wan21_CausVid_14B_T2V_lora_rank32.safetensors"] = str(lora)
    file = ["LoadImage.image=a.png"]
    planned = plan_of(goldens["video_wan_vace_14B_ref2v"], vace, pictures, file)
    style, reference = only(planned).conditions
    assert (style.adapter, round(style.weight, 6)) == (str(lora), 0.3)
    assert reference.kind == "reference" and len(reference.images) == 1
    (step,) = planned.samplers.values()
    assert (step.result.references, next(iter(planned.decodes.values())).frames) == (1, step.plan.frames)


def test_everything_that_is_missing_is_named_at_once(goldens):
    with pytest.raises(RequestError) as error:
        plan_of(goldens["video_wan_vace_14B_t2v"], {})
    assert "models pull wan2.1-vace-14b" in str(error.value) and "CausVid" in str(error.value)
    with pytest.raises(RequestError) as error:
        plan_of(goldens["image_to_video_wan"], {}, settings=["KSampler.sampler_name=nothing"])
    assert all(words in str(error.value) for words in ("models pull", "sampler_name", "start_image.png is not in"))


@pytest.mark.parametrize(
    ("settings", "models", "words"),
    [
        ((), {"other.safetensors": MINI}, "names no model file other.safetensors"),
        (("KSampler.sampler_name=dpm_adaptive",), WAN, "node 3 .KSampler.: sampler_name = dpm_adaptive.*euler_ances"),
        (("40.batch_size=2",), WAN, "batch_size = 2"),
        (("KSampler.steps=0",), WAN, "steps = 0"), (("Sampler.steps=3",), WAN, "No node 'Sampler'.*KSampler"),
        (("KSampler.step=3",), WAN, "No input of KSampler 'step'.*steps"), (("steps=3",), WAN, "NODE.INPUT=VALUE"),
        (("KSampler.model=3",), WAN, "linked to node 48"),
    ],
)  # fmt: skip
def test_what_is_refused(goldens, settings, models, words):
    with pytest.raises(RequestError, match=words):
        plan_of(goldens["text_to_video_wan"], models, settings=settings)


def test_a_link_to_another_type(goldens):
    prompt = json.loads(json.dumps(goldens["text_to_video_wan"]))
    prompt["3"]["inputs"]["latent_image"] = ["6", 0]
    with pytest.raises(RequestError, match=r"node 3 .*latent_image is linked to CLIPTextEncode.*type LATENT"):
        plan_of(prompt, WAN)


def test_a_picture_that_is_not_there(goldens, tmp_path):
    with pytest.raises(RequestError, match=r"mountains\.png is not in"):
        plan_of(goldens["ex_svd_image_to_video"], {"svd.safetensors": "kinema-mini-svd"}, tmp_path)
