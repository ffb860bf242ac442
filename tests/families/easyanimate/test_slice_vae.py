"""The slice autoencoder: slices are independent on the way in, share features on the way out, and need no more memory
for longer clips."""

import pytest
import torch

from kinema.families.easyanimate.paper.slice_vae import SliceVae
from kinema.training.tasks.slice_vae import initialize

SMALL = {"latent_channels": 4, "channels": (8, 8, 8), "norm_groups": 4}


def new(**changes):
    torch.manual_seed(0)
    vae = SliceVae(**{**SMALL, **changes})
    initialize(vae, torch.Generator().manual_seed(0))
    return vae.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def vae():
    return new()


@pytest.fixture(scope="module")
def frames():
    return torch.rand((2, 3, 25, 32, 48), generator=torch.Generator().manual_seed(1)) * 2 - 1


def encoded(vae, frames, **how):
    return vae.encode(frames, **how).latent_dist.mean


def test_sizes_and_an_illegal_number_of_frames(vae, frames):
    assert encoded(vae, frames).shape == (2, 4, 7, 4, 6)
    assert vae.decode(torch.zeros(2, 4, 7, 4, 6)).sample.shape == frames.shape
    assert vae.decode(encoded(vae, frames[:, :, :1])).sample.shape == (2, 3, 1, 32, 48), "a picture is a clip"
    with pytest.raises(ValueError, match=r"24 frames.*8n \+ 1"):
        vae.encode(frames[:, :, :24])


def test_every_slice_is_encoded_alone(vae, frames):
    whole = encoded(vae, frames)
    assert torch.allclose(encoded(vae, frames, at_once=1), whole, atol=1e-5)
    assert torch.allclose(encoded(vae, frames[:, :, :1]), whole[:, :, :1], atol=1e-5), "the first frame is a picture"
    other = frames.clone()
    other[:, :, 9:17] = 0.0
    changed = (encoded(vae, other) - whole).abs().amax((0, 1, 3, 4)) > 1e-6
    assert changed.tolist() == [False, False, False, True, True, False, False]


def test_decoding_in_slices_is_decoding_at_once(vae):
    z = torch.randn((2, 4, 9, 4, 6), generator=torch.Generator().manual_seed(2))
    slices = list(vae.decode_slices(z))
    assert [part.shape[2] for part in slices] == [1, 8, 8, 8, 8]
    assert (torch.cat(slices, 2) - vae.decode(z).sample).abs().max() < 1e-4


@pytest.mark.parametrize("share", [True, False])
def test_a_slice_heeds_its_neighbours_only_if_it_shares(share):
    vae = new(share=share)
    z = torch.randn((1, 4, 7, 4, 4), generator=torch.Generator().manual_seed(2))
    before = vae.decode(z).sample
    z[:, :, 3:5] += 1.0
    parts = (vae.decode(z).sample - before).abs().amax((0, 1, 3, 4)) > 1e-6
    touched = [bool(parts[:1].any()), bool(parts[1:9].any()), bool(parts[9:17].any()), bool(parts[17:].any())]
    assert touched == [False, share, True, share]
    assert (torch.cat(list(vae.decode_slices(z)), 2) - vae.decode(z).sample).abs().max() < 1e-4


def test_the_memory_of_decoding_does_not_grow_with_the_clip(vae):
    """The most that is held at once, counted by what every layer returns; independent of the machine's allocator."""

    def peak(num_latents):
        sizes, held = [], 0

        def count(module, given, out):
            if torch.is_tensor(out):
                sizes.append(out.numel())

        hooks = [module.register_forward_hook(count) for module in vae.decoder.modules()]
        try:
            for _ in vae.decode_slices(torch.zeros(1, 4, num_latents, 4, 4)):
                held = max(held, sum(sizes))
                sizes.clear()
        finally:
            for hook in hooks:
                hook.remove()
        return held

    assert peak(37) <= 1.15 * peak(13), "145 frames against 49"
