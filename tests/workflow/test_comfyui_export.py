"""Requests as ComfyUI workflows: the graphs of ComfyUI's own templates with the plan's values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from comfyui_templates import golden_cases

import kinema
from kinema.core.errors import RequestError
from kinema.weights.store import find
from kinema.workflow import examine, parse_workflow
from kinema.workflow.export import export
from kinema.workflow.run.execute import planned_workflow
from kinema.workflow.run.folders import FolderInputs


def exported(model, **fields):
    return export(kinema.plan("a (red) ball", model=model, **fields), find(model))


def shape(prompt):
    """The links of a prompt by classes, as a set: (class, input, origin's class, slot)."""
    return {
        (node["class_type"], name, prompt[value[0]]["class_type"], value[1])
        for node in prompt.values() for name, value in node["inputs"].items() if isinstance(value, list)
    }  # fmt: skip


def kept(prompt, kind):
    return next(node["inputs"] for node in prompt.values() if node["class_type"] == kind)


def test_text_to_video_is_comfyuis_template_with_other_values(real_data):
    _, golden = golden_cases(real_data)["text_to_video_wan"]
    golden = {key: node for key, node in golden.items() if node["class_type"] not in ("SaveAnimatedWEBP", "SaveWEBM")}
    found = exported("wan2.1-t2v-1.3b", seed=7, steps=30, frames=33, guidance=6.0, profile="exact")
    assert shape(found.prompt) - {("SaveVideo", "video", "CreateVideo", 0)} == shape(golden) - {
        ("SaveVideo", "video", "CreateVideo", 0)
    }
    sampler = kept(found.prompt, "KSampler")
    expected = kept(golden, "KSampler") | {"seed": 7}
    plain = {name: value for name, value in expected.items() if not isinstance(value, list)}
    assert {name: sampler[name] for name in plain} == plain
    assert kept(found.prompt, "EmptyHunyuanLatentVideo") == {"width": 832, "height": 480, "length": 33, "batch_size": 1}
    assert kept(found.prompt, "UNETLoader") == kept(golden, "UNETLoader")
    assert kept(found.prompt, "CLIPTextEncode")["text"] == r"a \(red\) ball"  # parentheses do not weigh
    assert found.notes == ()


def test_image_to_video_is_comfyuis_example_with_other_values(real_data, tmp_path):
    from PIL import Image

    Image.new("RGB", (1024, 576)).save(tmp_path / "first.png")
    _, golden = golden_cases(real_data)["ex_svd_image_to_video"]
    fields = {"image": str(tmp_path / "first.png"), "size": "1024x576", "options": {"motion": 90}}
    found = exported("svd", seed=5, **fields, profile="exact")
    saved = {"SaveVideo", "CreateVideo", "SaveAnimatedWEBP"}
    assert {each for each in shape(found.prompt) if each[0] not in saved} == {
        each for each in shape(golden) if each[0] not in saved
    }
    values = kept(found.prompt, "SVD_img2vid_Conditioning")
    assert (values["motion_bucket_id"], values["width"], values["video_frames"]) == (90, 1024, 14)
    assert kept(found.prompt, "LoadImage")["image"] == "first.png"
    assert any("first.png" in note and "input/" in note for note in found.notes)


def test_what_is_exported_reads_back_and_maps():
    found = exported("wan2.1-t2v-14b", profile="balanced")
    result = examine(parse_workflow(json.dumps(found.prompt), "test"))
    assert result.maps() and result.wrong == () and len(result.nodes) == len(found.prompt)
    assert any("guidance in a part of the steps" in note for note in found.notes)


def test_styles_become_loaders_between_the_model_and_its_shift():
    styles = tuple(kinema.Style(adapter=f"a/{name}.safetensors", weight=0.5) for name in "ab")
    plan = kinema.plan("a ball", model="wan2.1-t2v-14b").model_copy(update={"conditions": styles})
    found = export(plan, find(plan.model))
    links = {each for each in shape(found.prompt) if each[1] == "model"}
    assert links == {
        ("LoraLoaderModelOnly", "model", "UNETLoader", 0), ("LoraLoaderModelOnly", "model", "LoraLoaderModelOnly", 0),
        ("ModelSamplingSD3", "model", "LoraLoaderModelOnly", 0), ("KSampler", "model", "ModelSamplingSD3", 0),
    }  # fmt: skip
    loras = [each["inputs"] for each in found.prompt.values() if each["class_type"] == "LoraLoaderModelOnly"]
    assert [(each["lora_name"], each["strength_model"]) for each in loras] == [
        ("a.safetensors", 0.5), ("b.safetensors", 0.5),
    ]  # fmt: skip
    assert sum("models/loras/" in note for note in found.notes) == 2


@pytest.mark.parametrize("model", ["kinema-mini-wan", "wan2.1-vace-1.3b", "zeroscope"])
def test_a_model_without_a_workflow_is_refused(model):
    with pytest.raises(RequestError, match=f"No ComfyUI workflow for {model}"):
        exported(model)


def test_an_exported_request_comes_back_as_it_was():
    options = {"sampler": "dpmpp_2m", "schedule": "beta", "shift": 3.0}
    prompt = exported("wan2.1-t2v-1.3b", seed=5, steps=7, options=options).prompt
    (name,) = (node["inputs"]["unet_name"] for node in prompt.values() if node["class_type"] == "UNETLoader")
    examined = examine(parse_workflow(json.dumps(prompt), "x.json"))
    planned = planned_workflow(examined, models={name: "kinema-mini-wan"}, inputs=FolderInputs(Path()))
    (step,) = planned.samplers.values()
    found = step.request
    assert (found.prompt, found.seed, found.steps) == (r"a \(red\) ball", 5, 7)
    assert found.options == options | {"noise": "torch", "prompt_weights": "comfyui"}
