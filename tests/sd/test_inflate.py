"""Inflated image models: their images do not change, and temporal layers work with other image models."""

from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DConditionModel

from kinema.sd.inflate import copy_spatial, digest, inflate, is_spatial, is_temporal


def image_model(seed, **changes):
    torch.manual_seed(seed)
    config = {
        "sample_size": 8, "block_out_channels": (32, 64), "layers_per_block": 1, "cross_attention_dim": 24,
        "attention_head_dim": (2, 4), "use_linear_projection": True, "norm_num_groups": 16,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    }  # fmt: skip
    return UNet2DConditionModel(**{**config, **changes}).eval()


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, 4, 3, 8, 8, generator=generator), torch.randn(1, 5, 24, generator=generator)


@torch.no_grad()
def frames_of(image, inputs):
    x, text = inputs
    made = image(x[0].transpose(0, 1), torch.tensor(500), text.expand(3, -1, -1)).sample
    return made.transpose(0, 1)[None]


@torch.no_grad()
def of(video, inputs):
    return video(inputs[0], torch.tensor(500), inputs[1]).sample


def disturb(video):
    """Make the temporal layers nonzero."""
    with torch.no_grad():
        for name, parameter in video.named_parameters():
            if is_temporal(name):
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(len(name))))


def test_a_new_video_model_makes_the_image_models_pictures(inputs):
    image = image_model(0)
    video = inflate(image)
    assert (of(video, inputs) - frames_of(image, inputs)).abs().max() < 1e-5
    disturb(video)
    assert (of(video, inputs) - frames_of(image, inputs)).abs().max() > 1e-2


def test_temporal_layers_go_over_to_another_image_model(inputs):
    one, other = image_model(0), image_model(1)
    video = inflate(one)
    disturb(video)
    temporal, before = digest(video, is_temporal), of(video, inputs)
    copy_spatial(other, video)
    assert digest(video, is_temporal) == temporal
    assert digest(video, is_spatial) == digest(inflate(other), is_spatial)
    assert (of(video, inputs) - before).abs().max() > 1e-2
    copy_spatial(one, video)
    assert torch.equal(of(video, inputs), before)


def test_digests_see_every_change():
    video = inflate(image_model(0))
    spatial, temporal = digest(video, is_spatial), digest(video, is_temporal)
    with torch.no_grad():
        video.mid_block.temp_convs[0].conv4[-1].bias[0] = 1.0
    assert digest(video, is_spatial) == spatial and digest(video, is_temporal) != temporal


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"use_linear_projection": False}, "linear"),
        ({"attention_head_dim": 8}, "same width"),
        ({"down_block_types": ("AttnDownBlock2D", "DownBlock2D")}, "AttnDownBlock2D"),
    ],
)
def test_what_does_not_fit_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        inflate(image_model(0, **changes))


def test_models_of_two_shapes_are_not_mixed():
    with pytest.raises(ValueError, match="image model"):
        copy_spatial(image_model(0, cross_attention_dim=32), inflate(image_model(0)))
