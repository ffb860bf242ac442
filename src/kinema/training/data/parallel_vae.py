"""Encode and decode whole clips at once with the modules of a diffusers AutoencoderKLWan.

Diffusers processes a clip in chunks of four frames with a feature cache, which suits long clips but slows training. For
short clips one pass over all frames gives the same results (checked in tests/training). Shapes: B batch, C channels, F
pixel frames (4n + 1), T latent frames (n + 1), H W.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl_wan import patchify, unpatchify
from torch import Tensor, nn

compiled = False
"""Use the compiled norm? Set by trainings that are long enough, if a C++ compiler is installed."""


def norm_silu(norm: nn.Module, x_BCTHW: Tensor) -> Tensor:
    """Apply RMS norm over channels, a learned scale and SiLU."""
    return (fused() if compiled else plain_norm_silu)(x_BCTHW, norm.gamma, norm.bias)


def plain_norm_silu(x_BCTHW: Tensor, gamma: Tensor, bias: Tensor | float) -> Tensor:
    """Eager norm_silu. All-zero pixels give zero, not NaN gradients (eps 1e-6)."""
    inverse = torch.rsqrt(x_BCTHW.float().square().mean(dim=1, keepdim=True) + 1e-6).to(x_BCTHW.dtype)
    return F.silu(x_BCTHW * inverse * gamma + bias).to(x_BCTHW.dtype)


@cache
def fused() -> Callable[..., Tensor]:
    """Return the compiled plain_norm_silu: five times faster on a CPU, after about a minute of compilation."""
    torch._dynamo.config.recompile_limit = 64  # a few per number of channels and frames
    return torch.compile(plain_norm_silu, dynamic=True)


def conv(layer: nn.Module, x_BCTHW: Tensor) -> Tensor:
    """Apply a causal convolution; as 2D convolution if its earlier taps have no effect (single frames, and layers of
    make_spatial)."""
    if layer.kernel_size[0] == 1 or (x_BCTHW.shape[2] > 1 and not getattr(layer, "spatial", False)):
        return layer(x_BCTHW)
    padding = (layer._padding[2], layer._padding[0])  # rows and columns
    return per_frame(lambda x: F.conv2d(x, layer.weight[:, :, -1], layer.bias, padding=padding), x_BCTHW)


def make_spatial(*modules: nn.Module) -> None:
    """Restrict the 3x3x3 convolutions of these modules to one frame: their earlier taps become and stay zero.

    At full resolution, temporal taps cost most and help least. The weights still fit diffusers' class.
    """
    for module in modules:
        for layer in module.modules():
            if isinstance(layer, nn.Conv3d) and layer.kernel_size[0] == 3 and layer.kernel_size[1] == 3:
                layer.weight.data[:, :, :2] = 0.0
                layer.spatial = True


def resnet(block: nn.Module, x_BCTHW: Tensor) -> Tensor:
    """Residual block: (norm, SiLU, causal 3x3x3 convolution) twice, plus a shortcut."""
    h = conv(block.conv1, norm_silu(block.norm1, x_BCTHW))
    h = conv(block.conv2, norm_silu(block.norm2, h))
    return h + block.conv_shortcut(x_BCTHW)


def mid(block: nn.Module, x_BCTHW: Tensor) -> Tensor:
    """Middle block: residual blocks with single-head attention within each frame between them."""
    x = resnet(block.resnets[0], x_BCTHW)
    for attention, next_resnet in zip(block.attentions, block.resnets[1:], strict=True):
        x = resnet(next_resnet, attention(x))
    return x


def per_frame(layer: Callable[[Tensor], Tensor], x_BCTHW: Tensor) -> Tensor:
    """Apply an image layer to each frame."""
    b, c, t, h, w = x_BCTHW.shape
    y = layer(x_BCTHW.permute(0, 2, 1, 3, 4).reshape(b * t, c, h, w))
    return y.view(b, t, *y.shape[1:]).permute(0, 2, 1, 3, 4)


def downsample(layer: nn.Module, x_BCTHW: Tensor) -> Tensor:
    """Halve space and, for downsample3d, time: frame 0 is copied, then windows of three frames have stride two."""
    x = per_frame(layer.resample, x_BCTHW)
    if layer.mode == "downsample3d" and x.shape[2] > 1:
        x = torch.cat([x[:, :, :1], layer.time_conv(x)], dim=2)
    return x


def upsample(layer: nn.Module, x_BCTHW: Tensor) -> Tensor:
    """Double space and, for upsample3d, time: frame 0 stays single, each later frame becomes two."""
    x = x_BCTHW
    if layer.mode == "upsample3d" and x.shape[2] > 1:
        b, c, t, h, w = x.shape
        pairs = layer.time_conv(x[:, :, 1:]).reshape(b, 2, c, t - 1, h, w)
        later = torch.stack((pairs[:, 0], pairs[:, 1]), dim=3).reshape(b, c, 2 * (t - 1), h, w)
        x = torch.cat([x[:, :, :1], later], dim=2)
    return per_frame(layer.resample, x)


def encode(vae: nn.Module, frames_BCFHW: Tensor) -> tuple[Tensor, Tensor]:
    """Encode frames in [-1, 1] to mean and log-variance, each (B, z_dim, T, H/8, W/8), not normalized."""
    encoder = vae.encoder
    if vae.config.patch_size is not None:
        frames_BCFHW = patchify(frames_BCFHW, vae.config.patch_size)
    x = conv(encoder.conv_in, frames_BCFHW)
    for block in encoder.down_blocks:
        if hasattr(block, "avg_shortcut"):
            h = x
            for inner in block.resnets:
                h = resnet(inner, h)
            if block.downsampler is not None:
                h = downsample(block.downsampler, h)
            x = h + block.avg_shortcut(x)
        elif hasattr(block, "mode"):
            x = downsample(block, x)
        else:
            x = resnet(block, x)
    x = conv(encoder.conv_out, norm_silu(encoder.norm_out, mid(encoder.mid_block, x)))
    mean_BCTHW, logvar_BCTHW = vae.quant_conv(x).chunk(2, dim=1)
    return mean_BCTHW, logvar_BCTHW.clamp(-30.0, 20.0)


def decode(vae: nn.Module, z_BCTHW: Tensor) -> Tensor:
    """Decode latents (not normalized) to frames (B, 3, F, H, W), not clamped."""
    decoder = vae.decoder
    x = mid(decoder.mid_block, conv(decoder.conv_in, vae.post_quant_conv(z_BCTHW)))
    for block in decoder.up_blocks:
        h = x
        for inner in block.resnets:
            h = resnet(inner, h)
        if getattr(block, "avg_shortcut", None) is not None:
            x = upsample(block.upsampler, h) + block.avg_shortcut(x, first_chunk=True)
        elif getattr(block, "upsamplers", None) is not None:
            x = upsample(block.upsamplers[0], h)
        else:
            x = h
    x = conv(decoder.conv_out, norm_silu(decoder.norm_out, x))
    return x if vae.config.patch_size is None else unpatchify(x, vae.config.patch_size)


def to_network(frames_BFHWC: Tensor) -> Tensor:
    """Convert uint8 frames to float (B, 3, F, H, W) in [-1, 1]."""
    return frames_BFHWC.permute(0, 4, 1, 2, 3).float() / 127.5 - 1


def normalize(vae: nn.Module, latents_BCTHW: Tensor) -> Tensor:
    """Normalize latents for the transformer: (z - mean) / std per channel."""
    mean = torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1).to(latents_BCTHW)
    std = torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1).to(latents_BCTHW)
    return (latents_BCTHW - mean) / std


def denormalize(vae: nn.Module, latents_BCTHW: Tensor) -> Tensor:
    """Invert normalize."""
    mean = torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1).to(latents_BCTHW)
    std = torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1).to(latents_BCTHW)
    return latents_BCTHW * std + mean
