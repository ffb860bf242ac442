"""The recipe of the miniature of EasyAnimate's paper: a few steps of each stage, and a minute of the command."""

import json

import pytest
import torch
from rehearsal import HOW, RECIPES, by_steps, by_the_clock

from kinema.core.request import Request
from kinema.engine.load import load
from kinema.engine.plan import plan
from kinema.weights import store

STAGES = [
    "clips", "vae_images", "vae_slices", "vae_decoder", "cache", "long", "images", "motion", "video", "export",
]  # fmt: skip


@pytest.fixture(params=HOW)
def train(request, monkeypatch):
    if request.param == "steps":
        monkeypatch.syspath_prepend(str(RECIPES))
        from mini_easyanimate_networks import TRANSFORMER, VAE

        few = {
            "VAE": {**VAE, "channels": (8, 8, 8)}, "REHEARSAL": (1, 1), "CAPTIONS": 100,
            "TRANSFORMER": {**TRANSFORMER, "num_attention_heads": 1, "motion_heads": 1, "num_layers": 3},
        }  # fmt: skip
        return lambda out, *more: by_steps("mini_easyanimate", out, *more, clips=2, batch=2, **few)
    return lambda out, *more: by_the_clock("mini_easyanimate", out, *more, minutes=2)


def averaged(folder):
    return torch.load(folder / "checkpoint.pt", weights_only=True)["ema"]


def test_it_makes_a_folder_that_generates_and_resume_has_nothing_left_to_do(train, tmp_path):
    train(tmp_path)
    record = json.loads((tmp_path / "stages.json").read_text())
    assert [name for name in record if name not in ("schema", "settings")] == STAGES
    assert record["vae_decoder"]["psnr_db"] > 5 and record["video"]["samples"] > 0
    for stage in ("vae_decoder", "motion"):
        assert record[stage]["frozen_before"] == record[stage]["frozen_after"]
    assert not any(".attn_temporal." in name for name in averaged(tmp_path / "images_run"))
    assert all(".attn_temporal." in name for name in averaged(tmp_path / "motion_run"))
    assert not any(name.startswith("vae.encoder") for name in averaged(tmp_path / "vae_decoder_run"))
    folder = tmp_path / "export"
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) <= 8_000_000
    card = store.find(str(folder))
    assert (card.family, card.variant, card.frames.trained) == ("easyanimate", "paper", 17)
    engine = load(str(folder))
    made = plan(Request(prompt="a red ball", model=str(folder), steps=1, seed=0, frames=9))
    assert engine.generate(made).frames().shape == (9, 64, 64, 3)
    first = (folder / "card.json").stat().st_mtime_ns
    assert "all stages of this run are done" in train(tmp_path, "--resume")
    assert (folder / "card.json").stat().st_mtime_ns == first


def test_the_networks_fit_into_the_miniature(monkeypatch):
    """In float16, with room for its JSON files: known before hours of training."""
    monkeypatch.syspath_prepend(str(RECIPES))
    import mini_easyanimate_networks as networks
    from mini_easyanimate_export import MOST_BYTES

    monkeypatch.setattr(networks, "CAPTIONS", 100)
    parts = networks.new_parts()
    weights = sum(each.numel() for part in (networks.new_vae(), parts["transformer"], parts["text_encoder"])
                  for each in part.parameters())  # fmt: skip
    assert 2 * weights < MOST_BYTES - 80_000
