"""`kinema models remove` and `rename`: asked for twice, or with --yes; ComfyUI's folders added, and files looked at."""

from __future__ import annotations

import shutil

import pytest
from cli_tools import answer, run
from hollow_comfy import VARIANTS, comfy_models

from kinema.weights import store


@pytest.fixture
def added(model, tmp_path) -> str:
    shutil.copytree(store.locate(store.find(model)), tmp_path / "mine")
    assert run("models", "add", "mine").exit_code == 0
    return "mine"


def test_rename_and_remove(added, tmp_path):
    assert answer(run("models", "rename", added, "better", "--json"))["model"] == "better"
    asked = run("models", "remove", "better")
    assert asked.exit_code == 2 and "--yes" in asked.stderr and str(tmp_path / "mine") in asked.stderr
    done = run("models", "remove", "better", "--yes")
    assert done.exit_code == 0 and "its files stay" in done.stdout
    assert (tmp_path / "mine").is_dir()
    assert "better" not in run("models", "list").stdout
    assert run("models", "remove", "better", "--yes").exit_code == 2


def test_the_models_of_comfyui_are_added_and_looked_at(tmp_path):
    comfy = comfy_models(tmp_path / "ComfyUI")
    networks = comfy / "models" / "diffusion_models"
    made = answer(run("models", "add", str(comfy), "--json"))
    lacks = "wan2.2_ti2v_5B_fp16"
    assert {model["id"]: model["here"] for model in made["models"]} == {name: name != lacks for name in VARIANTS}
    assert len(made["refused"]) == 2
    shown = run("models", "add", str(comfy)).stdout
    assert "image to video, two experts of 14B. Takes a prompt, pictures (first needed, last), styles" in shown
    assert f"{lacks}: Wan 2.2 text and image to video, 5B. Takes" in shown and "wan2.2_vae.safetensors" in shown
    assert "not added: wan2.2_s2v_14B_fp8_scaled.safetensors: " in shown
    seen = run("models", "check", str(networks / "wan2.2_s2v_14B_fp8_scaled.safetensors"), "--json")
    assert seen.exit_code == 1 and answer(seen)["model"]["what"] == "Wan 2.2 S2V"
    part = run("models", "check", str(comfy / "models" / "vae" / "wan" / "wan_2.1_vae.safetensors"))
    assert part.exit_code == 0 and "the VAE of Wan 2.1" in part.stdout
    good = answer(run("models", "check", "wan2.1_t2v_1.3B_fp16", "--json"))
    assert good["ok"] and {each["part"] for each in good["model"]["needs"]} == {"vae", "text encoder"}
    table = run("models", "check", "wan2.1_t2v_1.3B_fp16").stdout
    assert "float16" in table and "needs vae" in table
    listed = {card["id"]: card["here"] for card in answer(run("models", "list", "--json"))}
    assert all(listed[name] == (name != lacks) for name in VARIANTS)
