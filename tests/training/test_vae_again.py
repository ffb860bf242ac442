"""Continued training of a VAE: latents can be anchored to those of the original, and blurred edges are penalized."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan

from kinema.toyland import WORLD_SMALL
from kinema.training.core.loop import LoopConfig, train
from kinema.training.data.store import ClipStore, write_shards
from kinema.training.tasks.vae import VaeTask, edge_error, initialize
from kinema.training.tasks.widen import widen

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> ClipStore:
    folder = tmp_path_factory.mktemp("clips")
    write_shards(folder, WORLD_SMALL, range(4), num_frames=5, height=32, width=32, fps=8.0, device="cpu")
    return ClipStore(folder)


def autoencoder() -> AutoencoderKLWan:
    vae = AutoencoderKLWan(
        base_dim=4, z_dim=4, dim_mult=[1, 1, 4, 4], num_res_blocks=1, is_residual=True,
        temperal_downsample=[False, True, True], latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
    )  # fmt: skip
    initialize(vae, torch.Generator().manual_seed(0))
    return vae


def test_an_anchor_holds_the_latents_near_the_old_ones(clips, tmp_path):
    old = autoencoder()
    drift = {}
    for weight in (0.0, 30.0):
        task = VaeTask(widen(old, decoder_base_dim=8), clips, clips, anchor=old, anchor_weight=weight, edges=0.5)
        start = task.evaluate(0)
        assert start["drift"] < 1e-6 and start["old_latents_db"] == start["psnr_db"]
        config = LoopConfig(out=tmp_path / str(weight), max_steps=6, warmup_steps=1, ema=0.0, lr_muon=2e-2)
        end = train(task, config)
        drift[weight] = end["drift"]
        assert {"old_latents_db", "old_latents_objects_db"} <= set(end)
    assert 0 < 2 * drift[30.0] < drift[0.0]
    assert all(not p.requires_grad for p in old.parameters())


def test_a_constant_error_has_no_edges_and_a_step_has_one():
    error = torch.full((1, 3, 2, 4, 4), 0.5)
    assert edge_error(error) == 0
    error[..., 2:] = 1.5
    assert torch.isclose(edge_error(error), torch.tensor(1 / 3))  # one of three differences in a row


def test_the_recipe_goes_on_from_a_saved_autoencoder_and_widens_it(mini_path, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(RECIPES))
    from mini_wan import stages
    from mini_wan_editions import SMALL
    from mini_wan_vae import resized, vae_start, widened

    from kinema.training.core.stages import Settings

    options = {"vae_start": str(mini_path / "vae"), "vae_decoder_base": "36", "vae_edges": "0.25", "edition": "small"}
    again = vae_start(options, resized(SMALL, options))
    assert again is not None and again.near == mini_path / "vae" and again.edges == 0.25 and not again.bf16
    vae = widened(again.start, resized(SMALL, options))
    assert vae.config.decoder_base_dim == 36 and vae.config.base_dim == 16
    assert vae.decoder.up_blocks[-1].resnets[0].conv1.spatial  # the full-resolution level is still spatial
    names = [stage.name for stage in stages(Settings(out=tmp_path, options={**options, "start": str(mini_path)}))]
    assert "vae" in names and "keep" not in names
    assert vae_start({}, SMALL) is None
    for wrong, words in (
        ({"vae_start": "nowhere"}, "nowhere has no config.json"),
        ({**options, "vae_near": "elsewhere"}, "elsewhere has no config.json"),
        ({**options, "vae_decoder_base": "8"}, "decoder_base_dim must be at least 32, .*, got 8"),
        ({**options, "vae_rate": "much"}, "vae_rate must be a number from 0 to 1000, got 'much'"),
    ):
        with pytest.raises(ValueError, match=words):
            vae_start(wrong, resized(SMALL, wrong))
    with pytest.raises(ValueError, match="vae_decoder_base"):
        resized(SMALL, {"vae_decoder_base": "wide"})


def test_a_new_decoder_draws_the_old_latents(monkeypatch):
    monkeypatch.syspath_prepend(str(RECIPES))
    from mini_wan_vae import decoder_for, spatial

    torch.manual_seed(0)
    old = spatial(autoencoder())
    old.register_to_config(latents_mean=[0.5] * 4, latents_std=[2.0] * 4)
    new = widen(old, decoder_base_dim=8)
    for p in new.parameters():
        p.data += 0.1 * torch.randn(p.shape)
    joined = decoder_for(old, spatial(new))
    for name, value in joined.state_dict().items():
        source = old if name.startswith(("encoder.", "quant_conv.")) else new
        assert torch.equal(value, source.state_dict()[name]), name
    assert joined.config.latents_std == [2.0] * 4 and joined.config.decoder_base_dim == 8
    with pytest.raises(ValueError, match="Encoders must have the same width, got 4 and 8"):
        decoder_for(old, widen(old, base_dim=8, decoder_base_dim=8))
