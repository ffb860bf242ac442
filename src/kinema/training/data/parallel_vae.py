"""Encode and decode whole clips at once with the modules of a diffusers AutoencoderKLWan.

The library walks a clip in chunks of four frames with a feature cache, which is right for long clips and slow for
training. For a short clip the same numbers come from one pass over all frames; tests/training checks that the two
agree. Shapes: B batch, C channels, F pixel frames (4n + 1), T latent frames (n + 1), H W.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl_wan import patchify, unpatchify
from torch import Tensor, nn

compiled = False
"""Set by a training that is long enough (and finds a C++ compiler)."""


def norm_silu(norm: nn.Module, x_BCTHW: Tensor) -> Tensor:
    """RMS norm over channels, learned scale, SiLU."""
    return (fused() if compiled else plain_norm_silu)(x_BCTHW, norm.gamma, norm.bias)


def plain_norm_silu(x_BCTHW: Tensor, gamma: Tensor, bias: Tensor | float) -> Tensor:
    """An all-zero pixel gives zero, not NaN gradients (eps 1e-6)."""
    inverse = torch.rsqrt(x_BCTHW.float().square().mean(dim=1, keepdim=True) + 1e-6).to(x_BCTHW.dtype)
    return F.silu(x_BCTHW * inverse * gamma + bias).to(x_BCTHW.dtype)


@cache
def fused() -> Callable[..., Tensor]:
    """plain_norm_silu compiled: five times faster on a CPU, after a minute of compiling in all."""
    torch._dynamo.config.recompile_limit = 64  # a few for each number of channels and frames
    return torch.compile(plain_norm_silu, dynamic=True)


def conv(layer: nn.Module, x_BCTHW: Tensor) -> Tensor:
    """A causal convolution, frame by frame where its earlier taps see nothing: single frames and layers made
    spatial."""
    if layer.kernel_size[0] == 1 or (x_BCTHW.shape[2] > 1 and not getattr(layer, "spatial", False)):
        return layer(x_BCTHW)
    padding = (layer._padding[2], layer._padding[0])  # of rows and columns; the module pads time on one side itself
    return per_frame(lambda x: F.conv2d(x, layer.weight[:, :, -1], layer.bias, padding=padding), x_BCTHW)


def make_spatial(*modules: nn.Module) -> None:
    """Let the 3x3x3 convolutions of these modules see one frame only: their earlier taps become zero and stay so.

    At full resolution time costs most and says least; the weights remain those of the library's class.
    """
    for module in modules:
        for layer in module.modules():
            if isinstance(layer, nn.Conv3d) and layer.kernel_size[0] == 3 and layer.kernel_size[1] == 3:
                layer.weight.data[:, :, :2] = 0.0
                layer.spatial = True


def resnet(block: nn.Module, x_BCTHW: Tensor) -> Tensor:
    """norm, SiLU, causal 3x3x3 convolution, twice, around a shortcut."""
    h = conv(block.conv1, norm_silu(block.norm1, x_BCTHW))
    h = conv(block.conv2, norm_silu(block.norm2, h))
    return h + block.conv_shortcut(x_BCTHW)


def mid(block: nn.Module, x_BCTHW: Tensor) -> Tensor:
    """The middle block: resnets with single-head attention inside each frame between them."""
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
    """Halve space and, for downsample3d, time: frame 0 passes as it is, then windows of three with stride two."""
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
    """Frames in [-1, 1] to the mean and log-variance of the latents, each (B, z_dim, T, H/8, W/8), not normalised."""
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
    """Latents (not normalised) to frames (B, 3, F, H, W), not clamped."""
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
    """uint8 frames to float (B, 3, F, H, W) in [-1, 1]."""
    return frames_BFHWC.permute(0, 4, 1, 2, 3).float() / 127.5 - 1


def normalize(vae: nn.Module, latents_BCTHW: Tensor) -> Tensor:
    """Latents as the transformer sees them: (z - mean) / std per channel."""
    mean = torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1).to(latents_BCTHW)
    std = torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1).to(latents_BCTHW)
    return (latents_BCTHW - mean) / std


def denormalize(vae: nn.Module, latents_BCTHW: Tensor) -> Tensor:
    """The inverse of normalize."""
    mean = torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1).to(latents_BCTHW)
    std = torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1).to(latents_BCTHW)
    return latents_BCTHW * std + mean
