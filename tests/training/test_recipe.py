"""The recipe of the miniature from end to end, far smaller and for two steps a stage."""

import importlib.util
import json
from pathlib import Path

import pytest
from diffusers import WanVACEPipeline

PATH = Path(__file__).parents[2] / "recipes" / "mini_wan.py"


@pytest.fixture
def recipe(monkeypatch):
    spec = importlib.util.spec_from_file_location("mini_wan_recipe", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, value in {"FRAMES": 5, "SIDE": 32, "BATCH": 8, "CAPTIONS": 200, "STEPS": 2}.items():
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(
        module, "vae_config", lambda original=module.vae_config: original() | {"dim_mult": [1, 1, 1, 1]}
    )
    small = {"num_attention_heads": 2, "attention_head_dim": 12, "ffn_dim": 24, "num_layers": 2, "vace_layers": [0]}
    transformer = module.transformer_config
    monkeypatch.setattr(module, "transformer_config", lambda: transformer() | small)
    return module


def test_every_stage_runs_and_the_folder_opens(recipe, tmp_path):
    recipe.render_clips(tmp_path, 8, "cpu")
    vae = recipe.train_vae(tmp_path, "cpu", 1, False, max_steps=2)
    assert vae["psnr_db"] > 0
    recipe.cache_latents(tmp_path, "cpu", 8)
    video = recipe.train_video(tmp_path, "cpu", 1, False, max_steps=12)
    assert video["samples"] == 96 and set(video["swap_percent"]) >= {"color", "kind", "motion", "background"}
    hashes = recipe.export(tmp_path, tmp_path / "export", tmp_path / "vae")
    assert len(hashes) == 3
    pipeline = WanVACEPipeline.from_pretrained(tmp_path / "export")
    assert pipeline.vae_scale_factor_spatial == 8 and pipeline.vae_scale_factor_temporal == 4
    assert json.loads((tmp_path / "export" / "model_index.json").read_text())["tokenizer"][0] == "transformers"
