"""The autoencoder's convolutions and norms on a CPU.

PyTorch sends small 3-D convolutions to an unblocked kernel that is several times slower than oneDNN's. Here they go to
oneDNN, and where only zeros lie before a single frame, to a 2-D convolution with the last tap of the kernel: the
same sums without the zeros. The norm over channels, a strided reduction that PyTorch does one number at a time, becomes
a sum of squares over whole rows. Results equal the library's to rounding.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch.nn import functional as F


def prepare(vae: Any) -> None:
    """Give the causal convolutions and norms of an autoencoder on the CPU the forwards below."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, WanRMS_norm

    if not torch.backends.mkldnn.is_available():
        return
    for module in vae.modules():
        if isinstance(module, WanCausalConv3d):
            module.forward = MethodType(_convolve, module)
        elif isinstance(module, WanRMS_norm) and module.channel_first:
            module.forward = MethodType(_normalise, module)


def _normalise(norm: Any, x: torch.Tensor) -> torch.Tensor:
    """x: (B, C, ...), to unit length over channels, then the learned scale."""
    wide = x.float()
    length = (wide * wide).sum(dim=1, keepdim=True).sqrt_().clamp_min_(1e-12)
    return (wide / length).to(x.dtype) * (norm.scale * norm.gamma) + norm.bias


def _convolve(conv: Any, x: torch.Tensor, cache_x: torch.Tensor | None = None) -> torch.Tensor:
    """x: (B, C, T, H, W); cache_x: frames that came before, or None for zeros."""
    left, right, top, bottom, before, _ = conv._padding
    if cache_x is not None and before > 0:
        x = torch.cat([cache_x, x], dim=2)
        before -= cache_x.shape[2]
    if before == conv.kernel_size[0] - 1 and x.shape[2] == 1 and left == right and top == bottom:
        weight = conv.weight[:, :, -1]
        return F.conv2d(x[:, :, 0], weight, conv.bias, conv.stride[1:], (top, left))[:, :, None]
    x = F.pad(x, (left, right, top, bottom, before, 0))
    if x.dtype == torch.float32:
        return torch.mkldnn_convolution(x, conv.weight, conv.bias, (0, 0, 0), conv.stride, conv.dilation, conv.groups)
    return F.conv3d(x, conv.weight, conv.bias, conv.stride, 0, conv.dilation, conv.groups)
