"""An image model inflated to Stable Video Diffusion's classes generates the same images, frame by frame."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from kinema.sd.spatio_temporal import inflate, inflate_decoder, is_temporal


@pytest.fixture(scope="module")
def image():
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8, block_out_channels=(32, 64), layers_per_block=1, cross_attention_dim=24, attention_head_dim=2,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        use_linear_projection=True,
    ).eval()  # fmt: skip


@torch.no_grad()
def test_a_fresh_video_network_makes_the_image_models_frames(image):
    video = inflate(image, num_frames=5)
    x_BTCHW, picture, words = torch.randn(2, 5, 4, 8, 8), torch.randn(2, 5, 4, 8, 8), torch.randn(2, 3, 24)
    t, numbers = torch.tensor(420), torch.tensor([[6.0, 127, 0.02]] * 2)
    own = video(torch.cat([x_BTCHW, picture], 2), t, words, added_time_ids=numbers).sample
    each = image(x_BTCHW.flatten(0, 1), t, words.repeat_interleave(5, 0)).sample.unflatten(0, (2, 5))
    assert (own - each).abs().max() < 1e-4 * each.abs().max()
    with torch.no_grad():
        for name, parameter in video.named_parameters():
            if is_temporal(name):
                parameter.add_(0.05)
    moved = video(torch.cat([x_BTCHW, picture], 2), t, words, added_time_ids=numbers).sample
    assert (moved - each).abs().max() > 1e-2, "temporal layers do nothing"
    for module in video.modules():  # all weight on the spatial side: the image model again (alpha = 1)
        if hasattr(module, "mix_factor"):
            module.mix_factor.fill_(40.0)
    again = video(torch.cat([x_BTCHW, picture], 2), t, words, added_time_ids=numbers).sample
    assert (again - each).abs().max() < 1e-4 * each.abs().max()


@torch.no_grad()
def test_a_fresh_temporal_decoder_is_the_image_decoder():
    torch.manual_seed(1)
    vae = AutoencoderKL(
        block_out_channels=(32, 32), down_block_types=("DownEncoderBlock2D",) * 2, layers_per_block=2,
        up_block_types=("UpDecoderBlock2D",) * 2, scaling_factor=0.4,
    ).eval()  # fmt: skip
    vae.post_quant_conv.bias.zero_()
    temporal = inflate_decoder(vae)
    frames = torch.rand(3, 3, 16, 16) * 2 - 1
    z = vae.encode(frames).latent_dist.mode()
    assert (temporal.encode(frames).latent_dist.mode() - z).abs().max() < 1e-6
    assert (temporal.decode(z, num_frames=3).sample - vae.decode(z).sample).abs().max() < 1e-4
    assert temporal.config.scaling_factor == 0.4


def test_what_cannot_be_inflated_is_named(image):
    config = {**image.config, "use_linear_projection": False}
    with pytest.raises(ValueError, match="use_linear_projection"):
        inflate(UNet2DConditionModel.from_config(config), num_frames=4)
    odd = UNet2DConditionModel(
        sample_size=8, block_out_channels=(32, 64), layers_per_block=1, cross_attention_dim=24, attention_head_dim=2,
        down_block_types=("SimpleCrossAttnDownBlock2D", "DownBlock2D"), use_linear_projection=True,
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    with pytest.raises(ValueError, match="SimpleCrossAttnDownBlock2D"):
        inflate(odd, num_frames=4)
