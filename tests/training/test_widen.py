"""A widened VAE has the output of the trained one, and all of its weights get gradients."""

import pytest
import torch
from diffusers import AutoencoderKLWan

from kinema.training.data import parallel_vae
from kinema.training.tasks.vae import initialize
from kinema.training.tasks.widen import widen


def trained(**changes) -> AutoencoderKLWan:
    """A small VAE in which no weight has its initial value."""
    torch.manual_seed(0)
    vae = AutoencoderKLWan(
        **{
            "base_dim": 4, "z_dim": 4, "dim_mult": [1, 1, 4, 4], "num_res_blocks": 1, "is_residual": True,
            "temperal_downsample": [False, True, True], "latents_mean": [0.1] * 4, "latents_std": [2.0] * 4, **changes,
        }
    )  # fmt: skip
    initialize(vae, torch.Generator().manual_seed(0))
    for p in vae.parameters():
        p.data += 0.05 * torch.randn(p.shape)
    return vae.eval()


FRAMES = torch.rand(1, 3, 9, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize(
    "sizes",
    [
        {"decoder_base_dim": 8},
        {"base_dim": 8, "decoder_base_dim": 8},
        {
            "base_dim": 5,
            "decoder_base_dim": 6,
        },  # not multiples of the old widths: only zeros, not copies, keep the norms right
        {"decoder_base_dim": 4, "num_res_blocks": 2},
    ],
)
def test_it_computes_the_same_by_both_ways_of_walking_a_clip(sizes):
    old = trained()
    new = widen(old, **sizes).eval()
    assert sum(p.numel() for p in new.parameters()) > sum(p.numel() for p in old.parameters())
    assert new.config.latents_std == old.config.latents_std
    with torch.no_grad():
        mean, logvar = parallel_vae.encode(old, FRAMES)
        again, logvar_again = parallel_vae.encode(new, FRAMES)
        assert torch.allclose(again, mean, atol=2e-4) and torch.allclose(logvar_again, logvar, atol=2e-4)
        frames = parallel_vae.decode(old, mean)
        assert frames.std() > 0.1
        assert torch.allclose(parallel_vae.decode(new, mean), frames, atol=5e-4)
        assert torch.allclose(new.decode(mean).sample, old.decode(mean).sample, atol=5e-4)


def test_new_channels_get_a_gradient():
    """With zero input and output weights, new channels would never be trained."""
    old = trained()
    new = widen(old, base_dim=8, decoder_base_dim=8)
    parallel_vae.decode(new, parallel_vae.encode(new, FRAMES)[0]).square().mean().backward()
    before = dict(old.named_parameters())
    grown = [
        (name, p) for name, p in new.named_parameters() if p.shape != before[name].shape and "conv1.weight" in name
    ]
    assert len(grown) > 10
    for name, p in grown:
        assert p.grad[before[name].shape[0] :, : before[name].shape[1]].abs().max() > 0, name


def test_what_does_not_grow_is_refused():
    with pytest.raises(ValueError, match=r"z_dim cannot be widened\. Legal: base_dim, decoder_base_dim"):
        widen(trained(), z_dim=8)
    with pytest.raises(ValueError, match=r"base_dim must be at least 4, as in the trained network, got 3"):
        widen(trained(), base_dim=3)
