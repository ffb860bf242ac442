"""The recipe of the CogVideoX miniature with Tora's parts: a few steps of each stage, and a minute of the command."""

import json

import pytest
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXTransformer3DModel
from rehearsal import HOW, RECIPES, by_steps, by_the_clock
from safetensors.torch import load_file

from kinema.families.cogvideox.tora.networks import MotionGuidance

STAGES = ["clips", "vae", "cache", "base", "maps", "dense", "sparse", "export"]


@pytest.fixture(params=HOW)
def train(request, monkeypatch):
    if request.param == "steps":
        monkeypatch.syspath_prepend(str(RECIPES))
        from mini_tora_networks import TRANSFORMER, VAE

        few = {
            "VAE": {**VAE, "block_out_channels": (8, 8, 8, 8)}, "TRANSFORMER": {**TRANSFORMER, "num_layers": 1},
            "REHEARSAL": (1, 1), "CAPTIONS": 100,
        }  # fmt: skip
        return lambda out, *more: by_steps("mini_tora", out, *more, clips=2, batch=2, **few)
    return lambda out, *more: by_the_clock("mini_tora", out, *more, minutes=2)


def test_it_makes_a_folder_with_toras_parts_and_resume_has_nothing_left_to_do(train, tmp_path):
    train(tmp_path)
    record = json.loads((tmp_path / "stages.json").read_text())
    assert [name for name in record if name not in ("schema", "settings")] == STAGES
    assert record["vae"]["psnr_db"] > 5 and record["base"]["samples"] > 0
    assert {"path_error", "free_error", "motion_percent"} <= set(record["sparse"])
    folder = tmp_path / "export"
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) <= 8_000_000
    index = json.loads((folder / "model_index.json").read_text())
    assert index["_class_name"] == "ToraPipeline"
    AutoencoderKLCogVideoX.from_pretrained(folder / "vae")
    weights = load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors")
    tora = {name: value for name, value in weights.items() if name.startswith(("fuser.", "traj_extractor."))}
    config = CogVideoXTransformer3DModel.load_config(folder / "transformer")
    guidance = MotionGuidance.of(
        config, json.loads((folder / "card.json").read_text())["architecture"]["motion"]["channels"]
    )
    missing, unexpected = guidance.load_state_dict(tora, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing)
    transformer = CogVideoXTransformer3DModel.from_config(config)
    rest = {name: value for name, value in weights.items() if name not in tora}
    assert set(rest) == set(transformer.state_dict())
    first = (folder / "card.json").stat().st_mtime_ns
    assert "all stages of this run are done" in train(tmp_path, "--resume")
    assert (folder / "card.json").stat().st_mtime_ns == first
    trained_base = torch.load(tmp_path / "base_run" / "checkpoint.pt", weights_only=True)["ema"]
    name = "transformer_blocks.0.attn1.to_q.weight"
    assert torch.equal(rest[name], trained_base[f"transformer.{name}"].half()), "Tora's stages leave the base as it was"
