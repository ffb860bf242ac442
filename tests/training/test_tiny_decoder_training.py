"""Distillation of a tiny decoder of any VAE, patches included."""

from __future__ import annotations

import json

import pytest
import torch
from diffusers import AutoencoderKLWan

from kinema.families.wan.tiny_decoder import TinyDecoder
from kinema.toyland import WORLD_SMALL
from kinema.training.core.loop import LoopConfig
from kinema.training.data.store import ClipStore, write_shards
from kinema.training.tasks.tiny_decoder import measure_tiny_decoder, teacher_targets, train_tiny_decoder

SMALL = {"coarse": (16,), "fine": (8,), "frame": (8,)}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    write_shards(folder, WORLD_SMALL, range(4), num_frames=9, height=32, width=32, fps=8.0, device="cpu")
    return ClipStore(folder)


@pytest.fixture(scope="module")
def vae():
    torch.manual_seed(0)
    made = AutoencoderKLWan(
        base_dim=4, decoder_base_dim=4, z_dim=16, dim_mult=[1, 2, 2], num_res_blocks=1, temperal_downsample=[1, 2, -1],
        is_residual=True, patch_size=2, in_channels=12, out_channels=12, latents_mean=[0.1] * 16,
        latents_std=[0.5] * 16,
    )  # fmt: skip
    return made.eval()


def test_teacher_targets_are_decodings_and_true_frames(vae, store):
    found = teacher_targets(vae, store, 3)
    assert found.latents.shape == (3, 16, 3, 4, 4)
    assert found.full.shape == found.true.shape == (3, 3, 9, 32, 32)
    assert torch.equal(found.true.permute(0, 2, 3, 4, 1), store.take([0, 1, 2])[0])
    again = teacher_targets(vae, store, 3, latents=found.latents)
    assert (again.full.int() - found.full.int()).abs().max() <= 2


def test_it_learns_is_saved_and_measured(vae, store, tmp_path):
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    config = LoopConfig(out=tmp_path / "run", max_steps=30, warmup_steps=2, lr_muon=6e-3, ema=0.5)
    result = train_tiny_decoder(
        vae, store, store, tmp_path / "tiny_decoder", config, num_clips=4, num_held_out=2, batch=2, widths=SMALL
    )
    assert {"psnr_to_full_db", "psnr_db", "full_psnr_db", "times_faster"} <= set(result)
    assert all(torch.equal(value, before[name]) for name, value in vae.state_dict().items()), (
        "the teacher does not change"
    )
    decoder = TinyDecoder.load(tmp_path / "tiny_decoder")
    assert decoder.config.coarse == (16,)
    assert json.loads((tmp_path / "tiny_decoder" / "scores.json").read_text()) == result
    held_out = teacher_targets(vae, store, 2)
    now = measure_tiny_decoder(decoder, vae, held_out, speed=False)["psnr_to_full_db"]
    assert now == pytest.approx(result["psnr_to_full_db"], abs=0.1)
    untaught = measure_tiny_decoder(TinyDecoder(decoder.config), vae, held_out, speed=False)["psnr_to_full_db"]
    assert now > untaught + 1


def test_too_large_is_refused(vae, store, tmp_path):
    with pytest.raises(ValueError, match="bytes"):
        train_tiny_decoder(vae, store, store, tmp_path, LoopConfig(out=tmp_path), widths={"coarse": (256, 256)})
