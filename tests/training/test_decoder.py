"""Training only the decoder does not change latents."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKLWan

from kinema.toyland import WORLD_SMALL
from kinema.training.core.loop import LoopConfig, train
from kinema.training.data.store import ClipStore, write_shards
from kinema.training.tasks.vae import DecoderTask


def test_only_the_decoder_changes(tmp_path):
    write_shards(tmp_path / "clips", WORLD_SMALL, range(4), num_frames=17, height=32, width=32, fps=8.0, device="cpu")
    torch.manual_seed(0)
    vae = AutoencoderKLWan(
        base_dim=4, z_dim=16, dim_mult=[1, 2, 2, 2], num_res_blocks=1, temperal_downsample=[True, True, False]
    )
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    store = ClipStore(tmp_path / "clips")
    train(DecoderTask(vae, store, store), LoopConfig(out=tmp_path / "run", max_steps=3, warmup_steps=1))
    changed = {name for name, value in vae.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith(("decoder.", "post_quant_conv.")) for name in changed)
